//! Targets for [`crate::http`] and [`crate::handshake`].
#![expect(clippy::panic, reason = "a panic is how a fuzz target reports what it found")]

use std::borrow::Cow;

use super::cut;
use crate::handshake::{
    self, AcceptKey, Accepted, ClientWindow, DeflateAgreement, DeflateOffer, DeflateTerms, HandshakeError,
    Intent, Origins, Rules,
};
use crate::http::{
    BodyDecoder, BodyError, BodyFraming, Fields, Head, HeadError, HeadLimits, Method, ResponseFraming,
    Version, query,
};
use crate::ws::deflate::WindowBits;

/// Small enough that inputs of a few hundred bytes reach every limit.
const LIMITS: HeadLimits = HeadLimits { head_bytes: 512, headers: 8, target_bytes: 64 };

/// Room for what writing an accepted head anew may add: a space behind each colon.
const LIMITS_REWRITTEN: HeadLimits = HeadLimits { head_bytes: 1024, headers: 8, target_bytes: 64 };

/// For heads that are looked into, not cut.
pub(super) const LIMITS_GENEROUS: HeadLimits =
    HeadLimits { head_bytes: 4096, headers: 32, target_bytes: 2048 };

/// The first byte seeds the cuts the rest arrives in. Whole and in pieces it must get the same verdict; an
/// accepted head must read the same through `httparse` alone and after it was written anew; and its handshake must
/// hold towards our own client.
pub fn request_head(input: &[u8]) {
    let Some((&seed, bytes)) = input.split_first() else { return };
    let whole = Head::parse(bytes, 0, &LIMITS);
    assert_eq!(in_pieces(bytes, seed.into()), whole, "{}", bytes.escape_ascii());
    let Ok(Some((head, len))) = whole else { return };
    assert!(len <= bytes.len() && len <= LIMITS.head_bytes);
    agrees_with_httparse(&head, &bytes[..len]);
    survives_rewriting(&head);
    for _decoded in query::pairs(head.query()) {}
    for segment in head.path().split('/') {
        let _decoded = query::decode_path_segment(segment);
    }
    opening_handshake(&head);
}

/// The verdict on bytes that arrive piece by piece, asked anew after each.
fn in_pieces(bytes: &[u8], seed: u64) -> Result<Option<(Head<'_>, usize)>, HeadError> {
    let mut searched = 0;
    for piece in cut(bytes, seed) {
        let arrived = searched + piece.len();
        let verdict = Head::parse(&bytes[..arrived], searched, &LIMITS);
        if verdict != Ok(None) {
            return verdict;
        }
        searched = arrived;
    }
    Ok(None)
}

/// Our view of the lines is the parser's.
fn agrees_with_httparse(head: &Head<'_>, bytes: &[u8]) {
    let mut table = [httparse::EMPTY_HEADER; 8];
    let mut request = httparse::Request::new(&mut table);
    assert!(matches!(request.parse(bytes), Ok(httparse::Status::Complete(len)) if len == bytes.len()));
    assert_eq!(request.method, Some(head.method_name()));
    let theirs = request.headers.iter().map(|header| (header.name, header.value));
    assert!(head.all_headers().eq(theirs));
}

