//! Layers one source over the other: defaults, file, environment, command line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::{VARIABLE_PREFIX, in_full, is_of_others};
use super::error::Origin;
use super::section::{Refusal, Section};
use super::suggestion::nearest;
use super::value::RawValue;
use super::{Auth, Config, ConfigError, Listen, Stomp};

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
                origin: Origin::File { path: name.clone() },
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
        checked.map(drop).map_err(|error| ConfigError { origin: Origin::Program, ..error })
    }
}

/// The configuration as far as it was read.
struct Layers {
    config: Config,
    /// Where each key that is not at its default was set; the last entry of a key counts.
    places: Vec<(String, Origin)>,
}

impl Layers {
    fn file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let line_of = |at: usize| Origin::Line {
            path: path.to_owned(),
            line: 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count(),
        };
        let root = DeTable::parse(text).map_err(|error| ConfigError {
            origin: line_of(error.span().map_or(0, |span| span.start)),
            key: None,
            problem: error.message().to_owned(),
        })?;
        for (name, value) in root.get_ref() {
            let table = name.get_ref().as_ref();
            let origin = line_of(name.span().start);
            if !self.config.tables().contains(&table) {
                self.set("", table, &RawValue::Toml(value.get_ref()), origin)?;
                continue;
            }
            let Some(keys) = value.get_ref().as_table() else {
                let problem =
                    format!("is a table: write [{table}] on a line of its own, and its keys under it");
                return Err(ConfigError::new(origin, table, problem));
            };
            self.table(table, keys, line_of)?;
        }
        Ok(())
    }

    fn table(
        &mut self,
        table: &str,
        keys: &DeTable<'_>,
        line_of: impl Fn(usize) -> Origin,
    ) -> Result<(), ConfigError> {
        keys.iter().try_for_each(|(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            self.set(
                table,
                key.get_ref().as_ref(),
                &RawValue::Toml(value.get_ref()),
                line_of(key.span().start),
            )
        })
    }

    /// A variable of ours that names no key is a slip of the pen, unless another program is known to read it.
    fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
            let origin = Origin::Variable { name: name.clone() };
            let key = rest.to_ascii_lowercase();
            let key = in_full(&key).to_owned();
            let tables = self.config.tables();
            let in_table = tables.iter().find_map(|table| Some((*table, in_table(&key, table)?)));
            if self.config.keys().contains(&key.as_str()) {
                self.set("", &key, &RawValue::Env(&value), origin)?;
            } else if let Some((table, key)) = in_table {
                self.set(table, key, &RawValue::Env(&value), origin)?;
            } else if !is_of_others(rest) {
                return Err(ConfigError { origin, key: None, problem: self.unknown_variable(&key) });
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
            let origin = Origin::Flag { name: flag.name.to_owned() };
            self.set(table, key, &RawValue::Env(&flag.value), origin)
        })
    }

    /// Sets one key; `table` is empty for the keys above all tables.
    fn set(&mut self, table: &str, key: &str, raw: &RawValue<'_>, origin: Origin) -> Result<(), ConfigError> {
        let path = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
        let tables = self.config.tables();
        let section: &mut dyn Section = match table {
            "" => &mut self.config,
            name => match self.config.table(name) {
                Some(section) => section,
                None => {
                    let similar = nearest(name, tables.iter().copied());
                    return Err(ConfigError::new(origin, &path, unknown("table", similar, tables)));
                }
            },
        };
        match section.set(key, raw) {
            Ok(()) => {
                self.places.push((path, origin));
                Ok(())
            }
            Err(Refusal::Value(problem)) => Err(ConfigError::new(origin, &path, problem)),
            Err(Refusal::Unknown) => {
                let keys = section.keys();
                let is_table = matches!(raw, RawValue::Toml(value) if value.is_table() || value.is_array());
                let problem = if table.is_empty() && is_table {
                    unknown("table", nearest(key, tables.iter().copied()), tables)
                } else {
                    unknown("key", self.similar_key(key, keys).as_deref(), keys)
                };
                Err(ConfigError::new(origin, &path, problem))
            }
        }
    }

    /// Checks what no key can check by itself.
    fn finish(self) -> Result<Config, ConfigError> {
        self.check_heartbeat()?;
        self.check_keys()?;
        self.check_tls()?;
        self.check_admin()?;
        self.check_store()?;
        self.check_features()?;
        Ok(self.config)
    }

    /// An option of a part that is not there must not look as if it did something.
    fn check_features(&self) -> Result<(), ConfigError> {
        let Config { tls, auth, stomp, listen, metrics, admin, .. } = &self.config;
        let speaks_tls =
            listen.iter().chain(&admin.listen).any(|listen| listen.tls) || tls.certificate.is_some();
        let wanted = [
            ("tls", cfg!(feature = "tls"), speaks_tls, &["listen", "admin.listen", "tls."][..]),
            ("auth", cfg!(feature = "auth"), auth.is_on(), &["auth."]),
            ("metrics", cfg!(feature = "metrics"), metrics.token.is_some(), &["metrics."]),
            ("stomp", cfg!(feature = "stomp"), *stomp != Stomp::default(), &["stomp."]),
        ];
        for (feature, is_there, is_wanted, keys) in wanted {
            let named = |(key, _): &&(String, Origin)| keys.iter().any(|start| key.starts_with(start));
            if is_wanted
                && !is_there
                && let Some((key, origin)) = self.places.iter().rev().find(named)
            {
                let problem = format!("this program was built without the feature `{feature}`");
                return Err(ConfigError::new(origin.clone(), key, problem));
            }
        }
        Ok(())
    }

    /// The key of these that was set last, and where.
    fn last_of(&self, keys: &[&str]) -> Option<(&str, &Origin)> {
        let set = self.places.iter().rev().find(|(key, _)| keys.contains(&key.as_str()));
        set.map(|(key, origin)| (key.as_str(), origin))
    }

    fn check_heartbeat(&self) -> Result<(), ConfigError> {
        let heartbeat = &self.config.heartbeat;
        // The defaults agree: only a key that was set can break the rule.
        match self.last_of(&["heartbeat.idle_timeout", "heartbeat.ping_interval"]) {
            Some((key, origin)) if heartbeat.idle_timeout <= heartbeat.ping_interval => {
                let problem =
                    "idle_timeout must be longer than ping_interval, or sessions end before they can answer";
                Err(ConfigError::new(origin.clone(), key, problem))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_tls(&self) -> Result<(), ConfigError> {
        let tls = &self.config.tls;
        let cluster = &self.config.cluster;
        if cluster.certificate.is_some() != cluster.key.is_some()
            && let Some((key, origin)) = self.last_of(&["cluster.certificate", "cluster.key"])
        {
            let problem = "cluster.certificate and cluster.key are of use only together";
            return Err(ConfigError::new(origin.clone(), key, problem));
        }
        if tls.certificate.is_some() != tls.key.is_some()
            && let Some((key, origin)) = self.last_of(&["tls.certificate", "tls.key"])
        {
            let problem = "tls.certificate and tls.key are of use only together";
            return Err(ConfigError::new(origin.clone(), key, problem));
        }
        for (key, places) in [("listen", &self.config.listen), ("admin.listen", &self.config.admin.listen)] {
            if tls.certificate.is_none()
                && places.iter().any(|listen| listen.tls)
                && let Some((key, origin)) = self.last_of(&[key])
            {
                return Err(ConfigError::new(origin.clone(), key, "TLS needs tls.certificate and tls.key"));
            }
        }
        Ok(())
    }

    /// What is for operators alone cannot be where the public is.
    fn check_admin(&self) -> Result<(), ConfigError> {
        let Config { listen, admin, .. } = &self.config;
        let public = |place: &&Listen| listen.iter().any(|public| public.place.overlaps(&place.place));
        match (admin.listen.iter().find(public), self.last_of(&["listen", "admin.listen"])) {
            (Some(place), Some((key, origin))) => {
                let problem = format!("the public is served at {place}: admin.listen has to be elsewhere");
                Err(ConfigError::new(origin.clone(), key, problem))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Rooms are in one place.
    fn check_store(&self) -> Result<(), ConfigError> {
        let Config { store, memory, .. } = &self.config;
        match self.last_of(&["memory", "store.url"]) {
            Some((key, origin)) if *memory && store.url.is_some() => {
                let problem =
                    "store.url has rooms kept in a database, memory = true in none: one of them has to go";
                Err(ConfigError::new(origin.clone(), key, problem))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Two sources of keys would leave open which of them a token has to be signed with.
    fn check_keys(&self) -> Result<(), ConfigError> {
        let auth = &self.config.auth;
        let sources = ["auth.jwt_secret", "auth.jwt_public_key_file", "auth.jwks_file"];
        let raw = [auth.jwt_secret.is_some(), auth.jwt_public_key_file.is_some(), auth.jwks_file.is_some()];
        if let Some((key, origin)) = self.last_of(&sources)
            && raw.iter().filter(|raw| **raw).count() > 1
        {
            let problem = "only one of jwt_secret, jwt_public_key_file and jwks_file can be set";
            return Err(ConfigError::new(origin.clone(), key, problem));
        }
        if let Some((key, origin)) = self.last_of(&["auth.audience", "auth.issuer"])
            && !auth.is_on()
        {
            let problem = "needs a jwt_secret, jwt_public_key_file or jwks_file: without one nobody is asked for a token";
            return Err(ConfigError::new(origin.clone(), key, problem));
        }
        // Elsewhere the kind of the key decides, and a word that changes nothing would look as if it did.
        if let Some((key, origin)) = self.last_of(&["auth.jwt_algorithm"])
            && auth.is_on()
            && auth.jwt_secret.is_none()
            && auth.jwt_algorithm != Auth::default().jwt_algorithm
        {
            let problem = "counts for jwt_secret only; with public keys, their kind decides";
            return Err(ConfigError::new(origin.clone(), key, problem));
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

#[cfg(all(feature = "auth", feature = "stomp", feature = "tls"))]
#[cfg(test)]
mod tests;
