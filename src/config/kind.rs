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
use crate::http::Origins;
use crate::proxy::{NetworkError, Trusted};

/// A value as it was given, before its key has made sense of it.
pub(super) enum Given<'g> {
    /// A value of the file, which has a type.
    Toml(&'g DeValue<'g>),
    /// Text of the environment or the command line, which has none.
    Word(&'g str),
}

/// How the values of a key are read and written. Errors say what is wrong and what would be right.
pub(super) trait Kind {
    type Value;

    /// Reads and checks a value.
    fn read(&self, given: &Given<'_>) -> Result<Self::Value, String>;

    /// The value as TOML, or an example behind a comment sign if it stands for "not set".
    fn write(&self, value: &Self::Value) -> Written;
}

/// A value as it stands in the file.
pub(super) enum Written {
    Value(String),
    Example(String),
}

impl Given<'_> {
    fn text(&self) -> Result<&str, String> {
        match self {
            Given::Word(word) => Ok(word),
            Given::Toml(value) => {
                value.as_str().ok_or_else(|| format!("expected text in quotes, found {}", value.type_str()))
            }
        }
    }

    fn texts(&self) -> Result<Vec<&str>, String> {
        match self {
            Given::Word(word) => Ok(word.split(',').map(str::trim).collect()),
            Given::Toml(value) => match value.as_array() {
                None => Ok(vec![self.text()?]),
                Some(values) => {
                    let refusal = |value: &DeValue<'_>| {
                        format!("expected texts in the list, found {}", value.type_str())
                    };
                    values
                        .iter()
                        .map(|value| value.get_ref().as_str().ok_or_else(|| refusal(value.get_ref())))
                        .collect()
                }
            },
        }
    }

    fn count(&self) -> Result<usize, String> {
        let parsed = match self {
            // `parse` alone would take a plus sign.
            Given::Word(word) if word.starts_with('+') => None,
            Given::Word(word) => word.parse().ok(),
            Given::Toml(value) => value
                .as_integer()
                .and_then(|integer| usize::from_str_radix(integer.as_str(), integer.radix()).ok()),
        };
        parsed.ok_or_else(|| match self {
            Given::Word(word) => format!("expected a whole number, found {word:?}"),
            Given::Toml(value) if value.is_integer() => "number is out of range".to_owned(),
            Given::Toml(value) => format!("expected a whole number, found {}", value.type_str()),
        })
    }

    /// Whether this is the number zero, which means the same in every unit.
    fn is_zero(&self) -> bool {
        matches!(self.count(), Ok(0))
    }
}

