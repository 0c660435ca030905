//! Where Redis is.

use std::fmt;

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::error::ClusterError;

/// A password, which is shown nowhere.
#[derive(Clone)]
pub(super) struct Password(String);

impl Password {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where Redis is, and as whom it is spoken to. As text: host and port alone.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) database: i64,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Address {
    /// From `redis://[user:password@]host[:port][/database]`.
    pub(super) fn parse(url: &str) -> Result<Address, ClusterError> {
        let wrong = |what: &str| ClusterError::Url(what.into());
        if !(url.starts_with("redis://") || url.starts_with("valkey://")) {
            return Err(wrong("it does not begin with redis://"));
        }
        // What the crate says of a bad URL may have its password in it.
        let info = url.into_connection_info().map_err(|_| wrong("it is no URL of a Redis server"))?;
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) if !host.is_empty() => (host.clone(), *port),
            _ => return Err(wrong("it names no host")),
        };
        let settings = info.redis_settings();
        Ok(Address {
            host,
            port,
            username: settings.username().map(str::to_owned),
            password: settings.password().map(|password| Password(password.to_owned())),
            database: settings.db(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_never_shows_its_password() {
        let address = Address::parse("redis://ann:s3cret@cache.example:7000/3").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.database), ("cache.example", 7000, 3));
        assert_eq!(address.username.as_deref(), Some("ann"));
        assert_eq!(address.password.as_ref().map(Password::reveal), Some("s3cret"));
        assert_eq!(address.to_string(), "cache.example:7000");
        assert!(!format!("{address:?}").contains("s3cret"));
        assert_eq!(Address::parse("redis://[::1]").unwrap().to_string(), "[::1]:6379");
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for url in [
            "",
            "lobby",
            "http://ann:s3cret@host",
            "redis://ann:s3cret@host:port",
            "rediss://:s3cret@host",
            "unix:///s3cret",
        ] {
            let refused = Address::parse(url).unwrap_err().to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
