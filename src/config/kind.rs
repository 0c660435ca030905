//! The kinds of values a key can have: how each is read, checked and written.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;
use toml_writer::ToTomlValue;

use super::filter;
use super::listen::{Listen, ListenError};
use super::secret::Secret;
use super::unit::{parse_bytes, parse_duration, write_bytes, write_duration};
use super::value::{RawValue, Rendered, ValueKind, read_structure};
use crate::http::Origins;
use crate::proxy::{NetworkError, Trusted};

/// A whole number; with `zero`, 0 is allowed besides the range.
pub(super) struct Count {
    pub(super) range: RangeInclusive<usize>,
    pub(super) zero: bool,
}

impl ValueKind for Count {
    type Value = usize;

    fn read(&self, raw: &RawValue<'_>) -> Result<usize, String> {
        let count = raw.count()?;
        if self.range.contains(&count) || (self.zero && count == 0) {
            return Ok(count);
        }
        Err(out_of_range(&self.range, self.zero, ToString::to_string))
    }

    fn write(&self, value: &usize) -> Rendered {
        Rendered::Value(value.to_string())
    }
}

/// A number of bytes.
pub(super) struct Bytes(pub(super) RangeInclusive<usize>);

impl ValueKind for Bytes {
    type Value = usize;

    fn read(&self, raw: &RawValue<'_>) -> Result<usize, String> {
        let bytes = parse_bytes(raw.text()?)?;
        if self.0.contains(&bytes) {
            return Ok(bytes);
        }
        Err(out_of_range(&self.0, false, |bytes| format!("\"{}\"", write_bytes(*bytes))))
    }

    fn write(&self, value: &usize) -> Rendered {
        Rendered::Value(quoted(&write_bytes(*value)))
    }
}

/// A number of bytes, or 0.
pub(super) struct BytesOrNone(pub(super) RangeInclusive<usize>);

impl ValueKind for BytesOrNone {
    type Value = usize;

    fn read(&self, raw: &RawValue<'_>) -> Result<usize, String> {
        let bytes = if raw.is_zero() { 0 } else { parse_bytes(raw.text()?)? };
        if bytes == 0 || self.0.contains(&bytes) {
            return Ok(bytes);
        }
        Err(out_of_range(&self.0, true, |bytes| format!("\"{}\"", write_bytes(*bytes))))
    }

    fn write(&self, value: &usize) -> Rendered {
        Bytes(self.0.clone()).write(value)
    }
}

/// A duration; with `zero`, 0 is allowed besides the range.
pub(super) struct Time {
    pub(super) range: RangeInclusive<Duration>,
    pub(super) zero: bool,
}

impl ValueKind for Time {
    type Value = Duration;

    fn read(&self, raw: &RawValue<'_>) -> Result<Duration, String> {
        let duration = if raw.is_zero() { Duration::ZERO } else { parse_duration(raw.text()?)? };
        if self.range.contains(&duration) || (self.zero && duration.is_zero()) {
            return Ok(duration);
        }
        Err(out_of_range(&self.range, self.zero, |duration| format!("\"{}\"", write_duration(*duration))))
    }

    fn write(&self, value: &Duration) -> Rendered {
        Rendered::Value(quoted(&write_duration(*value)))
    }
}

fn out_of_range<T>(range: &RangeInclusive<T>, zero: bool, write: impl Fn(&T) -> String) -> String {
    let or_zero = if zero { ", or 0" } else { "" };
    format!("must be between {} and {}{or_zero}", write(range.start()), write(range.end()))
}

/// A number that the machine decides unless it is given.
pub(super) struct Automatic {
    pub(super) range: RangeInclusive<usize>,
    pub(super) example: usize,
}

impl ValueKind for Automatic {
    type Value = Option<usize>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Option<usize>, String> {
        Count { range: self.range.clone(), zero: false }.read(raw).map(Some)
    }

    fn write(&self, value: &Option<usize>) -> Rendered {
        match value {
            Some(count) => Rendered::Value(count.to_string()),
            None => Rendered::Example(self.example.to_string()),
        }
    }
}

/// Places to serve on, at least one.
pub(super) struct Places;

