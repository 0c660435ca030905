//! Heads, whole and in pieces.

use super::*;
use crate::every_split::every_split;
use crate::http::Status;

#[test]
fn a_head_that_was_kept_reads_back() {
    for text in [
        "GET /ws?a=%20b HTTP/1.1\r\nHost:h:8080\r\nX:\r\nY:  a b\t\r\ny: c\r\n\r\n",
        "OPTIONS * HTTP/1.0\r\n\r\n",
    ] {
        let head = accepted(text);
        let bytes = head.to_bytes();
        let (kept, len) = Head::parse(&bytes, 0, &HeadLimits::default()).unwrap().unwrap();
        assert_eq!(
            (len, kept.target(), kept.method_name()),
            (bytes.len(), head.target(), head.method_name())
        );
        assert_eq!((kept.host(), kept.version()), (head.host(), head.version()));
        assert!(kept.all_headers().eq(head.all_headers()));
    }
}

/// The verdict on bytes, the same for every way of cutting them.
fn parse(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, HeadError> {
    let limits = HeadLimits::default();
    every_split(bytes, |pieces| {
        let mut arrived = Vec::new();
        for piece in pieces {
            let searched = arrived.len();
            arrived.extend_from_slice(piece);
            let verdict = Head::parse(&arrived, searched, &limits);
            if verdict != Ok(None) {
                return format!("{verdict:?}");
            }
        }
        "incomplete".to_owned()
    });
    Head::parse(bytes, 0, &limits)
}

fn accepted(text: &str) -> Head<'_> {
    match parse(text.as_bytes()) {
        Ok(Some((head, len))) => {
            assert_eq!(len, text.len(), "{text:?}");
            head
        }
        other => panic!("{other:?}: {text:?}"),
    }
}

