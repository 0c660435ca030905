//! What is asked by REST, and answered.

use super::*;

impl Client {
    pub(super) fn ask(&mut self, command: Command, around: &mut Around<'_>) {
        if self.line.is_none() {
            self.line = around.node.connect(self.plan.line_bytes);
            self.state = State::Inside;
            if self.line.is_none() {
                return;
            }
        }
        let command = match (command, self.last.clone()) {
            (Command::Repeat, Some((room, id, content))) => {
                return self.post(room, &content, Some(&id), around);
            }
            (command, _) => command,
        };
        let request = match command {
            Command::Post { room, bytes, with_id } => {
                self.said += 1;
                let content = format!("{}-{}-{}", self.number, self.said, "x".repeat(bytes));
                let id = with_id.then(|| format!("id-{}-{}", self.number, self.said));
                if let Some(id) = &id {
                    self.last = Some((room, id.clone(), content.clone()));
                }
                return self.post(room, &content, id.as_deref(), around);
            }
            command => self.request_of(command, around),
        };
        let Some(request) = request else { return };
        let name = self.name();
        around.story.tell(|| format!("{name} asks: {command:?}"));
        self.request = Some(command);
        self.send(request.as_bytes());
    }

    /// The request for what is not a message.
    pub(super) fn request_of(&mut self, command: Command, around: &mut Around<'_>) -> Option<String> {
        let room = |room: usize| ROOMS[room];
        Some(match command {
            Command::Create(_) => {
                let body = "{\"name\":\"n\",\"description\":\"d\",\"createdBy\":\"ann\"}";
                format!(
                    "POST /api/chat/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Command::Delete(at) => {
                around.model.delete(room(at));
                format!("DELETE /api/chat/rooms/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", room(at))
            }
            Command::History { room: at, after } => {
                let query = after.map_or(String::new(), |after| format!("&after={after}"));
                format!(
                    "GET /api/chat/rooms/{}/messages?limit=7{query} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    room(at)
                )
            }
            Command::Online(at) => {
                format!("GET /api/chat/rooms/{}/online HTTP/1.1\r\nHost: localhost\r\n\r\n", room(at))
            }
            Command::Kick { room: at, user } => format!(
                "POST /api/chat/rooms/{}/kick?username={} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
                room(at),
                USERS[user]
            ),
            Command::Ban { room: at, user, seconds } => {
                self.asked_at = around.elapsed;
                format!(
                    "POST /api/chat/rooms/{}/kick?username={}&ban={seconds}s HTTP/1.1\r\nHost: localhost\r\n\
                     Content-Length: 0\r\n\r\n",
                    room(at),
                    USERS[user]
                )
            }
            Command::Lift { room: at, user } => {
                around.bans.remove(&(at, user));
                format!(
                    "DELETE /api/chat/rooms/{}/bans/{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    room(at),
                    USERS[user]
                )
            }
            Command::Stats => "GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            _ => return None,
        })
    }

    pub(super) fn post(&mut self, room: usize, content: &str, id: Option<&str>, around: &mut Around<'_>) {
        let mut body = serde_json::json!({ "sender": self.user(), "content": content });
        if let Some(id) = id {
            body["id"] = id.into();
            self.by_id.insert(id.to_owned(), content.to_owned());
        }
        let body = body.to_string();
        let name = self.name();
        around.story.tell(|| format!("{name} posts {} to {}", short(content), ROOMS[room]));
        // Each is a session of its own: the answer to one does not wait for those before.
        let session = (self.number * 1000 + self.said, self.said);
        around.model.say(ROOMS[room], self.user(), content, id, session);
        self.request = Some(Command::Post { room, bytes: 0, with_id: id.is_some() });
        self.unseen = vec![content.to_owned()];
        let request = format!(
            "POST /api/chat/rooms/{}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            ROOMS[room],
            body.len()
        );
        self.send(request.as_bytes());
    }

    pub(super) fn read_response(&mut self, around: &mut Around<'_>) -> Result<bool, Wrong> {
        let Some(head) = &self.head else { return Ok(false) };
        let len = head.field("Content-Length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let Some(body) = take_body(&mut self.input, len) else { return Ok(false) };
        let Some(head) = self.head.take() else { return Ok(false) };
        match self.plan.door {
            Door::Rest => self.on_response(&head, &body, around)?,
            Door::Poll => self.on_poll(&head, &body, around)?,
            Door::Chat | Door::Raw | Door::Stomp | Door::Sse => {
                let name = self.name();
                around.story.tell(|| {
                    format!("{name} is refused: {} {}", head.status, String::from_utf8_lossy(&body))
                });
                self.state = State::Leaving;
                self.line.iter().for_each(Line::finish);
            }
        }
        if head.field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.state = State::Leaving;
        }
        Ok(true)
    }

    pub(super) fn on_response(
        &mut self,
        head: &Head,
        body: &[u8],
        around: &mut Around<'_>,
    ) -> Result<(), Wrong> {
        let request = self.request.take();
        let text = String::from_utf8_lossy(body);
        let json: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).map_err(|error| format!("{error}: {text}"))?
        };
        match (request, head.status) {
            (Some(Command::Post { room, .. }), 201) => {
                let (seq, entry) = entry_of(&json)?;
                let content = self.unseen.pop().unwrap_or_default();
                if entry.content != content || json["roomId"] != ROOMS[room] {
                    return Err(format!("{content} was posted, and the answer is {json}"));
                }
                around.model.acknowledge(&content, seq)
            }
            (Some(Command::Post { .. }), _) => {
                self.unseen.iter().for_each(|content| around.model.refuse(content));
                Ok(())
            }
            (Some(Command::History { room, after }), 200) => {
                let position = head.field("Foghorn-Position").and_then(position_of);
                let (epoch, at) = position.ok_or("a page without a position")?;
                let entries = json.as_array().ok_or("a page that is no array")?;
                let mut last: Option<u64> = None;
                for value in entries {
                    let (seq, entry) = entry_of(value)?;
                    let step = if after.is_some() { 1 } else { -1 };
                    if last.is_some_and(|last| last.checked_add_signed(step) != Some(seq)) {
                        return Err(format!("{seq} comes after {last:?} in a page"));
                    }
                    let is_first = last.is_none();
                    if let Some(after) = after.filter(|_| is_first && !around.model.has_retention)
                        && seq != after + 1
                    {
                        return Err(format!("a page after {after} begins with {seq}"));
                    }
                    last = Some(seq);
                    around.model.show(around.disk, ROOMS[room], epoch, seq, &entry)?;
                }
                // Whoever goes on from there misses nothing of what it was not shown.
                let newest = if after.is_some() { entries.last() } else { entries.first() };
                match newest.and_then(|newest| newest["seq"].as_u64()) {
                    Some(newest) if newest != at => {
                        Err(format!("a page up to {newest} has the position {at}"))
                    }
                    _ => Ok(()),
                }
            }
            (Some(Command::Online(_)), 200) => {
                let users = json["users"].as_array().map(Vec::len);
                if json["count"].as_u64() == users.map(|users| users as u64) {
                    Ok(())
                } else {
                    Err(format!("not as many as are counted: {json}"))
                }
            }
            (Some(Command::Ban { room, user, seconds }), 200) => {
                let until = self.asked_at + Duration::from_secs(seconds as u64);
                around.bans.insert((room, user), (around.elapsed, until));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
