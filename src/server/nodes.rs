//! What the nodes of a cluster tell each other besides what is in the rooms.
//!
//! Each order reaches every node at least once, the one that gives it included: carrying one out twice does no harm.

use std::time::Duration;

use serde_json::{Value, json};

use super::rooms::Rooms;
use crate::rooms::TooManyBans;

/// What a node tells all nodes to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeOrder {
    /// Close the sessions of a user in a room, and if banned, let it in no more for so long.
    Kick {
        /// The room.
        room: Box<str>,
        /// The user.
        user: Box<str>,
        /// How long it must not come back.
        ban: Option<Duration>,
    },
    /// Let a user in again.
    LiftBan {
        /// The room.
        room: Box<str>,
        /// The user.
        user: Box<str>,
    },
}

impl NodeOrder {
    fn to_json(&self) -> String {
        let value = match self {
            NodeOrder::Kick { room, user, ban } => {
                let millis = ban.map(|ban| u64::try_from(ban.as_millis()).unwrap_or(u64::MAX));
                json!({"do": "kick", "room": room, "user": user, "ban": millis})
            }
            NodeOrder::LiftBan { room, user } => json!({"do": "lift", "room": room, "user": user}),
        };
        value.to_string()
    }

    /// `None` if it is none that this version knows.
    fn from_json(text: &str) -> Option<NodeOrder> {
        let value: Value = serde_json::from_str(text).ok()?;
        let text = |key| Some(Box::<str>::from(value.get(key)?.as_str()?));
        let (room, user) = (text("room")?, text("user")?);
        match value.get("do")?.as_str()? {
            "kick" => {
                let ban = value.get("ban").and_then(Value::as_u64).map(Duration::from_millis);
                Some(NodeOrder::Kick { room, user, ban })
            }
            "lift" => Some(NodeOrder::LiftBan { room, user }),
            _ => None,
        }
    }
}

/// Carries out from now on what nodes tell this one.
pub(super) fn listen(rooms: &Rooms) {
    let Some(store) = rooms.store().filter(|store| store.is_shared()) else { return };
    let listener = rooms.clone();
    store.listen_to_nodes(move |text| match NodeOrder::from_json(text) {
        Some(order) => carry_out(&listener, &order),
        None => tracing::warn!(bytes = text.len(), "cluster: an order of another node is not understood"),
    });
}

fn carry_out(rooms: &Rooms, order: &NodeOrder) {
    match order {
        NodeOrder::Kick { room, user, ban } => {
            if let Some(time) = ban
                && let Err(TooManyBans) = rooms.bans().add(room, user, *time)
            {
                tracing::warn!(%room, %user, limit = "limits.bans", "cluster: a ban of another node does not hold here");
            }
            if rooms.kick(room, user, None, drop).is_err() {
                tracing::warn!(%room, %user, "cluster: an order of another node could not be carried out, too much waits");
            }
        }
        NodeOrder::LiftBan { room, user } => {
            rooms.bans().lift(room, user);
        }
    }
}

impl Rooms {
    /// Has all nodes do this, this one included; nothing where there are no others.
    pub(crate) fn tell_nodes(&self, order: &NodeOrder) {
        if let Some(store) = self.store() {
            store.tell_nodes(&order.to_json());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_were_written() {
        let (room, user): (Box<str>, Box<str>) = ("r\"".into(), "é".into());
        let kick = |ban| NodeOrder::Kick { room: room.clone(), user: user.clone(), ban };
        let lift = NodeOrder::LiftBan { room: room.clone(), user: user.clone() };
        for order in [kick(None), kick(Some(Duration::from_secs(5))), lift] {
            assert_eq!(NodeOrder::from_json(&order.to_json()), Some(order));
        }
    }

    #[test]
    fn what_is_no_order_is_none() {
        for text in ["", "{}", "[]", r#"{"do":"kick"}"#, r#"{"do":"x","room":"r","user":"u"}"#, "{"] {
            assert_eq!(NodeOrder::from_json(text), None, "{text}");
        }
    }
}
