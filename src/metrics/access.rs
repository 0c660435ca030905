//! Who may read the metrics: everybody, or who shows the token of the configuration.

use std::sync::{Mutex, PoisonError};

use subtle::ConstantTimeEq;

use crate::config::Secret;
use crate::http::{Head, Problem, Response, Status};

/// Names the way, and that there is nothing to be asked of a user (RFC 6750 §3).
const CHALLENGE: &str = "Bearer realm=\"foghorn metrics\"";

/// `metrics.token`, as it is now. The lock is taken for each scrape and each reload, and held while a pointer is read.
pub(super) struct Access(Mutex<Option<Secret>>);

impl Access {
    pub(super) fn new(token: Option<Secret>) -> Access {
        Access(Mutex::new(token))
    }

    pub(super) fn set(&self, token: Option<Secret>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Lets a scrape through.
    ///
    /// # Errors
    /// The 401 that asks for the token. What was shown in its place is not repeated anywhere.
    pub(super) fn check(&self, head: &Head<'_>) -> Result<(), Response> {
        let token = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(token) = token else { return Ok(()) };
        let detail = match shown(head) {
            // In constant time: how much of a guess was right must not show in how long the answer takes.
            Some(shown) if bool::from(shown.ct_eq(token.reveal().as_bytes())) => return Ok(()),
            Some(_) => "this is not the token of the metrics",
            None => "the metrics need Authorization: Bearer with metrics.token",
        };
        let response = Problem::new(Status::UNAUTHORIZED, detail).response();
        Err(response.header("WWW-Authenticate", CHALLENGE).header("Cache-Control", "no-store"))
    }
}

/// What stands behind `Authorization: Bearer`. Of several fields none counts: which of them was meant is not known.
fn shown<'h>(head: &Head<'h>) -> Option<&'h [u8]> {
    let mut values = head.fields().values("Authorization");
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.split_at_checked(value.iter().position(|&byte| byte == b' ')?)?;
    scheme.eq_ignore_ascii_case(b"bearer").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeadLimits;

    #[test]
    fn a_scrape_needs_the_token_if_there_is_one() {
        let access = Access::new(Some(Secret::new("s3cret")));
        let cases = [
            ("", false),
            ("Authorization: Bearer s3cret\r\n", true),
            ("authorization: bEARER   s3cret \r\n", true),
            ("Authorization: Bearer s3cre\r\n", false),
            ("Authorization: Bearer s3crets\r\n", false),
            ("Authorization: Bearer S3cret\r\n", false),
            ("Authorization: Bearer\r\n", false),
            ("Authorization: Bearer \r\n", false),
            ("Authorization: Bearers3cret\r\n", false),
            ("Authorization: s3cret\r\n", false),
            ("Authorization: Basic s3cret\r\n", false),
            ("Authorization: Bearer s3cret\r\nAuthorization: Bearer s3cret\r\n", false),
            ("Authorization: Bearer s3cret, Bearer s3cret\r\n", false),
            ("Cookie: foghorn_token=s3cret\r\n", false),
        ];
        for (fields, expected) in cases {
            let text = format!("GET /metrics?token=s3cret HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            let (head, _) = Head::parse(text.as_bytes(), 0, &HeadLimits::default()).unwrap().unwrap();
            assert_eq!(access.check(&head).is_ok(), expected, "{fields}");
            assert!(Access::new(None).check(&head).is_ok(), "{fields}");
        }
        let text = "GET /metrics HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer another\r\n\r\n";
        let (head, _) = Head::parse(text.as_bytes(), 0, &HeadLimits::default()).unwrap().unwrap();
        access.set(Some(Secret::new("another")));
        assert!(access.check(&head).is_ok(), "after a reload");
        access.set(None);
        assert!(access.check(&head).is_ok(), "after another");
    }
}