#[test]
fn a_head_lends_out_what_it_was_made_of() {
    let head = accepted("\r\nPOST /a%20b?c=d?e HTTP/1.1\r\nHost: h:8080\r\nX-A:1\r\nx-a:\t2 \r\n\r\n");
    assert_eq!((head.method(), head.method_name()), (Method::Post, "POST"));
    assert_eq!(head.version(), Version::Http11);
    assert_eq!((head.target(), head.path(), head.query()), ("/a%20b?c=d?e", "/a%20b", "c=d?e"));
    assert_eq!(head.host(), Some("h:8080"));
    assert_eq!(head.header("X-a"), Some("1"));
    assert_eq!(head.headers("x-A").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(head.all_headers().count(), 3);
}

#[test]
fn opaque_bytes_in_a_field_are_kept_as_they_came() {
    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: n=\xc8\xab\r\nUser-Agent: caf\xe9\r\n\r\n";
    let Ok(Some((head, _))) = parse(bytes) else { panic!("{:?}", parse(bytes)) };
    assert_eq!((head.host(), head.header("user-agent")), (Some("h"), None));
    assert_eq!(head.fields().values("user-agent").next(), Some(&b"caf\xe9"[..]));
    assert_eq!(head.to_bytes(), bytes);
}

#[test]
fn bytes_behind_the_head_are_left_alone() {
    let bytes = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\x81\x00\n\0";
    assert!(matches!(parse(bytes), Ok(Some((_, 27)))));
}

#[test]
fn a_head_without_fields_is_one_of_http_1_0_alone() {
    assert_eq!(accepted("GET / HTTP/1.0\r\n\r\n").all_headers().count(), 0);
    assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n"), Err(HeadError::HostMissing));
}

#[test]
fn methods_are_case_sensitive_tokens() {
    for (name, method) in
        [("GET", Method::Get), ("get", Method::Other), ("PATCH", Method::Patch), ("X", Method::Other)]
    {
        let text = format!("{name} / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(accepted(&text).method(), method);
    }
    assert_eq!(accepted("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").path(), "*");
}

#[test]
fn a_line_that_can_never_begin_a_request_is_refused_at_its_end() {
    let cases: &[(&[u8], HeadError)] = &[
        (b"SSH-2.0-OpenSSH_9.6\r\n", HeadError::RequestLine),
        (b"SSH-2.0-x\n", HeadError::BareLf),
        (b"EHLO mail.example\r\n", HeadError::RequestLine),
        (b"GET /\r\n", HeadError::RequestLine),
        (b"HTTP/1.1 200 OK\r\n", HeadError::RequestLine),
        (b"PRI * HTTP/2.0\r\n", HeadError::Version),
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n", HeadError::ProxyHeader),
        (b"\r\n\r\n\0\r\nQUIT\n", HeadError::RequestLine),
        (b"\x16\x03\x01", HeadError::Tls),
        (b"\x80\x2e\x01\x03\x01", HeadError::RequestLine),
        (b"{\"type\":1}", HeadError::RequestLine),
        (b"\xef\xbb\xbfGET /", HeadError::RequestLine),
    ];
    for &(bytes, expected) in cases {
        assert_eq!(parse(bytes), Err(expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_absolute_target_is_reduced_to_its_path() {
    let head = accepted("GET http://h/a?b HTTP/1.1\r\nHost: H\r\n\r\n");
    assert_eq!((head.path(), head.query()), ("/a", "b"));
}

#[test]
fn ambiguous_and_malformed_heads_are_refused() {
    let cases: &[(&[u8], HeadError)] = &[
        (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET / x HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET /\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET / http/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::RequestLine),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::TargetBytes),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::TargetBytes),
        (b"GET /?a=\xf0\x9f\x98\x80 HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::TargetBytes),
        (b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Fragment),
        (b"GET /?a#b\xff HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Fragment),
        (b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Target),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", HeadError::Tunnel),
        (b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", HeadError::Tunnel),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HeadError::Version),
        (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", HeadError::Version),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", HeadError::Version),
        (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", HeadError::FieldFolded),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", HeadError::SpaceBeforeColon),
        (b"GET / HTTP/1.1\r\nHost\t : h\r\n\r\n", HeadError::SpaceBeforeColon),
        (b"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", HeadError::FieldFolded),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\tfolded: x\r\n\r\n", HeadError::FieldFolded),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX y: a\r\n\r\n", HeadError::Field),
        (b"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", HeadError::Field),
        (b"GET / HTTP/1.1\r\nHost: h\r\n: no name\r\n\r\n", HeadError::Field),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX\xc3\xa4: a\r\n\r\n", HeadError::Field),
        (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", HeadError::Host),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: \xff\r\n\r\n", HeadError::ContentLength),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \xff\r\n\r\n", HeadError::TransferEncoding),
        (
            b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: \xff\r\n\r\n",
            HeadError::LengthAndCoding,
        ),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", HeadError::ControlByte),
        (b"GET / HTTP/1.1\r\nHost: h\nX: a\r\n\r\n", HeadError::BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\rX: a\r\n\r\n", HeadError::BareCr),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n", HeadError::BareCr),
        (b"GET / HTTP/1.1\r\n\r\n", HeadError::HostMissing),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HeadError::HostRepeated),
        (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", HeadError::HostRepeated),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", HeadError::Host),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HeadError::Host),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HeadError::Host),
        (b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HeadError::OtherHost),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            HeadError::LengthAndCoding,
        ),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            HeadError::LengthRepeated,
        ),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", HeadError::UnknownCoding),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n",
            HeadError::SpaceBeforeColon,
        ),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", HeadError::ControlByte),
    ];
    for &(bytes, expected) in cases {
        assert_eq!(parse(bytes), Err(expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn limits_are_kept_while_the_head_is_incomplete() {
    let limits = HeadLimits::default();
    let endless_target = format!("GET /{}", "a".repeat(limits.target_bytes));
    assert_eq!(Head::parse(endless_target.as_bytes(), 0, &limits), Err(HeadError::TargetTooLong));
    let endless_value = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(limits.head_bytes));
    assert_eq!(Head::parse(endless_value.as_bytes(), 0, &limits), Err(HeadError::TooLong));
    let endless_fields = format!("GET / HTTP/1.1\r\n{}", "a:\r\n".repeat(limits.headers + 1));
    assert_eq!(Head::parse(endless_fields.as_bytes(), 0, &limits), Err(HeadError::TooManyFields));
}

#[test]
fn a_hundred_fields_are_allowed_and_no_more() {
    let head = |extra: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a:b\r\n".repeat(extra));
    let limits = HeadLimits::default();
    assert!(matches!(Head::parse(head(99).as_bytes(), 0, &limits), Ok(Some(_))));
    assert_eq!(Head::parse(head(100).as_bytes(), 0, &limits), Err(HeadError::TooManyFields));
}

#[test]
fn a_limit_above_the_table_ends_at_the_table() {
    let limits = HeadLimits { headers: usize::MAX, ..HeadLimits::default() };
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a:b\r\n".repeat(HEADERS_MAX));
    assert_eq!(Head::parse(head.as_bytes(), 0, &limits), Err(HeadError::TooManyFields));
}

#[test]
fn every_error_has_the_status_the_contract_gives_it() {
    let cases = [
        (HeadError::BareLf, Status::BAD_REQUEST),
        (HeadError::Host, Status::BAD_REQUEST),
        (HeadError::LengthAndCoding, Status::BAD_REQUEST),
        (HeadError::TargetTooLong, Status::URI_TOO_LONG),
        (HeadError::TooLong, Status::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (HeadError::TooManyFields, Status::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (HeadError::UnknownCoding, Status::NOT_IMPLEMENTED),
        (HeadError::Version, Status::HTTP_VERSION_NOT_SUPPORTED),
    ];
    for (error, status) in cases {
        assert_eq!(error.status(), status, "{error}");
    }
}

#[test]
fn the_connection_stays_open_as_the_version_says() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, line, expected) in cases {
        let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{line}\r\n");
        assert_eq!(accepted(&text).keep_alive(), expected, "{text:?}");
    }
}

#[test]
fn only_a_body_is_continued() {
    let cases = [
        ("Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
        ("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", true),
        ("Expect: 100-continue\r\n", false),
        ("Content-Length: 1\r\n", false),
    ];
    for (lines, expected) in cases {
        let text = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        assert_eq!(accepted(&text).expects_continue(), expected, "{text:?}");
    }
}
