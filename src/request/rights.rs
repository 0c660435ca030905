//! In whose name a request does something.

use std::borrow::Cow;

use crate::auth::Identity;
use crate::http::{Problem, Status};

/// Why what is an operator's is refused where nobody can prove to be one.
pub(crate) const NOT_LOCAL: &str =
    "without keys for tokens this is answered on the server's own machine alone, at a loopback address";

/// Refuses who is no operator: an administrator of all rooms, or where no token is asked for who is on this machine.
pub(crate) fn require_operator(identity: Option<&Identity>, is_local: bool) -> Result<(), Problem> {
    let refusal = match identity {
        Some(identity) if identity.is_admin() && !identity.is_limited() => return Ok(()),
        Some(_) => "only an administrator of all rooms may do this",
        None if is_local => return Ok(()),
        None => NOT_LOCAL,
    };
    Err(Problem::new(Status::FORBIDDEN, refusal))
}

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
    fn an_operator_is_an_administrator_of_all_rooms_or_on_this_machine() {
        let cases = [
            (None, true, true),
            (None, false, false),
            (Some(Identity::new("u")), true, false),
            (Some(Identity::new("u").admin(true).rooms(["r"])), true, false),
            (Some(Identity::new("u").admin(true)), false, true),
        ];
        for (identity, is_local, expected) in cases {
            let allowed = require_operator(identity.as_ref(), is_local);
            assert_eq!(allowed.is_ok(), expected, "{identity:?} {is_local}");
        }
    }

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
