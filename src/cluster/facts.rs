//! What Redis says of itself, as lines of names and values.

use std::collections::HashMap;

use redis::{RedisResult, Value, cmd};

use super::connection::Connection;
use super::value::text;

/// What is said of Redis, by name.
pub(super) struct Facts(HashMap<String, String>);

impl Facts {
    /// What Redis says of itself.
    pub(super) fn ask(connection: &mut Connection) -> RedisResult<Facts> {
        Ok(Facts::read(&connection.ask(&cmd("INFO"))?))
    }

    /// From an answer of such lines.
    pub(super) fn read(answer: &Value) -> Facts {
        Facts::parse(match answer {
            Value::VerbatimString { text, .. } => text,
            other => text(other).unwrap_or_default(),
        })
    }

    /// From `name:value` lines.
    pub(super) fn parse(info: &str) -> Facts {
        let facts = info.lines().filter_map(|line| line.split_once(':'));
        Facts(facts.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}
