//! Which web pages may connect (RFC 6454): origins are compared part by part, never as text.

use std::fmt;

use super::target::{is_host, split_port};

/// The pages whose requests are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// Pages that this server itself served: same scheme, host and port as the request.
    #[default]
    SameOrigin,
    /// Every page, also those without an origin (`null`).
    Any,
    /// Pages of these origins, and no others.
    List(Vec<Origin>),
}

impl Origins {
    /// Reads `same-origin`, `*`, or a list of origins from configuration. The error names the bad entry.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Origins, OriginError> {
        match entries {
            [one] if one.as_ref() == "same-origin" => Ok(Origins::SameOrigin),
            [one] if one.as_ref() == "*" => Ok(Origins::Any),
            entries => {
                let origins = entries.iter().map(|entry| Origin::parse(entry.as_ref()));
                Ok(Origins::List(origins.collect::<Result<_, _>>()?))
            }
        }
    }

    /// Whether a request with that `Origin` and `Host` is let in; `secure` says that it came over TLS. A request
    /// without `Origin` does not come from a page and is let in.
    pub fn allows(&self, origin: Option<&str>, host: &str, secure: bool) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        match self {
            Origins::Any => true,
            Origins::SameOrigin => {
                let scheme = if secure { Scheme::Https } else { Scheme::Http };
                Parts::of_authority(scheme, host).is_some_and(|own| Parts::parse(origin) == Some(own))
            }
            Origins::List(origins) => {
                Parts::parse(origin).is_some_and(|given| origins.iter().any(|origin| origin.parts() == given))
            }
        }
    }
}

/// A scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    /// Invariant: lower case.
    host: String,
    port: u16,
}

impl Origin {
    /// Parses `http://host`, `https://host`, or either with a port, and nothing behind it.
    pub fn parse(text: &str) -> Result<Origin, OriginError> {
        let Some(parts) = Parts::parse(text) else {
            return Err(OriginError { text: text.to_owned() });
        };
        Ok(Origin { scheme: parts.scheme, host: parts.host.to_ascii_lowercase(), port: parts.port })
    }

    fn parts(&self) -> Parts<'_> {
        debug_assert!(!self.host.bytes().any(|byte| byte.is_ascii_uppercase()), "a host in capital letters");
        Parts { scheme: self.scheme, host: &self.host, port: self.port }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme.prefix(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn prefix(self) -> &'static str {
        match self {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// An origin as it stands in a header field.
#[derive(Clone, Copy, Debug)]
struct Parts<'t> {
    scheme: Scheme,
    host: &'t str,
    port: u16,
}

impl<'t> Parts<'t> {
    fn parse(text: &'t str) -> Option<Parts<'t>> {
        [Scheme::Http, Scheme::Https].into_iter().find_map(|scheme| {
            let (prefix, authority) = text.split_at_checked(scheme.prefix().len())?;
            prefix.eq_ignore_ascii_case(scheme.prefix()).then(|| Parts::of_authority(scheme, authority))?
        })
    }

    fn of_authority(scheme: Scheme, authority: &'t str) -> Option<Parts<'t>> {
        let (host, port) = split_port(authority);
        let port = match port {
            None => scheme.default_port(),
            // `parse` alone would take a plus sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        is_host(host).then_some(Parts { scheme, host, port })
    }
}

impl PartialEq for Parts<'_> {
    fn eq(&self, other: &Parts<'_>) -> bool {
        self.scheme == other.scheme && self.port == other.port && self.host.eq_ignore_ascii_case(other.host)
    }
}

/// Text that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    text: String,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an origin like \"https://chat.example\" or \"http://localhost:3000\"",
            self.text
        )
    }
}

impl std::error::Error for OriginError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_origin_has_the_requests_scheme_host_and_port() {
        let cases = [
            (None, "h", false, true),
            (Some("http://h"), "h", false, true),
            (Some("http://h:80"), "h", false, true),
            (Some("HTTP://H"), "h:80", false, true),
            (Some("https://h"), "h", true, true),
            (Some("https://h:443"), "h", true, true),
            (Some("http://h:8080"), "h:8080", false, true),
            (Some("http://[::1]:8080"), "[::1]:8080", false, true),
            (Some("https://h"), "h", false, false),
            (Some("http://h"), "h", true, false),
            (Some("http://h:8080"), "h", false, false),
            (Some("http://h:443"), "h", true, false),
            (Some("http://h.evil.example"), "h", false, false),
            (Some("http://evil-h"), "h", false, false),
            (Some("http://h@evil.example"), "h", false, false),
            (Some("http://h/"), "h", false, false),
            (Some("http://h http://h"), "h", false, false),
            (Some("http://h:+80"), "h", false, false),
            (Some("http://h:"), "h", false, false),
            (Some("http://h:65616"), "h", false, false),
            (Some("null"), "h", false, false),
            (Some(""), "h", false, false),
            (Some("h"), "h", false, false),
            (Some("httpä//h"), "h", false, false),
        ];
        for (origin, host, secure, expected) in cases {
            assert_eq!(Origins::SameOrigin.allows(origin, host, secure), expected, "{origin:?} on {host:?}");
        }
    }

    #[test]
    fn a_list_lets_in_its_entries_alone() {
        let origins = Origins::parse(&["https://Chat.example", "http://localhost:3000"]).unwrap();
        let cases = [
            (None, true),
            (Some("https://chat.EXAMPLE"), true),
            (Some("https://chat.example:443"), true),
            (Some("http://localhost:3000"), true),
            (Some("http://chat.example"), false),
            (Some("https://a.chat.example"), false),
            (Some("https://chat.example.evil"), false),
            (Some("http://localhost:30000"), false),
            (Some("http://server"), false),
            (Some("null"), false),
        ];
        for (origin, expected) in cases {
            assert_eq!(origins.allows(origin, "server", false), expected, "{origin:?}");
        }
    }

    #[test]
    fn any_lets_in_even_null() {
        let any = Origins::parse(&["*"]).unwrap();
        assert!(any.allows(Some("null"), "h", false) && any.allows(Some("http://x"), "h", false));
    }

    #[test]
    fn words_are_read_and_a_bad_entry_is_named() {
        assert_eq!(Origins::parse(&["same-origin"]), Ok(Origins::SameOrigin));
        assert_eq!(Origins::parse::<&str>(&[]), Ok(Origins::List(Vec::new())));
        for bad in ["chat.example", "https://", "https://a/b", "ws://a", "https://*.a.example/", "*", "null"]
        {
            let error = Origins::parse(&["http://fine", bad]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{bad:?} is not an origin")), "{error}");
        }
    }

    #[test]
    fn an_origin_is_written_without_its_default_port() {
        for (text, expected) in [("HTTPS://A:443", "https://a"), ("http://a:81", "http://a:81")] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), expected);
        }
    }
}
