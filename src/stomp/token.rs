//! A token in a frame.

use memchr::memmem;

use super::codec::{Command, Decoder, FrameLimits};
use super::destination::AUTH_DESTINATION;

/// Bytes of a frame's head at most in which its destination is looked for.
// Two of the longest lines: a frame with a token has hardly more than that line, and other frames are not searched to
// their end.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The token in a CONNECT, or a SEND to the server itself, that comes whole and at the beginning of its message. One that
/// has two is as good as one with a bad one.
pub(super) fn token_in(payload: &[u8], limits: FrameLimits) -> Option<String> {
    let line_ends = payload.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut rest = &payload[line_ends..];
    let begins = |command: Command| rest.starts_with(command.name().as_bytes());
    // Every SEND of a session with a token passes here.
    let may_renew = || {
        let head = &rest[..rest.len().min(HEAD_BYTES_MAX)];
        begins(Command::Send) && memmem::find(head, AUTH_DESTINATION.as_bytes()).is_some()
    };
    if !begins(Command::Connect) && !begins(Command::Stomp) && !may_renew() {
        return None;
    }
    let mut decoder = Decoder::new(limits);
    let frame = decoder.poll(&mut rest).ok()??;
    let is_connect = matches!(frame.command(), Command::Connect | Command::Stomp);
    let is_for_us = || frame.header("destination").as_deref() == Some(AUTH_DESTINATION);
    let is_renewal = frame.command() == Command::Send && is_for_us();
    if !is_connect && !is_renewal {
        return None;
    }
    let bearer = ["Authorization", "authorization"].into_iter().find_map(|name| frame.header(name));
    let bearer = bearer.map(|value| bearer_of(&value).unwrap_or_default().to_owned());
    let others = ["passcode", "token"].map(|name| frame.header(name).map(std::borrow::Cow::into_owned));
    let mut given = [bearer].into_iter().chain(others).flatten().filter(|token| !token.is_empty());
    let token = given.next()?;
    Some(if given.next().is_none() { token } else { String::new() })
}

/// What follows `Bearer`, in any case (RFC 9110 §11.1).
fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}
