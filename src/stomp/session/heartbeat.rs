//! How often the server and the client have to send something.

use std::time::Duration;

use crate::stomp::fault::Fault;

/// The header of CONNECT and CONNECTED.
pub(super) const HEART_BEAT: &str = "heart-beat";

/// Signs of life further apart than this are not watched, and not waited with.
// An hour is longer than any connection in between lives without traffic: nothing would be found out by such signs.
const HEARTBEAT_MAX: Duration = Duration::from_secs(3600);

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
    pub(super) fn agree(header: Option<&str>, wish: Duration) -> Result<Heartbeat, Fault> {
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
}
