//! A target for [`crate::auth`].
#![expect(clippy::panic, reason = "a panic is how a fuzz target reports what it found")]

use std::borrow::Cow;
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::Numbers;
use super::http::LIMITS_GENEROUS;
use super::json::{Field, JsonFields};
use crate::auth::{
    AuthMessage, Authority, HmacAlgorithm, Identity, IssueError, Issuer, Keys, Presented, SUBPROTOCOL,
    TOKEN_BYTES_MAX, TokenError, USER_BYTES_MAX, is_user_name,
};
use crate::http::{Head, Origins};

const SECRET: &[u8] = b"a secret that only this target knows";
const AUDIENCE: &str = "chat";
const ISSUER: &str = "login";
/// A fixed time, so that an input means the same each time.
const NOW: Duration = Duration::from_secs(1_700_000_000);
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a token is checked against.
#[derive(Clone, Copy)]
struct TokenTerms {
    audience: Option<&'static str>,
    issuer: Option<&'static str>,
    leeway: Duration,
}

/// Tokens: nothing is believed that a plain reading, with an HMAC of its own, does not believe; what an [`Issuer`] made is
/// believed as it was meant, and no longer once a character of it is another. And a request, or an AUTH message, presents
/// the token that a plain reading finds in it.
///
/// The first byte says what the rest is, the second what is asked of tokens.
pub fn token(input: &[u8]) {
    let &[kind, asked, ref rest @ ..] = input else { return };
    let terms = TokenTerms {
        audience: (asked & 1 != 0).then_some(AUDIENCE),
        issuer: (asked & 2 != 0).then_some(ISSUER),
        leeway: Duration::from_secs(u64::from(asked >> 2)),
    };
    match kind % 5 {
        0 => signed(rest, terms),
        1 => issued(&mut Numbers(rest), terms),
        2 => request(rest),
        3 => message(rest),
        _ => {
            if let Ok(token) = std::str::from_utf8(rest) {
                is_judged(token, terms);
            }
        }
    }
}

/// Header and claims, with the right signature: a line for each.
fn signed(bytes: &[u8], terms: TokenTerms) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, claims) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let token = format!("{message}.{}", encoded(&hmac_sha256(SECRET, message.as_bytes())));
    is_judged(&token, terms);
}

fn issued(numbers: &mut Numbers<'_>, terms: TokenTerms) {
    let lifetime = Duration::from_secs(u64::from(numbers.next()) << (numbers.next() % 64));
    let rooms: Option<Vec<String>> = (0..numbers.next() % 4).map(|_| Some(text(numbers))).collect();
    let rooms = if numbers.next() & 1 == 0 { None } else { rooms };
    let admin = numbers.next() & 1 == 0;
    let (at, other) = (usize::from(numbers.next()), numbers.next());
    let user = text(numbers);
    let issuer = Issuer::new(
        SECRET,
        HmacAlgorithm::Hs256,
        terms.audience.map(str::to_owned),
        terms.issuer.map(str::to_owned),
    );
    let token = match issuer.issue(&user, rooms.as_deref(), admin, NOW, lifetime) {
        Ok(token) => token,
        Err(IssueError::Name) => return assert!(!can_be_a_name(&user), "{user:?}"),
        Err(error) => panic!("{error}: {user:?} {rooms:?}"),
    };
    let identity = is_judged(&token, terms);
    let until = NOW.as_secs().saturating_add(lifetime.as_secs());
    let expected = Identity::new(&user).admin(admin).expires_at(Duration::from_secs(until) + terms.leeway);
    let expected = match rooms {
        Some(rooms) => expected.rooms(rooms),
        None => expected,
    };
    let lasts = lifetime + terms.leeway > Duration::ZERO;
    assert_eq!(identity, lasts.then_some(expected));

    let mut changed = token.clone().into_bytes();
    let at = at * changed.len() / 256;
    changed[at] = other % 128;
    let changed = String::from_utf8(changed).expect("ASCII");
    assert!(is_judged(&changed, terms).is_none() || changed == token || !lasts, "{token} {changed}");
}

fn text(numbers: &mut Numbers<'_>) -> String {
    (0..numbers.next() % 80).map(|_| char::from(numbers.next())).collect()
}

