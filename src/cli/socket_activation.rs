//! Sockets that a service manager has opened for this process (`LISTEN_FDS`, as systemd does it).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use super::failure::Failure;

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`): behind input, output and error.
const FIRST: RawFd = 3;
/// More than a service manager passes.
const COUNT_MAX: RawFd = 64;
/// A socket of this name speaks TLS.
const TLS_NAME: &str = "tls";

/// Takes the sockets that were passed to this process, each with whether it speaks TLS. To be called once.
pub(super) fn take() -> Result<Vec<(OwnedFd, bool)>, Failure> {
    let announced = announced(|name| std::env::var(name).ok(), std::process::id())?;
    (FIRST..).zip(announced).map(|(descriptor, tls)| Ok((own(descriptor)?, tls))).collect()
}

/// What the environment says about passed sockets: how many there are, and which speak TLS.
///
/// # Errors
/// If it speaks to this process but makes no sense.
fn announced(variable: impl Fn(&str) -> Option<String>, process: u32) -> Result<Vec<bool>, Failure> {
    // Variables that are meant for another process are inherited easily.
    if variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) != Some(process) {
        return Ok(Vec::new());
    }
    let count = variable("LISTEN_FDS").unwrap_or_default();
    let count = count.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count)).ok_or_else(|| {
        Failure::usage(format!(
            "environment variable LISTEN_FDS: {count:?} is not a number from 1 to {COUNT_MAX}"
        ))
    })?;
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    Ok((0..count).map(|_| names.next() == Some(TLS_NAME)).collect())
}

#[expect(unsafe_code, reason = "that a descriptor is passed is known from the environment alone")]
fn own(descriptor: RawFd) -> Result<OwnedFd, Failure> {
    if !Path::new(&format!("/proc/self/fd/{descriptor}")).exists() {
        return Err(Failure::new(format!(
            "descriptor {descriptor} was announced by LISTEN_FDS, but is not open"
        )));
    }
    // SAFETY: It is open, and by the convention of `LISTEN_FDS` it was left to this process, in which nothing else knows
    // of it: what the process opens itself comes behind it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pid: &str, count: &str, names: &str) -> Result<Vec<bool>, String> {
        let variable = |name: &str| {
            let value = match name {
                "LISTEN_PID" => pid,
                "LISTEN_FDS" => count,
                "LISTEN_FDNAMES" => names,
                _ => "",
            };
            (!value.is_empty()).then(|| value.to_owned())
        };
        announced(variable, 7).map_err(|failure| failure.text)
    }

    #[test]
    fn sockets_are_those_that_were_passed_to_this_very_process() {
        assert_eq!(told("", "", ""), Ok(vec![]));
        assert_eq!(told("8", "1", ""), Ok(vec![]));
        assert_eq!(told("x", "1", ""), Ok(vec![]));
        assert_eq!(told("7", "2", ""), Ok(vec![false, false]));
        assert_eq!(told("7", "3", "web:tls"), Ok(vec![false, true, false]));
    }

    #[test]
    fn a_count_that_makes_no_sense_is_refused() {
        for count in ["", "0", "-1", "65", "many"] {
            assert!(told("7", count, "").is_err_and(|text| text.contains("LISTEN_FDS")), "{count}");
        }
    }
}
