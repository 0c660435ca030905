//! Which variables of the environment are ours.

use std::ffi::OsString;

use super::ConfigError;
use super::error::Origin;

/// What the names of our variables begin with.
pub(super) const VARIABLE_PREFIX: &str = "FOGHORN_";

/// Names that mean a key whose own name is longer, in the form of [`own_variables`] without their prefix.
const SHORT_NAMES: [(&str, &str); 1] = [("store", "store_url")];

/// What other commands read, and is no key of the configuration.
const OTHER_COMMANDS: [&str; 1] = ["TOKEN"];

/// The variables whose names are ours, as text. What else is in the environment is nobody's business, whatever its bytes.
///
/// # Errors
/// [`ConfigError`], if one of ours is not text.
pub fn own_variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let is_ours =
        |(name, _): &(OsString, OsString)| name.as_encoded_bytes().starts_with(VARIABLE_PREFIX.as_bytes());
    let text = |(name, value): (OsString, OsString)| {
        let not_text = |name: &OsString, what| ConfigError {
            origin: Origin::Variable { name: name.to_string_lossy().escape_debug().to_string() },
            key: None,
            problem: format!("{what} is not UTF-8"),
        };
        let value = value.into_string().map_err(|_| not_text(&name, "its value"))?;
        Ok((name.into_string().map_err(|name| not_text(&name, "its name"))?, value))
    };
    environment.into_iter().filter(is_ours).map(text).collect()
}

/// The name that a variable has in full.
pub(super) fn in_full(name: &str) -> &str {
    SHORT_NAMES.iter().find(|(short, _)| *short == name).map_or(name, |(_, full)| full)
}

/// Whether a name of ours (without its prefix) may be there although no key has it: another command reads it, or it is one
/// of those that Kubernetes gives every container of a namespace with a service called foghorn.
pub(super) fn is_of_others(name: &str) -> bool {
    let is_port = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    OTHER_COMMANDS.contains(&name)
        || ["PORT", "SERVICE_HOST", "SERVICE_PORT"].contains(&name)
        || name.starts_with("SERVICE_PORT_")
        || name.strip_prefix("PORT_").is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn own(name: &[u8], value: &[u8]) -> Result<Vec<(String, String)>, String> {
        let [name, value] = [name, value].map(|bytes| OsString::from_vec(bytes.to_vec()));
        own_variables([(name, value)]).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_ours_may_be_of_any_bytes() {
        assert_eq!(own(b"OTHER\xff", b"\xff"), Ok(vec![]));
        assert_eq!(own(b"OTHER", b"\xff"), Ok(vec![]));
        assert_eq!(own(b"FOGHORN_LOG", b"info"), Ok(vec![("FOGHORN_LOG".to_owned(), "info".to_owned())]));
    }

    #[test]
    fn what_is_ours_and_not_text_is_named() {
        let error = own(b"FOGHORN_LOG", b"\xff").unwrap_err();
        assert_eq!(error, "environment variable FOGHORN_LOG: its value is not UTF-8");
        let error = own(b"FOGHORN_\xff", b"x").unwrap_err();
        assert!(error.ends_with(": its name is not UTF-8"), "{error}");
    }

    #[test]
    fn what_an_orchestrator_puts_there_passes() {
        for name in ["PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT_HTTP", "TOKEN"]
        {
            assert!(is_of_others(name), "{name}");
        }
        for name in ["PORTS", "PORT_X", "NOPE", "SERVICE", ""] {
            assert!(!is_of_others(name), "{name}");
        }
    }
}
