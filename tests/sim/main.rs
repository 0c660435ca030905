//! One node under simulation: the product's code in one thread, at a time of its own; one seed decides everything.

use std::time::Duration;

use foghorn::server::{Router, Server};
use foghorn::simulation::{Node, Received, World};

#[test]
fn a_node_in_hands_answers_a_request() {
    let world = World::enter(1);
    let mut node = Node::start(&world, Server::builder().router(Router::new()));
    let line = node.connect(4096).expect("it listens");
    let request = b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(line.send(request), request.len());
    line.deliver(usize::MAX);
    for _ in 0..10 {
        node.turn(&world, &mut |_| 0).unwrap();
        world.pass(Duration::from_millis(1));
    }
    let Received::Bytes(answer) = line.receive(usize::MAX) else { panic!("there is no answer") };
    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", answer.escape_ascii());
}
