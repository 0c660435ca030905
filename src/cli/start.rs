//! What the log says first: which server this is, where it listens, where it keeps rooms, and who may connect.

use crate::config::{Config, Listen, Place};
use crate::http::Origins;

/// One line; a warning where every client that reaches an address may connect, and other machines reach it.
pub(super) fn report(config: &Config, listeners: &[Listen], admin_listeners: &[Listen]) {
    let version = env!("CARGO_PKG_VERSION");
    let urls = |listeners: &[Listen]| listeners.iter().map(Listen::url).collect::<Vec<_>>().join(" ");
    let (addresses, admin) = (urls(listeners), Some(urls(admin_listeners)).filter(|urls| !urls.is_empty()));
    let data = data(config);
    let own = config
        .cluster
        .url
        .as_ref()
        .map(|_| "/ws/raw, /room, STOMP queues, limits and rates are this node's own");
    let access = access(config);
    let origins = origins(config);
    if !config.auth.is_on() && listeners.iter().chain(admin_listeners).any(is_public) {
        let hint = "set auth.jwt_secret, auth.jwt_public_key_file or auth.jwks_file, or listen on 127.0.0.1";
        tracing::warn!(
            version,
            addresses,
            admin,
            data,
            own,
            access,
            origins,
            hint,
            "started, open to everybody"
        );
    } else {
        tracing::info!(version, addresses, admin, data, own, access, origins, "started");
    }
}

/// Where the chat rooms are.
fn data(config: &Config) -> String {
    match (&config.cluster.url, &config.store.url) {
        (Some(url), _) => format!("cluster at {}", hosts(url.reveal())),
        (None, Some(url)) => format!("database at {}", hosts(url.reveal())),
        (None, None) if config.memory => "none, in memory".to_owned(),
        (None, None) => config.data.display().to_string(),
    }
}

/// What a URL says of hosts: not what stands before them or behind `?`, which may be passwords.
fn hosts(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, name) = rest.split_once('#').map_or((rest, None), |(rest, name)| (rest, Some(name)));
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
    name.map_or_else(|| hosts.to_owned(), |name| format!("{hosts} (master {name})"))
}

/// Who may connect.
fn access(config: &Config) -> &'static str {
    let auth = &config.auth;
    match (&auth.jwt_secret, &auth.jwt_public_key_file, &auth.jwks_file) {
        (Some(_), ..) => "holders of a token signed with auth.jwt_secret",
        (None, Some(_), _) => "holders of a token signed for auth.jwt_public_key_file",
        (None, None, Some(_)) => "holders of a token signed for auth.jwks_file",
        (None, None, None) => "everybody",
    }
}

/// Which web pages may connect.
fn origins(config: &Config) -> String {
    let all = match &config.origins.allowed {
        Origins::SameOrigin => "same-origin".to_owned(),
        Origins::Any => "*".to_owned(),
        Origins::List(origins) => origins.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    if config.origins.endpoints.is_empty() { all } else { all + ", single paths otherwise" }
}

/// Whether other machines can reach it.
fn is_public(listen: &Listen) -> bool {
    match &listen.place {
        Place::Tcp(address) => !address.ip().to_canonical().is_loopback(),
        Place::Name { .. } => true,
        Place::Unix(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::hosts;

    #[test]
    fn no_password_of_a_url_is_shown() {
        for (url, shown) in [
            ("redis://a:7", "a:7"),
            ("rediss://ann:s3@cret@a:7,b:8/3", "a:7,b:8/3"),
            ("redis-sentinel://:s3cret@a,b/0?sentinel_password=s3@cret#mymaster", "a,b/0 (master mymaster)"),
        ] {
            assert_eq!(hosts(url), shown);
        }
    }
}
