//! Writing responses.

use crate::http::{Head, Method, Problem, Response, ResponseFraming, Status};
use crate::limit_hits::Limit;
use crate::reactor::api::peer_info::PeerInfo;
use crate::reactor::counters::is_handshake;
use crate::reactor::env::Env;
use crate::reactor::reports::request::{self, Requester};

/// Refuses a connection before it said anything.
pub(crate) fn reject<S>(peer_info: &PeerInfo, limit: Limit, env: &mut Env<'_, S>) {
    let _ends_anyway = respond(&too_many_connections(limit), None, &Requester::of(peer_info), env);
    send_last(env);
}

pub(super) fn too_many_connections(limit: Limit) -> Response {
    let response = Problem::new(Status::SERVICE_UNAVAILABLE, "too many connections").response();
    response.header("Retry-After", "1").close().limited_by(limit.full_key())
}

/// Answers what cannot be understood, or is too long; the connection ends.
pub(super) fn refuse<S>(
    status: Status,
    detail: &'static str,
    head: Option<&Head<'_>>,
    requester: &Requester<'_>,
    env: &mut Env<'_, S>,
) {
    let limit = match status {
        Status::REQUEST_HEADER_FIELDS_TOO_LARGE => Some(Limit::RequestHeadBytes),
        Status::CONTENT_TOO_LARGE => Some(Limit::BodyBytes),
        _ => None,
    };
    let mut response = Problem::new(status, detail).response().close();
    if let Some(limit) = limit {
        env.shared.limit_hits.hit(limit);
        response = response.limited_by(limit.full_key());
    }
    let _ends_anyway = respond(&response, head, requester, env);
}

/// Sends the replies, and ends the sending direction behind them.
pub(super) fn send_last<S>(env: &mut Env<'_, S>) {
    env.shared.send_replies(env.outbound);
    env.outbound.finish();
}

/// Adds a response to the replies. `None` if the connection ends with it.
pub(super) fn respond<S>(
    response: &Response,
    head: Option<&Head<'_>>,
    requester: &Requester<'_>,
    env: &mut Env<'_, S>,
) -> Option<()> {
    let hint = request::hint_for(response, head);
    if hint.is_some() || request::is_refusal(response.status()) {
        request::report(response, head, hint, requester, env.shared);
    }
    if head.is_some_and(is_handshake) {
        env.shared.counters.count_handshake(response.status());
    }
    encode(response, reply_to(head), env)
}

pub(super) fn reply_to(head: Option<&Head<'_>>) -> ResponseFraming {
    let head_only = head.is_some_and(|head| head.method() == Method::Head);
    ResponseFraming { head_only, keep_alive: head.is_some_and(Head::keep_alive) }
}

pub(super) fn encode<S>(response: &Response, reply: ResponseFraming, env: &mut Env<'_, S>) -> Option<()> {
    env.shared.counters.count_response(response.status());
    let keep_alive = reply.keep_alive && !response.closes();
    let date = env.shared.date().to_owned();
    let start = env.shared.replies.len();
    if let Err(error) =
        response.encode(&mut env.shared.replies, ResponseFraming { keep_alive, ..reply }, &date)
    {
        tracing::error!(%error, "a response could not be written");
        env.shared.replies.truncate(start);
        let failure = Response::new(Status::INTERNAL_SERVER_ERROR).close();
        let _static_text =
            failure.encode(&mut env.shared.replies, ResponseFraming { keep_alive: false, ..reply }, &date);
        return None;
    }
    keep_alive.then_some(())
}
