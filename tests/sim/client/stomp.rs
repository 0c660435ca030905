//! What a client of STOMP is shown.

use super::*;

impl Client {
    /// A frame of STOMP 1.2.
    pub(super) fn on_stomp(&mut self, text: &str, around: &mut Around<'_>) -> Result<(), Wrong> {
        let name = self.name();
        let (head, body) = text.split_once("\n\n").ok_or_else(|| format!("this is no frame: {text}"))?;
        let body = body.strip_suffix('\0').ok_or_else(|| format!("this frame does not end: {text}"))?;
        let mut lines = head.lines();
        let command = lines.next().unwrap_or_default();
        let headers: HashMap<&str, &str> = lines.filter_map(|line| line.split_once(':')).collect();
        match command {
            "CONNECTED" => {
                self.subscribe();
                Ok(())
            }
            "RECEIPT" => {
                let id = headers.get("receipt-id").copied().unwrap_or_default();
                self.unseen.retain(|content| *content != id);
                Ok(())
            }
            "ERROR" => {
                around.story.tell(|| format!("{name} is told of an error: {:?}", headers.get("message")));
                self.was_told_error = true;
                self.unseen.clear();
                Ok(())
            }
            "MESSAGE" => self.on_stomp_message(&headers, body, around),
            _ => Err(format!("an unknown frame: {head}")),
        }
    }

    pub(super) fn subscribe(&mut self) {
        let mut subscribe = format!("SUBSCRIBE\nid:0\nreceipt:s\ndestination:/topic/{}\n", self.room());
        match (self.start, &self.position) {
            (From::Seq(seq), _) => subscribe += &format!("since-seq:{seq}\n"),
            (From::Position, Some(Position { epoch, seq, .. })) => {
                subscribe += &format!("since-seq:{seq}\nepoch:{epoch:016x}\n");
            }
            _ => self.start = From::Live,
        }
        if self.state == State::Asked {
            self.state = State::Inside;
        }
        self.send(&masked(1, format!("{subscribe}\n\0").as_bytes()));
    }

    pub(super) fn on_stomp_message(
        &mut self,
        headers: &HashMap<&str, &str>,
        body: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Wrong> {
        let text = |name: &str| headers.get(name).map(|value| value.replace("\\c", ":"));
        let number = |name: &str| headers.get(name).and_then(|value| value.parse::<u64>().ok());
        let epoch = headers.get("epoch").and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
        let epoch = epoch.ok_or_else(|| format!("without an epoch: {headers:?}"))?;
        if headers.get("type") == Some(&"GAP") {
            let gap =
                number("from").zip(number("to")).ok_or_else(|| format!("a GAP without: {headers:?}"))?;
            return self.skip_in_feed(gap, epoch, around);
        }
        let seq = number("seq").ok_or_else(|| format!("without a number: {headers:?}"))?;
        let entry = Entry {
            kind: text("type").unwrap_or_default(),
            sender: text("sender").unwrap_or_default(),
            content: body.to_owned(),
            time: text("timestamp").unwrap_or_default(),
            client_id: text("client-id"),
            username: text("username"),
            online: number("online"),
        };
        self.take_in_feed(epoch, seq, &entry, around)
    }
}
