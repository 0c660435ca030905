//! Where Redis is, and as whom it is spoken to.

use std::fmt;
use std::sync::Arc;

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::error::ClusterError;
use super::options::ClusterTls;
use crate::transport::Trust;

/// The port of a Redis and of a Sentinel that are not given one.
const PORT: u16 = 6_379;
const SENTINEL_PORT: u16 = 26_379;

/// Hosts that one URL names at most.
const HOSTS_MAX: usize = 64;

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

/// As whom a server is spoken to, and how.
#[derive(Clone, Debug, Default)]
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<Password>,
    pub(super) database: i64,
    /// Over TLS, if there is any.
    pub(super) trust: Option<Trust>,
}

/// One server. As text: host and port alone.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    pub(super) login: Arc<Login>,
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
    /// Whether it is that of this host and port.
    pub(super) fn is_at(&self, host: &str, port: u16) -> bool {
        *self.host == *host && self.port == port
    }

    /// Another server, which is spoken to in the same way.
    pub(super) fn beside(&self, host: &str, port: u16) -> Address {
        Address { host: host.into(), port, login: self.login.clone() }
    }
}

/// Where it is found out which servers take writes.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A server, or some of the nodes of a Redis Cluster.
    Servers(Vec<Address>),
    /// Sentinels, which know where the master of this name is; and as whom that is spoken to.
    Sentinels { sentinels: Vec<Address>, name: Box<str>, login: Arc<Login> },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Place::Servers(hosts) | Place::Sentinels { sentinels: hosts, .. }) = self;
        for (index, host) in hosts.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{host}")?;
        }
        match self {
            Place::Servers(_) => Ok(()),
            Place::Sentinels { name, .. } => write!(f, "#{name}"),
        }
    }
}

fn wrong(what: &str) -> ClusterError {
    ClusterError::Url(what.into())
}

impl Place {
    /// From a URL, see [`ClusterOptions::url`](super::ClusterOptions).
    pub(super) fn parse(url: &str, tls: &ClusterTls) -> Result<Place, ClusterError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it does not begin with redis://"))?;
        let (is_sentinel, is_secure) = match scheme {
            "redis" | "valkey" => (false, false),
            "rediss" | "valkeys" => (false, true),
            "redis-sentinel" => (true, false),
            "rediss-sentinel" => (true, true),
            _ => return Err(wrong("it does not begin with redis:// or rediss://")),
        };
        let (rest, name) = rest.split_once('#').map_or((rest, ""), |(rest, name)| (rest, name));
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
        let (who, hosts) = rest.rsplit_once('@').map_or(("", rest), |(who, hosts)| (who, hosts));
        let (hosts, database) = hosts.split_once('/').unwrap_or((hosts, ""));
        let port = if is_sentinel { SENTINEL_PORT } else { PORT };
        let trust = if is_secure { Some(tls.trust().map_err(ClusterError::Tls)?) } else { None };
        let login = |who: &str, database: &str| login(who, database, trust.clone());
        let servers = |login: Login| addresses(hosts, port, &Arc::new(login));
        if !is_sentinel {
            let is_plain = name.is_empty() && query.is_empty();
            return if is_plain {
                Ok(Place::Servers(servers(login(who, database)?)?))
            } else {
                Err(wrong("nothing may follow its database"))
            };
        }
        if name.is_empty() {
            return Err(wrong("it does not end with # and the name that the Sentinels give to the master"));
        }
        let (mut username, mut password) = ("", "");
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sentinel_username", value)) => username = value,
                Some(("sentinel_password", value)) => password = value,
                _ => return Err(wrong("behind ? there may be sentinel_username and sentinel_password")),
            }
        }
        let sentinel = if password.is_empty() { String::new() } else { format!("{username}:{password}") };
        let sentinels = servers(login(&sentinel, "")?)?;
        Ok(Place::Sentinels { sentinels, name: name.into(), login: Arc::new(login(who, database)?) })
    }
}