impl ValueKind for Places {
    type Value = Vec<Listen>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Vec<Listen>, String> {
        read_structure(raw, |raw| {
            let texts = raw.texts()?;
            if texts.is_empty() {
                return Err("needs at least one address like \"127.0.0.1:8080\"".to_owned());
            }
            let place = |text: &str| text.parse().map_err(|error: ListenError| error.to_string());
            texts.into_iter().map(place).collect()
        })
    }

    fn write(&self, value: &Vec<Listen>) -> Rendered {
        let places: Vec<_> = value.iter().map(|place| quoted(&place.to_string())).collect();
        Rendered::Value(format!("[{}]", places.join(", ")))
    }
}

/// Places to serve on, none unless they are given.
pub(super) struct PlacesIfAny {
    pub(super) example: &'static str,
}

impl ValueKind for PlacesIfAny {
    type Value = Vec<Listen>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Vec<Listen>, String> {
        Places.read(raw)
    }

    fn write(&self, value: &Vec<Listen>) -> Rendered {
        match &value[..] {
            [] => Rendered::Example(format!("[{}]", quoted(self.example))),
            _ => Places.write(value),
        }
    }
}

/// The mode of a file, in octal.
pub(super) struct Mode;

impl ValueKind for Mode {
    type Value = u32;

    fn read(&self, raw: &RawValue<'_>) -> Result<u32, String> {
        let text = raw.text()?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777);
        mode.ok_or_else(|| format!("{text:?} is not a mode like \"660\""))
    }

    fn write(&self, value: &u32) -> Rendered {
        Rendered::Value(quoted(&format!("{value:o}")))
    }
}

/// Networks, possibly none.
pub(super) struct Networks;

impl ValueKind for Networks {
    type Value = Trusted;

    fn read(&self, raw: &RawValue<'_>) -> Result<Trusted, String> {
        let network = |text: &str| text.parse().map_err(|error: NetworkError| error.to_string());
        read_structure(raw, |raw| raw.texts()?.into_iter().map(network).collect::<Result<_, _>>())
            .map(Trusted::new)
    }

    fn write(&self, value: &Trusted) -> Rendered {
        let networks: Vec<_> = value.networks().iter().map(|network| quoted(&network.to_string())).collect();
        Rendered::Value(format!("[{}]", networks.join(", ")))
    }
}

/// A filter of log events.
pub(super) struct Filter;

impl ValueKind for Filter {
    type Value = String;

    fn read(&self, raw: &RawValue<'_>) -> Result<String, String> {
        let text = raw.text()?;
        filter::check(text)?;
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Rendered {
        Rendered::Value(quoted(value))
    }
}

/// A notice with `{username}` in it.
pub(super) struct Notice;

/// A notice is a line, not a page.
const NOTICE_BYTES_MAX: usize = 256;

impl ValueKind for Notice {
    type Value = String;

    fn read(&self, raw: &RawValue<'_>) -> Result<String, String> {
        let text = raw.text()?;
        if text.len() > NOTICE_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(format!("must be one line of at most {NOTICE_BYTES_MAX} bytes"));
        }
        if text.replace("{username}", "").contains(['{', '}']) {
            return Err("the only placeholder is {username}".to_owned());
        }
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Rendered {
        Rendered::Value(quoted(value))
    }
}

/// One of several words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> ValueKind for Choice<T> {
    type Value = T;

    fn read(&self, raw: &RawValue<'_>) -> Result<T, String> {
        let text = raw.text()?;
        let chosen = self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        chosen.ok_or_else(|| {
            let words: Vec<_> = self.0.iter().map(|(word, _)| quoted(word)).collect();
            format!("must be {}, not {text:?}", words.join(" or "))
        })
    }

    fn write(&self, value: &T) -> Rendered {
        let word = self.0.iter().find(|(_, of)| of == value).map_or("", |(word, _)| word);
        Rendered::Value(quoted(word))
    }
}

/// Yes or no.
pub(super) struct Switch;

impl ValueKind for Switch {
    type Value = bool;

    fn read(&self, raw: &RawValue<'_>) -> Result<bool, String> {
        let value = match raw {
            RawValue::Toml(value) => value.as_bool(),
            RawValue::Env(word) => word.parse().ok(),
        };
        value.ok_or_else(|| "must be true or false".to_owned())
    }

