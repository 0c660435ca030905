//! What goes back: which header fields it gets, and who sends it if it comes later.

use std::sync::{Arc, Mutex, PoisonError};

use super::error::ApiError;
use crate::http::{Access, CorsFields, Head, Method, Response, Status};
use crate::request::answer;
use crate::server::Responder;

/// What the request says about any answer to it.
#[derive(Clone, Debug)]
pub(super) struct ResponsePolicy {
    /// Header fields for the web page that asks.
    cors: CorsFields,
    /// The entity tags that the client has, if it may be told that nothing changed.
    known: Vec<String>,
}

impl ResponsePolicy {
    pub(super) fn new(access: &Access<'_>, head: &Head<'_>) -> ResponsePolicy {
        let reads = matches!(head.method(), Method::Get | Method::Head);
        let known = head.fields().list("If-None-Match").filter(|_| reads).map(str::to_owned).collect();
        ResponsePolicy { cors: access.fields(), known }
    }

    /// An answer for this client alone, and not for later.
    pub(super) fn apply(&self, response: Response) -> Response {
        answer::no_store(&self.cors, response)
    }

    /// An answer that the client may keep and ask for again by its tag: 304 if it has it already.
    fn tagged(&self, json: Vec<u8>, headers: Vec<(&'static str, String)>) -> Response {
        let tag = entity_tag(&json);
        let response = if self.knows(&tag) {
            Response::new(Status::NOT_MODIFIED)
        } else {
            Response::json(Status::OK, json)
        };
        let response =
            headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
        let response = answer::for_page(&self.cors, response);
        response.header("ETag", tag).header("Cache-Control", "private, no-cache")
    }

    /// The weak comparison of RFC 9110 §13.1.2.
    fn knows(&self, tag: &str) -> bool {
        self.known.iter().any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
    }
}

/// Half of the SHA-1 of the content: the same content has the same tag.
fn entity_tag(json: &[u8]) -> String {
    let digest = sha1_smol::Sha1::from(json).digest().bytes();
    let hex = digest[..10].iter().map(|byte| format!("{byte:02x}"));
    format!("\"{}\"", hex.collect::<String>())
}

/// A request that waits for its answer. Clones are for the same request; the first answer counts.
#[derive(Clone, Debug)]
pub(super) struct PendingResponse {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Threads of the store and of the rooms answer: the first of them takes it.
    responder: Mutex<Option<Responder>>,
    policy: ResponsePolicy,
}

impl PendingResponse {
    pub(super) fn new(responder: Responder, policy: ResponsePolicy) -> PendingResponse {
        PendingResponse { shared: Arc::new(Shared { responder: Mutex::new(Some(responder)), policy }) }
    }

    /// Answers. Not on the reactor's thread, as for [`Responder::respond`].
    pub(super) fn send(&self, answer: Result<Response, ApiError>) {
        let response = answer.unwrap_or_else(ApiError::response);
        self.respond(self.shared.policy.apply(response));
    }

    /// Answers with JSON that has an entity tag, and further header fields.
    pub(super) fn send_tagged(&self, json: Result<Vec<u8>, ApiError>, headers: Vec<(&'static str, String)>) {
        match json {
            Ok(json) => self.respond(self.shared.policy.tagged(json, headers)),
            Err(refusal) => self.send(Err(refusal)),
        }
    }

    fn respond(&self, response: Response) {
        let mut responder = self.shared.responder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(responder) = responder.take() {
            responder.respond(response);
        }
    }
}