/// `user:password` and the number of a database, as URLs have them.
fn login(who: &str, database: &str, trust: Option<Trust>) -> Result<Login, ClusterError> {
    // What the crate says of a bad URL may have its password in it.
    let url =
        if who.is_empty() { format!("redis://h/{database}") } else { format!("redis://{who}@h/{database}") };
    let info =
        url.into_connection_info().map_err(|_| wrong("its user, password or database cannot be read"))?;
    let settings = info.redis_settings();
    Ok(Login {
        username: settings.username().map(str::to_owned).filter(|name| !name.is_empty()),
        password: settings.password().map(|password| Password(password.to_owned())),
        database: settings.db(),
        trust,
    })
}

fn addresses(hosts: &str, port: u16, login: &Arc<Login>) -> Result<Vec<Address>, ClusterError> {
    let all = hosts.split(',').map(|host| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let url = if has_port { format!("redis://{host}") } else { format!("redis://{host}:{port}") };
        let info = url.into_connection_info().map_err(|_| wrong("a host in it cannot be read"))?;
        match info.addr() {
            ConnectionAddr::Tcp(host, port) if !host.is_empty() => {
                Ok(Address { host: host.as_str().into(), port: *port, login: login.clone() })
            }
            _ => Err(wrong("it names no host")),
        }
    });
    let all = all.collect::<Result<Vec<_>, _>>()?;
    if all.len() > HOSTS_MAX { Err(wrong("it names too many hosts")) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Place, ClusterError> {
        Place::parse(url, &ClusterTls::default())
    }

    fn texts(addresses: &[Address]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn servers_are_read_and_never_show_their_password() {
        let Place::Servers(servers) = parse("redis://ann:s3%40ret@cache.example:7000,[::1],b/3").unwrap()
        else {
            panic!("servers")
        };
        assert_eq!(texts(&servers), ["cache.example:7000", "[::1]:6379", "b:6379"]);
        let login = &servers[0].login;
        assert_eq!((login.username.as_deref(), login.database), (Some("ann"), 3));
        assert_eq!(login.password.as_ref().map(Password::reveal), Some("s3@ret"));
        assert!(!format!("{servers:?}").contains("s3"));
        let Place::Servers(servers) = parse("valkey://:secret@[::1]:7").unwrap() else { panic!("servers") };
        assert_eq!((texts(&servers), &servers[0].login.username), (vec!["[::1]:7".to_owned()], &None));
    }

    #[test]
    fn sentinels_are_read_with_the_name_of_their_master() {
        let url = "redis-sentinel://ann:secret@a,b:7,[::1]/2?sentinel_password=other#mymaster";
        let Place::Sentinels { sentinels, name, login } = parse(url).unwrap() else { panic!("sentinels") };
        assert_eq!(texts(&sentinels), ["a:26379", "b:7", "[::1]:26379"]);
        assert_eq!((&*name, login.username.as_deref(), login.database), ("mymaster", Some("ann"), 2));
        let of = |login: &Login| login.password.as_ref().map(|password| password.reveal().to_owned());
        assert_eq!((of(&login), of(&sentinels[0].login)), (Some("secret".into()), Some("other".into())));
        assert_eq!((&sentinels[0].login.username, sentinels[0].login.database), (&None, 0));
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for url in [
            "",
            "lobby",
            "http://ann:s3cret@host",
            "redis://ann:s3cret@host:port",
            "redis://:s3cret@",
            "redis://:s3cret@a,,b",
            "redis://:s3cret@host/x",
            "redis://:s3cret@host?db=1",
            "redis://:s3cret@host#mymaster",
            "redis-sentinel://:s3cret@host",
            "redis-sentinel://:s3cret@host?password=s3cret#mymaster",
            "unix:///s3cret",
        ] {
            let refused = parse(url).unwrap_err().to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
