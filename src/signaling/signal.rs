//! What a peer says: `{"type":…,"sender":…,"receiver":…,"data":…}`, checked, and relayed as it was written.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

/// How deep objects and arrays may lie in each other. What is relayed is parsed by the receivers, and a parser that calls
/// itself for each level can be brought down by a few kilobytes of brackets.
// As `serde_json` does it; JavaScript's own parser goes deeper.
const DEPTH_MAX: usize = 128;

/// The receiver that means all other peers of the room.
const ALL: &str = "all";

/// Digits of a session's id as it is written: 128 bits, four to a digit.
const ID_DIGITS: usize = 32;

/// A message as a peer has sent it.
#[derive(Debug)]
pub(super) struct Signal<'t> {
    text: &'t str,
    /// Where the value of `sender` stands, if there is one.
    sender: Option<Range<usize>>,
    pub(super) receiver: Receiver<'t>,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver<'t> {
    /// All other peers of the room.
    All,
    /// One session.
    One {
        /// Its id; `None` if no session can have that name.
        id: Option<u128>,
        /// The name as it was written, in JSON.
        json: &'t str,
    },
}

/// Why a message is not relayed; its text is what the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalError {
    NotAnObject,
    Repeated,
    TooDeep,
    Type,
    Token,
    Receiver,
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignalError::NotAnObject => f.write_str("expected a JSON object"),
            SignalError::Repeated => f.write_str("\"type\", \"sender\" or \"receiver\" is there twice"),
            SignalError::TooDeep => write!(f, "more than {DEPTH_MAX} levels of objects and arrays"),
            SignalError::Type => f.write_str("expected a string in \"type\""),
            SignalError::Token => f.write_str("a token is not for other peers"),
            SignalError::Receiver => f.write_str("expected a session's id or \"all\" in \"receiver\""),
        }
    }
}

/// The fields that the server looks at, as they are written. All others are skipped.
#[derive(Deserialize)]
struct Fields<'t> {
    #[serde(borrow, default, deserialize_with = "written", rename = "type")]
    kind: Option<&'t RawValue>,
    #[serde(borrow, default, deserialize_with = "written")]
    sender: Option<&'t RawValue>,
    #[serde(borrow, default, deserialize_with = "written")]
    receiver: Option<&'t RawValue>,
}

/// A field that is there, be it null: a null left standing would be a second `sender`.
fn written<'de: 't, 't, D: Deserializer<'de>>(json: D) -> Result<Option<&'t RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

impl<'t> Signal<'t> {
    /// Reads a message. `data` and fields that the server does not know are checked to be JSON, and nothing else.
    pub(super) fn parse(text: &'t str) -> Result<Signal<'t>, SignalError> {
        // serde would take an array for the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err(SignalError::NotAnObject);
        }
        let fields: Fields<'t> = serde_json::from_str(text).map_err(|error| match error.is_data() {
            true => SignalError::Repeated,
            false => SignalError::NotAnObject,
        })?;
        if depth(text) > DEPTH_MAX {
            return Err(SignalError::TooDeep);
        }
        match fields.kind.and_then(|kind| string(kind.get())) {
            None => return Err(SignalError::Type),
            // One that the server has no use for, or that is not well-formed: the peers must not see it.
            Some(kind) if kind == "AUTH" => return Err(SignalError::Token),
            Some(_) => {}
        }
        let receiver = fields.receiver.map_or(Ok(Receiver::All), |value| Receiver::read(value.get()))?;
        Ok(Signal { text, sender: fields.sender.map(|value| place(text, value.get())), receiver })
    }

    /// The message as its receivers get it: every byte as it was, except for the value of `sender`.
    pub(super) fn relayed(&self, sender: u128) -> String {
        let (at, before, behind) = match &self.sender {
            Some(at) => (at.clone(), "", ""),
            // There is another field for certain: the type.
            None => {
                let at = self.text.find('{').map_or(0, |brace| brace + 1);
                (at..at, "\"sender\":", ",")
            }
        };
        format!("{}{before}\"{sender:032x}\"{behind}{}", &self.text[..at.start], &self.text[at.end..])
    }
}