    fn write(&self, value: &bool) -> Rendered {
        Rendered::Value(value.to_string())
    }
}

/// A directory.
pub(super) struct Directory;

impl ValueKind for Directory {
    type Value = PathBuf;

    fn read(&self, raw: &RawValue<'_>) -> Result<PathBuf, String> {
        let text = raw.text()?;
        if text.is_empty() { Err("must name a directory".to_owned()) } else { Ok(text.into()) }
    }

    fn write(&self, value: &PathBuf) -> Rendered {
        Rendered::Value(quoted(&value.display().to_string()))
    }
}

/// Text that is not set unless it is given.
pub(super) struct Text {
    pub(super) example: &'static str,
}

impl ValueKind for Text {
    type Value = Option<String>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Option<String>, String> {
        let text = raw.text()?;
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Some(text.to_owned())) }
    }

    fn write(&self, value: &Option<String>) -> Rendered {
        match value {
            Some(text) => Rendered::Value(quoted(text)),
            None => Rendered::Example(quoted(self.example)),
        }
    }
}

/// A file that is not read unless it is given.
pub(super) struct File {
    pub(super) example: &'static str,
}

impl ValueKind for File {
    type Value = Option<PathBuf>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Option<PathBuf>, String> {
        let text = raw.text()?;
        if text.is_empty() { Err("must name a file".to_owned()) } else { Ok(Some(text.into())) }
    }

    fn write(&self, value: &Option<PathBuf>) -> Rendered {
        match value {
            Some(path) => Rendered::Value(quoted(&path.display().to_string())),
            None => Rendered::Example(quoted(self.example)),
        }
    }
}

/// A secret. No error repeats it.
pub(super) struct Confidential {
    pub(super) example: &'static str,
}

impl ValueKind for Confidential {
    type Value = Option<Secret>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Option<Secret>, String> {
        let text = raw.text()?;
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Some(Secret::new(text))) }
    }

    fn write(&self, value: &Option<Secret>) -> Rendered {
        match value {
            Some(secret) => Rendered::Value(quoted(secret.reveal())),
            None => Rendered::Example(quoted(self.example)),
        }
    }
}

/// A secret that comes behind `Authorization: Bearer`. No error repeats it.
pub(super) struct BearerToken {
    pub(super) example: &'static str,
}

impl ValueKind for BearerToken {
    type Value = Option<Secret>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Option<Secret>, String> {
        let secret = Confidential { example: self.example }.read(raw)?;
        // What no client can send would lock everybody out (RFC 9110 §5.5).
        let can_be_sent = |secret: &Secret| secret.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        match secret {
            Some(secret) if !can_be_sent(&secret) => {
                Err("must be printable ASCII without spaces, or no client can send it".to_owned())
            }
            secret => Ok(secret),
        }
    }

    fn write(&self, value: &Option<Secret>) -> Rendered {
        Confidential { example: self.example }.write(value)
    }
}

/// Where the engine of a cluster is. It may have a password: no error repeats it.
pub(super) struct EngineUrl {
    pub(super) example: &'static str,
}

impl ValueKind for EngineUrl {
    type Value = Option<Secret>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Option<Secret>, String> {
        let secret = Confidential { example: self.example }.read(raw)?;
        let is_one = |secret: &Secret| {
            let (scheme, rest) = secret.reveal().split_once("://").unwrap_or_default();
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            let is_known = ["redis", "rediss", "valkey", "valkeys", "redis-sentinel", "rediss-sentinel"]
                .contains(&scheme);
            is_known && !place.is_empty() && !place.starts_with(['/', ':', ','])
        };
        match secret {
            Some(secret) if !is_one(&secret) => Err(
                "must be redis://[USER:PASSWORD@]HOST[:PORT][,HOST…][/DATABASE], rediss://… over TLS, or \
                     redis-sentinel://[USER:PASSWORD@]HOST[:PORT][,HOST…][/DATABASE]#MASTER"
                    .to_owned(),
            ),
            secret => Ok(secret),
        }
    }

    fn write(&self, value: &Option<Secret>) -> Rendered {
        Confidential { example: self.example }.write(value)
    }
}

