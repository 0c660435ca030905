//! The body of a request: one JSON object whose fields are strings, or objects of strings and numbers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::error::ApiError;
use crate::auth::USER_BYTES_MAX;
use crate::http::{Head, Problem, Status};
use crate::request::names;

/// The fields of an object that the action knows; the others were skipped.
#[derive(Debug)]
pub(super) struct Fields<'b> {
    names: &'static [&'static str],
    values: Vec<Option<Value<'b>>>,
}

/// The value of a field.
#[derive(Debug)]
enum Value<'b> {
    Text(Cow<'b, str>),
    Number(u64),
    /// An object whose fields are known, and among the values.
    Object,
    Null,
    /// Something that no field is.
    Other,
}

impl<'b> Fields<'b> {
    /// Parses a body. Of `names`, none may come twice; what is not among them is skipped without being kept. A field of a
    /// field has both names, with a dot in between.
    pub(super) fn parse(
        head: &Head<'_>,
        body: &'b [u8],
        names: &'static [&'static str],
    ) -> Result<Fields<'b>, ApiError> {
        if !head.header("Content-Type").is_some_and(is_json) {
            let detail = "the body must be JSON, and Content-Type say so: application/json";
            return Err(Problem::new(Status::UNSUPPORTED_MEDIA_TYPE, detail).into());
        }
        Fields::of_json(body, names)
    }

    fn of_json(body: &'b [u8], names: &'static [&'static str]) -> Result<Fields<'b>, ApiError> {
        let malformed = |error: serde_json::Error| ApiError::malformed(format!("the body: {error}"));
        let mut json = serde_json::Deserializer::from_slice(body);
        let mut values: Vec<Option<Value<'b>>> = names.iter().map(|_| None).collect();
        json.deserialize_map(Known { names, path: "", values: &mut values }).map_err(malformed)?;
        json.end().map_err(malformed)?;
        Ok(Fields { names, values })
    }

    /// A field that must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Result<Cow<'b, str>, ApiError> {
        self.optional(name)?.ok_or_else(|| ApiError::field(name, "is missing"))
    }

    /// A field that may be missing, or null, which means the same.
    pub(super) fn optional(&mut self, name: &'static str) -> Result<Option<Cow<'b, str>>, ApiError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Number(_) | Value::Object | Value::Other) => {
                Err(ApiError::field(name, "must be a string"))
            }
        }
    }

    /// As [`Fields::optional`], of a field that is a number.
    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, ApiError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(Value::Text(_) | Value::Object | Value::Other) => {
                Err(ApiError::field(name, "must be a whole number, 0 or more"))
            }
        }
    }

    /// A field that may be missing, and otherwise must be an object, whose fields are asked for one by one.
    pub(super) fn object(&mut self, name: &'static str) -> Result<(), ApiError> {
        match self.take(name) {
            None | Some(Value::Null | Value::Object) => Ok(()),
            Some(Value::Text(_) | Value::Number(_) | Value::Other) => {
                Err(ApiError::field(name, "must be an object"))
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value<'b>> {
        let index = self.names.iter().position(|known| *known == name)?;
        self.values.get_mut(index)?.take()
    }
}

/// `application/json`, or another type whose syntax is JSON (RFC 6839 §3.1), in UTF-8.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let structured = essence.strip_prefix("application/").and_then(|subtype| subtype.strip_suffix("+json"));
    let is_utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        Some(_) | None => true,
    };
    (essence == "application/json" || structured.is_some_and(|name| !name.is_empty())) && parts.all(is_utf8)
}

/// Reads an object: the body, or the field of this name.
struct Known<'v, 'b> {
    names: &'static [&'static str],
    path: &'static str,
    values: &'v mut [Option<Value<'b>>],
}

impl Known<'_, '_> {
    /// Whether `name` is the name of the object's field `key`.
    fn names_field(&self, name: &str, key: &str) -> bool {
        if self.path.is_empty() {
            return name == key && !name.contains('.');
        }
        name.strip_prefix(self.path).and_then(|rest| rest.strip_prefix('.')) == Some(key)
    }
}

impl<'de> Visitor<'de> for Known<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let Some(index) = self.names.iter().position(|name| self.names_field(name, &key)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (names, path) = (self.names, self.names[index]);
            let value = map.next_value_seed(AnyValue(Known { names, path, values: &mut *self.values }))?;
            if self.values[index].replace(value).is_some() {
                return Err(A::Error::duplicate_field(path));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Key<'b>(#[serde(borrow)] Cow<'b, str>);

/// Reads the value of a field, and keeps it if it is something that a field may be.
struct AnyValue<'v, 'b>(Known<'v, 'b>);

impl<'de> DeserializeSeed<'de> for AnyValue<'_, 'de> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_, 'de> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value<'de>, A::Error> {
        self.0.visit_map(map)?;
        Ok(Value::Object)
    }
}