/// Written anew, a head means what it meant: nothing in it was read by chance.
fn survives_rewriting(head: &Head<'_>) {
    let version = match head.version() {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    let mut text = format!("{} {} HTTP/{version}\r\n", head.method_name(), head.target()).into_bytes();
    for (name, value) in head.all_headers() {
        text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    let again = Head::parse(&text, 0, &LIMITS_REWRITTEN);
    let (again, _) = again.ok().flatten().expect("an accepted head is accepted again");
    assert!(again.all_headers().eq(head.all_headers()));
    assert_eq!((again.method(), again.target(), again.host()), (head.method(), head.target(), head.host()));
    assert_eq!((again.version(), again.body_framing()), (head.version(), head.body_framing()));
    assert_eq!(again.keep_alive(), head.keep_alive());
}

fn opening_handshake(head: &Head<'_>) {
    let subprotocols = ["v12.stomp".to_owned(), "a".to_owned()];
    for origins in [Origins::SameOrigin, Origins::Any] {
        let required = origins == Origins::Any;
        let rules = Rules {
            origins: &origins,
            subprotocols: &subprotocols,
            subprotocol_required: required,
            secure: false,
            deflate: None,
        };
        match handshake::accept(head, &rules) {
            Ok(accepted) => convinces_a_client(head, &accepted),
            Err(error) => can_be_said(error),
        }
    }
}

fn convinces_a_client(head: &Head<'_>, accepted: &Accepted<'_>) {
    assert_eq!((head.method(), head.version()), (Method::Get, Version::Http11));
    assert_eq!((head.body_framing(), handshake::intent(head)), (BodyFraming::None, Intent::Upgrade));
    let mut answer = Vec::new();
    accepted.encode(&mut answer);
    let key = head.header("sec-websocket-key").and_then(handshake::client::ClientKey::parse);
    let offered: Vec<_> = head.fields().list("sec-websocket-protocol").collect();
    let verified = key.map(|key| handshake::client::verify(&answer, &key, &offered));
    assert!(matches!(verified, Some(Ok(Some((client, len))))
        if client.subprotocol == accepted.subprotocol && len == answer.len()));
}

fn can_be_said(error: HandshakeError) {
    let mut out = Vec::new();
    let reply = ResponseFraming { head_only: false, keep_alive: true };
    let written = error.response().encode(&mut out, reply, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert!(written.is_ok() && out.starts_with(format!("HTTP/1.1 {}\r\n", error.status()).as_bytes()));
}

/// The first byte seeds the cuts, the second chooses the framing, the third is the limit. A body must come out the same
/// whole and in pieces, within its limit, and as a plain reading of the chunks has it.
pub fn body(input: &[u8]) {
    let &[seed, framing, limit, ref bytes @ ..] = input else { return };
    let framing = match framing {
        0 => BodyFraming::None,
        odd if odd % 2 == 1 => BodyFraming::Chunked,
        even => BodyFraming::Length(u64::from(even / 2)),
    };
    let limit = usize::from(limit);
    let whole = decode(framing, limit, &[bytes]);
    assert_eq!(decode(framing, limit, &cut(bytes, seed.into())), whole, "{}", bytes.escape_ascii());
    let Ok((body, consumed, complete)) = whole else { return };
    assert!(body.len() <= limit && consumed <= bytes.len());
    if complete {
        let expected: Cow<'_, [u8]> = match framing {
            BodyFraming::None => Cow::Borrowed(&[]),
            BodyFraming::Length(_) => Cow::Borrowed(&bytes[..consumed]),
            BodyFraming::Chunked => Cow::Owned(plain_chunks(&bytes[..consumed])),
        };
        assert_eq!(body, *expected);
    }
}

fn decode(framing: BodyFraming, limit: usize, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut decoder = BodyDecoder::new(framing, limit);
    let mut body = Vec::new();
    let mut last = decoder.receive(&[], &mut body)?;
    let mut consumed = 0;
    for piece in pieces {
        last = decoder.receive(piece, &mut body)?;
        consumed += last.consumed;
        assert!(last.complete || last.consumed == piece.len());
    }
    Ok((body, consumed, last.complete))
}

/// The data of complete chunks, through the size parser of `httparse`.
fn plain_chunks(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, size @ 1..))) = httparse::parse_chunk_size(bytes) {
        let end = usize::try_from(size).map_or(usize::MAX, |size| start + size);
        body.extend_from_slice(&bytes[start..end]);
        bytes = &bytes[end + 2..];
    }
    body
}

/// The offers are those of a plain reading, and read the same after they were written, whatever stood around them; the
/// answer grants what the first offer asks for, and nothing that it cannot.
pub fn extensions(input: &[u8]) {
    let Ok(value) = std::str::from_utf8(input) else { return };
    if value.chars().any(|character| character.is_ascii_control() && character != '\t') {
        return;
    }
    let line = format!("Sec-WebSocket-Extensions: {value}\r\nSec-WebSocket-Protocol: {value}\r\n");
    let fields = Fields::new(&line);
    let offers: Vec<_> = handshake::deflate_offers(fields).collect();
    assert_eq!(offers, plainly_offered(value), "{value:?}");
    for offer in &offers {
        let line = format!("Sec-WebSocket-Extensions: {}\r\n", written(offer));
        assert!(handshake::deflate_offers(Fields::new(&line)).eq([*offer]), "{line:?}");
    }
    for terms in [GENEROUS, FRUGAL] {
        let agreement = terms.agree(fields);
        assert_eq!(agreement.is_some(), !offers.is_empty());
        if let (Some(agreement), Some(offer)) = (agreement, offers.first()) {
            is_granted(offer, &terms, agreement);
        }
    }
    let spoken = ["a".to_owned(), "b".to_owned()];
    if let Some(chosen) = handshake::subprotocol(fields, &spoken) {
        let first = value
            .split(',')
            .map(|name| name.trim_matches([' ', '\t']))
            .find(|name| ["a", "b"].contains(name));
        assert_eq!(first, Some(chosen));
    }
}

/// The offers in a list, by taking apart the whole of it first.
fn plainly_offered(value: &str) -> Vec<DeflateOffer> {
    let parts = |element: &str| -> Vec<String> {
        unquoted_split(element, ';').iter().map(|part| part.trim_matches([' ', '\t']).to_owned()).collect()
    };
    let elements = unquoted_split(value, ',').into_iter().map(|element| parts(&element));
    let ours = elements.filter(|parts| parts[0].eq_ignore_ascii_case("permessage-deflate"));
    ours.filter_map(|parts| plain_offer(&parts[1..])).collect()
}

/// Splits where a separator stands outside quotes; a backslash makes the next character inside quotes a plain one.
fn unquoted_split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == separator && !quoted {
            parts.push(String::new());
            continue;
        }
        quoted ^= character == '"';
        let escaped = if character == '\\' && quoted { characters.next() } else { None };
        parts.last_mut().expect("one at least").extend([character].into_iter().chain(escaped));
    }
    parts
}

