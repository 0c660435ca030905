//! CONNECT: which version, who, and how often there are signs of life.

use std::time::Duration;

use super::connected::Connected;
use super::{Broker, HandshakeInfo, SessionLimits};
use crate::auth::is_user_name;
use crate::stomp::codec::{ACCEPT_VERSION, Command, Escaping, Frame, FrameWriter, Version};
use crate::stomp::fault::Fault;
use crate::stomp::users::Owner;

const HEART_BEAT: &str = "heartbeat-beat";

/// Signs of life further apart than this are not watched, and not waited with.
const HEARTBEAT_MAX: Duration = Duration::from_secs(3600);

/// The name of somebody who did not give one.
const ANONYMOUS: &str = "anonymous";

/// Whose session it is, and what it speaks.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) version: Version,
    /// The session's id.
    pub(crate) session: u128,
    pub(crate) owner: Owner,
}

impl Profile {
    /// The sender's name of what the session publishes.
    pub(crate) fn user(&self) -> &str {
        match &self.owner {
            Owner::User(user) => user,
            Owner::Session(_) => ANONYMOUS,
        }
    }
}

/// The signs of life that were agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// The client hears something at least this often.
    pub(crate) send: Option<Duration>,
    /// The client promised to say something at least this often.
    pub(crate) expect: Option<Duration>,
}

impl Heartbeat {
    /// How often to say something. A little more often than was promised: what is sent in time arrives later.
    pub(crate) fn send_interval(&self) -> Option<Duration> {
        self.send.map(|interval| interval - interval / 8)
    }

    /// How often to look whether the client has said something: twice in the time that it promised.
    pub(crate) fn check_interval(&self) -> Option<Duration> {
        self.expect.map(|interval| interval / 2)
    }

    /// What comes of the client's header and the server's wish.
    fn agree(header: Option<&str>, wish: Duration) -> Result<Heartbeat, Fault> {
        let Some(header) = header else { return Ok(Heartbeat::default()) };
        let (promise, wanted) = header.split_once(',').ok_or(Fault::Malformed(HEART_BEAT))?;
        let agreed =
            |interval: Duration| (!interval.is_zero() && !wish.is_zero()).then(|| interval.max(wish));
        let (promise, wanted) = (milliseconds(promise)?, milliseconds(wanted)?);
        Ok(Heartbeat {
            send: agreed(wanted).map(|interval| interval.min(HEARTBEAT_MAX)),
            expect: agreed(promise).filter(|interval| *interval <= HEARTBEAT_MAX),
        })
    }
}

fn milliseconds(text: &str) -> Result<Duration, Fault> {
    let text = text.trim_matches(' ');
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Malformed(HEART_BEAT));
    }
    Ok(Duration::from_millis(text.parse().unwrap_or(u64::MAX)))
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
    // One that cannot be a name is not somebody without one.
    if is_user_name(name) { Ok(Owner::User(name.into())) } else { Err(Fault::BadName(header)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Duration = Duration::from_secs(10);

    fn agree(header: &str) -> Option<(u64, u64)> {
        let heartbeat = Heartbeat::agree(Some(header), WISH).ok()?;
        let seconds = |interval: Option<Duration>| interval.map_or(0, |interval| interval.as_secs());
        Some((seconds(heartbeat.send), seconds(heartbeat.expect)))
    }

    #[test]
    fn signs_of_life_are_as_rare_as_the_one_who_wants_them_least() {
        let cases = [
            ("0,0", Some((0, 0))),
            ("10000,10000", Some((10, 10))),
            ("1,1", Some((10, 10))),
            ("0,20000", Some((20, 0))),
            ("20000,0", Some((0, 20))),
            ("30000, 4000", Some((10, 30))),
            ("3600000,3600000", Some((3600, 3600))),
            ("3600001,3600001", Some((3600, 0))),
            ("99999999999999999999999,99999999999999999999999", Some((3600, 0))),
            ("", None),
            ("1", None),
            ("1,", None),
            ("-1,0", None),
            ("1,2,3", None),
            ("a,b", None),
        ];
        for (header, expected) in cases {
            assert_eq!(agree(header), expected, "{header}");
        }
        assert_eq!(Heartbeat::agree(Some("1,1"), Duration::ZERO), Ok(Heartbeat::default()));
        assert_eq!(Heartbeat::agree(None, WISH), Ok(Heartbeat::default()));
    }

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
