//! What the scripts answer.

use redis::{RedisResult, Value};

use super::entry::all_from_stream;
use super::error::not_understood;
use super::generation::generation_number;
use super::value::{hex, list, text, texts, whole};
use crate::rooms::Timestamp;
use crate::rooms::store_api::Stored;

/// What became of a message that was to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// It is the next one; of a JOIN or LEAVE: how many users there are now.
    Next { online: Option<u64> },
    /// Its id was used by this message.
    Repeat { seq: u64, at: Timestamp, is_same: bool },
    /// There is nothing to tell.
    Nothing,
    /// The room takes no more.
    Full,
}

/// What became of messages that were to be appended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Appended {
    pub(super) epoch: u64,
    pub(super) generation: Box<str>,
    pub(super) changes: u64,
    /// The number and time of the first that is new; each after it is one more, and a microsecond later.
    pub(super) first: u64,
    pub(super) first_at: Timestamp,
    pub(super) tokens: Vec<Token>,
}

/// The answer to something about a room: it, or that it is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    There(T),
    /// `generation`, `changes` as far as they were said.
    Gone {
        generation: Box<str>,
        changes: u64,
    },
}

fn token(text: &str) -> Option<Token> {
    match text {
        "a" => return Some(Token::Next { online: None }),
        "n" => return Some(Token::Nothing),
        "u" => return Some(Token::Full),
        _ => {}
    }
    if let Some(online) = text.strip_prefix("p:") {
        return Some(Token::Next { online: Some(whole(online)?) });
    }
    let mut parts = text.strip_prefix("r:")?.split(':');
    let (seq, at, is_same) = (whole(parts.next()?)?, whole(parts.next()?)?, parts.next()?);
    let is_same = match is_same {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let at = Timestamp::from_micros(at);
    parts.next().is_none().then_some(Token::Repeat { seq, at, is_same })
}

/// A generation, if it is one.
fn generation(text: &str) -> Option<Box<str>> {
    generation_number(text).map(|_| text.into())
}

fn uid(text: &str) -> Option<Box<str>> {
    hex(text).map(|_| text.into())
}

/// The answer to an append of `count` messages.
pub(super) fn appended(value: &Value, count: usize) -> Option<Found<Appended>> {
    let mut words = text(value)?.split(' ');
    match words.next()? {
        "gone" => {
            let (generation, changes) = (generation(words.next()?)?, whole(words.next()?)?);
            words.next().is_none().then_some(Found::Gone { generation, changes })
        }
        "ok" => {
            let appended = Appended {
                epoch: hex(words.next()?)?,
                generation: generation(words.next()?)?,
                changes: whole(words.next()?)?,
                first: whole(words.next()?)?,
                first_at: Timestamp::from_micros(whole(words.next()?)?),
                tokens: words.map(token).collect::<Option<_>>()?,
            };
            let is_whole = appended.tokens.len() == count
                && appended.first.checked_add(count as u64).is_some_and(|last| last <= 1 << 53);
            is_whole.then_some(Found::There(appended))
        }
        _ => None,
    }
}

/// Where the log of a room stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) generation: Box<str>,
    pub(super) changes: u64,
    pub(super) uid: Box<str>,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) tail: u64,
    pub(super) gone_at: Timestamp,
    pub(super) last_at: Timestamp,
    /// JSON; empty if there are none.
    pub(super) settings: Box<str>,
    /// Users who are there.
    pub(super) users: u64,
    /// Nodes of the partition that should have renewed their leases.
    pub(super) overdue: Vec<Box<str>>,
}

fn standing_of(value: &Value) -> Option<Found<Standing>> {
    let values = list(value)?;
    let (overdue, said) = match values {
        [said @ .., overdue @ Value::Array(_)] => (texts(overdue)?, said),
        said => (Vec::new(), said),
    };
    let said: Vec<&str> = said.iter().map(text).collect::<Option<_>>()?;
    match *said.as_slice() {
        ["gone", gen_now, changes] => {
            Some(Found::Gone { generation: generation(gen_now)?, changes: whole(changes)? })
        }
        ["ok", gen_now, changes, uid_now, epoch, seq, tail, gone, at, settings, users] => {
            let standing = Standing {
                generation: generation(gen_now)?,
                changes: whole(changes)?,
                uid: uid(uid_now)?,
                epoch: hex(epoch)?,
                seq: whole(seq)?,
                tail: whole(tail)?,
                gone_at: Timestamp::from_micros(whole(gone)?),
                last_at: Timestamp::from_micros(whole(at)?),
                settings: settings.into(),
                users: whole(users)?,
                overdue: overdue.into_iter().map(uid).collect::<Option<_>>()?,
            };
            (1..=standing.seq + 1).contains(&standing.tail).then_some(Found::There(standing))
        }
        _ => None,
    }
}

/// The answer to the opening of a room.
pub(super) fn standing(value: &Value) -> RedisResult<Found<Standing>> {
    standing_of(value).ok_or_else(|| not_understood("where a room stands"))
}

