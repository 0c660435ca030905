//! Layers one source over the other: defaults, file, environment, command line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{VARIABLE_PREFIX, is_of_others};
use super::error::Place;
use super::kind::Given;
use super::section::{Refusal, Section};
use super::suggestion::nearest;
use super::{Auth, Config, ConfigError, Stomp};

/// An option given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag<'f> {
    /// The option as the user wrote it, such as `--listen`.
    pub name: &'f str,
    /// The key it overrules, such as `listen` or `limits.message_bytes`.
    pub key: &'f str,
    /// Its value; the values of a list are joined by commas.
    pub value: String,
}

impl Config {
    /// Loads the configuration from its sources. Apart from the file it depends on its arguments alone.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[Flag<'_>],
    ) -> Result<Config, ConfigError> {
        let mut layers = Layers { config: Config::default(), places: Vec::new() };
        if let Some(path) = file {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
                place: Place::File { path: name.clone() },
                key: None,
                problem: format!(
                    "cannot be read: {error}; `foghorn config default` prints a file to begin with"
                ),
            })?;
            layers.file(&name, &text)?;
        }
        layers.environment(environment)?;
        layers.flags(flags)?;
        layers.finish()
    }

    /// Reads a configuration from the text of a file, which errors call `name`.
    ///
    /// # Errors
    /// [`ConfigError`], as for a file.
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        let mut layers = Layers { config: Config::default(), places: Vec::new() };
        layers.file(name, text)?;
        layers.finish()
    }

    /// Whether every value is one that a file could have, for a configuration that a program has put together.
    ///
    /// # Errors
    /// [`ConfigError`] names the first key that is out of its range, or that contradicts another one.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut layers = Layers { config: Config::default(), places: Vec::new() };
        // One set of rules for both: what can be written and read back breaks none.
        let checked = layers.file("", &self.to_toml()).and_then(|()| layers.finish());
        checked.map(drop).map_err(|error| ConfigError { place: Place::Program, ..error })
    }
}

/// The configuration as far as it was read.
struct Layers {
    config: Config,
    /// Where each key that is not at its default was set; the last entry of a key counts.
    places: Vec<(String, Place)>,
}