/// Has a token judged, by the server and plainly.
fn is_judged(token: &str, terms: TokenTerms) -> Option<Identity> {
    let keys = Keys::secret(SECRET, HmacAlgorithm::Hs256).expect("a secret");
    let authority = Authority::new(keys)
        .audience(terms.audience.map(str::to_owned))
        .issuer(terms.issuer.map(str::to_owned))
        .leeway(terms.leeway);
    let verdict = authority.verify(token, NOW).ok();
    assert_eq!(verdict, plainly_judged(token, terms), "{token}");
    verdict
}

/// The authentication code of a message, from other code than that which [`crate::auth`] verifies with.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("a key of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

fn plainly_judged(token: &str, terms: TokenTerms) -> Option<Identity> {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    let message = format!("{header}.{claims}");
    let genuine = decoded(signature)? == hmac_sha256(SECRET, message.as_bytes());
    if !genuine || token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let header = JsonFields::read(&String::from_utf8(decoded(header)?).ok()?)?;
    let claims = JsonFields::read(&String::from_utf8(decoded(claims)?).ok()?)?;
    let is_ours = header.get("alg") == Field::Once("HS256".into()) && header.get("crit") == Field::Missing;
    text_of(&header, "kid")?;
    let user = text_of(&claims, "sub")?.filter(|user| can_be_a_name(user))?;
    let expires_at = Duration::from_secs(seconds_of(&claims, "exp")??).saturating_add(terms.leeway);
    let begins_at = Duration::from_secs(seconds_of(&claims, "nbf")?.unwrap_or(0));
    let is_time = NOW < expires_at && begins_at <= NOW + terms.leeway;
    let issuer = text_of(&claims, "iss")?;
    let is_from = terms.issuer.is_none() || issuer.as_deref() == terms.issuer;
    let is_for = match (claims.get("aud"), terms.audience) {
        (Field::Missing, audience) => audience.is_none(),
        (Field::Once(Value::String(name)), Some(audience)) => name == audience,
        (Field::Once(names @ Value::Array(_)), Some(audience)) => {
            texts(&names)?.contains(&audience.to_owned())
        }
        (Field::Once(_) | Field::Unusable, _) => false,
    };
    let admin = match claims.get("admin") {
        Field::Missing => false,
        Field::Once(admin) => admin.as_bool()?,
        Field::Unusable => return None,
    };
    let identity = Identity::new(&user).admin(admin).expires_at(expires_at);
    let identity = match claims.get("rooms") {
        Field::Missing => identity,
        Field::Once(rooms) => identity.rooms(texts(&rooms)?),
        Field::Unusable => return None,
    };
    (is_ours && is_time && is_from && is_for).then_some(identity)
}

/// The rule of names has tests of its own.
fn can_be_a_name(text: &str) -> bool {
    text.len() <= USER_BYTES_MAX && is_user_name(text)
}

/// A text that may be missing; `None` if it is anything else.
fn text_of(fields: &JsonFields, name: &str) -> Option<Option<String>> {
    match fields.get(name) {
        Field::Missing => Some(None),
        Field::Once(Value::String(text)) => Some(Some(text)),
        Field::Once(_) | Field::Unusable => None,
    }
}

/// Whole seconds, that may be missing; `None` if it is anything else.
fn seconds_of(fields: &JsonFields, name: &str) -> Option<Option<u64>> {
    match fields.get(name) {
        Field::Missing => Some(None),
        Field::Once(Value::Number(number)) => Some(Some(whole(&number))),
        Field::Once(_) | Field::Unusable => None,
    }
}

fn whole(number: &serde_json::Number) -> u64 {
    let Some(float) = number.as_f64().filter(|_| !number.is_u64()) else {
        return number.as_u64().unwrap_or(0);
    };
    // Written out, a float has all its digits; more of them than 64 bits hold are the most there can be.
    let digits = format!("{:.0}", float.trunc());
    if float <= 0.0 { 0 } else { digits.parse().unwrap_or(u64::MAX) }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Base64url without padding, bit by bit (RFC 4648 §5).
fn encoded(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let character = |bits: &[u8]| {
        let value = (0..6).fold(0, |value, bit| value << 1 | bits.get(bit).copied().unwrap_or(0));
        char::from(ALPHABET[usize::from(value)])
    };
    bits.chunks(6).map(character).collect()
}

/// The reverse; `None` for any text that [`encoded`] does not write.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for character in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == character)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1 != 0));
    }
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    (encoded(&bytes) == text).then_some(bytes)
}

