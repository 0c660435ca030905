//! Rooms out of a directory into a database, and back.

use serde_json::{Value, json};

use super::database::Database;
use crate::support::process::{Process, run};

fn fine(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let ended = run(arguments, input);
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

fn log(server: &Process, room: &str) -> Value {
    server.ask("GET", &format!("/api/chat/rooms/{room}/messages?limit=1000&after=0"), None).1
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn rooms_go_from_a_directory_to_a_database_and_back_and_every_message_stays_as_it_is() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let server = Process::serve_with(&["--data", &path("one")]);
    let room = json!({ "name": "Hall", "createdBy": "ann", "durability": "fsync" });
    let made = server.ask("POST", "/api/chat/rooms", Some(&room)).1;
    let id = made["id"].as_str().unwrap().to_owned();
    for number in 0..20 {
        let message =
            json!({ "sender": "ann", "content": format!("message {number}"), "id": number.to_string() });
        for room in [&*id, "lobby"] {
            server.ask("POST", &format!("/api/chat/rooms/{room}/messages"), Some(&message));
        }
    }
    let (hall, lobby) = (log(&server, &id), log(&server, "lobby"));
    let url = format!("http://{}", server.address());
    fine(&["backup", &path("backup"), "--url", &url], b"");
    server.terminate();

    let database = Database::new();
    fine(&["restore", &path("backup"), "--store", database.url()], b"");
    assert!(!files.path().join("backup.restoring").exists());
    let again = run(&["restore", &path("backup"), "--store", database.url()], b"");
    assert!(String::from_utf8_lossy(&again.stderr).contains("not empty"), "{again:?}");
    let restored = database.serve();
    assert_eq!((log(&restored, &id), log(&restored, "lobby")), (hall, lobby.clone()));
    let info = restored.ask("GET", &format!("/api/chat/rooms/{id}"), None).1;
    assert_eq!(
        (&info["name"], &info["participants"], &info["durability"]),
        (&json!("Hall"), &json!(["ann"]), &json!("fsync"))
    );
    assert_eq!(restored.status("POST", "/api/backup", None), 409);
    restored.terminate();

    let lines = fine(&["export", "lobby", "--store", database.url()], b"");
    fine(&["import", "--data", &path("two")], &lines);
    let back = Process::serve_with(&["--data", &path("two")]);
    assert_eq!(log(&back, "lobby"), lobby);
    back.terminate();
}
