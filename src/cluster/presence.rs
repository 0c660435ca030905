//! Who is in a room, on all nodes.

use redis::Value;

use super::asker::Asker;
use super::error::{not_understood, understood};
use super::question::Question;
use super::reaping::reap;
use super::rooms::Room;
use super::scripts::RENEW;
use super::shared::Shared;
use super::value::{hex, list, text, texts, whole};
use crate::rooms::Timestamp;
use crate::store::{Presence, StoreError};
use crate::system::instant;

/// A stay as Redis has it: `node|session|time|user`.
fn presence(stay: &str) -> Option<Presence> {
    let mut parts = stay.splitn(4, '|');
    let (_node, session, joined_at, user) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = session.len() == 32 && session.bytes().all(|digit| digit.is_ascii_hexdigit());
    let session_id = u128::from_str_radix(session, 16).ok().filter(|_| is_hex)?;
    let joined_at = Timestamp::from_micros(whole(joined_at)?);
    Some(Presence { session_id, user: user.into(), joined_at })
}

/// The sessions in a room, without those of nodes that are gone.
pub(super) fn sessions(shared: &Shared, asker: &mut Asker, room: &Room) -> Result<Vec<Presence>, StoreError> {
    // Nodes without members of the room do not look after those that have some.
    if shared.may_reap(room.partition) {
        let look = Question::to_run(&RENEW, room.partition, &[room.partition.nodes()]);
        let answer = asker.ask(&look.arg(&shared.node).arg(0))?;
        let (_, overdue) = understood(renewed(&answer).ok_or_else(|| not_understood("leases")))?;
        for node in overdue {
            reap(shared, asker, room.partition, &node, instant() + shared.timeout)?;
        }
    }
    let stays = asker.ask(&Question::new(room.partition, "HVALS").arg(room.partition.stays(&room.name)))?;
    let stays = match &stays {
        Value::Array(stays) | Value::Set(stays) => stays.iter().map(|stay| presence(text(stay)?)).collect(),
        _ => None,
    };
    understood(stays.ok_or_else(|| not_understood("who is in a room")))
}

/// Whether a lease was held all the time, and the nodes that have not renewed theirs.
pub(super) fn renewed(answer: &Value) -> Option<(bool, Vec<Box<str>>)> {
    let [held, overdue] = list(answer)? else { return None };
    let nodes = texts(overdue)?.into_iter().map(|node| hex(node).map(|_| node.into()));
    Some((text(held)? == "1", nodes.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stay_says_who_came_when() {
        let stay = "00000000000000aa|000000000000000000000000000000ff|17|a|b";
        let expected =
            Presence { session_id: 255, user: "a|b".into(), joined_at: Timestamp::from_micros(17) };
        assert_eq!(presence(stay), Some(expected));
        for stay in [
            "",
            "a|ff|17|ann",
            "a|000000000000000000000000000000ff|x|ann",
            "a|000000000000000000000000000000ff|17",
        ] {
            assert_eq!(presence(stay), None, "{stay}");
        }
    }
}