/// A head with whatever fields; one token in it is found, and none where there are two. Cookies yield to all others.
fn request(bytes: &[u8]) {
    let bytes = [b"GET /", bytes, b"\r\n\r\n"].concat();
    let Ok(Some((head, len))) = Head::parse(&bytes, 0, &LIMITS_GENEROUS) else { return };
    for origins in [Origins::SameOrigin, Origins::Any] {
        let found = Presented::find(&head, &origins, false);
        let found = found.map(|presented| presented.token().map(str::to_owned));
        // The plain reading is one of text.
        let Ok(text) = std::str::from_utf8(&bytes[..len]) else { continue };
        let (cookies, explicit): (Vec<_>, Vec<_>) =
            plainly_presented(text).into_iter().partition(|(place, _)| *place == "cookie");
        if explicit.iter().any(|(place, _)| *place == "undecodable") {
            assert!(found.is_err(), "{text}");
            continue;
        }
        match &(if explicit.is_empty() { cookies } else { explicit })[..] {
            [] => assert!(matches!(found, Ok(None) | Err(TokenError::Malformed)), "{text}"),
            [(_, token)] if token.is_empty() => assert_eq!(found, Err(TokenError::NoToken), "{text}"),
            [("cookie", token)] => assert!(
                found.as_ref() == Ok(&Some(token.to_string())) || found == Err(TokenError::CookieOrigin),
                "{text}"
            ),
            [(_, token)] => assert_eq!(found, Ok(Some(token.to_string())), "{text}"),
            _ => assert_eq!(found, Err(TokenError::SeveralSources), "{text}"),
        }
    }
}

/// Every token in a head, with where it lies.
fn plainly_presented(head: &str) -> Vec<(&'static str, Cow<'_, str>)> {
    let mut found = Vec::new();
    let (first, lines) = head.split_once("\r\n").expect("a request line");
    let target = first.split(' ').nth(1).expect("a target");
    for pair in target.split_once('?').map_or("", |(_, query)| query).split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if unescaped(name).is_some_and(|name| name == "token") {
            found.push(match unescaped(value) {
                Some(value) => ("query", Cow::Owned(value)),
                None => ("undecodable", "".into()),
            });
        }
    }
    let mut protocols = Vec::new();
    for (name, value) in lines.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "authorization" if value.eq_ignore_ascii_case("bearer") => found.push(("bearer", "".into())),
            "authorization" if value.to_ascii_lowercase().starts_with("bearer ") => {
                found.push(("bearer", value["bearer ".len()..].trim_matches([' ', '\t']).into()));
            }
            "sec-websocket-protocol" => {
                protocols.extend(value.split(',').map(|name| name.trim_matches([' ', '\t'])))
            }
            "cookie" => {
                let cookies = value.split(';').filter_map(|cookie| cookie.split_once('='));
                let ours = cookies.filter(|(name, _)| name.trim_matches([' ', '\t']) == "foghorn_token");
                let unquoted = |value: &'_ str| value.trim_matches([' ', '\t']).trim_matches('"').to_owned();
                found.extend(ours.map(|(_, value)| ("cookie", unquoted(value).into())));
            }
            _ => {}
        }
    }
    let mut protocols = protocols.into_iter().filter(|name| !name.is_empty());
    while let Some(name) = protocols.next() {
        if name == SUBPROTOCOL {
            found.push(("subprotocol", protocols.next().unwrap_or_default().into()));
        }
    }
    found
}

/// A name or a value of a query; `None` if it is wrong.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(digits[0]? * 16 + digits[1]?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn message(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = AuthMessage::parse(text);
    if let Some(message) = &read {
        let fields = JsonFields::read(text).expect("an object");
        let mut names = fields.names();
        names.sort_unstable();
        assert_eq!(names, ["token", "type"], "{text}");
        assert_eq!(fields.get("type"), Field::Once("AUTH".into()), "{text}");
        assert_eq!(fields.get("token"), Field::Once(message.token().into()), "{text}");
    }
    let token: String = text.chars().take(100).collect();
    let said = serde_json::json!({ "type": "AUTH", "token": token }).to_string();
    assert_eq!(AuthMessage::parse(&said).as_ref().map(AuthMessage::token), Some(&*token));
}
