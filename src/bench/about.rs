//! Where and when a report was made.

use std::fs;
use std::num::NonZero;

use serde::{Deserialize, Serialize};

use crate::rooms::Timestamp;
use crate::system::since_epoch;

/// Where and when a report was made, and by what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct About {
    /// When the run had ended (RFC 3339, UTC).
    pub date: String,
    /// The version of the load generator.
    pub version: String,
    /// The name of the machine that it ran on.
    pub host: String,
    /// Its system and its processors.
    pub system: String,
}

impl About {
    /// Of this moment and this machine.
    pub(super) fn now() -> About {
        let mut date = Vec::new();
        Timestamp::from_unix(since_epoch()).encode(&mut date);
        let date = String::from_utf8_lossy(&date);
        let seconds = date.split('.').next().unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(": ")?.1.to_owned())
        });
        let kernel = word("/proc/sys/kernel/osrelease");
        About {
            date: format!("{seconds}Z"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: word("/proc/sys/kernel/hostname"),
            system: format!(
                "{} {kernel}, {processors} × {}",
                std::env::consts::OS,
                model.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
            ),
        }
    }
}

/// What a file of the system says; nothing where there is none.
fn word(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_when_and_where_it_was_made() {
        let about = About::now();
        assert!(about.date.len() == 20 && about.date.ends_with('Z') && about.date.contains('T'), "{about:?}");
        assert_eq!(about.version, env!("CARGO_PKG_VERSION"));
        assert!(about.system.starts_with(std::env::consts::OS) && about.system.contains(" × "), "{about:?}");
    }
}