/// Where a database is that keeps the rooms. It may have a password: no error repeats it.
pub(super) struct DatabaseUrl {
    pub(super) example: &'static str,
}

impl ValueKind for DatabaseUrl {
    type Value = Option<Secret>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Option<Secret>, String> {
        let secret = Confidential { example: self.example }.read(raw)?;
        // What stands behind that is read by the database's own driver.
        let is_one = |secret: &Secret| {
            let url = secret.reveal();
            let rest = url.strip_prefix("mongodb://").or_else(|| url.strip_prefix("mongodb+srv://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':', '?']))
        };
        match secret {
            Some(secret) if !is_one(&secret) => {
                Err("must be mongodb://[USER:PASSWORD@]HOST[:PORT][/DATABASE]".to_owned())
            }
            secret => Ok(secret),
        }
    }

    fn write(&self, value: &Option<Secret>) -> Rendered {
        Confidential { example: self.example }.write(value)
    }
}

/// Origins of web pages.
pub(super) struct Pages;

impl ValueKind for Pages {
    type Value = Origins;

    fn read(&self, raw: &RawValue<'_>) -> Result<Origins, String> {
        read_structure(raw, |raw| {
            Origins::parse(&raw.texts()?)
                .map_err(|error| format!("{error}; \"same-origin\" and \"*\" stand alone"))
        })
    }

    fn write(&self, value: &Origins) -> Rendered {
        Rendered::Value(write_origins(value))
    }
}

fn write_origins(value: &Origins) -> String {
    match value {
        Origins::SameOrigin => quoted("same-origin"),
        Origins::Any => quoted("*"),
        Origins::List(origins) => {
            let origins: Vec<_> = origins.iter().map(|origin| quoted(&origin.to_string())).collect();
            format!("[{}]", origins.join(", "))
        }
    }
}

/// Origins of web pages for single paths: a table, or on one line `PATH=ORIGIN ORIGIN, PATH=…`.
pub(super) struct PathPages;

impl ValueKind for PathPages {
    type Value = Vec<(String, Origins)>;

    fn read(&self, raw: &RawValue<'_>) -> Result<Vec<(String, Origins)>, String> {
        let entries: Result<Vec<_>, String> = read_structure(raw, |raw| match raw {
            RawValue::Toml(value) => {
                let table = value.as_table().ok_or_else(|| {
                    format!("expected a table of paths and their origins, found {}", value.type_str())
                })?;
                let origins = |value: &DeValue<'_>| Pages.read(&RawValue::Toml(value));
                let entry = |path: &str, value| Ok((endpoint_path(path)?, origins(value)?));
                table.iter().map(|(path, value)| entry(path.get_ref(), value.get_ref())).collect()
            }
            RawValue::Env(word) => {
                word.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(word_entry).collect()
            }
        });
        let mut entries = entries?;
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!("{} comes twice", pair[0].0)),
            None => Ok(entries),
        }
    }

    fn write(&self, value: &Vec<(String, Origins)>) -> Rendered {
        if value.is_empty() {
            return Rendered::Example(
                r#"{ "/ws/chat" = ["https://chat.example"], "/api/" = "same-origin" }"#.to_owned(),
            );
        }
        let entry =
            |(path, origins): &(String, Origins)| format!("{} = {}", quoted(path), write_origins(origins));
        Rendered::Value(format!("{{ {} }}", value.iter().map(entry).collect::<Vec<_>>().join(", ")))
    }
}

fn word_entry(entry: &str) -> Result<(String, Origins), String> {
    let (path, origins) = entry
        .split_once('=')
        .ok_or_else(|| format!("{entry:?} is neither a TOML table nor a path, a =, and origins"))?;
    let origins: Vec<&str> = origins.split_ascii_whitespace().collect();
    let origins = Origins::parse(&origins).map_err(|error| error.to_string())?;
    Ok((endpoint_path(path.trim())?, origins))
}

fn endpoint_path(path: &str) -> Result<String, String> {
    let fits =
        path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if fits {
        Ok(path.to_owned())
    } else {
        Err(format!("{path:?} is not a path like \"/ws/chat\" or \"/api/\""))
    }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    text.to_toml_value()
}
