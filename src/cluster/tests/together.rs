//! What nodes see of each other.

use super::kit::{Node, Redis, said, told};
use crate::rooms::store_api::{Placed, ReadFrom};
use crate::rooms::{Kind, Timestamp};

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn one_node_is_shown_what_it_says_before_it_hears_where_that_is() {
    let redis = Redis::start();
    let node = Node::start(&redis);
    let room = node.follow("lobby");
    for seq in 1..=3 {
        assert_eq!(node.say(&room, &format!("{seq}")), Placed::At(seq));
        assert_eq!(room.view().head(), seq);
    }
    assert_eq!(room.view().contents(), ["1", "2", "3"]);
    let page = node.read(room.id, ReadFrom::Seq(1)).unwrap();
    assert_eq!((page.head, page.tail, page.start, page.epoch), (3, 1, 1, room.view().epochs[0]));
    assert_eq!(page.messages, room.view().messages[1..]);
    let time = page.messages[0].at;
    assert_eq!(node.read(room.id, ReadFrom::Time(time)).unwrap().start, 2);
    assert_eq!(node.read(room.id, ReadFrom::Time(Timestamp::default())).unwrap().start, 0);
    assert_eq!(node.read(room.id, ReadFrom::Last(1)).unwrap().messages[0].seq, 3);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn nodes_see_the_same_messages_in_the_same_order() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    std::thread::scope(|scope| {
        for (number, (node, room)) in nodes.iter().zip(&rooms).enumerate() {
            scope.spawn(move || {
                for count in 0..100 {
                    assert!(matches!(node.say(room, &format!("{number} {count}")), Placed::At(_)));
                }
            });
        }
    });
    rooms.iter().for_each(|room| room.wait_for(200));
    assert_eq!(rooms[0].view().messages, rooms[1].view().messages);
    for number in 0..2 {
        let own: Vec<String> = (0..100).map(|count| format!("{number} {count}")).collect();
        let view = rooms[0].view();
        let found: Vec<&str> =
            view.contents().into_iter().filter(|said| said.starts_with(&number.to_string())).collect();
        assert_eq!(found, own, "each one's own are in order");
    }
    let late = Node::start(&redis).follow("lobby");
    assert_eq!(late.view().messages, rooms[0].view().messages);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn an_id_is_used_up_on_all_nodes() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    assert_eq!(nodes[0].append(said(rooms[0].id, "hello", Some("x"))), [Placed::At(1)]);
    rooms[1].wait_for(1);
    let at = rooms[1].view().messages[0].at;
    for (content, is_same) in [("hello", true), ("other", false)] {
        let placed = nodes[1].append(said(rooms[1].id, content, Some("x")));
        assert_eq!(placed, [Placed::Repeat { seq: 1, at, is_same }]);
    }
    assert_eq!(rooms[0].view().messages[0].client_id.as_deref(), Some("x"));
    assert_eq!(nodes[1].append(said(rooms[1].id, "hello", Some("y"))), [Placed::At(2)]);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn users_are_counted_over_all_nodes() {
    let redis = Redis::start();
    let nodes = [Node::start(&redis), Node::start(&redis)];
    let rooms = [nodes[0].follow("lobby"), nodes[1].follow("lobby")];
    let steps = [
        (0, Kind::Join, "ann", 1, Some(1)),
        (1, Kind::Join, "bob", 2, Some(2)),
        (1, Kind::Join, "ann", 3, Some(2)),
        (0, Kind::Join, "ann", 1, None),
        (0, Kind::Leave, "ann", 1, Some(2)),
        (0, Kind::Leave, "ann", 1, None),
        (1, Kind::Leave, "ann", 3, Some(1)),
    ];
    let mut head = 0;
    for (index, kind, user, stay, online) in steps {
        let placed = nodes[index].append(told(rooms[index].id, kind, user, stay));
        let Some(online) = online else {
            assert_eq!(placed, [Placed::Nothing]);
            continue;
        };
        head += 1;
        assert_eq!(placed, [Placed::At(head)]);
        for room in &rooms {
            room.wait_for(head);
            let view = room.view();
            let last = view.messages.last().unwrap();
            let presence = last.presence.as_ref().unwrap();
            assert_eq!((last.kind, &*presence.username, presence.online), (kind, user, online));
        }
    }
    let sessions = super::kit::ask(|done| nodes[0].store.sessions("lobby", done)).unwrap().unwrap();
    assert_eq!(
        sessions.iter().map(|session| (&*session.user, session.session_id)).collect::<Vec<_>>(),
        [("bob", 2)]
    );
    assert_eq!(Node::start(&redis).follow("lobby").users, 1);
}
