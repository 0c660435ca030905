//! Tokens that are forged, too much, or lead elsewhere. How a token is brought along is for `authentication`.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::arena::{Arena, Attack, MARK, attack};
use crate::support::frame::masked_close;
use crate::support::raw::upgrade_lines;
use crate::support::tokens::{
    SECRET, auth_message, bearer, in_seconds, secret_key, signed, token, token_of, written,
};

/// A token of this many bytes at most is looked at.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

const ALGORITHM: &str = "the token has another algorithm than the key";
const SIGNATURE: &str = "the token's signature is wrong";
const SHAPE: &str = "the token is not a JSON Web Token";
const SUB: &str = "the token's claim sub is missing, repeated or no string";
const EXP: &str = "the token's claim exp is missing, repeated or no number";
const NBF: &str = "the token's claim nbf is repeated or no number";
const AUD: &str = "the token's claim aud is repeated or no string or list of strings";
const ROOMS: &str = "the token's claim rooms is repeated or no list of strings";
const ADMIN: &str = "the token's claim admin is repeated or neither true nor false";
const NONE: &str = "the token's claims are not one JSON object";
const EXPIRED: &str = "the token has expired";
const TOO_LONG: &str = "the token is too long";

/// A server that asks for tokens signed with the secret of the tests; `more` begins inside `[auth]`.
pub(crate) fn guarded(more: &str) -> Arena {
    Arena::guarded(&format!("[auth]\njwt_secret = {SECRET:?}\n{more}"), None)
}

/// An upgrade that brings these header lines along, and ends the session if the server has nothing against it.
pub(crate) fn session(name: &str, path: &str, fields: &str, verdict: &str) -> Attack {
    let head = format!("{}{fields}\r\n", upgrade_lines(path));
    attack(name, [head.as_bytes(), &masked_close(1000, "")].concat(), &format!("101 {verdict}"))
}

/// A request of HTTP that brings these header lines along.
pub(crate) fn request(name: &str, line: &str, fields: &str, verdict: &str) -> Attack {
    attack(name, format!("{line} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{fields}\r\n"), verdict)
}

/// The same at every kind of door: each refuses it for this reason.
pub(crate) fn everywhere(name: &str, fields: &str, reason: &str) -> Vec<Attack> {
    let refused = format!("401 ({reason})");
    let mut attacks = vec![session(name, "/ws/chat?roomId=r", fields, &format!("close:4401 ({reason})"))];
    for path in ["/sse/rooms/r", "/poll/rooms/r?wait=0", "/api/chat/rooms"] {
        attacks.push(request(&format!("{name}, {path}"), &format!("GET {path}"), fields, &refused));
    }
    attacks
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)).expect("a key")
}

fn alice() -> String {
    json!({ "sub": "alice", "exp": in_seconds(3600), MARK: MARK }).to_string()
}

/// What the token says, with nothing that vouches for it.
fn unsigned(header: &str) -> String {
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(alice()))
}

