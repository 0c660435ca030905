//! Orders are given to the other nodes, and heard from them.

use std::sync::PoisonError;

use redis::{RedisResult, Value, cmd};

use super::asker::Asker;
use super::connection::Connection;
use super::error::not_understood;
use super::orders::{orders_channel, partition};
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
        let mut add = cmd("XADD");
        add.arg(partition().commands()).arg("MAXLEN").arg("~").arg(KEPT).arg("*").arg("d").arg(&*order);
        let mut tell = cmd("SPUBLISH");
        tell.arg(orders_channel()).arg("");
        let given = asker.ask(|connection| connection.ask(&add).and_then(|_| connection.ask(&tell)));
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
        *heard = Some(asker.ask(newest)?);
        return Ok(());
    };
    loop {
        let orders = asker.ask(|connection| after(connection, last))?;
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
fn newest(connection: &mut Connection) -> RedisResult<String> {
    let key = partition().commands();
    let found = connection.ask(cmd("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1))?;
    let entries = list(&found).ok_or_else(|| not_understood("orders"))?;
    match entries {
        [] => Ok("0-0".to_owned()),
        [newest, ..] => order(newest).map(|(id, _)| id).ok_or_else(|| not_understood("an order")),
    }
}

fn after(connection: &mut Connection, id: &str) -> RedisResult<Vec<(String, Option<String>)>> {
    let mut range = cmd("XRANGE");
    range.arg(partition().commands()).arg(format!("({id}")).arg("+").arg("COUNT").arg(READ_MAX);
    let found = connection.ask(&range)?;
    let orders = list(&found).and_then(|entries| entries.iter().map(order).collect());
    orders.ok_or_else(|| not_understood("orders"))
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
