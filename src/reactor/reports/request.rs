//! Requests that were refused.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::names::names;
use crate::http::{Head, Response, Status};
use crate::reactor::api::peer_info::PeerInfo;
use crate::reactor::incidents::{Incident, Kind};
use crate::reactor::state::LoopState;

/// Who asked, for the log.
pub(crate) struct Requester<'r> {
    pub(crate) address: SocketAddr,
    pub(crate) user: Option<&'r str>,
}

impl Requester<'_> {
    pub(crate) fn of(peer_info: &PeerInfo) -> Self {
        Requester { address: peer_info.peer, user: None }
    }
}

/// Tells the operator of a refusal.
pub(crate) fn report(
    response: &Response,
    head: Option<&Head<'_>>,
    hint: Option<&'static str>,
    requester: &Requester<'_>,
    shared: &mut LoopState,
) {
    let status = response.status();
    shared.report(Kind::Refused(status.code()), response.limit(), Some(requester.address), || {
        let (user, room) = head.map_or((None, None), |head| names(head.path(), head.query()));
        Incident {
            user: requester.user.map(Into::into).or(user),
            room,
            path: head.map(Head::path),
            reason: reason_of(response),
            origin: head
                .filter(|_| hint.is_some() && status == Status::FORBIDDEN)
                .and_then(|head| head.header("origin")),
            hint,
            ..Incident::default()
        }
    });
}

/// The same, of a request for this path that was answered later.
pub(crate) fn report_late(
    response: &Response,
    path: &str,
    requester: &Requester<'_>,
    shared: &mut LoopState,
) {
    let status = response.status().code();
    shared.report(Kind::Refused(status), response.limit(), Some(requester.address), || Incident {
        user: requester.user.map(Into::into),
        room: names(path, "").1,
        path: Some(path),
        reason: reason_of(response),
        ..Incident::default()
    });
}

/// Whether the operator should hear of a response with this status.
pub(crate) fn is_refusal(status: Status) -> bool {
    matches!(status.code(), 400 | 401 | 403 | 408 | 413 | 414 | 429 | 431 | 501 | 503 | 505)
}

/// What a response says about the reason for it.
pub(crate) fn reason_of(response: &Response) -> Cow<'_, str> {
    let body = response.body_bytes();
    let problem: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(body).ok();
    let text = match problem.map(|mut members| members.remove("detail")) {
        Some(None) => Cow::Borrowed(""),
        Some(Some(serde_json::Value::String(detail))) => Cow::Owned(detail),
        Some(Some(_)) | None => String::from_utf8_lossy(body),
    };
    if text.is_empty() { Cow::Borrowed(response.status().reason()) } else { text }
}

/// What to do about a refused request, where that is known.
pub(crate) fn hint_for(response: &Response, head: Option<&Head<'_>>) -> Option<&'static str> {
    let (status, head) = (response.status(), head?);
    if !matches!(status.code(), 400 | 403 | 426) {
        return None;
    }
    let wants_websocket =
        head.header("sec-websocket-key").is_some() || head.header("sec-websocket-version").is_some();
    let has_upgrade = head.header("upgrade").is_some();
    match status.code() {
        400 | 426 if wants_websocket && !has_upgrade => Some(
            "a proxy in between drops Upgrade and Connection; in nginx: proxy_http_version 1.1; proxy_set_header Upgrade \
             $http_upgrade; proxy_set_header Connection upgrade",
        ),
        403 if head.header("origin").is_some() && reason_of(response).contains("origin") => Some(
            "if this page may connect, name its origin in origins.allowed, or behind a proxy that speaks HTTPS let it set \
             X-Forwarded-Proto and name the proxy in proxy.trusted",
        ),
        _ => None,
    }
}
