//! CONNECT: which version, who, and how often there are signs of life.

use super::broker::Broker;
use super::connected::Connected;
use super::heartbeat::{HEART_BEAT, Heartbeat};
use super::limits::SessionLimits;
use super::subscription::Profile;
use crate::auth::is_user_name;
use crate::stomp::codec::{ACCEPT_VERSION, Command, Escaping, Frame, FrameWriter, Version};
use crate::stomp::fault::Fault;
use crate::stomp::users::Owner;

/// What is known of a session before its first frame.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeInfo {
    pub(crate) id: u128,
    /// The version of the subprotocol that was agreed on, if any was.
    pub(crate) subprotocol: Option<Version>,
    /// The user, if that was proved.
    pub(crate) proved: Option<Box<str>>,
    /// The user as the address of the WebSocket has it.
    pub(crate) given: Option<Box<str>>,
}

/// Begins a session.
///
/// # Errors
/// What is wrong with its first frame.
pub(super) fn connect(
    handshake: &HandshakeInfo,
    frame: &Frame<'_>,
    limits: &SessionLimits,
    broker: &mut impl Broker,
) -> Result<Connected, Fault> {
    match frame.command() {
        Command::Connect | Command::Stomp => {}
        Command::Connected | Command::Message | Command::Receipt | Command::Error => {
            return Err(Fault::ServerCommand);
        }
        Command::Send
        | Command::Subscribe
        | Command::Unsubscribe
        | Command::Ack
        | Command::Nack
        | Command::Begin
        | Command::Commit
        | Command::Abort
        | Command::Disconnect => return Err(Fault::NotConnected),
    }
    let version = version(frame.header(ACCEPT_VERSION).as_deref(), handshake.subprotocol)?;
    let owner = owner(handshake, frame.header("login").as_deref())?;
    let beats = version > Version::V10;
    let header = frame.header(HEART_BEAT).filter(|_| beats);
    let heartbeat = Heartbeat::agree(header.as_deref(), limits.heartbeat)?;
    let profile = Profile { version, session: handshake.id, owner };
    let wish = limits.heartbeat.as_millis();
    let mut connected = Vec::new();
    let user = match &profile.owner {
        Owner::User(user) => Some(&**user),
        Owner::Session(_) => None,
    };
    FrameWriter::new(&mut connected, Command::Connected, Escaping::None)
        .header("version", version.name())
        .optional(HEART_BEAT, beats.then(|| format!("{wish},{wish}")).as_deref())
        .header("session", &format!("{:032x}", handshake.id))
        .header("server", concat!("foghorn/", env!("CARGO_PKG_VERSION")))
        .optional("user-name", user)
        .end();
    broker.send(&connected);
    broker.start_heartbeat(heartbeat);
    let connected = Connected::new(profile);
    if let Some(receipt) = frame.header("receipt") {
        connected.receipt(&receipt, None, broker);
    }
    Ok(connected)
}

/// The newest version that both speak; the one of the subprotocol, if there is one.
fn version(accepted: Option<&str>, subprotocol: Option<Version>) -> Result<Version, Fault> {
    // A client that says nothing of versions is older than the header.
    let accepted = accepted.unwrap_or(Version::V10.name());
    let accepts =
        |version: &Version| accepted.split(',').any(|name| name.trim_matches(' ') == version.name());
    match subprotocol {
        Some(version) if accepts(&version) => Ok(version),
        Some(_) => Err(Fault::OtherSubprotocol),
        None => Version::ALL.into_iter().find(accepts).ok_or(Fault::NoCommonVersion),
    }
}

fn owner(handshake: &HandshakeInfo, login: Option<&str>) -> Result<Owner, Fault> {
    let login = login.filter(|login| !login.is_empty());
    if let Some(proved) = &handshake.proved {
        return match login {
            Some(login) if *login != **proved => Err(Fault::NotThatUser),
            Some(_) | None => Ok(Owner::User(proved.clone())),
        };
    }
    let (header, name) = match (login, handshake.given.as_deref()) {
        (Some(login), _) => ("login", login),
        (None, Some(given)) if !given.is_empty() => ("username", given),
        (None, _) => return Ok(Owner::Session(handshake.id)),
    };
    // A client with a bad name is refused; it is no client without a name.
    if is_user_name(name) { Ok(Owner::User(name.into())) } else { Err(Fault::BadName(header)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_spoken_or_that_of_the_subprotocol() {
        let cases = [
            (None, None, Ok(Version::V10)),
            (Some("1.2"), None, Ok(Version::V12)),
            (Some("1.0,1.1"), None, Ok(Version::V11)),
            (Some("1.2, 1.1"), None, Ok(Version::V12)),
            (Some("2.0,1.1,9"), None, Ok(Version::V11)),
            (Some("2.0"), None, Err(Fault::NoCommonVersion)),
            (Some(""), None, Err(Fault::NoCommonVersion)),
            (Some("1.0,1.1,1.2"), Some(Version::V11), Ok(Version::V11)),
            (Some("1.0"), Some(Version::V12), Err(Fault::OtherSubprotocol)),
            (None, Some(Version::V12), Err(Fault::OtherSubprotocol)),
            (None, Some(Version::V10), Ok(Version::V10)),
        ];
        for (accepted, subprotocol, expected) in cases {
            assert_eq!(version(accepted, subprotocol), expected, "{accepted:?} {subprotocol:?}");
        }
    }
}