/// A part of a log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) uid: Box<str>,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) tail: u64,
    pub(super) gone_at: Timestamp,
    /// The number before the first that was asked for.
    pub(super) after: u64,
    pub(super) messages: Vec<Stored>,
}

fn part_of(value: &Value, is_newest_first: bool) -> Option<Option<Part>> {
    let [said @ .., entries] = list(value)? else { return None };
    let said: Vec<&str> = said.iter().map(text).collect::<Option<_>>()?;
    match *said.as_slice() {
        [] if text(entries) == Some("gone") => Some(None),
        ["ok", uid_now, epoch, seq, tail, gone, after] => {
            let part = Part {
                uid: uid(uid_now)?,
                epoch: hex(epoch)?,
                seq: whole(seq)?,
                tail: whole(tail)?,
                gone_at: Timestamp::from_micros(whole(gone)?),
                after: whole(after)?,
                messages: all_from_stream(entries, is_newest_first)?,
            };
            let is_within = (1..=part.seq + 1).contains(&part.tail)
                && part.messages.iter().all(|message| (part.tail..=part.seq).contains(&message.seq));
            is_within.then_some(Some(part))
        }
        _ => None,
    }
}

/// The answer to the reading of a part of a log; `None` if there is no such room.
pub(super) fn part(value: &Value, is_newest_first: bool) -> RedisResult<Option<Part>> {
    part_of(value, is_newest_first).ok_or_else(|| not_understood("a part of a log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn bulks(texts: &[&str]) -> Vec<Value> {
        texts.iter().map(|text| bulk(text)).collect()
    }

    const GENERATION: &str = "1-00000000000000bb";
    const OK: &str = "ok 00000000000000ee 1-00000000000000bb 7 5 1000 a n r:3:900:1 p:2 u";

    #[test]
    fn the_answer_to_an_append_says_what_became_of_each_message() {
        let Some(Found::There(appended)) = appended(&bulk(OK), 5) else { panic!("not understood") };
        assert_eq!((appended.epoch, appended.first, appended.changes), (0xee, 5, 7));
        let at = Timestamp::from_micros(900);
        assert_eq!(
            appended.tokens,
            [
                Token::Next { online: None },
                Token::Nothing,
                Token::Repeat { seq: 3, at, is_same: true },
                Token::Next { online: Some(2) },
                Token::Full,
            ]
        );
    }

    #[test]
    fn other_answers_to_an_append_are_not_understood() {
        assert_eq!(appended(&bulk(OK), 4), None);
        assert_eq!(appended(&Value::Nil, 0), None);
        let cases = ["", "ok", "no", "gone", "gone x 1", "ok 00000000000000ee 1-00000000000000bb 7 5 1000 x"];
        for text in cases {
            assert_eq!(appended(&bulk(text), 1), None, "{text}");
        }
        for token in ["r:", "r:1:2", "r:1:2:2", "r:1:2:1:1", "r:x:2:1", "p:", "p:-1"] {
            assert_eq!(super::token(token), None, "{token}");
        }
    }

    #[test]
    fn a_room_stands_somewhere_or_is_gone() {
        let mut said = bulks(&[
            "ok",
            GENERATION,
            "7",
            "00000000000000aa",
            "00000000000000ee",
            "5",
            "2",
            "90",
            "100",
            "",
            "1",
        ]);
        said.push(Value::Array(bulks(&["00000000000000dd"])));
        let Ok(Found::There(found)) = standing(&Value::Array(said.clone())) else { panic!("not understood") };
        assert_eq!((found.seq, found.tail, found.overdue.len()), (5, 2, 1));
        assert!(matches!(
            standing(&Value::Array(bulks(&["gone", GENERATION, "7"]))),
            Ok(Found::Gone { changes: 7, .. })
        ));
        said[6] = bulk("7");
        assert!(standing(&Value::Array(said.clone())).is_err(), "the oldest message is beyond the newest");
        said[6] = bulk("0");
        assert!(standing(&Value::Array(said)).is_err());
        assert!(standing(&Value::Okay).is_err());
    }

    #[test]
    fn a_part_of_a_log_lies_within_it() {
        let entry = |id: &str| {
            Value::Array(vec![bulk(id), Value::Array(bulks(&["a", "17", "t", "m", "s", "ann", "c", "x"]))])
        };
        let said = |entries| {
            let mut said = bulks(&["ok", "00000000000000aa", "00000000000000ee", "5", "2", "90", "1"]);
            said.push(Value::Array(entries));
            Value::Array(said)
        };
        assert_eq!(part(&said(vec![entry("2-0")]), false).unwrap().unwrap().messages.len(), 1);
        assert!(part(&said(vec![entry("1-0")]), false).is_err());
        assert!(part(&said(vec![entry("6-0")]), false).is_err());
        assert_eq!(part(&Value::Array(bulks(&["gone"])), false).unwrap(), None);
        assert!(part(&Value::Array(Vec::new()), false).is_err());
    }
}
