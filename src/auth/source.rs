//! Where in a request a token lies. There must be one at most: two tokens are refused, even if they are the same, since a
//! program that checks one and acts on the other has checked nothing.

use std::borrow::Cow;

use memchr::memchr;

use super::error::TokenError;
use crate::http::{Head, Method, Origins, query};

/// The subprotocol before the token, and the one that is agreed on if the endpoint speaks none that was offered.
pub const SUBPROTOCOL: &str = "foghorn.jwt";
/// The cookie's name.
const COOKIE: &str = "foghorn_token";
/// The parameter's name in the query.
const PARAMETER: &str = "token";

/// What a request presents.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented<'h> {
    token: Option<Cow<'h, str>>,
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").field("token", &self.token.is_some()).finish()
    }
}

impl<'h> Presented<'h> {
    /// Finds the token of a request. `origins` are those of its path, `secure` says that it came over TLS.
    ///
    /// # Errors
    /// [`TokenError::SeveralSources`], [`TokenError::NoToken`], [`TokenError::CookieOrigin`].
    pub fn find(head: &Head<'h>, origins: &Origins, secure: bool) -> Result<Presented<'h>, TokenError> {
        let explicit = [bearers(head), subprotocols(head), parameters(head)?].into_iter().flatten();
        if let Some(token) = only(explicit)? {
            return Ok(Presented { token: Some(token) });
        }
        // A browser adds its cookies to whatever is asked: they yield to what was meant.
        let Some(token) = only(cookies(head).into_iter())? else { return Ok(Presented { token: None }) };
        if !cookie_counts(head, origins, secure) {
            return Err(TokenError::CookieOrigin);
        }
        Ok(Presented { token: Some(token) })
    }

    /// The token, not checked.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Whether a client offers to send its token as a subprotocol.
pub fn offers_subprotocol(head: &Head<'_>) -> bool {
    head.fields().list("Sec-WebSocket-Protocol").any(|name| name == SUBPROTOCOL)
}

/// `Authorization: Bearer TOKEN` (RFC 6750 §2.1). Other schemes are for others, such as a proxy before this server.
fn bearers<'h>(head: &Head<'h>) -> Vec<Cow<'h, str>> {
    let token = |value: &'h [u8]| {
        let (scheme, token) = cut(value, b' ').unwrap_or((value, b""));
        // A token that is not text is one all the same: it is refused, not overlooked.
        scheme.eq_ignore_ascii_case(b"bearer").then(|| String::from_utf8_lossy(token.trim_ascii()))
    };
    head.fields().values("Authorization").filter_map(token).collect()
}

/// What follows `foghorn.jwt` in the list of subprotocols.
fn subprotocols<'h>(head: &Head<'h>) -> Vec<Cow<'h, str>> {
    let mut names = head.fields().list("Sec-WebSocket-Protocol");
    let mut tokens = Vec::new();
    while let Some(name) = names.next() {
        if name == SUBPROTOCOL {
            tokens.push(Cow::Borrowed(names.next().unwrap_or_default()));
        }
    }
    tokens
}

fn parameters<'h>(head: &Head<'h>) -> Result<Vec<Cow<'h, str>>, TokenError> {
    // A token has no character that needs an escape: what cannot be decoded is none, but it is there.
    let tokens: Vec<_> = query::all(head.query(), PARAMETER).collect();
    if tokens.len() > 1 {
        return Err(TokenError::SeveralSources);
    }
    tokens.into_iter().map(|token| token.map_err(|_| TokenError::Malformed)).collect()
}

/// The cookies of that name (RFC 6265 §4.2.1).
fn cookies<'h>(head: &Head<'h>) -> Vec<Cow<'h, str>> {
    // Other cookies of the same site may hold any bytes.
    let pairs = head.fields().values("Cookie").flat_map(|value| value.split(|&byte| byte == b';'));
    let token = |pair: &'h [u8]| {
        let (name, value) = cut(pair, b'=')?;
        let unquoted = || match String::from_utf8_lossy(value.trim_ascii()) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches('"')),
            Cow::Owned(text) => Cow::Owned(text),
        };
        (name.trim_ascii() == COOKIE.as_bytes()).then(unquoted)
    };
    pairs.filter_map(token).collect()
}

/// Cuts at the first separator.
fn cut(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(separator, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// The one token, if there is any.
fn only<'h>(mut tokens: impl Iterator<Item = Cow<'h, str>>) -> Result<Option<Cow<'h, str>>, TokenError> {
    let token = tokens.next();
    if tokens.next().is_some() {
        return Err(TokenError::SeveralSources);
    }
    if token.as_ref().is_some_and(|token| token.is_empty()) { Err(TokenError::NoToken) } else { Ok(token) }
}

