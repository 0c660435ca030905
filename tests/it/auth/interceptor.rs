//! Authentication by other means: interceptors before and after the handshake.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foghorn::auth::Identity;
use foghorn::http::{Head, Problem, Response, Status};
use foghorn::server::{
    Attributes, Context, Disconnect, Endpoint, Handler, Interceptor, PeerInfo, Router, Session,
};
use foghorn::ws::{CloseCode, Message};

use super::client::*;
use crate::support::{TestServer, eventually};

/// Takes the name from a header, as a proxy would set it; refuses the name `nobody`.
struct ByHeader;

impl Interceptor for ByHeader {
    fn before(&self, head: &Head<'_>, _: &PeerInfo, attributes: &mut Attributes) -> Result<(), Response> {
        match head.header("X-User") {
            Some("nobody") => Err(Problem::new(Status::FORBIDDEN, "not you").response()),
            Some("panic") => panic!("a bug in an interceptor"),
            Some(user) => {
                let identity = Identity::new(user).rooms(["r"]);
                attributes.set(match head.header("X-Brief") {
                    Some(_) => identity.expires_at(unix_time() + Duration::from_millis(300)),
                    None => identity,
                });
                attributes.set(42u32);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn after(&self, cx: &mut Context<'_>, head: &Head<'_>) {
        match head.header("X-After") {
            Some("close") => cx.close(CloseCode::POLICY, "after all not"),
            Some("panic") => panic!("a bug in an interceptor"),
            Some(_) | None => {}
        }
    }
}

/// Counts what it hears of, and keeps the last session.
#[derive(Clone, Default)]
struct Ear {
    heard: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Session>>>,
}

impl Handler for Ear {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, _head: &Head<'_>) {
        self.heard.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some(cx.session().clone());
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        if let Message::Text(text) = message {
            let user = cx.identity().map_or("-", |identity| identity.user()).to_owned();
            cx.send_text(&format!("{user}: {text}"));
        }
    }

    fn close(&self, _cx: &mut Context<'_>, _: (), _reason: Disconnect) {
        self.heard.fetch_add(100, Ordering::SeqCst);
    }
}

fn routes(ear: &Ear) -> impl FnOnce(Router) -> Router {
    let endpoint = Endpoint::new(ear.clone());
    move |router| router.intercept(ByHeader).endpoint("/ear", endpoint)
}

#[test]
fn an_interceptor_refuses_with_a_status_before_anything_else_runs() {
    let ear = Ear::default();
    let server = TestServer::whole(|_| (), routes(&ear));
    let (mut raw, reply) = handshake(&server, "/ear", "X-User: nobody\r\n");
    assert_eq!(reply.status, 403);
    raw.expect_end();
    assert_eq!(handshake(&server, "/ear", "X-User: panic\r\n").1.status, 500);
    assert_eq!(ask(&server, "GET", "/api/chat/rooms", "X-User: nobody\r\n", None).status, 403);
    assert_eq!(ask(&server, "GET", "/api/chat/rooms", "X-User: panic\r\n", None).status, 500);
    assert_eq!(ask(&server, "GET", "/api/chat/rooms", "", None).status, 200);
    assert_eq!(ear.heard.load(Ordering::SeqCst), 0);
}

#[test]
fn what_an_interceptor_attaches_goes_with_the_session_to_other_threads() {
    let ear = Ear::default();
    let server = TestServer::whole(|_| (), routes(&ear));
    let mut raw = open(&server, "/ear", "X-User: alice\r\n");
    say(&mut raw, "hello");
    assert_eq!(raw.frame().payload, b"alice: hello");
    let session = ear.last.lock().unwrap().clone().unwrap();
    assert_eq!(session.attribute::<u32>().as_deref(), Some(&42));
    assert_eq!(session.attribute::<Identity>().unwrap().user(), "alice");
    assert_eq!(session.handshake().unwrap().header("x-user"), Some("alice"));
}

#[test]
fn an_identity_that_is_vouched_for_counts_like_a_token() {
    let server = TestServer::whole(|_| (), routes(&Ear::default()));
    expect_welcome(&mut open(&server, CHAT, "X-User: alice\r\n"), "alice");
    expect_refusal(&mut open(&server, &format!("{CHAT}&username=bob"), "X-User: alice\r\n"), 4401);
    expect_refusal(&mut open(&server, "/ws/chat?roomId=s", "X-User: alice\r\n"), 1008);
    assert_eq!(ask(&server, "GET", "/api/stats", "X-User: alice\r\n", None).status, 403);
    // Without keys a token is no business of the server's.
    let mut raw = open(&server, "/ear", "X-User: alice\r\n");
    raw.send(&auth_message("t"));
    assert!(raw.frame().payload.starts_with(b"alice: {"));
}

#[test]
fn an_identity_that_is_vouched_for_may_expire() {
    let server = TestServer::whole(|_| (), routes(&Ear::default()));
    let mut raw = open(&server, CHAT, "X-User: alice\r\nX-Brief: 1\r\n");
    expect_welcome(&mut raw, "alice");
    expect_refusal(&mut raw, 4401);
}

#[test]
fn with_keys_a_token_is_asked_for_only_if_nobody_vouches() {
    let ear = Ear::default();
    let server = server_of(|_| (), routes(&ear));
    expect_welcome(&mut open(&server, CHAT, "X-User: alice\r\n"), "alice");
    expect_refusal(&mut open(&server, CHAT, &bearer("bad")), 4401);
    // The attributes of a session that has to wait for its token are still there when it has come.
    let mut raw = open(&server, "/ear", "");
    raw.send(&auth_message(&token("bob")));
    say(&mut raw, "hello");
    assert_eq!(raw.frame().payload, b"bob: hello");
    let session = ear.last.lock().unwrap().clone().unwrap();
    assert_eq!(session.attribute::<Identity>().unwrap().user(), "bob");
    assert_eq!(session.handshake().unwrap().target(), "/ear");
    assert!(!format!("{session:?}").contains("Bearer"));
    raw.send(&auth_message(&token_of(&serde_json::json!({ "sub": "bob", "admin": true }))));
    eventually("the later token is the session's", || session.attribute::<Identity>().unwrap().is_admin());
}

#[test]
fn a_session_that_is_closed_after_the_handshake_is_never_heard_of() {
    let ear = Ear::default();
    let server = server_of(|_| (), routes(&ear));
    assert_eq!(
        expect_refusal(&mut open(&server, "/ear", "X-User: a\r\nX-After: close\r\n"), 1008),
        "after all not"
    );
    expect_refusal(&mut open(&server, "/ear", "X-User: a\r\nX-After: panic\r\n"), 1011);
    expect_refusal(&mut open(&server, "/ear", &bearer("bad")), 4401);
    drop(open(&server, "/ear", ""));
    let mut raw = open(&server, "/ear", "X-User: a\r\n");
    raw.send(&crate::support::frame::masked_close(1000, ""));
    raw.expect_close(1000);
    assert_eq!(ear.heard.load(Ordering::SeqCst), 101);
}
