//! Whether Redis is as it has to be, and what may be lost as it is.

use std::time::Duration;

use redis::RedisError;

use super::address::Address;
use super::connection::Connection;
use super::error::{ClusterError, may_pass, reason};
use super::facts::Facts;

/// The oldest version that has what is needed.
const VERSION_MIN: u64 = 7;

/// How many times the patience with one answer Redis is waited for.
const PATIENCE: u32 = 5;

/// Looks at a master; gives what is to be said in the log. One that others were said to have put in the place of another may
/// still become one.
pub(super) fn check(
    address: &Address,
    is_settled: bool,
    timeout: Duration,
) -> Result<Vec<String>, ClusterError> {
    let unreachable = |error: RedisError| {
        let (address, reason) = (address.to_string(), reason(&error));
        if may_pass(&error) {
            ClusterError::Unreachable { address, reason }
        } else {
            ClusterError::Unfit { address, reason }
        }
    };
    let mut connection = Connection::open(address, timeout * PATIENCE).map_err(unreachable)?;
    let facts = Facts::ask(&mut connection).map_err(unreachable)?;
    if !is_settled && facts.get("role") != "master" {
        let reason = "it is not a master yet".to_owned();
        return Err(ClusterError::Unreachable { address: address.to_string(), reason });
    }
    judge(&facts).map_err(|reason| ClusterError::Unfit { address: address.to_string(), reason })
}

fn judge(facts: &Facts) -> Result<Vec<String>, String> {
    // Valkey says 7.2 for the sake of older clients, and its own version beside.
    let version = facts.get("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u64>().ok());
    if major.is_none_or(|major| major < VERSION_MIN) {
        return Err(format!("it is version {version:?}, and 7.0 or later is needed (or Valkey)"));
    }
    if facts.get("role") != "master" {
        return Err("it is a replica (name its master)".into());
    }
    let policy = facts.get("maxmemory_policy");
    if policy != "noeviction" {
        return Err(format!(
            "its maxmemory-policy is {policy:?}, so that it would throw rooms away (set it to noeviction)"
        ));
    }
    let mut warnings = Vec::new();
    if facts.get("aof_enabled") != "1" {
        warnings.push(
            "Redis does not write an append-only file: what was said since its last snapshot is lost if it ends \
             (set appendonly yes)"
                .into(),
        );
    }
    if facts.get("connected_slaves") != "0" {
        warnings.push(
            "Redis has replicas: what they have not got yet is lost if one of them takes over (members are told \
             by a new epoch)"
                .into(),
        );
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\n\
                        maxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:0\r\n";

    fn judged(from: &str, to: &str) -> Result<Vec<String>, String> {
        assert!(GOOD.contains(from));
        judge(&Facts::parse(&GOOD.replace(from, to)))
    }

    #[test]
    fn redis_that_would_lose_rooms_by_itself_is_refused() {
        assert_eq!(judged("", ""), Ok(Vec::new()));
        let cases = [
            ("7.0.15", "6.2.7", "version"),
            ("7.0.15", "seven", "version"),
            ("role:master", "role:slave", "replica"),
            ("noeviction", "allkeys-lru", "maxmemory-policy"),
        ];
        for (from, to, said) in cases {
            assert!(judged(from, to).unwrap_err().contains(said), "{to}");
        }
    }

    #[test]
    fn what_may_be_lost_is_said() {
        for (from, to) in [("aof_enabled:1", "aof_enabled:0"), ("slaves:0", "slaves:2")] {
            assert_eq!(judged(from, to).unwrap().len(), 1);
        }
    }
}