/// A browser sends a cookie with a request of any page: it counts only if the page is the server's own or listed by
/// name. A page that reads from its own server says no `Origin`, so without one a cookie counts for reading, unless
/// `Sec-Fetch-Site`, which no page can set, says that another site asks.
fn cookie_counts(head: &Head<'_>, origins: &Origins, secure: bool) -> bool {
    match head.fields().only("Origin") {
        Ok(Some(origin)) => {
            let host = head.host().unwrap_or_default();
            let is_listed = matches!(origins, Origins::List(_)) && origins.allows(Some(origin), host, secure);
            is_listed || Origins::SameOrigin.allows(Some(origin), host, secure)
        }
        // A WebSocket is opened with GET, and says its Origin where a page opens it.
        Ok(None) if matches!(head.method(), Method::Get | Method::Head) => {
            let site = head.fields().only("Sec-Fetch-Site");
            matches!(site, Ok(None | Some("none" | "same-origin")))
        }
        Ok(None) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    fn found(target: &str, fields: &str, origins: &Origins) -> Result<Option<String>, TokenError> {
        found_in_bytes(target, fields.as_bytes(), origins)
    }

    fn found_in_bytes(target: &str, fields: &[u8], origins: &Origins) -> Result<Option<String>, TokenError> {
        let line = format!("GET {target} HTTP/1.1\r\nHost: h\r\n");
        let bytes = [line.as_bytes(), fields, b"\r\n"].concat();
        let (head, _) = Head::parse(&bytes, 0, &HeadLimits::default()).unwrap().unwrap();
        Presented::find(&head, origins, false).map(|presented| presented.token().map(str::to_owned))
    }

    #[test]
    fn a_token_is_found_in_each_of_its_places() {
        let cases = [
            ("/", "", None),
            ("/", "Authorization: Bearer a.b.c\r\n", Some("a.b.c")),
            ("/", "authorization: bearer   a.b.c \r\n", Some("a.b.c")),
            ("/", "Authorization: Basic a.b.c\r\n", None),
            ("/", "Sec-WebSocket-Protocol: foghorn.jwt, a.b.c\r\n", Some("a.b.c")),
            (
                "/",
                "Sec-WebSocket-Protocol: v12.stomp, foghorn.jwt\r\nSec-WebSocket-Protocol: a.b.c, x\r\n",
                Some("a.b.c"),
            ),
            ("/", "Sec-WebSocket-Protocol: FOGHORN.JWT, a.b.c\r\n", None),
            ("/?token=a.b.c&x=1", "", Some("a.b.c")),
            ("/?x=%&token=a.b%2Ec", "", Some("a.b.c")),
            ("/?Token=a", "", None),
            ("/", "Cookie: x=1; foghorn_token=a.b.c; y=2\r\nOrigin: http://h\r\n", Some("a.b.c")),
            ("/", "Cookie: foghorn_token=\"a\"\r\nSec-Fetch-Site: same-origin\r\n", Some("a")),
            ("/", "Cookie: xfoghorn_token=a\r\n", None),
        ];
        for (target, fields, token) in cases {
            let expected = Ok(token.map(str::to_owned));
            assert_eq!(found(target, fields, &Origins::SameOrigin), expected, "{target} {fields}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_hide_no_token() {
        let cases: [(&[u8], _); 4] = [
            (b"Cookie: n=\xc8\xab; foghorn_token=a.b.c; m=\xff\r\nOrigin: http://h\r\n", Ok(Some("a.b.c"))),
            (b"Authorization: Basic \xff\r\nX: \xe9\r\n", Ok(None)),
            (b"Authorization: Bearer \xff\r\n", Ok(Some("\u{fffd}"))),
            (b"Cookie: foghorn_token=a\r\nOrigin: http://\xe9\r\n", Err(TokenError::CookieOrigin)),
        ];
        for (fields, expected) in cases {
            let found = found_in_bytes("/", fields, &Origins::SameOrigin);
            assert_eq!(found, expected.map(|token| token.map(str::to_owned)), "{}", fields.escape_ascii());
        }
    }

    #[test]
    fn a_repeated_parameter_is_one_too_many_even_if_it_cannot_be_decoded() {
        for query in
            ["token=a&token=b", "token=a&token=%", "token=%&token=a", "token=a&%74oken=", "token&token=a"]
        {
            let verdict = found(&format!("/?{query}"), "", &Origins::SameOrigin);
            assert_eq!(verdict, Err(TokenError::SeveralSources), "{query}");
        }
    }

    #[test]
    fn a_second_token_is_one_too_many_even_if_it_is_the_same() {
        let places = [
            ("", "Authorization: Bearer a\r\n"),
            ("", "Sec-WebSocket-Protocol: foghorn.jwt, a\r\n"),
            ("token=a", ""),
        ];
        for (first, one) in places.iter().enumerate() {
            for (second, other) in places.iter().enumerate() {
                let target = format!("/?{}&{}", one.0, other.0);
                let fields = format!("{}{}Origin: http://h\r\n", one.1, other.1);
                let verdict = found(&target, &fields, &Origins::SameOrigin);
                assert_eq!(verdict, Err(TokenError::SeveralSources), "{first} {second}");
            }
        }
        let twice = "Cookie: foghorn_token=a; foghorn_token=a\r\nOrigin: http://h\r\n";
        assert_eq!(found("/", twice, &Origins::SameOrigin), Err(TokenError::SeveralSources));
    }

    #[test]
    fn an_explicit_token_wins_over_a_cookie_whether_that_counts_or_not() {
        for origin in ["http://h", "http://evil"] {
            let fields = format!("Cookie: foghorn_token=c\r\nOrigin: {origin}\r\n");
            let bearer = format!("Authorization: Bearer a\r\n{fields}");
            assert_eq!(found("/", &bearer, &Origins::SameOrigin), Ok(Some("a".into())), "{origin}");
            assert_eq!(found("/?token=a", &fields, &Origins::SameOrigin), Ok(Some("a".into())), "{origin}");
        }
    }

    #[test]
    fn without_an_origin_a_cookie_counts_for_reading_from_the_same_site() {
        let cases = [
            ("GET", "", true),
            ("HEAD", "", true),
            ("POST", "", false),
            ("DELETE", "Sec-Fetch-Site: same-origin\r\n", false),
            ("GET", "Sec-Fetch-Site: none\r\n", true),
            ("GET", "Sec-Fetch-Site: same-origin\r\n", true),
            ("GET", "Sec-Fetch-Site: same-site\r\n", false),
            ("GET", "Sec-Fetch-Site: cross-site\r\n", false),
            ("GET", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: same-origin\r\n", false),
            ("POST", "Origin: http://h\r\n", true),
        ];
        for (method, fields, counts) in cases {
            let text = format!("{method} / HTTP/1.1\r\nHost: h\r\nCookie: foghorn_token=a\r\n{fields}\r\n");
            let (head, _) = Head::parse(text.as_bytes(), 0, &HeadLimits::default()).unwrap().unwrap();
            for origins in [Origins::SameOrigin, Origins::Any] {
                let found = Presented::find(&head, &origins, false);
                assert_eq!(found.is_ok(), counts, "{method} {fields} {origins:?}");
            }
        }
    }

    #[test]
    fn a_place_for_a_token_without_one_is_refused() {
        let cases = [
            ("/", "Authorization: Bearer\r\n", TokenError::NoToken),
            ("/", "Sec-WebSocket-Protocol: foghorn.jwt\r\n", TokenError::NoToken),
            ("/", "Cookie: foghorn_token=\r\nOrigin: http://h\r\n", TokenError::NoToken),
            ("/?token=", "", TokenError::NoToken),
            ("/?token", "", TokenError::NoToken),
            ("/?token=%", "", TokenError::Malformed),
        ];
        for (target, fields, error) in cases {
            assert_eq!(found(target, fields, &Origins::SameOrigin), Err(error), "{target} {fields}");
        }
    }

    #[test]
    fn a_cookie_counts_only_with_an_allowed_origin() {
        let list = Origins::parse(&["https://a"]).unwrap();
        let cases = [
            ("", &Origins::SameOrigin, true),
            ("Sec-Fetch-Site: cross-site\r\n", &Origins::SameOrigin, false),
            ("Origin: http://evil\r\n", &Origins::SameOrigin, false),
            ("Origin: null\r\n", &Origins::SameOrigin, false),
            ("Origin: http://h\r\nOrigin: http://h\r\n", &Origins::SameOrigin, false),
            ("Origin: http://evil\r\nSec-Fetch-Site: same-origin\r\n", &Origins::SameOrigin, false),
            ("Origin: http://h\r\n", &Origins::SameOrigin, true),
            ("Origin: http://h\r\n", &list, true),
            ("Origin: https://a\r\n", &list, true),
            ("Origin: https://a\r\n", &Origins::Any, false),
            ("Origin: http://h\r\n", &Origins::Any, true),
        ];
        for (fields, origins, counts) in cases {
            let fields = format!("Cookie: foghorn_token=a\r\n{fields}");
            let expected = if counts { Ok(Some("a".to_owned())) } else { Err(TokenError::CookieOrigin) };
            assert_eq!(found("/", &fields, origins), expected, "{fields} {origins:?}");
        }
    }
}
