//! Orders are given to the other nodes, and heard from them.

use std::sync::PoisonError;

use redis::Value;

use super::asker::Asker;
use super::error::{not_understood, understood};
use super::orders::{orders_channel, partition};
use super::question::Question;
use super::shared::Shared;
use super::value::{list, text};
use crate::store::{ClusterEvent, StoreError};
use crate::system::threads::lock_long;

/// Orders that are kept in Redis, about.
const KEPT: u32 = 1_000;

/// Orders that are read at once.
const READ_MAX: usize = 100;

/// Gives the orders that wait.
pub(super) fn give(shared: &Shared, asker: &mut Asker) -> Result<(), StoreError> {
    while let Some(order) = shared.orders.pop() {
        let add =
            Question::new(partition(), "XADD").arg(partition().commands()).arg("MAXLEN").arg("~").arg(KEPT);
        let add = add.arg("*").arg("d").arg(&*order);
        let tell = Question::new(partition(), "SPUBLISH").arg(orders_channel()).arg("");
        let given = asker.ask(&add).and_then(|_| asker.ask(&tell));
        if let Err(error) = given {
            shared.orders.put_back(order);
            return Err(error);
        }
        shared.counters.note(ClusterEvent::OrderTold);
    }
    Ok(())
}

/// Hears the orders that are new.
pub(super) fn hear(shared: &Shared, asker: &mut Asker) -> Result<(), StoreError> {
    let mut heard = lock_long(&shared.orders.heard);
    let Some(last) = heard.as_mut() else {
        *heard = Some(newest(asker)?);
        return Ok(());
    };
    loop {
        let orders = after(asker, last)?;
        let listener = shared.orders.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = orders.len();
        for (id, order) in orders {
            *last = id;
            if let (Some(listener), Some(order)) = (&listener, order) {
                shared.counters.note(ClusterEvent::OrderHeard);
                listener(&order);
            }
        }
        if count < READ_MAX {
            return Ok(());
        }
    }
}

/// The id of the newest.
fn newest(asker: &mut Asker) -> Result<String, StoreError> {
    let range = Question::new(partition(), "XREVRANGE").arg(partition().commands());
    let found = asker.ask(&range.arg("+").arg("-").arg("COUNT").arg(1))?;
    let id = match list(&found) {
        Some([]) => Some("0-0".to_owned()),
        Some([newest, ..]) => order(newest).map(|(id, _)| id),
        None => None,
    };
    understood(id.ok_or_else(|| not_understood("an order")))
}

fn after(asker: &mut Asker, id: &str) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let range = Question::new(partition(), "XRANGE").arg(partition().commands());
    let found = asker.ask(&range.arg(format!("({id}")).arg("+").arg("COUNT").arg(READ_MAX))?;
    let orders = list(&found).and_then(|entries| entries.iter().map(order).collect());
    understood(orders.ok_or_else(|| not_understood("orders")))
}

/// The id of an entry, and the order, if it is one.
fn order(entry: &Value) -> Option<(String, Option<String>)> {
    let [id, fields] = list(entry)? else { return None };
    let order = match list(fields)? {
        [name, order] if text(name) == Some("d") => text(order).map(str::to_owned),
        _ => None,
    };
    Some((text(id)?.to_owned(), order))
}
