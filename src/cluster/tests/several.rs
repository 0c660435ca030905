//! Masters that share the partitions, and masters that take each other's place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fleet::{Fleet, Watched, cut_off, wait_for_replica_of};
use super::kit::{Followed, Node, PATIENCE, ask, eventually, options, say_until_stored, told};
use crate::rooms::store_api::{Placed, ReadFrom};
use crate::rooms::{Ban, Kind};
use crate::store::{Health, RoomQuery};
use crate::system::instant;

/// Has all publishers end, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A room of each master.
fn rooms(fleet: &Fleet) -> Vec<String> {
    let of =
        |home| (0..).map(|number| format!("room-{number}")).find(|room| fleet.home(room) == home).unwrap();
    (0..3).map(of).collect()
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn rooms_of_all_masters_are_one_server() {
    let fleet = Fleet::start(3, false);
    let nodes = [(); 2].map(|()| Node::with(options(fleet.url())));
    let names: Vec<String> = (0..30).map(|number| format!("room-{number:02}")).collect();
    assert!((0..3).all(|home| names.iter().any(|name| fleet.home(name) == home)));
    let followed: Vec<[Followed; 2]> =
        names.iter().map(|name| [nodes[0].follow(name), nodes[1].follow(name)]).collect();
    for round in 0..10 {
        for rooms in &followed {
            let by = round % 2;
            assert!(matches!(nodes[by].say(&rooms[by], &format!("{round}")), Placed::At(_)));
        }
    }
    for rooms in &followed {
        rooms.iter().for_each(|room| room.wait_for(10));
        assert_eq!(rooms[0].view().messages, rooms[1].view().messages);
        assert_eq!(nodes[1].read(rooms[1].id, ReadFrom::Seq(0)).unwrap().messages.len(), 10);
    }
    let query = RoomQuery { limit: 100, ..RoomQuery::default() };
    let listed = ask(|done| nodes[0].store.rooms(query, done)).unwrap();
    let listed: Vec<String> = listed.into_iter().map(|room| room.id.to_string()).collect();
    assert_eq!(listed, names);
    let ban = |name: &String| Ban { room: name.as_str().into(), user: "eve".into(), left: PATIENCE };
    for name in &names {
        ask(|done| nodes[0].store.keep_ban(ban(name), done)).unwrap();
    }
    assert_eq!(ask(|done| nodes[1].store.bans(done)).unwrap().len(), names.len());
    let (here, there) = (&followed[0][0], &followed[0][1]);
    assert_eq!(nodes[0].append(told(here.id, Kind::Join, "ann", 1)), [Placed::At(11)]);
    there.wait_for(11);
    assert_eq!(ask(|done| nodes[1].store.sessions(&names[0], done)).unwrap().unwrap().len(), 1);
    for name in &names {
        ask(|done| nodes[0].store.delete_room(name, done)).unwrap();
    }
    eventually("all rooms gone", || {
        followed.iter().all(|rooms| rooms.iter().all(|room| room.view().is_deleted))
    });
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_partition_that_moves_under_load_loses_nothing_and_keeps_its_epoch() {
    let fleet = Fleet::start(3, false);
    let nodes = [(); 2].map(|()| Node::with(options(fleet.url())));
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    let home = fleet.home("lobby");
    let is_over = AtomicBool::new(false);
    let publish = |by: usize| {
        let _over_for_all = Over(&is_over);
        let mut count = 0;
        while !is_over.load(Ordering::Relaxed) {
            count += 1;
            say_until_stored(&nodes[by], &rooms[by], &format!("{by}: {count}"));
        }
        count
    };
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let publishers = [0, 1].map(|by| {
            scope.spawn({
                let publish = &publish;
                move || publish(by)
            })
        });
        let over_for_all = Over(&is_over);
        for round in 0..6 {
            let [from, to] = [round, round + 1].map(|step| (home + step) % 3);
            let before = rooms[0].view().head();
            rooms[0].wait_for(before + 20);
            fleet.migrate("lobby", from, to);
        }
        let before = rooms[0].view().head();
        rooms[0].wait_for(before + 20);
        drop(over_for_all);
        publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect()
    });
    let total: u64 = counts.iter().sum();
    rooms.iter().for_each(|room| room.wait_for(total));
    let view = rooms[0].view();
    assert_eq!(view.epochs.len(), 1, "nothing was lost, and nothing is said to be");
    assert_eq!(view.head(), total, "each message is there once");
    assert_eq!(view.messages, rooms[1].view().messages);
    drop(view);
    assert_eq!(Node::with(options(fleet.url())).follow("lobby").view().head(), total);
    // What is announced is heard where the partition is now.
    let before = rooms[1].view().head();
    assert_eq!(nodes[0].say(&rooms[0], "at last"), Placed::At(before + 1));
    rooms[1].wait_for(before + 1);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_master_that_is_away_keeps_nothing_from_the_rooms_of_the_others() {
    let fleet = Fleet::start(3, false);
    // Otherwise all stop as soon as one is known to be gone.
    for node in &fleet.nodes {
        node.command(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let nodes = [(); 2].map(|()| Node::with(options(fleet.url())));
    let names = rooms(&fleet);
    let followed: Vec<[Followed; 2]> =
        names.iter().map(|name| [nodes[0].follow(name), nodes[1].follow(name)]).collect();
    fleet.nodes[0].signal("STOP");
    let stopped = &followed[0];
    assert!(matches!(nodes[0].say(&stopped[0], "lost"), Placed::Unavailable | Placed::NotStored));
    eventually("a node that knows", || matches!(nodes[0].store.health(), Health::Unavailable(_)));
    for (index, rooms) in followed.iter().enumerate().skip(1) {
        for seq in 1..=50 {
            let began = instant();
            assert_eq!(nodes[0].say(&rooms[0], "here"), Placed::At(seq));
            assert!(began.elapsed() < PATIENCE, "room {index}");
        }
        rooms[1].wait_for(50);
        assert_eq!(nodes[1].read(rooms[1].id, ReadFrom::Last(1)).unwrap().head, 50);
    }
    fleet.nodes[0].signal("CONT");
    let last = say_until_stored(&nodes[1], &stopped[1], "again");
    stopped.iter().for_each(|room| room.wait_for(last));
    eventually("nodes that are well", || nodes.iter().all(|node| node.store.health() == Health::Healthy));
    assert_eq!(stopped[0].view().epochs.len(), 1);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_replica_that_lagged_takes_over_and_that_is_told() {
    let fleet = Fleet::start(3, true);
    let nodes = [(); 2].map(|()| Node::with(options(fleet.url())));
    let names = rooms(&fleet);
    let followed: Vec<[Followed; 2]> =
        names.iter().map(|name| [nodes[0].follow(name), nodes[1].follow(name)]).collect();
    for rooms in &followed {
        assert_eq!(nodes[0].say(&rooms[0], "kept"), Placed::At(1));
    }
    let master = &fleet.nodes[0];
    wait_for_replica_of(master);
    cut_off(&fleet.nodes[3], master);
    for seq in 2..=5 {
        assert_eq!(nodes[seq % 2].say(&followed[0][seq % 2], "forgotten"), Placed::At(seq as u64));
    }
    followed[0].iter().for_each(|room| room.wait_for(5));
    let mut fleet = fleet;
    fleet.nodes[0].kill();
    fleet.wait_for_fail_over(0);
    for (home, rooms) in followed.iter().enumerate() {
        let last = say_until_stored(&nodes[1], &rooms[1], "after");
        assert_eq!(last, 2, "the room of master {home}");
        eventually("the same on both", || {
            let views = [rooms[0].view(), rooms[1].view()];
            let is_there = views.iter().all(|view| view.contents() == ["kept", "after"]);
            // One of them may have passed by an epoch in which nothing was said.
            is_there && views[0].epochs.last() == views[1].epochs.last()
        });
        let epochs = rooms[0].view().epochs.len();
        assert!(
            if home == 0 { epochs >= 2 } else { epochs == 1 },
            "{epochs} epochs in the room of master {home}"
        );
    }
    eventually("nodes that are well", || nodes.iter().all(|node| node.store.health() == Health::Healthy));
    // The one that was killed comes back as a replica, and nobody takes it for more.
    fleet.nodes[0].run();
    std::thread::park_timeout(Duration::from_secs(3));
    assert_eq!(say_until_stored(&nodes[0], &followed[0][0], "later"), 3);
    followed[0][1].wait_for(3);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn the_master_that_a_sentinel_names_is_followed() {
    let mut watched = Watched::start();
    let nodes = [(); 2].map(|()| Node::with(options(watched.url())));
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    assert_eq!(nodes[0].say(&rooms[0], "one"), Placed::At(1));
    rooms[1].wait_for(1);
    wait_for_replica_of(&watched.servers[0]);
    watched.servers[0].kill();
    watched.wait_for_master(1);
    let last = say_until_stored(&nodes[1], &rooms[1], "two");
    assert_eq!(last, 2);
    // Its old master may have gone on for somebody.
    eventually("a new epoch on both", || {
        rooms.iter().all(|room| room.view().epochs.len() >= 2 && room.view().contents() == ["one", "two"])
    });
    assert_eq!(rooms[0].view().messages, rooms[1].view().messages);
    // The old master comes back and becomes a replica. Until then it takes writes, which are nobody's.
    watched.servers[0].run();
    eventually("the old master is a replica", || {
        let info = watched.servers[0].try_command(&["INFO", "replication"]);
        info.is_ok_and(|info| redis::from_redis_value::<String>(info).unwrap().contains("role:slave"))
    });
    assert_eq!(say_until_stored(&nodes[0], &rooms[0], "three"), 3);
    rooms[1].wait_for(3);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_master_that_stood_still_while_another_took_its_place_is_left_alone() {
    let watched = Watched::start();
    let nodes = [(); 2].map(|()| Node::with(options(watched.url())));
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    wait_for_replica_of(&watched.servers[0]);
    cut_off(&watched.servers[1], &watched.servers[0]);
    for seq in 1..=3 {
        assert_eq!(nodes[0].say(&rooms[0], "forgotten"), Placed::At(seq));
    }
    rooms[1].wait_for(3);
    watched.servers[0].signal("STOP");
    watched.wait_for_master(1);
    let last = say_until_stored(&nodes[1], &rooms[1], "after");
    assert_eq!(last, 1);
    // It takes writes again, and what was sent to it before is done now.
    watched.servers[0].signal("CONT");
    eventually("a new epoch on both", || {
        rooms.iter().all(|room| room.view().epochs.len() >= 2 && room.view().contents() == ["after"])
    });
    assert_eq!(say_until_stored(&nodes[0], &rooms[0], "later"), 2);
    rooms[1].wait_for(2);
    assert_eq!(rooms[0].view().messages, rooms[1].view().messages);
}