impl Layers {
    fn file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let line_of = |at: usize| Place::Line {
            path: path.to_owned(),
            line: 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count(),
        };
        let root = DeTable::parse(text).map_err(|error| ConfigError {
            place: line_of(error.span().map_or(0, |span| span.start)),
            key: None,
            problem: error.message().to_owned(),
        })?;
        for (name, value) in root.get_ref() {
            let table = name.get_ref().as_ref();
            let place = line_of(name.span().start);
            if !self.config.tables().contains(&table) {
                self.set("", table, &Given::Toml(value.get_ref()), place)?;
                continue;
            }
            let Some(keys) = value.get_ref().as_table() else {
                let problem =
                    format!("is a table: write [{table}] on a line of its own, and its keys under it");
                return Err(ConfigError::new(place, table, problem));
            };
            self.table(table, keys, line_of)?;
        }
        Ok(())
    }

    fn table(
        &mut self,
        table: &str,
        keys: &DeTable<'_>,
        line_of: impl Fn(usize) -> Place,
    ) -> Result<(), ConfigError> {
        keys.iter().try_for_each(|(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            self.set(table, key.get_ref().as_ref(), &Given::Toml(value.get_ref()), line_of(key.span().start))
        })
    }

    /// A variable of ours that names no key is a slip of the pen, unless it is known to be somebody else's.
    fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let place = Place::Variable { name: name.clone() };
            let key = rest.to_ascii_lowercase();
            let tables = self.config.tables();
            let in_table = tables.iter().find_map(|table| Some((*table, in_table(&key, table)?)));
            if self.config.keys().contains(&key.as_str()) {
                self.set("", &key, &Given::Word(&value), place)?;
            } else if let Some((table, key)) = in_table {
                self.set(table, key, &Given::Word(&value), place)?;
            } else if !is_of_others(rest) {
                return Err(ConfigError { place, key: None, problem: self.unknown_variable(&key) });
            }
        }
        Ok(())
    }

    fn unknown_variable(&mut self, key: &str) -> String {
        let paths = self.paths();
        let names: Vec<_> = paths.iter().map(|path| path.replace('.', "_")).collect();
        let similar = nearest(key, names.iter().map(String::as_str));
        let similar = similar.map(|name| format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase()));
        "there is no such key".to_owned() + &did_you_mean(similar.as_deref())
    }

    /// All keys, with their tables.
    fn paths(&mut self) -> Vec<String> {
        let mut paths: Vec<_> = self.config.keys().iter().map(|&key| key.to_owned()).collect();
        for table in self.config.tables() {
            let keys = self.config.table(table).map_or(&[][..], |section| section.keys());
            paths.extend(keys.iter().map(|key| format!("{table}.{key}")));
        }
        paths
    }

    /// The key that was meant: one of this table, or of the same name in another.
    fn similar_key(&mut self, key: &str, known: &[&str]) -> Option<String> {
        let elsewhere = |path: &String| path.rsplit('.').next() == Some(key);
        let paths = self.paths();
        nearest(key, known.iter().copied())
            .map(str::to_owned)
            .or_else(|| paths.iter().find(|path| elsewhere(path)).cloned())
            .or_else(|| nearest(key, paths.iter().map(String::as_str)).map(str::to_owned))
    }

    fn flags(&mut self, flags: &[Flag<'_>]) -> Result<(), ConfigError> {
        flags.iter().try_for_each(|flag| {
            let (table, key) = flag.key.split_once('.').unwrap_or(("", flag.key));
            let place = Place::Flag { name: flag.name.to_owned() };
            self.set(table, key, &Given::Word(&flag.value), place)
        })
    }

    /// Sets one key; `table` is empty for the keys above all tables.
    fn set(&mut self, table: &str, key: &str, given: &Given<'_>, place: Place) -> Result<(), ConfigError> {
        let path = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
        let tables = self.config.tables();
        let section: &mut dyn Section = match table {
            "" => &mut self.config,
            name => match self.config.table(name) {
                Some(section) => section,
                None => {
                    let similar = nearest(name, tables.iter().copied());
                    return Err(ConfigError::new(place, &path, unknown("table", similar, tables)));
                }
            },
        };
        match section.set(key, given) {
            Ok(()) => {
                self.places.push((path, place));
                Ok(())
            }
            Err(Refusal::Value(problem)) => Err(ConfigError::new(place, &path, problem)),
            Err(Refusal::Unknown) => {
                let keys = section.keys();
                let is_table = matches!(given, Given::Toml(value) if value.is_table() || value.is_array());
                let problem = if table.is_empty() && is_table {
                    unknown("table", nearest(key, tables.iter().copied()), tables)
                } else {
                    unknown("key", self.similar_key(key, keys).as_deref(), keys)
                };
                Err(ConfigError::new(place, &path, problem))
            }
        }
    }

    /// Checks what no key can check by itself.
    fn finish(self) -> Result<Config, ConfigError> {
        self.check_heartbeat()?;
        self.check_keys()?;
        self.check_tls()?;
        self.check_features()?;
        Ok(self.config)
    }

    /// An option of a part that is not there must not look as if it did something.
    fn check_features(&self) -> Result<(), ConfigError> {
        let Config { tls, auth, stomp, listen, .. } = &self.config;
        let speaks_tls = listen.iter().any(|listen| listen.tls) || tls.certificate.is_some();
        let wanted = [
            ("tls", cfg!(feature = "tls"), speaks_tls, &["listen", "tls."][..]),
            ("auth", cfg!(feature = "auth"), auth.is_on(), &["auth."]),
            ("stomp", cfg!(feature = "stomp"), *stomp != Stomp::default(), &["stomp."]),
        ];
        for (feature, is_there, is_wanted, keys) in wanted {
            let named = |(key, _): &&(String, Place)| keys.iter().any(|start| key.starts_with(start));
            if is_wanted
                && !is_there
                && let Some((key, place)) = self.places.iter().rev().find(named)
            {
                let problem = format!("this program was built without the feature `{feature}`");
                return Err(ConfigError::new(place.clone(), key, problem));
            }
        }
        Ok(())
    }

    /// The key of these that was set last, and where.
    fn last_of(&self, keys: &[&str]) -> Option<(&str, &Place)> {
        let set = self.places.iter().rev().find(|(key, _)| keys.contains(&key.as_str()));
        set.map(|(key, place)| (key.as_str(), place))
    }

    fn check_heartbeat(&self) -> Result<(), ConfigError> {
        let heartbeat = &self.config.heartbeat;
        // The defaults agree: only a key that was set can break the rule.
        match self.last_of(&["heartbeat.idle_timeout", "heartbeat.ping_interval"]) {
            Some((key, place)) if heartbeat.idle_timeout <= heartbeat.ping_interval => {
                let problem =
                    "idle_timeout must be longer than ping_interval, or sessions end before they can answer";
                Err(ConfigError::new(place.clone(), key, problem))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_tls(&self) -> Result<(), ConfigError> {
        let tls = &self.config.tls;
        if tls.certificate.is_some() != tls.key.is_some()
            && let Some((key, place)) = self.last_of(&["tls.certificate", "tls.key"])
        {
            let problem = "tls.certificate and tls.key are of use only together";
            return Err(ConfigError::new(place.clone(), key, problem));
        }
        if tls.certificate.is_none()
            && self.config.listen.iter().any(|listen| listen.tls)
            && let Some((key, place)) = self.last_of(&["listen"])
        {
            return Err(ConfigError::new(place.clone(), key, "TLS needs tls.certificate and tls.key"));
        }
        Ok(())
    }

    /// Two sources of keys would leave open which of them a token has to be signed with.
    fn check_keys(&self) -> Result<(), ConfigError> {
        let auth = &self.config.auth;
        let sources = ["auth.jwt_secret", "auth.jwt_public_key_file", "auth.jwks_file"];
        let given = [auth.jwt_secret.is_some(), auth.jwt_public_key_file.is_some(), auth.jwks_file.is_some()];
        if let Some((key, place)) = self.last_of(&sources)
            && given.iter().filter(|given| **given).count() > 1
        {
            let problem = "only one of jwt_secret, jwt_public_key_file and jwks_file can be set";
            return Err(ConfigError::new(place.clone(), key, problem));
        }
        if let Some((key, place)) = self.last_of(&["auth.audience", "auth.issuer"])
            && !auth.is_on()
        {
            let problem = "needs a jwt_secret, jwt_public_key_file or jwks_file: without one nobody is asked for a token";
            return Err(ConfigError::new(place.clone(), key, problem));
        }
        // Elsewhere the kind of the key decides, and a word that changes nothing would look as if it did.
        if let Some((key, place)) = self.last_of(&["auth.jwt_algorithm"])
            && auth.is_on()
            && auth.jwt_secret.is_none()
            && auth.jwt_algorithm != Auth::default().jwt_algorithm
        {
            let problem = "counts for jwt_secret only; with public keys, their kind decides";
            return Err(ConfigError::new(place.clone(), key, problem));
        }
        Ok(())
    }
}

/// What follows the table's name and an underscore.
fn in_table<'n>(name: &'n str, table: &str) -> Option<&'n str> {
    name.strip_prefix(table)?.strip_prefix('_')
}

fn unknown(what: &str, similar: Option<&str>, known: &[&str]) -> String {
    format!("unknown {what}{}; known here: {}", did_you_mean(similar), known.join(", "))
}

fn did_you_mean(similar: Option<&str>) -> String {
    similar.map_or(String::new(), |name| format!(", did you mean {name}?"))
}

#[cfg(all(test, feature = "auth", feature = "stomp", feature = "tls"))]
mod tests {
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
            (
                "[limits]\nclose_timeout = \"5\"",
                "f.toml:2: limits.close_timeout: \"5\" is not a duration like ",
            ),
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
        assert!(
            error.starts_with("f.toml:2: heartbeat.idle_timeout: idle_timeout must be longer"),
            "{error}"
        );
        let error = load("", &[("FOGHORN_HEARTBEAT_PING_INTERVAL", "2min")], &[]).unwrap_err();
        assert!(error.contains("FOGHORN_HEARTBEAT_PING_INTERVAL: heartbeat.ping_interval: "), "{error}");
    }

    #[test]
    fn tls_needs_a_certificate_and_its_key() {
        let files = "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n";
        let config = load(&format!("listen = \"tls:127.0.0.1:1\"\n{files}"), &[], &[]).unwrap();
        assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
        assert_refused(&[
            (
                "[tls]\nkey = \"k.pem\"",
                "f.toml:2: tls.key: tls.certificate and tls.key are of use only together",
            ),
            (
                "listen = [\"[::]:1\", \"tls:[::]:2\"]",
                "f.toml:1: listen: TLS needs tls.certificate and tls.key",
            ),
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
        let config =
            load("[auth]\njwks_file = \"k.json\"\naudience = \"a\"\nleeway = \"5s\"", &[], &[]).unwrap();
        assert!(config.auth.is_on());
        assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
        let variables = [("FOGHORN_AUTH_JWT_SECRET", "hush"), ("FOGHORN_AUTH_JWT_ALGORITHM", "HS512")];
        let config = load("", &variables, &[]).unwrap();
        assert_eq!(config.auth.jwt_secret.as_ref().map(Secret::reveal), Some("hush"));
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(load(&config.to_toml(), &[], &[]), Ok(config));
        let error = load("[auth]\njwks_file = \"k.json\"", &variables[..1], &[]).unwrap_err();
        let expected =
            "environment variable FOGHORN_AUTH_JWT_SECRET: auth.jwt_secret: only one of jwt_secret, ";
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
            ("[auth]\naudience = \"a\"", "f.toml:2: auth.audience: needs a jwt_secret, "),
            ("[auth]\njwks_file = \"\"", "f.toml:2: auth.jwks_file: must name a file"),
            ("[auth]\naudience = \"\"", "f.toml:2: auth.audience: must not be empty"),
            ("[auth]\njwt_algorithm = \"none\"", "f.toml:2: auth.jwt_algorithm: must be \"HS256\" or "),
            (
                "[auth]\nleeway = \"11min\"",
                "f.toml:2: auth.leeway: must be between \"1s\" and \"10min\", or 0",
            ),
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
            (
                "[origins]\nendpoints = { a = \"*\" }",
                "f.toml:2: origins.endpoints: \"a\" is not a path like ",
            ),
            (
                "[origins.endpoints]\n\"/a\" = \"b\"",
                "f.toml:1: origins.endpoints: \"b\" is not an origin like ",
            ),
        ]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Config::load(Some(Path::new("no/such/file.toml")), [], &[]).unwrap_err();
        assert!(error.to_string().starts_with("no/such/file.toml: cannot be read: "), "{error}");
    }
}
