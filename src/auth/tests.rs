//! Tokens of every kind, good and bad, against keys of every kind.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto};
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"a secret of the tests, long enough for SHA-256";
const NOW: Duration = Duration::from_secs(1_800_000_000);

const RSA: &[u8] = include_bytes!("../../tests/keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../../tests/keys/rsa.pub.pem");
const SHORT_RSA_PUBLIC: &[u8] = include_bytes!("../../tests/keys/short.pub.pem");
const P256: &[u8] = include_bytes!("../../tests/keys/p256-one.pem");
const P256_PUBLIC: &[u8] = include_bytes!("../../tests/keys/p256-one.pub.pem");
const OTHER_P256: &[u8] = include_bytes!("../../tests/keys/p256-two.pem");
const P384_PUBLIC: &[u8] = include_bytes!("../../tests/keys/p384.pub.pem");
const ED25519: &[u8] = include_bytes!("../../tests/keys/ed25519.pem");
const ED25519_PUBLIC: &[u8] = include_bytes!("../../tests/keys/ed25519.pub.pem");
const SET: &[u8] = include_bytes!("../../tests/keys/set.jwks.json");

fn secret() -> Keys {
    Keys::secret(SECRET, HmacAlgorithm::Hs256).unwrap()
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": NOW.as_secs() + 60 })
}

fn encoded(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// A token of exactly this text, signed with HS256.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn token(claims: &str) -> String {
    signed(r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

fn issued(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &claims(), key).unwrap()
}

fn verdict(keys: &Keys, token: &str) -> Result<(), TokenError> {
    Authority::new(keys.clone()).verify(token, NOW).map(|identity| assert_eq!(identity.user(), "alice"))
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA).unwrap()
}

fn p256() -> EncodingKey {
    EncodingKey::from_ec_pem(P256).unwrap()
}

fn ed25519() -> EncodingKey {
    EncodingKey::from_ed_pem(ED25519).unwrap()
}

#[test]
fn each_kind_of_key_believes_its_own_algorithm_alone() {
    let mac = EncodingKey::from_secret(SECRET);
    let hmac = |algorithm| Keys::secret(SECRET, algorithm).unwrap();
    let pairs = [
        (hmac(HmacAlgorithm::Hs256), issued(Algorithm::HS256, None, &mac)),
        (hmac(HmacAlgorithm::Hs384), issued(Algorithm::HS384, None, &mac)),
        (hmac(HmacAlgorithm::Hs512), issued(Algorithm::HS512, None, &mac)),
        (Keys::pem(RSA_PUBLIC).unwrap(), issued(Algorithm::RS256, None, &rsa())),
        (Keys::pem(P256_PUBLIC).unwrap(), issued(Algorithm::ES256, None, &p256())),
        (Keys::pem(ED25519_PUBLIC).unwrap(), issued(Algorithm::EdDSA, None, &ed25519())),
    ];
    for (own, (keys, _)) in pairs.iter().enumerate() {
        for (other, (_, token)) in pairs.iter().enumerate() {
            let expected = if own == other { Ok(()) } else { Err(TokenError::Algorithm) };
            assert_eq!(verdict(keys, token), expected, "{own} {other}");
        }
    }
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        let token = issued(algorithm, None, &rsa());
        assert_eq!(verdict(&Keys::pem(RSA_PUBLIC).unwrap(), &token), Err(TokenError::Algorithm));
    }
}

#[test]
fn another_key_of_the_same_kind_is_not_believed() {
    let other = EncodingKey::from_ec_pem(OTHER_P256).unwrap();
    let token = issued(Algorithm::ES256, None, &other);
    assert_eq!(verdict(&Keys::pem(P256_PUBLIC).unwrap(), &token), Err(TokenError::Signature));
    let token = issued(Algorithm::HS256, None, &EncodingKey::from_secret(b"another secret"));
    assert_eq!(verdict(&secret(), &token), Err(TokenError::Signature));
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    for public in [RSA_PUBLIC, P256_PUBLIC, ED25519_PUBLIC] {
        let token = issued(Algorithm::HS256, None, &EncodingKey::from_secret(public));
        assert_eq!(verdict(&Keys::pem(public).unwrap(), &token), Err(TokenError::Algorithm));
    }
    // The same with a set, where the token says which key.
    for kid in ["one", "rsa", "ed"] {
        let token = issued(Algorithm::HS256, Some(kid), &EncodingKey::from_secret(RSA_PUBLIC));
        assert_eq!(verdict(&Keys::jwks(SET).unwrap(), &token), Err(TokenError::Algorithm), "{kid}");
    }
}

