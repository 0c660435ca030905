use std::io::Write;
use std::time::Duration;

use super::*;
use crate::config::{OnLag, Secret};
use crate::http::Origins;

fn load(text: &str, variables: &[(&str, &str)], flags: &[Flag<'_>]) -> Result<Config, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let path = file.path();
    Config::load(Some(path), variables, flags)
        .map_err(|error| error.to_string().replace(&path.display().to_string(), "f.toml"))
}

fn flag(key: &'static str, value: &str) -> Flag<'static> {
    Flag { name: "--flag", key, value: value.to_owned() }
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(load("", &[], &[]), Ok(Config::default()));
    assert_eq!(Config::load(None, [], &[]), Ok(Config::default()));
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = Config::default();
    assert_eq!(config.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!((config.limits.message_bytes, config.limits.request_head_bytes), (65_536, 16_384));
    assert_eq!(config.limits.body_bytes, 1 << 20);
    assert_eq!(config.limits.handshake_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.tls_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.close_timeout, Duration::from_secs(5));
    assert_eq!(config.heartbeat.ping_interval, Duration::from_secs(30));
    assert_eq!(config.heartbeat.idle_timeout, Duration::from_secs(75));
    assert_eq!(config.heartbeat.text_interval, Duration::from_secs(25));
    assert_eq!((config.rooms.window_messages, config.rooms.window_bytes), (256, 1 << 20));
    assert_eq!((config.deflate.enabled, config.deflate.threshold), (true, 1024));
    assert!(!config.deflate.server_context_takeover && !config.deflate.client_context_takeover);
    assert_eq!(config.shutdown.grace, Duration::from_secs(10));
    assert_eq!(config.origins.allowed, Origins::SameOrigin);
}

#[test]
fn what_is_printed_reads_back() {
    assert_eq!(load(&Config::default().to_toml(), &[], &[]), Ok(Config::default()));
    let text = "listen = [\"0.0.0.0:0\", \"[::1]:80\", \"unix:a\"]\nunix_mode = \"600\"\nworkers = 3\nlog = \"warn,foghorn=debug\"\n\
        [limits]\nmessage_bytes = \"1000 B\"\nconnections = 7\n[heartbeat]\ntext_interval = 0\n\
        [rooms]\non_lag = \"close\"\n[chat]\njoin_notice = \"\\\"{username}\\\" → \\\\in\"\n\
        [proxy]\ntrusted = [\"10.0.0.0/8\", \"::1\"]\nprotocol = true\n\
        [origins]\nallowed = [\"https://a\", \"http://b:81\"]\n";
    let config = load(text, &[], &[]).unwrap();
    assert_ne!(config, Config::default());
    assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
}

#[test]
fn what_a_program_has_put_together_obeys_the_rules_of_a_file() {
    let check = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(|_| ()), Ok(()));
    assert_eq!(check(|config| config.auth.jwt_secret = Some(Secret::new("\"\n\\ü\u{7}"))), Ok(()));
    assert_eq!(check(|config| config.limits.message_bytes = 256 << 20), Ok(()));
    let problem = check(|config| config.deflate.level = 12).unwrap_err();
    assert!(problem.starts_with("configuration: deflate.level: "), "{problem}");
    let problem = check(|config| config.heartbeat.idle_timeout = Duration::from_secs(1)).unwrap_err();
    assert!(problem.contains("longer than ping_interval"), "{problem}");
}

#[test]
fn every_key_is_printed_once_under_a_comment() {
    let text = Config::default().to_toml();
    let mut config = Config::default();
    let mut keys = config.keys().to_vec();
    for table in config.tables() {
        assert_eq!(text.matches(&format!("\n[{table}]\n")).count(), 1, "{table}");
        keys.extend(config.table(table).unwrap().keys());
    }
    for key in &keys {
        let lines: Vec<_> = text.lines().collect();
        let at: Vec<_> = (0..lines.len())
            .filter(|&at| lines[at].trim_start_matches("# ").starts_with(&format!("{key} = ")))
            .collect();
        // Two tables may have a key of the same name.
        assert_eq!(at.len(), keys.iter().filter(|other| *other == key).count(), "{key}");
        assert!(at.iter().all(|&at| lines[at - 1].starts_with("# ")), "{key}");
    }
}

#[test]
fn the_command_line_overrules_the_environment_and_that_the_file() {
    let file = "workers = 1\n[limits]\nconnections = 1\nrooms = 1\n";
    let variables = [("FOGHORN_WORKERS", "2"), ("FOGHORN_LIMITS_CONNECTIONS", "2"), ("HOME", "/")];
    let config = load(file, &variables, &[flag("workers", "3")]).unwrap();
    assert_eq!(config.workers, Some(3));
    assert_eq!((config.limits.connections, config.limits.rooms), (2, 1));
    assert_eq!(config.limits.message_bytes, 65_536);
}

#[test]
fn words_without_types_are_read_as_their_key_demands() {
    let variables = [
        ("FOGHORN_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("FOGHORN_LOG", "debug"),
        ("FOGHORN_LIMITS_MESSAGE_BYTES", "2 MiB"),
        ("FOGHORN_HEARTBEAT_TEXT_INTERVAL", "0"),
        ("FOGHORN_ROOMS_ON_LAG", "close"),
        ("FOGHORN_ORIGINS_ALLOWED", "https://a,http://b"),
    ];
    let config = load("", &variables, &[flag("shutdown.grace", "1min")]).unwrap();
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.log, "debug");
    assert_eq!(config.limits.message_bytes, 2 << 20);
    assert_eq!(config.heartbeat.text_interval, Duration::ZERO);
    assert_eq!(config.rooms.on_lag, OnLag::Close);
    assert_eq!(config.origins.allowed, Origins::parse(&["https://a", "http://b"]).unwrap());
    assert_eq!(config.shutdown.grace, Duration::from_secs(60));
}

#[test]
fn one_value_stands_for_a_list_of_one() {
    let config = load("listen = \"127.0.0.1:1\"\n[origins]\nallowed = \"*\"", &[], &[]).unwrap();
    assert_eq!(config.listen.len(), 1);
    assert_eq!(config.origins.allowed, Origins::Any);
}

fn assert_refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let error = load(text, &[], &[]).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn an_unknown_name_is_refused_with_its_line_and_the_known_ones() {
    assert_refused(&[
        (
            "\nworker = 1",
            "f.toml:2: worker: unknown key, did you mean workers?; known here: listen, unix_mode, workers, data, memory, log",
        ),
        (
            "[limits]\n\nmessage_byte = 1",
            "f.toml:3: limits.message_byte: unknown key, did you mean message_bytes?; known here: message_bytes, ",
        ),
        (
            "[limit]\nrooms = 1",
            "f.toml:1: limit: unknown table, did you mean limits?; known here: tls, proxy, limits, ",
        ),
        ("[limits.more]\na = 1", "f.toml:1: limits.more: unknown key; known here: message_bytes"),
        ("limits = 1", "f.toml:1: limits: is a table: write [limits] on a line of its own"),
        ("[[limits]]\nrooms = 1", "f.toml:1: limits: is a table: "),
        ("workers = 1\nworkers = 2", "f.toml:2: duplicate key"),
        ("workers = ", "f.toml:1: "),
    ]);
}

#[test]
fn a_wrong_value_is_refused_with_its_line_its_key_and_the_remedy() {
    assert_refused(&[
        ("workers = 1025", "f.toml:1: workers: must be between 0 and 1024"),
        ("workers = -1", "f.toml:1: workers: number is out of range"),
        ("workers = \"2\"", "f.toml:1: workers: expected a whole number, found string"),
        ("workers = 1.5", "f.toml:1: workers: expected a whole number, found float"),
        ("log = 1", "f.toml:1: log: expected text in quotes, found integer"),
        ("log = \"foghorn=loud\"", "f.toml:1: log: \"foghorn=loud\" is not a filter like \"info\""),
        ("listen = []", "f.toml:1: listen: needs at least one address like \"127.0.0.1:8080\""),
        ("listen = [\"localhost\"]", "f.toml:1: listen: \"localhost\" is not an address like "),
        ("listen = [8080]", "f.toml:1: listen: expected texts in the list, found integer"),
        (
            "[limits]\nmessage_bytes = 65536",
            "f.toml:2: limits.message_bytes: expected text in quotes, found integer",
        ),
        (
            "[limits]\nmessage_bytes = \"64 KB\"",
            "f.toml:2: limits.message_bytes: \"64 KB\" is not a size like ",
        ),
        (
            "[limits]\nmessage_bytes = \"1 B\"",
            "f.toml:2: limits.message_bytes: must be between \"125 B\" and \"256 MiB\"",
        ),
        ("[limits]\nclose_timeout = 5", "f.toml:2: limits.close_timeout: expected text in quotes"),
        ("[limits]\nclose_timeout = \"5\"", "f.toml:2: limits.close_timeout: \"5\" is not a duration like "),
        (
            "[limits]\nclose_timeout = 0",
            "f.toml:2: limits.close_timeout: must be between \"10ms\" and \"1d\"",
        ),
        (
            "[heartbeat]\ntext_interval = \"1ms\"",
            "f.toml:2: heartbeat.text_interval: must be between \"10ms\" and \"1d\", or 0",
        ),
        (
            "[rooms]\non_lag = \"drop\"",
            "f.toml:2: rooms.on_lag: must be \"catch-up\" or \"gap\" or \"close\", not \"drop\"",
        ),
        (
            "[chat]\njoin_notice = \"{user}\"",
            "f.toml:2: chat.join_notice: the only placeholder is {username}",
        ),
        (
            "[chat]\njoin_notice = \"a\\nb\"",
            "f.toml:2: chat.join_notice: must be one line of at most 256 bytes",
        ),
        (
            "[origins]\nallowed = [\"a.example\"]",
            "f.toml:2: origins.allowed: \"a.example\" is not an origin like ",
        ),
        (
            "[origins]\nallowed = [\"*\", \"http://a\"]",
            "f.toml:2: origins.allowed: \"*\" is not an origin like ",
        ),
    ]);
}

#[test]
fn a_wrong_variable_or_option_is_named() {
    let error = load("", &[("FOGHORN_WORKERS", "many")], &[]).unwrap_err();
    assert_eq!(
        error,
        "environment variable FOGHORN_WORKERS: workers: expected a whole number, found \"many\""
    );
    let error = load("", &[("FOGHORN_LIMITS_ROMS", "1")], &[]).unwrap_err();
    assert!(
        error.starts_with(
            "environment variable FOGHORN_LIMITS_ROMS: limits.roms: unknown key, did you mean rooms?; "
        ),
        "{error}"
    );
    let error = load("", &[], &[flag("workers", "+1")]).unwrap_err();
    assert_eq!(error, "option --flag: workers: expected a whole number, found \"+1\"");
    let error = load("", &[], &[flag("limit.rooms", "1")]).unwrap_err();
    assert!(
        error.starts_with("option --flag: limit.rooms: unknown table, did you mean limits?; "),
        "{error}"
    );
}

#[test]
fn variables_of_others_pass() {
    let variables =
        [("FOGHORN_PORT", "tcp://10.0.0.1:80"), ("FOGHORN_SERVICE_HOST", "10.0.0.1"), ("LOG", "x")];
    assert_eq!(load("", &variables, &[]), Ok(Config::default()));
}

#[test]
fn a_session_must_be_pinged_before_it_is_idle() {
    let error = load("[heartbeat]\nidle_timeout = \"30s\"", &[], &[]).unwrap_err();
    assert!(error.starts_with("f.toml:2: heartbeat.idle_timeout: idle_timeout must be longer"), "{error}");
    let error = load("", &[("FOGHORN_HEARTBEAT_PING_INTERVAL", "2min")], &[]).unwrap_err();
    assert!(error.contains("FOGHORN_HEARTBEAT_PING_INTERVAL: heartbeat.ping_interval: "), "{error}");
}

#[test]
fn tls_needs_a_certificate_and_its_key() {
    let files = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
    let config = load(&format!("listen = \"tls:127.0.0.1:1\"\n{files}"), &[], &[]).unwrap();
    assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
    assert_refused(&[
        ("[tls]\nkey = \"k.pem\"", "f.toml:2: tls.key: tls.certificate and tls.key are of use only together"),
        ("listen = [\"[::]:1\", \"tls:[::]:2\"]", "f.toml:1: listen: TLS needs tls.certificate and tls.key"),
        ("[tls]\nkey = \"\"", "f.toml:2: tls.key: must name a file"),
        ("unix_mode = \"+66\"", "f.toml:1: unix_mode: \"+66\" is not a mode like \"660\""),
        ("unix_mode = \"1777\"", "f.toml:1: unix_mode: \"1777\" is not a mode like \"660\""),
        (
            "[proxy]\ntrusted = [\"10.0.0.1/8\"]",
            "f.toml:2: proxy.trusted: \"10.0.0.1/8\" is not a network like ",
        ),
    ]);
}

#[test]
fn tokens_have_one_source_of_keys() {
    assert!(!load("", &[], &[]).unwrap().auth.is_on());
    let config = load("[auth]\njwks_file = \"k.json\"\naudience = \"a\"\nleeway = \"5s\"", &[], &[]).unwrap();
    assert!(config.auth.is_on());
    assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
    let variables = [("FOGHORN_AUTH_JWT_SECRET", "hush"), ("FOGHORN_AUTH_JWT_ALGORITHM", "HS512")];
    let config = load("", &variables, &[]).unwrap();
    assert_eq!(config.auth.jwt_secret.as_ref().map(Secret::reveal), Some("hush"));
    assert!(!format!("{config:?}").contains("hush"));
    assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
    let error = load("[auth]\njwks_file = \"k.json\"", &variables[..1], &[]).unwrap_err();
    let expected = "environment variable FOGHORN_AUTH_JWT_SECRET: auth.jwt_secret: only one of jwt_secret, ";
    assert!(error.starts_with(expected), "{error}");
    assert_refused(&[
        (
            "[auth]\njwt_public_key_file = \"k\"\njwt_secret = \"s\"",
            "f.toml:3: auth.jwt_secret: only one of ",
        ),
        (
            "[auth]\njwks_file = \"k\"\njwt_algorithm = \"HS384\"",
            "f.toml:3: auth.jwt_algorithm: counts for jwt_secret only",
        ),
        ("[auth]\njwt_secret = \"\"", "f.toml:2: auth.jwt_secret: must not be empty"),
        ("[metrics]\ntoken = \"\"", "f.toml:2: metrics.token: must not be empty"),
        ("[metrics]\ntoken = \"a b\"", "f.toml:2: metrics.token: must be printable ASCII without spaces"),
        ("[auth]\naudience = \"a\"", "f.toml:2: auth.audience: needs a jwt_secret, "),
        ("[auth]\njwks_file = \"\"", "f.toml:2: auth.jwks_file: must name a file"),
        ("[auth]\naudience = \"\"", "f.toml:2: auth.audience: must not be empty"),
        ("[auth]\njwt_algorithm = \"none\"", "f.toml:2: auth.jwt_algorithm: must be \"HS256\" or "),
        ("[auth]\nleeway = \"11min\"", "f.toml:2: auth.leeway: must be between \"1s\" and \"10min\", or 0"),
        ("[auth]\npending_connections = 0", "f.toml:2: auth.pending_connections: must be between 1 and "),
    ]);
}

#[test]
fn single_paths_have_origins_of_their_own() {
    let text = "[origins.endpoints]\n\"/ws/chat\" = [\"https://a\", \"https://b\"]\n\"/api/\" = \"*\"\n";
    let expected = vec![
        ("/api/".to_owned(), Origins::Any),
        ("/ws/chat".to_owned(), Origins::parse(&["https://a", "https://b"]).unwrap()),
    ];
    let config = load(text, &[], &[]).unwrap();
    assert_eq!(config.origins.endpoints, expected);
    assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
    let word = "/ws/chat=https://a https://b, /api/=*";
    let config = load("", &[("FOGHORN_ORIGINS_ENDPOINTS", word)], &[]).unwrap();
    assert_eq!(config.origins.endpoints, expected);
    assert!(load("", &[("FOGHORN_ORIGINS_ENDPOINTS", "/a=*,/a=*")], &[]).is_err());
    assert!(load("", &[("FOGHORN_ORIGINS_ENDPOINTS", "/a")], &[]).is_err());
    assert_refused(&[
        ("[origins]\nendpoints = 1", "f.toml:2: origins.endpoints: expected a table of paths"),
        ("[origins]\nendpoints = { a = \"*\" }", "f.toml:2: origins.endpoints: \"a\" is not a path like "),
        ("[origins.endpoints]\n\"/a\" = \"b\"", "f.toml:1: origins.endpoints: \"b\" is not an origin like "),
    ]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Some(Path::new("no/such/file.toml")), [], &[]).unwrap_err();
    assert!(error.to_string().starts_with("no/such/file.toml: cannot be read: "), "{error}");
}
