//! Many rooms at once that are not there yet.

use std::io::Write;

use super::client::Stomp;
use crate::support::frame::{TEXT, masked};
use crate::support::{Chat, TestServer};

#[test]
fn thousands_of_messages_to_new_rooms_at_once_are_all_stored() {
    const ROOMS: usize = 5_300;
    let server = TestServer::stored(|config| config.limits.room_creations_per_second = 0);
    let mut stomp = Stomp::connect(&server, "ann");
    let mut writer = stomp.raw.stream().try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || {
        let frames: Vec<u8> = (0..ROOMS)
            .flat_map(|room| {
                let send = format!("SEND\ndestination:/topic/n{room}\nreceipt:{room}\n\nhello\0");
                masked(TEXT, send.as_bytes())
            })
            .collect();
        writer.write_all(&frames).expect("the server reads on");
    });
    let mut receipts: Vec<usize> = Vec::new();
    receipts.resize_with(ROOMS, || stomp.expect("RECEIPT").get("receipt-id").parse().expect("a number"));
    sending.join().expect("all is sent");
    receipts.sort_unstable();
    assert!(receipts.into_iter().eq(0..ROOMS));
    for room in [0, ROOMS / 2, ROOMS - 1] {
        let mut chat = Chat::join(&server, &format!("n{room}"), "bob");
        // Behind the first message and the JOIN.
        chat.say_once("1", "hi");
        assert_eq!(chat.expect("MESSAGE")["seq"], 3);
    }
}
