//! Kill -9 of server and database, and joins, while everybody talks.

use std::cell::RefCell;

use super::database::{Database, DatabaseServer, serve_with};
use crate::support::TestServer;
use crate::support::process::Process;
use crate::{crash, race};

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn what_anybody_was_shown_survives_kill_9_of_server_and_database() {
    let server = RefCell::new(DatabaseServer::start());
    let database = Database::at(&server.borrow().url());
    let mut round = 0;
    let mut kill = |process: Process| {
        round += 1;
        let mut server = server.borrow_mut();
        // The one, the other, and both in either order.
        if round % 4 == 1 {
            return process.kill();
        }
        if round % 4 == 2 {
            process.kill();
            server.kill();
        } else {
            server.kill();
            process.kill();
        }
        server.run();
    };
    // The next one waits for the lease of the one that was killed.
    crash::survives(&mut || serve_with(database.url(), "60s", "6s"), &mut kill);
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn joining_with_a_position_while_others_publish_leaves_no_gap_and_repeats_nothing() {
    let database = Database::new();
    race::race(|config| TestServer::stored_at(database.location(), config));
}
