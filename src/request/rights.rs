//! In whose name a request does something.

use std::borrow::Cow;

/// The request names another user than its token does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotThatUser;

/// The user of a request: the one whose identity was proved (`known`), whom the request need not name; otherwise the one
/// that it names, unchecked.
pub(crate) fn user<'q>(
    known: Option<&str>,
    given: Option<Cow<'q, str>>,
) -> Result<Option<Cow<'q, str>>, NotThatUser> {
    let Some(known) = known else { return Ok(given) };
    match given.filter(|given| !given.is_empty()) {
        None => Ok(Some(Cow::Owned(known.to_owned()))),
        Some(given) if given == known => Ok(Some(given)),
        Some(_) => Err(NotThatUser),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_is_known_can_be_no_other() {
        let cases = [
            (None, None, Ok(None)),
            (None, Some(""), Ok(Some(""))),
            (None, Some("a"), Ok(Some("a"))),
            (Some("a"), None, Ok(Some("a"))),
            (Some("a"), Some(""), Ok(Some("a"))),
            (Some("a"), Some("a"), Ok(Some("a"))),
            (Some("a"), Some("b"), Err(NotThatUser)),
        ];
        for (known, given, expected) in cases {
            let found = user(known, given.map(Cow::Borrowed));
            assert_eq!(found, expected.map(|user| user.map(Cow::Borrowed)), "{known:?} {given:?}");
        }
    }
}
