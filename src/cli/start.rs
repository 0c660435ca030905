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
        // What stands before the host may be a password.
        (Some(url), _) => {
            let rest = url.reveal().trim_start_matches("redis://");
            format!("cluster at {}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
        }
        (None, Some(url)) => {
            let (scheme, rest) = url.reveal().split_once("://").unwrap_or_default();
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            format!("{scheme}://{}", place.split('?').next().unwrap_or(place))
        }
        (None, None) if config.memory => "none, in memory".to_owned(),
        (None, None) => config.data.display().to_string(),
    }
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