/// Tokens that the secret has not signed, and why they are refused.
fn forged() -> Vec<(&'static str, String, &'static str)> {
    let key = secret_key();
    let good = written(HS256, &alice(), Algorithm::HS256, &key);
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (header, claims) = message.split_once('.').expect("three parts");
    let root = URL_SAFE_NO_PAD.encode(json!({ "sub": "root", "exp": in_seconds(3600) }).to_string());
    let rsa = EncodingKey::from_rsa_pem(&pem("rsa.pem")).expect("a key");
    vec![
        ("none", unsigned(r#"{"alg":"none"}"#), ALGORITHM),
        ("none in other letters", unsigned(r#"{"alg":"nOnE"}"#), ALGORITHM),
        ("no algorithm", unsigned(r#"{"typ":"JWT"}"#), SHAPE),
        ("null for an algorithm", unsigned(r#"{"alg":null}"#), SHAPE),
        ("two algorithms", unsigned(r#"{"alg":"HS256","alg":"none"}"#), SHAPE),
        ("a list for a header", unsigned(r#"["HS256"]"#), SHAPE),
        ("HS256 without a signature", unsigned(HS256), SIGNATURE),
        ("another hash", written(r#"{"alg":"HS512"}"#, &alice(), Algorithm::HS512, &key), ALGORITHM),
        ("an algorithm of public keys", signed(&json!({}), Algorithm::RS256, None, &rsa), ALGORITHM),
        (
            "another secret",
            written(HS256, &alice(), Algorithm::HS256, &EncodingKey::from_secret(b"guessed")),
            SIGNATURE,
        ),
        ("claims of somebody else", format!("{header}.{root}.{signature}"), SIGNATURE),
        ("half a signature", good[..good.len() - 20].to_owned(), SIGNATURE),
        ("two parts", message.to_owned(), SHAPE),
        ("five parts", format!("{header}.{claims}.{claims}.{claims}.{signature}"), SIGNATURE),
        ("dots", "...".to_owned(), SHAPE),
        (
            "a header of Latin-1",
            format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(b"{\"alg\":\"\xe4\"}")),
            SHAPE,
        ),
    ]
}

#[test]
fn what_the_secret_has_not_signed_is_no_token() {
    let mut arena = guarded("");
    for (name, token, reason) in forged() {
        arena.fight(&everywhere(name, &bearer(&token), reason));
    }
    // They fail for what is wrong with them alone.
    arena.fight(&[session("a good one", "/ws/echo", &bearer(&token("alice")), "close:1000")]);
    arena.survives();
}

#[test]
fn a_public_key_is_bound_to_its_algorithm_and_is_no_secret_to_sign_with() {
    let public = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/p256-one.pub.pem");
    let [own, other] =
        ["p256-one.pem", "p256-two.pem"].map(|name| EncodingKey::from_ec_pem(&pem(name)).expect("a key"));
    let admin = signed(&json!({ "sub": "root", "admin": true }), Algorithm::ES256, None, &own);
    let mut arena = Arena::guarded(&format!("[auth]\njwt_public_key_file = {public:?}\n"), Some(admin));
    let text = EncodingKey::from_secret(&pem("p256-one.pub.pem"));
    let trimmed = EncodingKey::from_secret(pem("p256-one.pub.pem").trim_ascii());
    let es256 = r#"{"alg":"ES256"}"#;
    let zeros = format!("{}{}", unsigned(es256), URL_SAFE_NO_PAD.encode([0; 64]));
    for (name, token, reason) in [
        ("signed with the public key", written(HS256, &alice(), Algorithm::HS256, &text), ALGORITHM),
        (
            "signed with the public key, trimmed",
            written(HS256, &alice(), Algorithm::HS256, &trimmed),
            ALGORITHM,
        ),
        ("and called ES256", written(es256, &alice(), Algorithm::HS256, &text), SIGNATURE),
        ("another key", signed(&json!({ "sub": "alice" }), Algorithm::ES256, None, &other), SIGNATURE),
        ("a signature of zeros", zeros, SIGNATURE),
        ("none", unsigned(r#"{"alg":"none"}"#), ALGORITHM),
    ] {
        arena.fight(&everywhere(name, &bearer(&token), reason));
    }
    arena.survives();
}

/// Tokens that are signed and say what they must not, and why they are refused.
fn unsound() -> Vec<(String, String, &'static str)> {
    let (now, later) = (in_seconds(0), in_seconds(3600));
    let mut cases = vec![(r#"{"sub":"alice"}"#.to_owned(), EXP)];
    for exp in ["\"9999999999\"", "null", "true", "[9999999999]", "{}", "1e999"] {
        cases.push((format!(r#"{{"sub":"alice","exp":{exp}}}"#), EXP));
    }
    for exp in ["0", "-1", "1.5", &(now - 1).to_string()] {
        cases.push((format!(r#"{{"sub":"alice","exp":{exp}}}"#), EXPIRED));
    }
    let more = |more: &str| format!(r#"{{"sub":"alice","exp":{later},{more}}}"#);
    cases.extend([
        (more(&format!(r#""exp":{later}"#)), EXP),
        (more(&format!(r#""nbf":{later}"#)), "the token is not valid yet (nbf)"),
        (more(r#""nbf":"0""#), NBF),
        (more(r#""aud":"somebody else""#), "the token is for another audience"),
        (more(r#""aud":7"#), AUD),
        (more(r#""rooms":"r""#), ROOMS),
        (more(r#""rooms":null"#), ROOMS),
        (more(r#""rooms":["r",1]"#), ROOMS),
        (more(r#""admin":"true""#), ADMIN),
        (more(r#""admin":1"#), ADMIN),
        (more(r#""admin":false,"admin":true"#), ADMIN),
        (more(r#""sub":"root""#), SUB),
        (format!(r#"{{"exp":{later}}}"#), SUB),
        (format!(r#"{{"sub":7,"exp":{later}}}"#), SUB),
        (format!(r#"{{"sub":"","exp":{later}}}"#), "the token's sub cannot be a user name"),
        (format!(r#"{{"sub":"a\u000ab","exp":{later}}}"#), "the token's sub cannot be a user name"),
        (format!(r#"["alice",{later}]"#), NONE),
        (MARK.to_owned(), NONE),
    ]);
    let token = |claims: &str| written(HS256, claims, Algorithm::HS256, &secret_key());
    cases.into_iter().map(|(claims, reason)| (token(&claims), claims, reason)).collect()
}

#[test]
fn claims_that_are_missing_or_of_another_type_are_not_believed_and_time_is_kept() {
    let mut arena = guarded("");
    for (token, claims, reason) in unsound() {
        arena.fight(&everywhere(&claims, &bearer(&token), reason));
    }
    arena.survives();
}

#[test]
fn a_header_of_a_token_leads_nowhere() {
    let home = TcpListener::bind("127.0.0.1:0").expect("a port");
    home.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/keys.json", home.local_addr().expect("an address"));
    let own = EncodingKey::from_secret(b"the attacker's own secret, which is long enough");
    let jwk = json!({ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(b"the attacker's own secret, which is long enough") });
    let header = |field: &str, value: &serde_json::Value| json!({ "alg": "HS256", field: value }).to_string();
    let mut attacks = Vec::new();
    for (field, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", jwk),
        ("x5c", json!(["MIIB"])),
        ("kid", json!(url)),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("x' OR '1'='1")),
    ] {
        let header = header(field, &value);
        let token = written(&header, &alice(), Algorithm::HS256, &own);
        attacks.extend(everywhere(&header, &bearer(&token), SIGNATURE));
    }
    // The key that /dev/null holds.
    let empty = written(
        &header("kid", &json!("/dev/null")),
        &alice(),
        Algorithm::HS256,
        &EncodingKey::from_secret(b""),
    );
    attacks.extend(everywhere("an empty key", &bearer(&empty), SIGNATURE));
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null)] {
        let header = header("crit", &crit);
        let token = written(&header, &alice(), Algorithm::HS256, &secret_key());
        attacks.extend(everywhere(&header, &bearer(&token), "the token has a critical extension"));
    }
    let mut arena = guarded("");
    arena.fight(&attacks);
    let visit = home.accept().map(|_| ());
    assert_eq!(visit.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock), "somebody came for keys");
    arena.survives();
}

#[test]
fn of_a_set_of_keys_a_token_gets_the_one_it_names_and_no_other() {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/set.jwks.json");
    let key = EncodingKey::from_ec_pem(&pem("p256-one.pem")).expect("a key");
    let named = |kid| signed(&json!({ "sub": "alice" }), Algorithm::ES256, kid, &key);
    let admin = signed(&json!({ "sub": "root", "admin": true }), Algorithm::ES256, Some("one"), &key);
    let mut arena = Arena::guarded(&format!("[auth]\njwks_file = {set:?}\n"), Some(admin));
    let unknown = "the token names an unknown key";
    for (name, token, reason) in [
        ("no name", named(None), unknown),
        ("an empty name", named(Some("")), unknown),
        ("an unknown name", named(Some("../one")), unknown),
        ("a longer name", named(Some("one ")), unknown),
        ("the name of another key", named(Some("two")), SIGNATURE),
        ("the name of a key of another kind", named(Some("rsa")), ALGORITHM),
    ] {
        arena.fight(&everywhere(name, &bearer(&token), reason));
    }
    arena.survives();
}

/// A token that would be good if it were shorter: of at least so many bytes.
fn long(bytes: usize) -> String {
    token_of(&json!({ "sub": "alice", "rooms": ["r", "x".repeat(bytes * 3 / 4)] }))
}

#[test]
fn a_token_that_is_too_long_is_not_decoded_whichever_way_it_comes() {
    let mut arena = guarded("");
    let token = long(TOKEN_BYTES_MAX);
    let cookie = format!("Cookie: foghorn_token={token}\r\nOrigin: http://h\r\n");
    let mut attacks = everywhere("header", &bearer(&token), TOO_LONG);
    attacks.extend(everywhere("cookie", &cookie, TOO_LONG));
    attacks.extend(everywhere("header, not a token", &bearer(&"x".repeat(TOKEN_BYTES_MAX + 1)), TOO_LONG));
    let refused = format!("close:4401 ({TOO_LONG})");
    let subprotocol = format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}\r\n");
    attacks.push(session("subprotocol", "/ws/chat?roomId=r", &subprotocol, &refused));
    for line in ["GET /api/chat/rooms", "GET /sse/rooms/r", "GET /poll/rooms/r", "GET /ws/chat"] {
        attacks.push(request("query", &format!("{line}?token={token}"), "", "414"));
    }
    attacks.push(request("a header for nobody", "GET /api/chat/rooms", &bearer(&long(16 * 1024)), "431"));
    let first = |token: &str| {
        let bytes = [format!("{}\r\n", upgrade_lines("/echo")).as_bytes(), &auth_message(token)].concat();
        [bytes, masked_close(1000, "")].concat()
    };
    attacks.push(attack("first message", first(&token), &format!("101 {refused}")));
    attacks.push(attack("a first message for nobody", first(&long(16 * 1024)), "101 close:1009"));
    arena.fight(&attacks);
    arena.survives();
}

/// All tokens that are refused, with the reasons.
pub(crate) fn refused() -> Vec<(String, &'static str)> {
    let forged = forged().into_iter().map(|(_, token, reason)| (token, reason));
    let unsound = unsound().into_iter().map(|(token, _, reason)| (token, reason));
    forged.chain(unsound).chain([(long(TOKEN_BYTES_MAX), TOO_LONG)]).collect()
}
