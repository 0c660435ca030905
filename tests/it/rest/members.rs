//! Who is there, and throwing somebody out.

use foghorn::store::Location;
use serde_json::json;

use super::client::TestServer;

#[test]
fn a_user_with_two_sessions_is_online_once() {
    let server = TestServer::start();
    let room = server.new_room();
    let path = format!("/api/chat/rooms/{room}/online");
    assert_eq!(server.get(&path).expect(200).json(), json!({ "count": 0, "users": [], "sessions": [] }));
    let _sessions = [server.member(&room, "bob"), server.member(&room, "alice"), server.member(&room, "bob")];
    let online = server.get(&path).expect(200).json();
    assert_eq!((&online["count"], &online["users"]), (&json!(2), &json!(["alice", "bob"])));
    let sessions = online["sessions"].as_array().unwrap();
    let users: Vec<_> = sessions.iter().map(|session| session["username"].as_str().unwrap()).collect();
    assert_eq!(users, ["bob", "alice", "bob"]);
    for session in sessions {
        assert_eq!(session["sessionId"].as_str().unwrap().len(), 32);
        assert!(session["address"].as_str().unwrap().starts_with("127.0.0.1:"));
        assert!(session["connectedAt"].as_str().unwrap().ends_with('Z'));
        assert!(session["lag"].is_u64());
    }
    server.get("/api/chat/rooms/nowhere/online").expect(404).problem();
}

#[test]
fn a_kick_closes_all_sessions_of_the_user_and_nobody_elses() {
    let server = TestServer::start();
    let room = server.new_room();
    let mut alice = server.member(&room, "alice");
    let mut eve = [server.member(&room, "eve"), server.member(&room, "eve")];
    let kick = format!("/api/chat/rooms/{room}/kick?username=eve");
    assert_eq!(server.connect().ask("POST", &kick).expect(200).json(), json!({ "closed": 2 }));
    assert_eq!(eve.each_mut().map(super::client::Member::close_code), [4001, 4001]);
    alice.say(&json!({ "content": "still here" }));
    assert!(std::iter::repeat_with(|| alice.next()).any(|message| message["content"] == "still here"));
    assert_eq!(server.connect().ask("POST", &kick).expect(200).json(), json!({ "closed": 0 }));
    let _eve_again = server.member(&room, "eve");
}

#[test]
fn a_banned_user_does_not_come_back() {
    let server = TestServer::start();
    let room = server.new_room();
    let mut eve = server.member(&room, "eve");
    let ban = format!("/api/chat/rooms/{room}/kick?username=eve&ban=60s");
    assert_eq!(server.connect().ask("POST", &ban).expect(200).json(), json!({ "closed": 1 }));
    assert_eq!(eve.close_code(), 4001);
    assert_eq!(server.enter(&room, "eve", "").close_code(), 4001);
    let _another_room = server.member("elsewhere", "eve");
}

#[test]
fn a_ban_too_many_bans_nobody_and_is_not_stored() {
    let directory = tempfile::tempdir().unwrap();
    let open = |bans| {
        let location = Location::Directory(directory.path().into());
        TestServer::with_store(|config| config.limits.bans = bans, |_| location)
    };
    let ban = |user: &str| format!("/api/chat/rooms/r/kick?username={user}&ban=1h");
    let banned = |server: &TestServer| {
        let bans = server.get("/api/chat/rooms/r/bans").expect(200).json();
        let users = bans.as_array().unwrap().iter().map(|ban| ban["username"].as_str().unwrap().to_owned());
        users.collect::<Vec<_>>()
    };
    let server = open(2);
    for user in ["ann", "bob", "ann"] {
        server.connect().ask("POST", &ban(user)).expect(200);
    }
    let refused = server.connect().ask("POST", &ban("eve")).expect(503);
    assert_eq!(
        (refused.problem(), refused.header("Retry-After")),
        ("there are too many bans".into(), Some("1"))
    );
    assert_eq!(banned(&server), ["ann", "bob"]);
    assert_eq!(server.get("/api/stats").json()["limits"]["bans"], 1);
    drop(server);
    assert_eq!(banned(&open(3)), ["ann", "bob"]);
}

#[test]
fn a_kick_without_a_sound_target_is_refused() {
    let server = TestServer::start();
    let room = server.new_room();
    let cases = [
        (&*room, "", 400),
        (&*room, "username=", 400),
        (&*room, "username=%01", 422),
        (&*room, "username=eve&ban=60", 400),
        (&*room, "username=eve&ban=0s", 400),
        (&*room, "username=eve&ban=-1s", 400),
        (&*room, "username=eve&ban=99999999999999d", 400),
        ("nowhere", "username=eve", 404),
    ];
    for (room, query, status) in cases {
        let path = format!("/api/chat/rooms/{room}/kick?{query}");
        server.connect().ask("POST", &path).expect(status).problem();
    }
}
