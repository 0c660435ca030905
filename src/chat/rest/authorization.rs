//! What the client of a request may do: everything, where no token is asked for; otherwise what the token says.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::error::ApiError;
use super::routes::Action;
use crate::auth::Identity;
use crate::reactor::network;
use crate::request::rights::{self, NotThatUser};

/// What the user of one request may do.
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    identity: Option<Arc<Identity>>,
    is_local: bool,
}

impl Authorization {
    /// `is_local`: the request was sent on this machine, which counts where no user has an identity.
    pub(super) fn new(identity: Option<Arc<Identity>>, is_local: bool) -> Authorization {
        Authorization { identity, is_local }
    }

    /// The user who asks, who may be banned; `None` for what administrators do: they lift bans, their own among them.
    pub(super) fn known_user(&self, action: Action) -> Option<&str> {
        let identity = self.identity.as_ref()?;
        (!action.needs_admin()).then(|| identity.user())
    }

    /// Whose rate counts for what is published: the user's, or without tokens the address's. `None`: an administrator
    /// publishes for others.
    pub(super) fn publisher(&self, address: IpAddr) -> Option<Box<str>> {
        match &self.identity {
            Some(identity) if identity.is_admin() => None,
            Some(identity) => Some(format!("user {}", identity.user()).into()),
            None => Some(format!("address {}", network(address)).into()),
        }
    }

    /// Whether others' addresses are shown.
    pub(super) fn shows_addresses(&self) -> bool {
        self.identity.as_ref().map_or(self.is_local, |identity| identity.is_admin())
    }

    /// Refuses an action that is not allowed, in the room that the path names (empty if none). Whether there is such a
    /// room has no influence.
    pub(super) fn require(&self, action: Action, room: &str) -> Result<(), ApiError> {
        let Some(identity) = &self.identity else {
            if action.is_local_without_keys() && !self.is_local {
                return Err(ApiError::forbidden(rights::NOT_LOCAL));
            }
            return Ok(());
        };
        if action.needs_admin() && !identity.is_admin() {
            return Err(ApiError::forbidden("only an administrator may do this"));
        }
        if !room.is_empty() && !identity.may_enter(room) {
            return Err(ApiError::forbidden("the token does not allow this room"));
        }
        if action.needs_all_rooms() && identity.is_limited() {
            return Err(ApiError::forbidden("the token allows certain rooms only"));
        }
        Ok(())
    }

    /// The user in whose name something is to be done: the one given, who must be the one who asks, or that one. None if
    /// none is given and none is known.
    pub(super) fn user<'q>(&self, given: Option<Cow<'q, str>>) -> Result<Option<Cow<'q, str>>, ApiError> {
        // Administrators act for others, and for themselves if they name no user.
        let acts_for_others = self.identity.as_ref().is_some_and(|identity| identity.is_admin())
            && given.as_ref().is_some_and(|given| !given.is_empty());
        let known = self.identity.as_deref().filter(|_| !acts_for_others).map(Identity::user);
        rights::user(known, given).map_err(|NotThatUser| ApiError::forbidden("the token is another user's"))
    }

    /// The rooms that may be seen; `None` if all of them.
    pub(super) fn visible_rooms(&self) -> Option<Box<[Box<str>]>> {
        self.identity.as_ref()?.allowed_rooms().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization(identity: Identity) -> Authorization {
        Authorization::new(Some(Arc::new(identity)), false)
    }

    #[test]
    fn a_token_allows_what_it_says_and_no_token_everything() {
        let (nobody, user) = (Authorization::new(None, true), authorization(Identity::new("u")));
        let (admin, limited) =
            (authorization(Identity::new("a").admin(true)), authorization(Identity::new("u").rooms(["r"])));
        let chief = authorization(Identity::new("a").admin(true).rooms(["r"]));
        let cases = [
            (Action::Kick, "r", [true, false, true, false, true]),
            (Action::Kick, "s", [true, false, true, false, false]),
            (Action::DeleteRoom, "r", [true, false, true, false, true]),
            (Action::PostMessage, "r", [true, true, true, true, true]),
            (Action::PostMessage, "s", [true, true, true, false, false]),
            (Action::ShowOnline, "r", [true, false, true, false, true]),
            (Action::ShowStats, "", [true, false, true, false, true]),
            (Action::ReadMessages, "r", [true, true, true, true, true]),
            (Action::ReadMessages, "s", [true, true, true, false, false]),
            (Action::ShowRoom, "s", [true, true, true, false, false]),
            (Action::JoinRoom, "s", [true, true, true, false, false]),
            (Action::LeaveRoom, "r", [true, true, true, true, true]),
            (Action::ListRooms, "", [true, true, true, true, true]),
            (Action::CreateRoom, "", [true, true, true, false, false]),
            (Action::BeginBackup, "", [true, false, true, false, false]),
            (Action::ReadBackup, "", [true, false, true, false, false]),
            (Action::EndBackup, "", [true, false, true, false, false]),
            (Action::CheckHealth, "", [true, true, true, true, true]),
        ];
        for (action, room, expected) in cases {
            let authorization = [&nobody, &user, &admin, &limited, &chief];
            let allowed = authorization.map(|authorization| authorization.require(action, room).is_ok());
            assert_eq!(allowed, expected, "{action:?} in {room:?}");
        }
    }

    #[test]
    fn without_keys_what_concerns_others_is_for_this_machine_alone() {
        let (here, elsewhere) = (Authorization::new(None, true), Authorization::new(None, false));
        let cases = [
            (Action::Kick, false),
            (Action::ListBans, false),
            (Action::LiftBan, false),
            (Action::DeleteRoom, false),
            (Action::ShowOnline, true),
            (Action::ShowStats, true),
            (Action::PostMessage, true),
            (Action::CreateRoom, true),
            (Action::ReadMessages, true),
        ];
        for (action, everywhere) in cases {
            assert!(here.require(action, "r").is_ok(), "{action:?}");
            assert_eq!(elsewhere.require(action, "r").is_ok(), everywhere, "{action:?}");
        }
        assert!(here.shows_addresses() && !elsewhere.shows_addresses());
        assert!(!authorization(Identity::new("u")).shows_addresses());
    }

    #[test]
    fn a_name_is_ones_own_unless_one_is_an_administrator() {
        let user = |authorization: &Authorization, given: Option<&'static str>| {
            authorization.user(given.map(Cow::Borrowed)).map(|user| user.map(Cow::into_owned)).ok()
        };
        let (alice, admin) =
            (authorization(Identity::new("alice")), authorization(Identity::new("root").admin(true)));
        assert_eq!(user(&Authorization::new(None, false), Some("x")), Some(Some("x".into())));
        assert_eq!(user(&Authorization::new(None, false), None), Some(None));
        assert_eq!(user(&alice, None), Some(Some("alice".into())));
        assert_eq!(user(&alice, Some("")), Some(Some("alice".into())));
        assert_eq!(user(&alice, Some("alice")), Some(Some("alice".into())));
        assert_eq!(user(&alice, Some("bob")), None);
        assert_eq!(user(&admin, Some("bob")), Some(Some("bob".into())));
    }
}
