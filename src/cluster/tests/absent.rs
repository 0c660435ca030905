//! Nodes that are gone, and nodes that were taken to be.

use super::kit::{Followed, Node, Redis, ask, eventually, options, told};
use super::proxy::Proxy;
use crate::rooms::Kind;
use crate::rooms::store_api::Placed;

fn notices(room: &Followed) -> Vec<(Kind, String, u64)> {
    let view = room.view();
    let notices = view.messages.iter().filter_map(|message| {
        let presence = message.presence.as_ref()?;
        Some((message.kind, presence.username.to_string(), presence.online))
    });
    notices.collect()
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn users_of_a_node_that_is_gone_leave_once_and_come_again_with_it() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let gone = Node::with(options(proxy.url()));
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    let here = gone.follow("lobby");
    for (stay, user) in [(1, "ann"), (2, "bob"), (3, "bob")] {
        assert_eq!(gone.append(told(here.id, Kind::Join, user, stay)), [Placed::At(stay)]);
    }
    assert_eq!(nodes[0].append(told(rooms[0].id, Kind::Join, "eve", 4)), [Placed::At(4)]);
    proxy.cut();
    rooms.iter().for_each(|room| room.wait_for(7));
    let mut left: Vec<(Kind, String, u64)> = notices(&rooms[1])[4..].to_vec();
    assert_eq!(left.last().map(|last| last.2), Some(1), "eve stays");
    left.sort_by(|one, other| one.1.cmp(&other.1));
    let users: Vec<(Kind, &str)> = left.iter().map(|(kind, user, _)| (*kind, &**user)).collect();
    assert_eq!(users, [(Kind::Leave, "ann"), (Kind::Leave, "bob"), (Kind::Leave, "bob")]);
    assert!(rooms[1].view().contents().contains(&"ann LEAVE"));
    let sessions = ask(|done| nodes[0].store.sessions("lobby", done)).unwrap().unwrap();
    assert_eq!(sessions.len(), 1);
    proxy.mend();
    rooms.iter().for_each(|room| room.wait_for(10));
    let come = notices(&rooms[0])[7..].to_vec();
    assert!(come.iter().all(|(kind, ..)| *kind == Kind::Join));
    assert_eq!(come.last().map(|last| last.2), Some(3));
    here.wait_for(10);
    assert_eq!(here.view().messages, rooms[0].view().messages);
    assert_eq!(gone.append(told(here.id, Kind::Leave, "ann", 1)), [Placed::At(11)]);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn who_was_at_a_node_that_is_gone_is_not_listed_where_nobody_is_in_the_room() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let (gone, node) = (Node::with(options(proxy.url())), Node::start(&redis));
    let here = gone.follow("lobby");
    assert_eq!(gone.append(told(here.id, Kind::Join, "ann", 1)), [Placed::At(1)]);
    let sessions = || ask(|done| node.store.sessions("lobby", done)).unwrap().unwrap();
    assert_eq!(sessions().len(), 1);
    proxy.cut();
    eventually("nobody is there", || sessions().is_empty());
    assert_eq!(node.follow("lobby").users, 0);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn users_are_announced_again_when_redis_has_forgotten_them() {
    let redis = Redis::start();
    let node = Node::start(&redis);
    let room = node.follow("lobby");
    assert_eq!(node.append(told(room.id, Kind::Join, "ann", 1)), [Placed::At(1)]);
    redis.command(&["FLUSHALL"]);
    eventually("a JOIN in a new epoch", || {
        room.view().epochs.len() == 2 && notices(&room) == [(Kind::Join, "ann".to_owned(), 1)]
    });
    assert_eq!(node.append(told(room.id, Kind::Leave, "ann", 1)), [Placed::At(2)]);
    assert_eq!(Node::start(&redis).follow("lobby").users, 0);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_a_node_tells_reaches_all_of_them_also_later() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port);
    let nodes = [Node::start(&redis), Node::with(options(proxy.url()))];
    let heard: Vec<_> = nodes
        .iter()
        .map(|node| {
            let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
            let here = heard.clone();
            node.store.listen_to_nodes(move |order| here.lock().unwrap().push(order.to_owned()));
            heard
        })
        .collect();
    let is_heard = |index: usize, order: &str| heard[index].lock().unwrap().iter().any(|said| said == order);
    // What was said before a node was there is not for it: the first may be said until all are.
    eventually("an order on both nodes", || {
        nodes[0].store.tell_nodes("first");
        (0..2).all(|index| is_heard(index, "first"))
    });
    proxy.cut();
    nodes[0].store.tell_nodes("second");
    nodes[1].store.tell_nodes("third");
    eventually("an order of one's own", || is_heard(0, "second"));
    assert!(!is_heard(0, "third") && !is_heard(1, "second"));
    proxy.mend();
    eventually("all orders on both nodes", || {
        (0..2).all(|index| is_heard(index, "second") && is_heard(index, "third"))
    });
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn nobody_leaves_because_redis_was_away_for_longer_than_a_lease() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    for (node, (room, user)) in nodes.iter().zip(rooms.iter().zip(["ann", "bob"])) {
        let stay = if user == "ann" { 1 } else { 2 };
        assert_eq!(node.append(told(room.id, Kind::Join, user, stay)), [Placed::At(stay)]);
    }
    redis.signal("STOP");
    let until = crate::system::instant() + super::kit::LEASE * 2;
    eventually("twice the lease", || crate::system::instant() >= until);
    redis.signal("CONT");
    eventually("an answer", || nodes[0].say(&rooms[0], "here") != Placed::NotStored);
    let until = crate::system::instant() + super::kit::LEASE * 2;
    eventually("twice the lease", || crate::system::instant() >= until);
    assert_eq!(notices(&rooms[1]).len(), 2);
}
