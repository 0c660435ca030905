//! Which path leads where.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::api::Api;
use super::handler::{AnyHandler, Handler};
use super::interceptor::Interceptor;
use crate::handshake::Origins;
use crate::http::{Method, Response};

/// A WebSocket endpoint: a handler and the rules of its handshake.
pub struct Endpoint {
    pub(super) handler: Box<dyn AnyHandler>,
    pub(super) message_bytes: Option<usize>,
    pub(super) messages_per_second: Option<usize>,
    pub(super) bytes_per_second: Option<usize>,
    pub(super) origins: Option<Origins>,
    pub(super) subprotocols: Vec<String>,
    pub(super) subprotocol_required: bool,
    pub(super) remember_handshake: bool,
    pub(super) deflate: Option<bool>,
}

impl Endpoint {
    /// An endpoint with the server's limits and origins, and without subprotocols.
    #[must_use]
    pub fn new(handler: impl Handler) -> Endpoint {
        Endpoint {
            handler: Box::new(handler),
            message_bytes: None,
            messages_per_second: None,
            bytes_per_second: None,
            origins: None,
            subprotocols: Vec::new(),
            subprotocol_required: false,
            remember_handshake: true,
            deflate: None,
        }
    }

    /// Messages of up to so many bytes, instead of `limits.message_bytes`. A longer one closes the session with 1009.
    #[must_use]
    pub fn message_bytes(mut self, bytes_max: usize) -> Endpoint {
        self.message_bytes = Some(bytes_max);
        self
    }

    /// So many messages of one session in a second, instead of `limits.messages_per_second`; 0 is no limit. What
    /// becomes of one that sends more is for `limits.on_flood` to say.
    #[must_use]
    pub fn messages_per_second(mut self, count: usize) -> Endpoint {
        self.messages_per_second = Some(count);
        self
    }

    /// So many bytes of one session in a second, instead of `limits.bytes_per_second`; 0 is no limit.
    #[must_use]
    pub fn bytes_per_second(mut self, count: usize) -> Endpoint {
        self.bytes_per_second = Some(count);
        self
    }

    /// Browsers are let in from these origins, instead of `origins.allowed`; `origins.endpoints` outranks both.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Endpoint {
        self.origins = Some(origins);
        self
    }

    /// Speaks these subprotocols, 255 at most. The first one that the client offers is chosen (RFC 6455 §4.2.2);
    /// [`Context::subprotocol`](super::Context::subprotocol) tells which.
    #[must_use]
    pub fn subprotocols<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Endpoint {
        self.subprotocols = names.into_iter().map(Into::into).take(SUBPROTOCOLS_MAX).collect();
        self
    }

    /// Refuses clients that offer none of the subprotocols.
    #[must_use]
    pub fn require_subprotocol(mut self) -> Endpoint {
        self.subprotocol_required = true;
        self
    }

    /// Whether sessions keep the request that they began with ([`Session::handshake`](super::Session::handshake)); it
    /// costs as much memory as that request is long. On by default.
    #[must_use]
    pub fn remember_handshake(mut self, remember: bool) -> Endpoint {
        self.remember_handshake = remember;
        self
    }

    /// Whether messages are compressed for clients that offer it (RFC 7692), instead of `deflate.enabled`.
    #[must_use]
    pub fn deflate(mut self, enabled: bool) -> Endpoint {
        self.deflate = Some(enabled);
        self
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("subprotocols", &self.subprotocols).finish_non_exhaustive()
    }
}

/// Paths and what they lead to. Paths are compared as they were sent, byte by byte: nothing is decoded or normalised.
#[derive(Debug, Default)]
pub struct Router {
    pub(super) endpoints: Vec<Endpoint>,
    paths: HashMap<String, Target>,
    /// What answers all paths that begin so; the longest match counts.
    prefixes: Vec<(String, Target)>,
    pub(super) interceptors: Interceptors,
}

#[derive(Default)]
pub(super) struct Interceptors(pub(super) Vec<Box<dyn Interceptor>>);

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interceptors").field("count", &self.0.len()).finish()
    }
}

pub(super) enum Target {
    Endpoint(u16),
    Page(Response),
    Api(Arc<dyn Api>),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Target::Endpoint(_) => "Endpoint",
            Target::Page(_) => "Page",
            Target::Api(_) => "Api",
        })
    }
}

/// Subprotocols of one endpoint at most: each session remembers its own as a number of one byte.
const SUBPROTOCOLS_MAX: usize = u8::MAX as usize;

/// Endpoints at most.
const ENDPOINTS_MAX: usize = u16::MAX as usize;

impl Router {
    /// A router that leads nowhere.
    #[must_use]
    pub fn new() -> Router {
        Router::default()
    }

    /// Leads `path` to a WebSocket endpoint. A later entry for the same path replaces an earlier one.
    #[must_use]
    pub fn endpoint(mut self, path: impl Into<String>, endpoint: Endpoint) -> Router {
        debug_assert!(self.endpoints.len() < ENDPOINTS_MAX, "too many endpoints");
        if let Ok(number) = u16::try_from(self.endpoints.len()) {
            self.endpoints.push(endpoint);
            self.paths.insert(path.into(), Target::Endpoint(number));
        }
        self
    }

    /// Answers `GET` and `HEAD` on `path` with a fixed response.
    #[must_use]
    pub fn page(mut self, path: impl Into<String>, response: Response) -> Router {
        self.paths.insert(path.into(), Target::Page(response));
        self
    }

    /// Has `api` answer all requests whose path begins with `prefix`, unless the path itself leads elsewhere.
    #[must_use]
    pub fn api(mut self, prefix: impl Into<String>, api: impl Api) -> Router {
        self.prefixes.push((prefix.into(), Target::Api(Arc::new(api))));
        self.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    /// Has `interceptor` look at every request for an endpoint or an api, after those that were added before.
    #[must_use]
    pub fn intercept(mut self, interceptor: impl Interceptor) -> Router {
        self.interceptors.0.push(Box::new(interceptor));
        self
    }

    /// The subprotocols of each endpoint.
    pub(super) fn subprotocols(&self) -> Vec<Vec<String>> {
        self.endpoints.iter().map(|endpoint| endpoint.subprotocols.clone()).collect()
    }

    /// The path of each endpoint.
    pub(super) fn endpoint_paths(&self) -> Vec<String> {
        let mut paths = vec![String::new(); self.endpoints.len()];
        for (path, target) in &self.paths {
            if let Target::Endpoint(number) = target
                && let Some(of_endpoint) = paths.get_mut(usize::from(*number))
            {
                of_endpoint.clone_from(path);
            }
        }
        paths
    }

    pub(super) fn find(&self, path: &str) -> Option<&Target> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        self.paths.get(path).or_else(|| by_prefix().map(|(_, target)| target))
    }

    /// Whether a page may be asked for with this method.
    pub(super) fn reads(method: Method) -> bool {
        matches!(method, Method::Get | Method::Head)
    }
}