impl<'t> Receiver<'t> {
    fn read(json: &'t str) -> Result<Receiver<'t>, SignalError> {
        if json == "null" {
            return Ok(Receiver::All);
        }
        if !json.starts_with('"') {
            return Err(SignalError::Receiver);
        }
        // Half of a surrogate pair is a string by the grammar of JSON; no peer has that name.
        let name = string(json);
        if name.as_ref().is_some_and(|name| name.is_empty() || name == ALL) {
            return Ok(Receiver::All);
        }
        Ok(Receiver::One { id: name.and_then(|name| parse_id(&name)), json })
    }
}

/// An id as the server writes it: lower case, all digits.
fn parse_id(name: &str) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let well_formed = name.len() == ID_DIGITS && name.bytes().all(is_digit);
    well_formed.then(|| u128::from_str_radix(name, 16).ok())?
}

fn string(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
    serde_json::from_str(json).ok().map(|Text(text)| text)
}

/// Where a part of a text stands in it.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

/// How deep objects and arrays lie in each other in a text that is JSON.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// Goes on behind the quotation mark that ends a string.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SENDER: u128 = 0xabc;
    const WRITTEN: &str = "00000000000000000000000000000abc";

    fn relayed(text: &str) -> String {
        Signal::parse(text).unwrap_or_else(|error| panic!("{error}: {text}")).relayed(SENDER)
    }

    fn receiver(json: &str) -> Result<Receiver<'_>, SignalError> {
        let text = format!(r#"{{"type":"t","receiver":{json}}}"#);
        let read = Signal::parse(&text).map(|signal| signal.receiver)?;
        Ok(match read {
            Receiver::All => Receiver::All,
            Receiver::One { id, json: kept } => {
                assert_eq!(kept, json);
                Receiver::One { id, json }
            }
        })
    }

    #[test]
    fn every_byte_but_the_sender_stays_as_it_was() {
        let cases = [
            (r#"{"type":"t"}"#, r#"{"sender":"$","type":"t"}"#),
            (r#"{"type":"t","sender":""}"#, r#"{"type":"t","sender":"$"}"#),
            (r#"{"sender":"forged","type":"t"}"#, r#"{"sender":"$","type":"t"}"#),
            (r#"{"sender":null,"type":"t"}"#, r#"{"sender":"$","type":"t"}"#),
            (r#"{"sender":{"a":[1,"}"]},"type":"t"}"#, r#"{"sender":"$","type":"t"}"#),
            (r#"{"s\u0065nder":1,"type":"t"}"#, r#"{"s\u0065nder":"$","type":"t"}"#),
            (
                " {\r\n \"type\" : \"t\" , \"sender\" : 7 } ",
                " {\r\n \"type\" : \"t\" , \"sender\" : \"$\" } ",
            ),
            (" { \"type\":\"t\"}\n", " {\"sender\":\"$\", \"type\":\"t\"}\n"),
            (
                r#"{"type":"t","data":{"sender":"me","n":1e999,"z":-0.0,"é":"\u00e9\ud800"},"sender":"x"}"#,
                r#"{"type":"t","data":{"sender":"me","n":1e999,"z":-0.0,"é":"\u00e9\ud800"},"sender":"$"}"#,
            ),
            (
                r#"{"data":1,"candidate":null,"type":"","data":2}"#,
                r#"{"sender":"$","data":1,"candidate":null,"type":"","data":2}"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(relayed(text), expected.replace('$', WRITTEN), "{text}");
        }
    }

    #[test]
    fn what_is_relayed_is_the_same_object_with_another_sender() {
        let values = ["null", "true", "-1.5e-7", r#""\"{[\\""#, "[]", r#"[{"a":{}},[[]]]"#, "\"κόσμε\""];
        for value in values {
            for sender in ["", r#""sender":"x","#, r#""sender":[{"sender":0}],"#] {
                let text = format!(r#"{{"data":{value},{sender}"receiver":"all","type":"t"}}"#);
                let mut expected: Value = serde_json::from_str(&text).unwrap();
                expected["sender"] = WRITTEN.into();
                assert_eq!(serde_json::from_str::<Value>(&relayed(&text)).unwrap(), expected, "{text}");
                assert_eq!(relayed(&relayed(&text)), relayed(&text));
            }
        }
    }

    #[test]
    fn nobody_and_all_mean_everybody_else() {
        assert_eq!(Signal::parse(r#"{"type":"t"}"#).unwrap().receiver, Receiver::All);
        for json in ["null", r#""""#, r#""all""#, r#""\u0061ll""#] {
            assert_eq!(receiver(json), Ok(Receiver::All), "{json}");
        }
    }

    #[test]
    fn a_receiver_is_an_id_as_the_server_writes_it() {
        let id = "0123456789abcdef0123456789abcdef";
        let number = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        let (as_is, escaped) = (format!("\"{id}\""), format!("\"\\u0030{}\"", &id[1..]));
        for json in [&as_is, &escaped] {
            assert_eq!(receiver(json), Ok(Receiver::One { id: Some(number), json }), "{json}");
        }
        let (upper, signed) = (as_is.to_uppercase(), as_is.replacen('0', "+", 1));
        let (short, long) = (as_is.replacen('0', "", 1), as_is.replacen('0', "00", 1));
        for json in [&upper, &signed, &short, &long, r#""ALL""#, r#"" all""#, r#""é""#, r#""\ud800""#] {
            assert_eq!(receiver(json), Ok(Receiver::One { id: None, json }), "{json}");
        }
        for json in ["1", "true", "[]", r#"["all"]"#, "{}"] {
            assert_eq!(receiver(json), Err(SignalError::Receiver), "{json}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_wrong() {
        let cases = [
            ("", SignalError::NotAnObject),
            ("hello", SignalError::NotAnObject),
            ("[]", SignalError::NotAnObject),
            (r#"["type"]"#, SignalError::NotAnObject),
            (r#""type""#, SignalError::NotAnObject),
            ("{", SignalError::NotAnObject),
            (r#"{"type":"t"}x"#, SignalError::NotAnObject),
            (r#"{"type":"t"}{"type":"t"}"#, SignalError::NotAnObject),
            (r#"{"type":"t","data":}"#, SignalError::NotAnObject),
            (r#"{"type":"t","data":[}"#, SignalError::NotAnObject),
            (r#"{"type":"t","data":NaN}"#, SignalError::NotAnObject),
            ("{\"type\":\"t\",\"data\":\"\u{1}\"}", SignalError::NotAnObject),
            ("\u{feff}{\"type\":\"t\"}", SignalError::NotAnObject),
            ("\u{a0}{\"type\":\"t\"}", SignalError::NotAnObject),
            ("{}", SignalError::Type),
            (r#"{"type":null}"#, SignalError::Type),
            (r#"{"type":1}"#, SignalError::Type),
            (r#"{"type":["t"]}"#, SignalError::Type),
            (r#"{"type":"\udc00"}"#, SignalError::Type),
            (r#"{"Type":"t"}"#, SignalError::Type),
            (r#"{"type":"t","type":"t"}"#, SignalError::Repeated),
            (r#"{"type":"t","t\u0079pe":"u"}"#, SignalError::Repeated),
            (r#"{"type":"t","sender":"a","sender":"b"}"#, SignalError::Repeated),
            (r#"{"type":"t","sender":null,"sender":null}"#, SignalError::Repeated),
            (r#"{"type":"t","receiver":"all","receiver":"all"}"#, SignalError::Repeated),
            (r#"{"type":"AUTH","token":"secret","more":1}"#, SignalError::Token),
            (r#"{"token":"secret","type":"\u0041UTH"}"#, SignalError::Token),
        ];
        for (text, error) in cases {
            assert_eq!(Signal::parse(text).map(|_| ()), Err(error), "{text}");
        }
    }

    #[test]
    fn depth_has_a_limit_and_brackets_in_strings_are_none() {
        let nested = |open: &str, close: &str, levels: usize| {
            let (open, close) = (open.repeat(levels), close.repeat(levels));
            format!(r#"{{"type":"t","data":{open}0{close}}}"#)
        };
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            assert!(Signal::parse(&nested(open, close, DEPTH_MAX - 1)).is_ok());
            for levels in [DEPTH_MAX, 10_000, 100_000] {
                let error = Signal::parse(&nested(open, close, levels)).map(|_| ()).unwrap_err();
                assert_eq!(error, SignalError::TooDeep, "{levels} times {open}");
            }
        }
        let cases =
            [("7", 0), (r#""[[\"[[\\""#, 0), (r#"["\\",[[]],{"]":"}"}]"#, 3), (r#"[{"\\\"[":[]}]"#, 3)];
        for (json, levels) in cases {
            assert_eq!(depth(json), levels, "{json}");
        }
        let wide = format!(r#"{{"type":"t","data":[{}0]}}"#, "[],".repeat(20_000));
        assert!(Signal::parse(&wide).is_ok());
    }
}
