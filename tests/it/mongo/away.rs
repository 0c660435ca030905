//! The database does not answer; a second server; what is wrong at the start.

use serde_json::{Value, json};

use super::database::{Database, DatabaseServer, serve_with};
use crate::support::eventually;
use crate::support::process::{Process, run};

fn post(server: &Process, content: &str, id: &str) -> (u16, Value) {
    let message = json!({ "sender": "ann", "content": content, "id": id });
    let response = server.response("POST", "/api/chat/rooms/lobby/messages", Some(&message));
    let status = response.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn contents(server: &Process) -> Vec<String> {
    let page = server.ask("GET", "/api/chat/rooms/lobby/messages?limit=1000&after=0", None).1;
    page.as_array().unwrap().iter().map(|value| value["content"].as_str().unwrap().to_owned()).collect()
}

fn epoch(server: &Process) -> String {
    let (head, _) = server.ask("GET", "/api/chat/rooms/lobby/messages?limit=1", None);
    let position = head.lines().find_map(|line| line.strip_prefix("Foghorn-Position: ")).unwrap();
    position.split_once(':').unwrap().0.to_owned()
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn while_the_database_is_away_nothing_is_stored_and_then_all_goes_on() {
    let mut engine = DatabaseServer::start();
    let database = Database::at(&engine.url());
    let server = serve_with(database.url(), "2s", "60s");
    eventually("a first message", || post(&server, "one", "1").0 == 201);
    let before = epoch(&server);
    // Silent, then dead: each time what was said meanwhile is refused, and has one place at the end, if any.
    for (number, kills) in [(2, false), (3, true)] {
        if kills {
            engine.kill()
        } else {
            engine.pause()
        }
        let (status, _) = post(&server, &format!("lost {number}"), &format!("lost {number}"));
        assert_eq!(status, 503);
        assert_eq!(server.status("GET", "/readyz", None), 503);
        if kills {
            engine.run()
        } else {
            engine.resume()
        }
        eventually("a message again", || post(&server, &format!("{number}"), &format!("{number}")).0 == 201);
        assert_eq!(server.status("GET", "/readyz", None), 200);
        let (status, _) = post(&server, &format!("lost {number}"), &format!("lost {number}"));
        assert!(matches!(status, 200 | 201), "{status}");
    }
    assert_eq!(epoch(&server), before, "nothing that was shown is lost");
    let said = contents(&server);
    for content in ["one", "2", "3", "lost 2", "lost 3"] {
        assert_eq!(said.iter().filter(|said| *said == content).count(), 1, "{content} among {said:?}");
    }
    server.terminate();
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn a_second_server_is_refused_and_one_that_ended_well_is_not_waited_for() {
    let database = Database::new();
    let first = serve_with(database.url(), "60s", "15s");
    let second = run(&["serve", "--listen", "127.0.0.1:0", "--store", database.url()], b"");
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(told.contains("in use by another server"), "{told}");
    first.terminate();
    database.serve().terminate();
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn what_is_wrong_with_a_database_is_said_without_its_password() {
    let cases = [
        ("mongodb://ann:s3cret@127.0.0.1:1/chat?w=0", "w=0"),
        ("mongodb://ann:s3cret@127.0.0.1:1/chat", "cannot use the database at 127.0.0.1:1/chat"),
        ("redis://ann:s3cret@127.0.0.1", "must be mongodb://"),
        ("mongodb://ann:s3cret@127.0.0.1:1/chat?tls=maybe", "store.url"),
    ];
    for (url, expected) in cases {
        let ended = run(&["serve", "--listen", "127.0.0.1:0", "--store", url], b"");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(
            !ended.status.success() && told.contains(expected) && !told.contains("s3cret"),
            "{url}: {told}"
        );
    }
}
