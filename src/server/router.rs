//! Which path leads where.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::api::Api;
use super::endpoint::Endpoint;
use super::interceptor::Interceptor;
use crate::http::Response;

/// Who is served at a path, where operators have a listener of their own (`admin.listen`). Without one, everybody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// The public alone.
    #[default]
    Public,
    /// Operators alone.
    Operators,
    /// Both.
    Everybody,
}

/// Paths and what they lead to. Paths are compared as they were sent, byte by byte: nothing is decoded or normalised.
#[derive(Debug, Default)]
pub struct Router {
    pub(super) endpoints: Vec<Endpoint>,
    paths: HashMap<String, Target>,
    /// What answers all paths that begin so; the longest match counts.
    prefixes: Vec<(String, Target)>,
    /// Longest path first.
    audiences: Vec<(String, Audience)>,
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

/// Endpoints at most: each session remembers its own as a number of two bytes.
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

    /// Says who is served at `path`, and at all paths below it unless a longer one says something else. With a slash at its
    /// end only those below it are meant. What nothing is said of is for the [public](Audience::Public).
    #[must_use]
    pub fn audience(mut self, path: impl Into<String>, audience: Audience) -> Router {
        self.audiences.push((path.into(), audience));
        self.audiences.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        self
    }

    /// Has `interceptor` look at every request for an endpoint or an api, after the ones added before.
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

    /// Who is served at a path.
    pub(super) fn audience_of(&self, path: &str) -> Audience {
        let is_below = |of: &str| {
            path.strip_prefix(of)
                .is_some_and(|rest| rest.is_empty() || of.ends_with('/') || rest.starts_with('/'))
        };
        self.audiences.iter().find(|(of, _)| is_below(of)).map_or_else(Audience::default, |(_, found)| *found)
    }

    pub(super) fn apis(&self) -> impl Iterator<Item = &Arc<dyn Api>> {
        self.prefixes.iter().filter_map(|(_, target)| match target {
            Target::Api(api) => Some(api),
            Target::Endpoint(_) | Target::Page(_) => None,
        })
    }

    pub(super) fn find(&self, path: &str) -> Option<&Target> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()));
        self.paths.get(path).or_else(|| by_prefix().map(|(_, target)| target))
    }

    /// The endpoint of that number, which [`Router::find`] has given.
    pub(super) fn endpoint_of(&self, number: u16) -> Option<&Endpoint> {
        self.endpoints.get(usize::from(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_says_who_is_served() {
        let router = Router::new()
            .audience("/api/", Audience::Everybody)
            .audience("/api/stats", Audience::Operators)
            .audience("/metrics", Audience::Operators);
        let cases = [
            ("/", Audience::Public),
            ("/api", Audience::Public),
            ("/api/", Audience::Everybody),
            ("/api/chat/rooms", Audience::Everybody),
            ("/api/stats", Audience::Operators),
            ("/api/stats/", Audience::Operators),
            ("/api/stats/x", Audience::Operators),
            ("/api/statsx", Audience::Everybody),
            ("/metrics", Audience::Operators),
            ("/metricsx", Audience::Public),
            ("/x/metrics", Audience::Public),
            ("/METRICS", Audience::Public),
        ];
        for (path, expected) in cases {
            assert_eq!(router.audience_of(path), expected, "{path}");
        }
    }
}