/// An offer by its parameters: each name once, each value one of the eight that there are.
fn plain_offer(parameters: &[String]) -> Option<DeflateOffer> {
    let mut offer = DeflateOffer::default();
    let mut names = Vec::new();
    for parameter in parameters {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim_matches([' ', '\t']), Some(plain_bits(value)?)),
            None => (parameter.as_str(), None),
        };
        match (name, value) {
            ("server_no_context_takeover", None) => offer.server_no_context_takeover = true,
            ("client_no_context_takeover", None) => offer.client_no_context_takeover = true,
            ("server_max_window_bits", Some(bits)) => offer.server_window = Some(bits),
            ("client_max_window_bits", None) => offer.client_window = ClientWindow::Limitable,
            ("client_max_window_bits", Some(bits)) => offer.client_window = ClientWindow::AtMost(bits),
            _ => return None,
        }
        names.push(name);
    }
    names.sort_unstable();
    names.is_sorted_by(|one, next| one < next).then_some(offer)
}

fn plain_bits(value: &str) -> Option<WindowBits> {
    let value = value.trim_matches([' ', '\t']);
    let text = match value.strip_prefix('"') {
        None => value.to_owned(),
        Some(value) => {
            let mut text = String::new();
            let mut characters = value.chars();
            loop {
                match characters.next()? {
                    '"' => break,
                    '\\' => text.push(characters.next()?),
                    plain => text.push(plain),
                }
            }
            characters.as_str().is_empty().then_some(text)?
        }
    };
    let all = [("8", 8), ("9", 9), ("10", 10), ("11", 11), ("12", 12), ("13", 13), ("14", 14), ("15", 15)];
    all.iter().find(|(digits, _)| *digits == text).and_then(|(_, bits)| WindowBits::new(*bits))
}

const GENEROUS: DeflateTerms = DeflateTerms {
    server_takeover: true,
    client_takeover: true,
    server_window: WindowBits::MAX,
    client_window: WindowBits::MAX,
};

const FRUGAL: DeflateTerms = DeflateTerms {
    server_takeover: false,
    client_takeover: false,
    server_window: WindowBits::new(12).expect("8 to 15"),
    client_window: WindowBits::new(10).expect("8 to 15"),
};

/// Reads the answer as a client does, and checks it by RFC 7692 §7.1.
fn is_granted(offer: &DeflateOffer, terms: &DeflateTerms, agreement: DeflateAgreement) {
    let key = AcceptKey::answer("dGhlIHNhbXBsZSBub25jZQ==").expect("a key");
    let mut head = Vec::new();
    Accepted { key, subprotocol: None, deflate: Some(agreement) }.encode(&mut head);
    let head = String::from_utf8(head).expect("ASCII");
    let (_, lines) = head.split_once("\r\n").expect("a status line");
    let lines = lines.strip_suffix("\r\n").expect("an empty line");
    let answers: Vec<_> = handshake::deflate_offers(Fields::new(lines)).collect();
    let [answer] = answers[..] else { panic!("{head}") };

    assert!(answer.server_no_context_takeover || !offer.server_no_context_takeover && terms.server_takeover);
    assert!(answer.client_no_context_takeover || !offer.client_no_context_takeover && terms.client_takeover);
    assert_eq!(answer.server_no_context_takeover, !agreement.server_takeover);
    assert_eq!(answer.client_no_context_takeover, !agreement.client_takeover);
    assert_eq!(answer.server_window.unwrap_or(WindowBits::MAX), agreement.server_window);
    assert!(
        agreement.server_window <= offer.server_window.unwrap_or(WindowBits::MAX).min(terms.server_window)
    );
    assert!(
        answer.server_window.is_some() || offer.server_window.is_none(),
        "a client that asks is answered"
    );
    match (offer.client_window, answer.client_window) {
        (_, ClientWindow::Limitable) => panic!("an answer names a number"),
        (ClientWindow::Fixed, named) => assert_eq!(named, ClientWindow::Fixed, "it cannot be limited"),
        (ClientWindow::Limitable | ClientWindow::AtMost(_), ClientWindow::Fixed) => {
            assert_eq!(agreement.client_window, WindowBits::MAX);
        }
        (ClientWindow::Limitable, ClientWindow::AtMost(bits)) => assert_eq!(bits, terms.client_window),
        (ClientWindow::AtMost(most), ClientWindow::AtMost(bits)) => assert!(bits <= most),
    }
}

fn written(offer: &DeflateOffer) -> String {
    let mut text = "permessage-deflate".to_owned();
    if offer.server_no_context_takeover {
        text.push_str("; server_no_context_takeover");
    }
    if offer.client_no_context_takeover {
        text.push_str("; client_no_context_takeover");
    }
    if let Some(bits) = offer.server_window {
        text.push_str(&format!("; server_max_window_bits={}", bits.get()));
    }
    match offer.client_window {
        ClientWindow::Fixed => {}
        ClientWindow::Limitable => text.push_str("; client_max_window_bits"),
        ClientWindow::AtMost(bits) => text.push_str(&format!("; client_max_window_bits=\"{}\"", bits.get())),
    }
    text
}
