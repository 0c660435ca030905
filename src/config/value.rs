//! A value as it was given, and how the values of a key are read and written.

use toml::de::DeValue;

/// A value as it was given, before its key has made sense of it.
pub(super) enum RawValue<'g> {
    /// A value of the file, which has a type.
    Toml(&'g DeValue<'g>),
    /// Text of the environment or the command line, which has none.
    Env(&'g str),
}

/// How the values of a key are read and written. Errors say what is wrong and what would be right.
pub(super) trait ValueKind {
    type Value;

    /// Reads and checks a value.
    fn read(&self, raw: &RawValue<'_>) -> Result<Self::Value, String>;

    /// The value as TOML, or an example behind a comment sign if it stands for "not set".
    fn write(&self, value: &Self::Value) -> Rendered;
}

/// A value as it stands in the file.
pub(super) enum Rendered {
    Value(String),
    Example(String),
}

impl RawValue<'_> {
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            RawValue::Env(word) => Ok(word),
            RawValue::Toml(value) => {
                value.as_str().ok_or_else(|| format!("expected text in quotes, found {}", value.type_str()))
            }
        }
    }

    pub(super) fn texts(&self) -> Result<Vec<&str>, String> {
        match self {
            RawValue::Env(word) => Ok(word.split(',').map(str::trim).collect()),
            RawValue::Toml(value) => match value.as_array() {
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

    pub(super) fn count(&self) -> Result<usize, String> {
        let parsed = match self {
            // `parse` alone would take a plus sign.
            RawValue::Env(word) if word.starts_with('+') => None,
            RawValue::Env(word) => word.parse().ok(),
            RawValue::Toml(value) => value
                .as_integer()
                .and_then(|integer| usize::from_str_radix(integer.as_str(), integer.radix()).ok()),
        };
        parsed.ok_or_else(|| match self {
            RawValue::Env(word) => format!("expected a whole number, found {word:?}"),
            RawValue::Toml(value) if value.is_integer() => "number is out of range".to_owned(),
            RawValue::Toml(value) => format!("expected a whole number, found {}", value.type_str()),
        })
    }

    /// Whether this is the number zero, which means the same in every unit.
    pub(super) fn is_zero(&self) -> bool {
        matches!(self.count(), Ok(0))
    }
}

/// Reads a list or a table: text of the environment or the command line may be TOML, too.
pub(super) fn read_structure<T>(
    raw: &RawValue<'_>,
    read: impl FnOnce(&RawValue<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let RawValue::Env(word) = raw else { return read(raw) };
    match DeValue::parse(word) {
        Ok(value) if value.get_ref().is_array() || value.get_ref().is_table() => {
            read(&RawValue::Toml(value.get_ref()))
        }
        // An IPv6 address begins with a bracket, too.
        Err(error) if word.trim_start().starts_with(['{', '[']) && word.contains(['"', '\'']) => {
            Err(format!("is neither TOML nor a list with commas: {}", error.message()))
        }
        Ok(_) | Err(_) => read(raw),
    }
}