/// Reads a list or a table: text of the environment or the command line may be TOML, too.
fn read_structure<T>(
    given: &Given<'_>,
    read: impl FnOnce(&Given<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let Given::Word(word) = given else { return read(given) };
    match DeValue::parse(word) {
        Ok(value) if value.get_ref().is_array() || value.get_ref().is_table() => {
            read(&Given::Toml(value.get_ref()))
        }
        // An IPv6 address begins with a bracket, too.
        Err(error) if word.trim_start().starts_with(['{', '[']) && word.contains(['"', '\'']) => {
            Err(format!("is neither TOML nor a list with commas: {}", error.message()))
        }
        Ok(_) | Err(_) => read(given),
    }
}

/// A whole number; with `zero`, 0 is allowed besides the range.
pub(super) struct Count {
    pub(super) range: RangeInclusive<usize>,
    pub(super) zero: bool,
}

impl Kind for Count {
    type Value = usize;

    fn read(&self, given: &Given<'_>) -> Result<usize, String> {
        let count = given.count()?;
        if self.range.contains(&count) || (self.zero && count == 0) {
            return Ok(count);
        }
        Err(out_of_range(&self.range, self.zero, ToString::to_string))
    }

    fn write(&self, value: &usize) -> Written {
        Written::Value(value.to_string())
    }
}

/// A number of bytes.
pub(super) struct Bytes(pub(super) RangeInclusive<usize>);

impl Kind for Bytes {
    type Value = usize;

    fn read(&self, given: &Given<'_>) -> Result<usize, String> {
        let bytes = parse_bytes(given.text()?)?;
        if self.0.contains(&bytes) {
            return Ok(bytes);
        }
        Err(out_of_range(&self.0, false, |bytes| format!("\"{}\"", write_bytes(*bytes))))
    }

    fn write(&self, value: &usize) -> Written {
        Written::Value(quoted(&write_bytes(*value)))
    }
}

/// A number of bytes, or 0.
pub(super) struct BytesOrNone(pub(super) RangeInclusive<usize>);

impl Kind for BytesOrNone {
    type Value = usize;

    fn read(&self, given: &Given<'_>) -> Result<usize, String> {
        let bytes = if given.is_zero() { 0 } else { parse_bytes(given.text()?)? };
        if bytes == 0 || self.0.contains(&bytes) {
            return Ok(bytes);
        }
        Err(out_of_range(&self.0, true, |bytes| format!("\"{}\"", write_bytes(*bytes))))
    }

    fn write(&self, value: &usize) -> Written {
        Bytes(self.0.clone()).write(value)
    }
}

/// A duration; with `zero`, 0 is allowed besides the range.
pub(super) struct Time {
    pub(super) range: RangeInclusive<Duration>,
    pub(super) zero: bool,
}

impl Kind for Time {
    type Value = Duration;

    fn read(&self, given: &Given<'_>) -> Result<Duration, String> {
        let duration = if given.is_zero() { Duration::ZERO } else { parse_duration(given.text()?)? };
        if self.range.contains(&duration) || (self.zero && duration.is_zero()) {
            return Ok(duration);
        }
        Err(out_of_range(&self.range, self.zero, |duration| format!("\"{}\"", write_duration(*duration))))
    }

    fn write(&self, value: &Duration) -> Written {
        Written::Value(quoted(&write_duration(*value)))
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

impl Kind for Automatic {
    type Value = Option<usize>;

    fn read(&self, given: &Given<'_>) -> Result<Option<usize>, String> {
        Count { range: self.range.clone(), zero: false }.read(given).map(Some)
    }

    fn write(&self, value: &Option<usize>) -> Written {
        match value {
            Some(count) => Written::Value(count.to_string()),
            None => Written::Example(self.example.to_string()),
        }
    }
}

/// Places to serve on, at least one.
pub(super) struct Places;

impl Kind for Places {
    type Value = Vec<Listen>;

    fn read(&self, given: &Given<'_>) -> Result<Vec<Listen>, String> {
        read_structure(given, |given| {
            let texts = given.texts()?;
            if texts.is_empty() {
                return Err("needs at least one address like \"127.0.0.1:8080\"".to_owned());
            }
            let place = |text: &str| text.parse().map_err(|error: ListenError| error.to_string());
            texts.into_iter().map(place).collect()
        })
    }

    fn write(&self, value: &Vec<Listen>) -> Written {
        let places: Vec<_> = value.iter().map(|place| quoted(&place.to_string())).collect();
        Written::Value(format!("[{}]", places.join(", ")))
    }
}

/// The mode of a file, in octal.
pub(super) struct Mode;

impl Kind for Mode {
    type Value = u32;

    fn read(&self, given: &Given<'_>) -> Result<u32, String> {
        let text = given.text()?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777);
        mode.ok_or_else(|| format!("{text:?} is not a mode like \"660\""))
    }

    fn write(&self, value: &u32) -> Written {
        Written::Value(quoted(&format!("{value:o}")))
    }
}

/// Networks, possibly none.
pub(super) struct Networks;

impl Kind for Networks {
    type Value = Trusted;

    fn read(&self, given: &Given<'_>) -> Result<Trusted, String> {
        let network = |text: &str| text.parse().map_err(|error: NetworkError| error.to_string());
        read_structure(given, |given| given.texts()?.into_iter().map(network).collect::<Result<_, _>>())
            .map(Trusted::new)
    }

    fn write(&self, value: &Trusted) -> Written {
        let networks: Vec<_> = value.networks().iter().map(|network| quoted(&network.to_string())).collect();
        Written::Value(format!("[{}]", networks.join(", ")))
    }
}

/// A filter of log events.
pub(super) struct Filter;

impl Kind for Filter {
    type Value = String;

    fn read(&self, given: &Given<'_>) -> Result<String, String> {
        let text = given.text()?;
        filter::check(text)?;
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Written {
        Written::Value(quoted(value))
    }
}

/// A notice with `{username}` in it.
pub(super) struct Notice;

/// A notice is a line, not a page.
const NOTICE_BYTES_MAX: usize = 256;

impl Kind for Notice {
    type Value = String;

    fn read(&self, given: &Given<'_>) -> Result<String, String> {
        let text = given.text()?;
        if text.len() > NOTICE_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(format!("must be one line of at most {NOTICE_BYTES_MAX} bytes"));
        }
        if text.replace("{username}", "").contains(['{', '}']) {
            return Err("the only placeholder is {username}".to_owned());
        }
        Ok(text.to_owned())
    }

    fn write(&self, value: &String) -> Written {
        Written::Value(quoted(value))
    }
}

/// One of several words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn read(&self, given: &Given<'_>) -> Result<T, String> {
        let text = given.text()?;
        let chosen = self.0.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        chosen.ok_or_else(|| {
            let words: Vec<_> = self.0.iter().map(|(word, _)| quoted(word)).collect();
            format!("must be {}, not {text:?}", words.join(" or "))
        })
    }

    fn write(&self, value: &T) -> Written {
        let word = self.0.iter().find(|(_, of)| of == value).map_or("", |(word, _)| word);
        Written::Value(quoted(word))
    }
}