#[test]
fn an_unsigned_token_is_refused_however_it_is_written() {
    let body = encoded(&claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "\\u0000", "RS256"] {
        let header = encoded(&format!("{{\"alg\":\"{alg}\"}}"));
        for signature in ["", "AA"] {
            let token = format!("{header}.{body}.{signature}");
            assert_eq!(verdict(&secret(), &token), Err(TokenError::Algorithm), "{alg:?} {signature:?}");
        }
    }
    let unsigned = format!("{}.{body}.", encoded(r#"{"alg":"HS256"}"#));
    assert_eq!(verdict(&secret(), &unsigned), Err(TokenError::Signature));
}

#[test]
fn every_changed_character_of_a_signed_token_breaks_it() {
    let token = token(&claims().to_string());
    assert_eq!(verdict(&secret(), &token), Ok(()));
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(verdict(&secret(), &changed).is_err(), "{at}");
    }
    for cut in 0..token.len() {
        assert!(verdict(&secret(), &token[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_set_is_asked_by_kid() {
    let set = Keys::jwks(SET).unwrap();
    let other = EncodingKey::from_ec_pem(OTHER_P256).unwrap();
    let mac = EncodingKey::from_secret(b"a secret of the set");
    let cases = [
        (issued(Algorithm::ES256, Some("one"), &p256()), Ok(())),
        (issued(Algorithm::ES256, Some("two"), &other), Ok(())),
        (issued(Algorithm::RS256, Some("rsa"), &rsa()), Ok(())),
        (issued(Algorithm::EdDSA, Some("ed"), &ed25519()), Ok(())),
        (issued(Algorithm::HS512, Some("mac"), &mac), Ok(())),
        (issued(Algorithm::HS256, Some("mac"), &mac), Err(TokenError::Algorithm)),
        (issued(Algorithm::ES256, Some("two"), &p256()), Err(TokenError::Signature)),
        (issued(Algorithm::ES256, Some("three"), &p256()), Err(TokenError::UnknownKey)),
        (issued(Algorithm::ES256, Some("ONE"), &p256()), Err(TokenError::UnknownKey)),
        (issued(Algorithm::ES256, Some("../../one"), &p256()), Err(TokenError::UnknownKey)),
        (issued(Algorithm::RS256, Some("enc"), &rsa()), Err(TokenError::UnknownKey)),
        (issued(Algorithm::ES256, None, &p256()), Err(TokenError::UnknownKey)),
    ];
    for (index, (token, expected)) in cases.iter().enumerate() {
        assert_eq!(verdict(&set, token), *expected, "case {index}");
    }
}

#[test]
fn a_set_of_one_key_needs_no_kid() {
    let set: Value = serde_json::from_slice(SET).unwrap();
    let one = Keys::jwks(json!({ "keys": [set["keys"][0]] }).to_string().as_bytes()).unwrap();
    assert_eq!(verdict(&one, &issued(Algorithm::ES256, None, &p256())), Ok(()));
    assert_eq!(verdict(&one, &issued(Algorithm::ES256, Some("one"), &p256())), Ok(()));
    assert_eq!(verdict(&one, &issued(Algorithm::ES256, Some("two"), &p256())), Err(TokenError::UnknownKey));
}

#[test]
fn what_holds_no_key_is_refused_with_the_reason() {
    assert_eq!(Keys::secret(b"", HmacAlgorithm::Hs256).unwrap_err(), KeyError::EmptySecret);
    let pems: [(&[u8], KeyError); 7] = [
        (b"", KeyError::NotPem),
        (b"ssh-ed25519 AAAA", KeyError::NotPem),
        (b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", KeyError::NotPem),
        (b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", KeyError::Unsupported),
        (RSA, KeyError::Private),
        (P384_PUBLIC, KeyError::Unsupported),
        (SHORT_RSA_PUBLIC, KeyError::ShortRsa),
    ];
    for (text, error) in pems {
        assert_eq!(Keys::pem(text).unwrap_err(), error);
    }
    let set: Value = serde_json::from_slice(SET).unwrap();
    let one = &set["keys"][0];
    let short = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
    let sets = [
        (json!([one]), KeyError::NotASet),
        (json!({ "keys": one }), KeyError::NotASet),
        (json!({ "keys": [] }), KeyError::NothingUsable),
        (json!({ "keys": [set["keys"][5], set["keys"][6]] }), KeyError::NothingUsable),
        (json!({ "keys": [one, one] }), KeyError::Ambiguous),
        (json!({ "keys": [short] }), KeyError::ShortRsa),
        (json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": "" }] }), KeyError::EmptySecret),
        (json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] }), KeyError::NothingUsable),
        (json!({ "keys": vec![one; 257] }), KeyError::NotASet),
    ];
    for (set, error) in sets {
        assert_eq!(Keys::jwks(set.to_string().as_bytes()).unwrap_err(), error, "{set:.200}");
    }
    assert_eq!(Keys::jwks(b"{").unwrap_err(), KeyError::NotASet);
}

#[test]
fn what_is_not_a_token_is_refused() {
    let long = format!("{}.b.c", "a".repeat(TOKEN_BYTES_MAX));
    let body = encoded(&claims().to_string());
    let cases = [
        (String::new(), TokenError::Malformed),
        ("abc".into(), TokenError::Malformed),
        ("a.b".into(), TokenError::Malformed),
        ("..".into(), TokenError::Malformed),
        ("a.b.c.d".into(), TokenError::Malformed),
        (format!("{}.{body}.AA", encoded("[\"HS256\"]")), TokenError::Malformed),
        (format!("{}.{body}.AA", encoded("{\"alg\":\"HS256\",\"alg\":\"none\"}")), TokenError::Malformed),
        (format!("{}.{body}.AA", encoded("{\"alg\":1}")), TokenError::Malformed),
        (format!("{}.{body}.AA", encoded("{\"alg\":\"HS256\",\"kid\":7}")), TokenError::Malformed),
        (format!("{}.{body}.AA", encoded("{\"alg\":\"HS256\",\"kid\":null}")), TokenError::Malformed),
        (format!("{}=.{body}.AA", encoded("{\"alg\":\"HS256\"} ")), TokenError::Malformed),
        (long, TokenError::TooLong),
    ];
    for (token, error) in cases {
        assert_eq!(verdict(&secret(), &token), Err(error), "{token:.60}");
    }
    let deep = encoded(&format!("{{\"alg\":\"HS256\",\"x\":{}", "[".repeat(5_000)));
    assert_eq!(verdict(&secret(), &format!("{deep}.{body}.AA")), Err(TokenError::Malformed));
}

#[test]
fn headers_that_point_elsewhere_are_not_followed_and_critical_ones_refused() {
    let claims = claims().to_string();
    for header in [
        r#"{"alg":"HS256","jku":"http://127.0.0.1:1/keys"}"#,
        r#"{"alg":"HS256","x5u":"http://127.0.0.1:1/cert","jwk":{"kty":"oct","k":"AA"}}"#,
        r#"{"alg":"HS256","kid":"../../../etc/passwd"}"#,
    ] {
        assert_eq!(verdict(&secret(), &signed(header, &claims)), Ok(()), "{header}");
    }
    for crit in [r#"["b64"]"#, "[]", "null", "false"] {
        let header = format!(r#"{{"alg":"HS256","b64":false,"crit":{crit}}}"#);
        assert_eq!(verdict(&secret(), &signed(&header, &claims)), Err(TokenError::Critical), "{crit}");
    }
}

#[test]
fn claims_that_are_missing_repeated_or_of_another_type_are_refused() {
    let exp = NOW.as_secs() + 60;
    let cases = [
        format!(r#"{{"exp":{exp}}}"#),
        r#"{"sub":"alice"}"#.to_owned(),
        format!(r#"{{"sub":"alice","exp":"{exp}"}}"#),
        r#"{"sub":"alice","exp":null}"#.to_owned(),
        r#"{"sub":"alice","exp":true}"#.to_owned(),
        r#"{"sub":"alice","exp":[1]}"#.to_owned(),
        r#"{"sub":"alice","exp":1e999}"#.to_owned(),
        format!(r#"{{"sub":1,"exp":{exp}}}"#),
        format!(r#"{{"sub":null,"exp":{exp}}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"sub":"bob"}}"#),
        format!(r#"{{"sub":"alice","exp":1,"exp":{exp}}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"nbf":"1"}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"nbf":null}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"aud":1}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"aud":null}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"aud":["a",1]}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"iss":["a"]}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"rooms":"a"}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"rooms":null}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"rooms":[1]}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"rooms":["a"],"rooms":["b"]}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"admin":1}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"admin":"true"}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"admin":null}}"#),
        format!(r#"{{"sub":"alice","exp":{exp},"admin":false,"admin":true}}"#),
        format!(r#"["alice",{exp}]"#),
        "null".to_owned(),
    ];
    let names = [
        "sub",
        "exp",
        "exp",
        "exp",
        "exp",
        "exp",
        "exp",
        "sub",
        "sub",
        "sub",
        "exp",
        "nbf",
        "nbf",
        "aud",
        "aud",
        "aud",
        "iss",
        "rooms",
        "rooms",
        "rooms",
        "rooms",
        "admin",
        "admin",
        "admin",
        "admin",
        "claims are",
        "claims are",
    ];
    assert_eq!(cases.len(), names.len());
    for (claims, name) in cases.into_iter().zip(names) {
        let error = verdict(&secret(), &token(&claims)).unwrap_err();
        assert!(matches!(error, TokenError::Claim(_) | TokenError::Claims), "{claims}: {error}");
        assert!(error.message().contains(&format!(" {name} ")), "{claims}: {error}");
    }
    for sub in ["", "a\u{0}b", "a\nb", "System", "..", "\u{200b}", &"x".repeat(65)] {
        let claims = json!({ "sub": sub, "exp": exp }).to_string();
        assert_eq!(verdict(&secret(), &token(&claims)), Err(TokenError::Subject), "{sub:?}");
    }
}

#[test]
fn times_are_kept_to_the_second_with_the_leeway_on_both_sides() {
    let now = NOW.as_secs();
    let late = Duration::from_secs(30);
    let cases = [
        (json!({ "exp": now + 1 }), Duration::ZERO, Ok(())),
        (json!({ "exp": now }), Duration::ZERO, Err(TokenError::Expired)),
        (json!({ "exp": 0 }), Duration::ZERO, Err(TokenError::Expired)),
        (json!({ "exp": -1 }), Duration::ZERO, Err(TokenError::Expired)),
        (json!({ "exp": now - 29 }), late, Ok(())),
        (json!({ "exp": now - 30 }), late, Err(TokenError::Expired)),
        (json!({ "exp": u64::MAX }), late, Ok(())),
        (json!({ "exp": now + 60, "nbf": now }), Duration::ZERO, Ok(())),
        (json!({ "exp": now + 60, "nbf": now + 1 }), Duration::ZERO, Err(TokenError::NotYet)),
        (json!({ "exp": now + 60, "nbf": now + 30 }), late, Ok(())),
        (json!({ "exp": now + 60, "nbf": now + 31 }), late, Err(TokenError::NotYet)),
        (json!({ "exp": now + 60, "nbf": u64::MAX }), late, Err(TokenError::NotYet)),
    ];
    for (mut claims, leeway, expected) in cases {
        claims["sub"] = "alice".into();
        let authority = Authority::new(secret()).leeway(leeway);
        let verdict = authority.verify(&token(&claims.to_string()), NOW);
        assert_eq!(verdict.as_ref().map(|_| ()).map_err(|error| *error), expected, "{claims}");
        if let Ok(identity) = verdict {
            let exp = claims["exp"].as_u64().unwrap();
            assert_eq!(identity.expiry(), Some(Duration::from_secs(exp).saturating_add(leeway)));
        }
    }
}

#[test]
fn audience_and_issuer_are_those_that_were_configured() {
    let verdict = |own: Option<&str>, more: Value| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let authority = Authority::new(secret()).audience(own.map(str::to_owned));
        authority.verify(&token(&claims.to_string()), NOW).err()
    };
    let refused = Some(TokenError::Audience);
    let cases = [
        (None, json!({}), None),
        (None, json!({ "aud": "a" }), refused),
        (Some("a"), json!({}), refused),
        (Some("a"), json!({ "aud": "a" }), None),
        (Some("a"), json!({ "aud": ["b", "a"] }), None),
        (Some("a"), json!({ "aud": [] }), refused),
        (Some("a"), json!({ "aud": "A" }), refused),
        (Some("a"), json!({ "aud": "ab" }), refused),
    ];
    for (own, more, expected) in cases {
        assert_eq!(verdict(own, more.clone()), expected, "{own:?} {more}");
    }
    let authority = Authority::new(secret()).issuer(Some("https://issuer".into()));
    for (iss, expected) in [
        (json!({}), Some(TokenError::Issuer)),
        (json!({ "iss": "https://other" }), Some(TokenError::Issuer)),
        (json!({ "iss": "https://issuer" }), None),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(iss.as_object().unwrap().clone());
        assert_eq!(authority.verify(&token(&claims.to_string()), NOW).err(), expected, "{iss}");
    }
}

#[test]
fn what_is_issued_is_believed_as_it_was_meant() {
    let hour = Duration::from_secs(3600);
    for algorithm in [HmacAlgorithm::Hs256, HmacAlgorithm::Hs384, HmacAlgorithm::Hs512] {
        let issuer = Issuer::new(SECRET, algorithm, Some("aud".into()), Some("iss".into()));
        let authority = Authority::new(Keys::secret(SECRET, algorithm).unwrap())
            .audience(Some("aud".into()))
            .issuer(Some("iss".into()));
        let rooms = ["a".to_owned()];
        let token = issuer.issue("Jörg", Some(&rooms), true, NOW, hour).unwrap();
        let expected = Identity::new("Jörg").rooms(["a"]).admin(true).expires_at(NOW + hour);
        assert_eq!(authority.verify(&token, NOW), Ok(expected));
        assert_eq!(authority.verify(&token, NOW + hour), Err(TokenError::Expired));
        let token = issuer.issue("b", None, false, NOW, hour).unwrap();
        assert_eq!(authority.verify(&token, NOW), Ok(Identity::new("b").expires_at(NOW + hour)));
    }
    let issuer = Issuer::new(SECRET, HmacAlgorithm::Hs256, None, None);
    assert_eq!(issuer.issue("", None, false, NOW, hour), Err(IssueError::Name));
    let rooms = vec!["r".repeat(128); 100];
    assert_eq!(issuer.issue("a", Some(&rooms), false, NOW, hour), Err(IssueError::TooLong));
}

#[test]
fn no_text_that_can_be_logged_repeats_a_token_or_a_secret() {
    let token = token(&claims().to_string());
    let text = format!("{{\"type\":\"AUTH\",\"token\":\"{token}\"}}");
    let message = AuthMessage::parse(&text).unwrap();
    let issuer = Issuer::new(SECRET, HmacAlgorithm::Hs256, None, None);
    for shown in [format!("{message:?}"), format!("{issuer:?}"), format!("{:?}", Authority::new(secret()))] {
        assert!(!shown.contains(&token) && !shown.contains("a secret of"), "{shown}");
        assert!(!shown.contains(&format!("{SECRET:?}")), "{shown}");
    }
}