/// A field that is a user's name.
pub(super) fn user<'b>(field: &'static str, value: Cow<'b, str>) -> Result<Cow<'b, str>, ApiError> {
    names::name(field, Some(value), USER_BYTES_MAX).map_err(|_| {
        let rule = format_args!(
            "must have 1 to {USER_BYTES_MAX} bytes, something to be seen and no control characters, and not be SYSTEM, . or .."
        );
        ApiError::field(field, rule)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Result<Fields<'_>, u16> {
        Fields::of_json(json.as_bytes(), &["a", "b"]).map_err(|refusal| refusal.response().status().code())
    }

    #[test]
    fn known_fields_are_taken_and_others_skipped() {
        let mut fields = fields(r#"{"x":[1,{"a":2}],"a":"h\u00e9","b":null,"x":3}"#).unwrap();
        assert_eq!(fields.required("a").unwrap(), "hé");
        assert_eq!(fields.optional("b").unwrap(), None);
        assert!(fields.required("b").is_err());
    }

    #[test]
    fn fields_of_a_field_have_both_names() {
        let fields = |json: &'static str| Fields::of_json(json.as_bytes(), &["a", "b", "b.a", "b.c"]);
        let mut nested = fields(r#"{"a":"x","b":{"a":7,"c":"y","d":{"a":1}},"b.a":9}"#).unwrap();
        nested.object("b").unwrap();
        assert_eq!(
            (nested.required("a").unwrap(), nested.required("b.c").unwrap()),
            ("x".into(), "y".into())
        );
        assert_eq!(nested.number("b.a").unwrap(), Some(7));
        for (json, is_object) in
            [("{}", true), (r#"{"b":null}"#, true), (r#"{"b":[]}"#, false), (r#"{"b":1}"#, false)]
        {
            assert_eq!(fields(json).unwrap().object("b").is_ok(), is_object, "{json}");
        }
        for value in ["-1", "1.0", "1e3", "\"1\"", "{}", "18446744073709551616"] {
            let json: &'static str = format!(r#"{{"b":{{"a":{value}}}}}"#).leak();
            assert!(fields(json).unwrap().number("b.a").is_err(), "{value}");
        }
        assert!(fields(r#"{"b":{"a":1,"a":2}}"#).is_err(), "a field of a field comes twice");
    }

    #[test]
    fn plain_text_is_not_copied() {
        let mut fields = fields(r#"{"a":"plain"}"#).unwrap();
        assert!(matches!(fields.required("a"), Ok(Cow::Borrowed("plain"))));
    }

    #[test]
    fn a_field_that_is_no_string_is_named() {
        for value in ["1", "-1", "1.5", "true", "[]", "{}", r#"["x"]"#, r#"{"a":"x"}"#] {
            let json = format!(r#"{{"a":{value}}}"#);
            let refusal = fields(&json).unwrap().required("a").unwrap_err();
            assert_eq!(refusal.response().status(), Status::UNPROCESSABLE_CONTENT, "{value}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_malformed() {
        let cases = [
            "",
            "{",
            "[]",
            "null",
            "\"a\"",
            r#"["a"]"#,
            r#"{"a":"x"}x"#,
            r#"{"a":"x"}{}"#,
            r#"{"a":"x","a":"y"}"#,
            r#"{"a":"x","\u0061":null}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"x",}"#,
            r#"{a:"x"}"#,
            r#"{1:"x"}"#,
            "{\"a\":\"\u{1}\"}",
            "\u{feff}{}",
        ];
        for case in cases {
            assert_eq!(fields(case).err(), Some(400), "{case:?}");
        }
        assert!(Fields::of_json(b"{\"a\":\"\xff\"}", &["a"]).is_err());
        for nested in ["[", "{\"a\":"] {
            let deep = format!(r#"{{"a":{}"#, nested.repeat(100_000));
            assert_eq!(fields(&deep).err(), Some(400), "the depth costs no stack");
        }
    }

    #[test]
    fn json_has_several_media_types() {
        for json in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
        ] {
            assert!(is_json(json), "{json}");
        }
        for other in [
            "",
            "text/plain",
            "text/json",
            "application/jsonp",
            "application/+json",
            "application/json, text/html",
            "application/json; charset=utf-16",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!is_json(other), "{other}");
        }
    }
}