/// Yes or no.
pub(super) struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn read(&self, given: &Given<'_>) -> Result<bool, String> {
        let value = match given {
            Given::Toml(value) => value.as_bool(),
            Given::Word(word) => word.parse().ok(),
        };
        value.ok_or_else(|| "must be true or false".to_owned())
    }

    fn write(&self, value: &bool) -> Written {
        Written::Value(value.to_string())
    }
}

/// A directory.
pub(super) struct Directory;

impl Kind for Directory {
    type Value = PathBuf;

    fn read(&self, given: &Given<'_>) -> Result<PathBuf, String> {
        let text = given.text()?;
        if text.is_empty() { Err("must name a directory".to_owned()) } else { Ok(text.into()) }
    }

    fn write(&self, value: &PathBuf) -> Written {
        Written::Value(quoted(&value.display().to_string()))
    }
}

/// Text that is not set unless it is given.
pub(super) struct Text {
    pub(super) example: &'static str,
}

impl Kind for Text {
    type Value = Option<String>;

    fn read(&self, given: &Given<'_>) -> Result<Option<String>, String> {
        let text = given.text()?;
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Some(text.to_owned())) }
    }

    fn write(&self, value: &Option<String>) -> Written {
        match value {
            Some(text) => Written::Value(quoted(text)),
            None => Written::Example(quoted(self.example)),
        }
    }
}

/// A file that is not read unless it is given.
pub(super) struct File {
    pub(super) example: &'static str,
}

impl Kind for File {
    type Value = Option<PathBuf>;

    fn read(&self, given: &Given<'_>) -> Result<Option<PathBuf>, String> {
        let text = given.text()?;
        if text.is_empty() { Err("must name a file".to_owned()) } else { Ok(Some(text.into())) }
    }

    fn write(&self, value: &Option<PathBuf>) -> Written {
        match value {
            Some(path) => Written::Value(quoted(&path.display().to_string())),
            None => Written::Example(quoted(self.example)),
        }
    }
}

/// A secret. No error repeats it.
pub(super) struct Confidential {
    pub(super) example: &'static str,
}

impl Kind for Confidential {
    type Value = Option<Secret>;

    fn read(&self, given: &Given<'_>) -> Result<Option<Secret>, String> {
        let text = given.text()?;
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Some(Secret::new(text))) }
    }

    fn write(&self, value: &Option<Secret>) -> Written {
        match value {
            Some(secret) => Written::Value(quoted(secret.reveal())),
            None => Written::Example(quoted(self.example)),
        }
    }
}

/// Origins of web pages.
pub(super) struct Pages;

impl Kind for Pages {
    type Value = Origins;

    fn read(&self, given: &Given<'_>) -> Result<Origins, String> {
        read_structure(given, |given| {
            Origins::parse(&given.texts()?)
                .map_err(|error| format!("{error}; \"same-origin\" and \"*\" stand alone"))
        })
    }

    fn write(&self, value: &Origins) -> Written {
        Written::Value(write_origins(value))
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

impl Kind for PathPages {
    type Value = Vec<(String, Origins)>;

    fn read(&self, given: &Given<'_>) -> Result<Vec<(String, Origins)>, String> {
        let entries: Result<Vec<_>, String> = read_structure(given, |given| match given {
            Given::Toml(value) => {
                let table = value.as_table().ok_or_else(|| {
                    format!("expected a table of paths and their origins, found {}", value.type_str())
                })?;
                let origins = |value: &DeValue<'_>| Pages.read(&Given::Toml(value));
                let entry = |path: &str, value| Ok((endpoint_path(path)?, origins(value)?));
                table.iter().map(|(path, value)| entry(path.get_ref(), value.get_ref())).collect()
            }
            Given::Word(word) => {
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

    fn write(&self, value: &Vec<(String, Origins)>) -> Written {
        if value.is_empty() {
            return Written::Example(
                r#"{ "/ws/chat" = ["https://chat.example"], "/api/" = "same-origin" }"#.to_owned(),
            );
        }
        let entry =
            |(path, origins): &(String, Origins)| format!("{} = {}", quoted(path), write_origins(origins));
        Written::Value(format!("{{ {} }}", value.iter().map(entry).collect::<Vec<_>>().join(", ")))
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
