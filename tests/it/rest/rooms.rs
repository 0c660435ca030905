//! Rooms and who takes part in them.

use foghorn::store::Location;
use serde_json::{Value, json};

use super::client::TestServer;

const ROOMS: &str = "/api/chat/rooms";

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|room| room["id"].as_str().unwrap()).collect()
}

#[test]
fn a_created_room_is_found_where_location_says() {
    let server = TestServer::start();
    let room = json!({ "name": "Fog & <b>lights</b>", "description": "\u{1f32b}", "createdBy": "J\u{f6}rg", "x": 1 });
    let created = server.post(ROOMS, &room).expect(201);
    let shown = created.json();
    for (field, value) in
        [("name", "Fog & <b>lights</b>"), ("description", "\u{1f32b}"), ("createdBy", "J\u{f6}rg")]
    {
        assert_eq!(shown[field], value);
    }
    assert_eq!(shown["participants"], json!(["J\u{f6}rg"]));
    assert!(shown["createdAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(shown.as_object().unwrap().len(), 6);
    let location = created.header("Location").unwrap();
    assert_eq!(location, format!("{ROOMS}/{}", shown["id"].as_str().unwrap()));
    assert_eq!(server.get(location).expect(200).json(), shown);
}

/// The body that creates a room, with more in it.
fn with(more: Value) -> Value {
    let mut body = json!({ "name": "r", "createdBy": "a" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_room_has_its_durability_and_retention_its_own_way() {
    let server = TestServer::start();
    let settings = json!({ "durability": "fsync", "retention": { "messages": 5, "bytes": 0, "age": "30d" } });
    let created = server.post(ROOMS, &with(settings.clone())).expect(201).json();
    let path = format!("{ROOMS}/{}", created["id"].as_str().unwrap());
    let lists =
        [created, server.get(&path).expect(200).json(), server.get(ROOMS).expect(200).json()[0].clone()];
    for shown in lists {
        assert_eq!(
            (&shown["durability"], &shown["retention"]),
            (&settings["durability"], &settings["retention"])
        );
    }
    let messages = format!("{path}/messages");
    for number in 0..20 {
        server.post(&messages, &json!({ "sender": "a", "content": number.to_string() })).expect(201);
    }
    // What is too much is deleted when the store has nothing else to do.
    let kept = std::iter::repeat_with(|| server.get(&messages).expect(200).json().as_array().unwrap().len());
    assert!(kept.take(100_000).any(|count| count == 5), "more than five are kept");

    let off = server.post(ROOMS, &with(json!({ "durability": "off", "retention": null }))).expect(201).json();
    assert_eq!(off.get("retention"), None);
    let room = off["id"].as_str().unwrap();
    let mut member = server.member(room, "bob");
    assert_eq!(
        (server.say(room, "gone")["seq"].as_u64(), member.next()["content"].as_str()),
        (Some(2), Some("gone"))
    );
    let stored = server.get(&format!("{ROOMS}/{room}/messages")).expect(200).json();
    assert_eq!(stored, json!([]), "stored where nothing is to be");
}

#[test]
fn wrong_fields_are_named() {
    let server = TestServer::start();
    let cases = [
        (json!({ "createdBy": "a" }), "name is missing"),
        (json!({ "name": "r" }), "createdBy is missing"),
        (json!({ "name": null, "createdBy": "a" }), "name is missing"),
        (json!({ "name": 7, "createdBy": "a" }), "name must be a string"),
        (json!({ "name": "", "createdBy": "a" }), "name must have 1 to 200 characters"),
        (json!({ "name": "  ", "createdBy": "a" }), "name must have 1 to 200 characters"),
        (json!({ "name": "r".repeat(201), "createdBy": "a" }), "name must have 1 to 200 characters"),
        (json!({ "name": "a\nb", "createdBy": "a" }), "name has a control character"),
        (
            json!({ "name": "r", "createdBy": "" }),
            "createdBy must have 1 to 64 bytes, something to be seen and no control characters, and not be SYSTEM, . or ..",
        ),
        (json!({ "name": "r", "createdBy": "a".repeat(65) }), "createdBy must have"),
        (json!({ "name": "r", "createdBy": "a\u{0}" }), "createdBy must have"),
        (json!({ "name": "r", "createdBy": "System" }), "createdBy must have"),
        (json!({ "name": "r", "createdBy": ".." }), "createdBy must have"),
        (json!({ "name": "a\u{202e}b", "createdBy": "a" }), "name has a control character"),
        (json!({ "name": "\u{200b}", "createdBy": "a" }), "name has nothing that can be seen"),
        (json!({ "name": "SYSTEM", "createdBy": "a" }), "name is one that means something else"),
        (json!({ "name": "r", "createdBy": ["a"] }), "createdBy must be a string"),
        (json!({ "name": "r", "createdBy": "a", "description": {} }), "description must be a string"),
        (json!({ "name": "r", "createdBy": "a", "description": "d".repeat(2001) }), "description must have"),
        (
            with(json!({ "durability": "Commit" })),
            "durability must be one of \"off\", \"async\", \"commit\", \"fsync\"",
        ),
        (with(json!({ "durability": 1 })), "durability must be a string"),
        (with(json!({ "retention": 7 })), "retention must be an object"),
        (with(json!({ "retention": [] })), "retention must be an object"),
        (with(json!({ "retention": { "messages": -1 } })), "retention.messages must be a whole number"),
        (with(json!({ "retention": { "messages": 1.5 } })), "retention.messages must be a whole number"),
        (with(json!({ "retention": { "bytes": "1 MiB" } })), "retention.bytes must be a whole number"),
        (with(json!({ "retention": { "bytes": u64::MAX } })), "retention.bytes must not be more than"),
        (with(json!({ "retention": { "age": 60 } })), "retention.age must be a string"),
        (with(json!({ "retention": { "age": "60" } })), "retention.age must be a duration"),
    ];
    let mut connection = server.connect();
    for (room, detail) in cases {
        let problem = connection.post(ROOMS, &room).expect(422).problem();
        assert!(problem.starts_with(detail), "{room}: {problem}");
    }
    let longest =
        json!({ "name": "\u{e4}".repeat(200), "createdBy": "a".repeat(64), "description": "d".repeat(2000) });
    connection.post(ROOMS, &longest).expect(201);
}

#[test]
fn a_list_goes_on_where_a_room_that_was_deleted_meanwhile_stood() {
    let directory = tempfile::tempdir().unwrap();
    let stored = TestServer::with_store(|_| (), |_| Location::Directory(directory.path().into()));
    for server in [TestServer::start(), stored] {
        let rooms: Vec<String> = (0..6).map(|_| server.new_room()).collect();
        let _members = [server.member("a%20room", "ann"), server.member("z%20room", "ann")];
        assert_eq!(ids(&server.get(&format!("{ROOMS}?limit=3")).expect(200).json()), rooms[..3]);
        server.connect().ask("DELETE", &format!("{ROOMS}/{}", rooms[2])).expect(204);
        let behind = |room: &str| server.get(&format!("{ROOMS}?limit=3&after={room}")).expect(200).json();
        assert_eq!(ids(&behind(&rooms[2])), rooms[3..]);
        assert_eq!(ids(&behind(&rooms[5])), ["a room", "z room"]);
        // Its name is given to a new room, which is nothing to be skipped to.
        server.connect().ask("DELETE", &format!("{ROOMS}/a%20room")).expect(204);
        let _member = server.member("a%20room", "ann");
        assert_eq!(ids(&behind("a%20room")), ["z room"]);
    }
}

#[test]
fn rooms_are_listed_page_by_page_in_the_order_of_creation() {
    let server = TestServer::start();
    assert_eq!(server.get(ROOMS).expect(200).json(), json!([]));
    let rooms: Vec<String> = (0..5).map(|_| server.new_room()).collect();
    assert_eq!(ids(&server.get(ROOMS).expect(200).json()), rooms);
    assert_eq!(ids(&server.get(&format!("{ROOMS}?limit=2")).expect(200).json()), rooms[..2]);
    let after = format!("{ROOMS}?limit=2&after={}", rooms[1]);
    assert_eq!(ids(&server.get(&after).expect(200).json()), rooms[2..4]);
    assert_eq!(server.get(&format!("{ROOMS}?after={}", rooms[4])).expect(200).json(), json!([]));
    for query in ["limit=0", "limit=1001", "limit=x", "limit=-1", "participant=", "participant=%ff"] {
        server.get(&format!("{ROOMS}?{query}")).expect(400).problem();
    }
}

#[test]
fn participants_are_a_set_and_find_their_rooms() {
    let server = TestServer::start();
    let (room, other) = (server.new_room(), server.new_room());
    let mut connection = server.connect();
    for _ in 0..2 {
        let joined =
            connection.ask("POST", &format!("{ROOMS}/{room}/join?username=J%C3%B6rg+K")).expect(200).json();
        assert_eq!(joined["participants"], json!(["alice", "J\u{f6}rg K"]));
    }
    let found = server.get(&format!("{ROOMS}?participant=J%C3%B6rg%20K")).expect(200).json();
    assert_eq!(ids(&found), [&*room]);
    assert_eq!(ids(&server.get(&format!("{ROOMS}?participant=alice")).expect(200).json()), [&*room, &*other]);
    for _ in 0..2 {
        let left = connection.ask("POST", &format!("{ROOMS}/{room}/leave?username=alice")).expect(200).json();
        assert_eq!(left["participants"], json!(["J\u{f6}rg K"]));
    }
    for part in ["join", "leave"] {
        connection.ask("POST", &format!("{ROOMS}/nowhere/{part}?username=a")).expect(404).problem();
        let missing = connection.ask("POST", &format!("{ROOMS}/{room}/{part}")).expect(400).problem();
        assert_eq!(missing, "username is missing");
        connection.ask("POST", &format!("{ROOMS}/{room}/{part}?username=%00")).expect(422).problem();
    }
}

#[test]
fn deleting_a_room_sees_its_members_off() {
    let server = TestServer::start();
    let room = server.new_room();
    let mut member = server.member(&room, "bob");
    let reply = server.connect().ask("DELETE", &format!("{ROOMS}/{room}")).expect(204);
    assert!(reply.body.is_empty());
    assert_eq!(member.close_code(), 1000);
    for path in ["", "/messages", "/online"] {
        server.get(&format!("{ROOMS}/{room}{path}")).expect(404).problem();
    }
    let mut connection = server.connect();
    connection.ask("DELETE", &format!("{ROOMS}/{room}")).expect(404).problem();
    // A message makes a room of that name, which is another one.
    let message = json!({ "sender": "a", "content": "late" });
    let posted = connection.post(&format!("{ROOMS}/{room}/messages"), &message).expect(201).json();
    assert_eq!(posted["seq"], 1);
}

#[test]
fn a_room_that_was_opened_by_its_first_member_is_a_room_like_any_other() {
    let server = TestServer::start();
    let _member = server.member("a%2Fb%20c", "bob");
    let room = server.get(&format!("{ROOMS}/a%2Fb%20c")).expect(200).json();
    assert_eq!(
        (&room["id"], &room["name"], &room["createdBy"]),
        (&json!("a/b c"), &json!("a/b c"), &Value::Null)
    );
    assert_eq!(server.get(&format!("{ROOMS}/a%2Fb%20c/online")).expect(200).json()["users"], json!(["bob"]));
    assert_eq!(ids(&server.get(ROOMS).expect(200).json()), ["a/b c"]);
}
