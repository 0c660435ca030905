//! What a process has used, read from `/proc`.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The kernel reports times to programs in hundredths of a second, whatever its own tick is.
const USER_HZ: u64 = 100;

/// Processor time of one thread.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ThreadTime {
    /// The thread's name.
    pub name: String,
    /// Its number.
    pub id: u32,
    /// Time on a processor.
    #[serde(serialize_with = "as_seconds", deserialize_with = "from_seconds")]
    pub time: Duration,
}

fn from_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// What a process has used since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// In user mode, to a hundredth of a second.
    pub(super) user: Duration,
    /// In the kernel, to a hundredth of a second.
    pub(super) system: Duration,
    /// Each thread, to a nanosecond (or a hundredth of a second, where the kernel keeps no better count).
    pub(super) threads: Vec<ThreadTime>,
}

impl Usage {
    /// Reads what process `pid` has used; `None` if it is not there or this is no Linux.
    pub(super) fn of(pid: u32) -> Option<Usage> {
        let (user, system) = user_and_system(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let mut threads = Vec::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let path = entry.path();
            // A thread may end while this loop looks at it.
            let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
            let Some((ticked_user, ticked_system)) = user_and_system(&stat) else { continue };
            let time = fs::read_to_string(path.join("schedstat")).ok().and_then(|text| on_processor(&text));
            threads.push(ThreadTime {
                name: fs::read_to_string(path.join("comm")).unwrap_or_default().trim().to_owned(),
                id: entry.file_name().to_string_lossy().parse().unwrap_or(0),
                time: time.unwrap_or(ticked_user + ticked_system),
            });
        }
        Some(Usage { user, system, threads })
    }

    /// What was used since `earlier`.
    pub(super) fn since(&self, earlier: &Usage) -> Usage {
        let before = |id| earlier.threads.iter().find(|thread| thread.id == id).map(|thread| thread.time);
        let threads = self.threads.iter().map(|thread| ThreadTime {
            time: thread.time.saturating_sub(before(thread.id).unwrap_or_default()),
            ..thread.clone()
        });
        Usage {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            threads: threads.collect(),
        }
    }

    /// Processor time of all threads.
    pub(super) fn total(&self) -> Duration {
        self.threads.iter().map(|thread| thread.time).sum()
    }

    /// The part of [`Usage::total`] spent in user mode.
    pub(super) fn user_share(&self) -> f64 {
        self.user.as_secs_f64() / (self.user + self.system).as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Fields 14 and 15 of a `stat` line. The name of the program before them may contain anything.
fn user_and_system(stat: &str) -> Option<(Duration, Duration)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let duration = |ticks: u64| Duration::from_millis(ticks.saturating_mul(1000 / USER_HZ));
    Some((duration(ticks()?), duration(ticks()?)))
}

/// The first field of a `schedstat` line: nanoseconds on a processor.
fn on_processor(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Resident memory of a process in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    // The roll-up counts pages at this moment; the counters of `status` lag behind by some dozens for each thread.
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let exact = exact.as_deref().and_then(|text| kilobytes(text, "Rss:"));
    let kilobytes =
        exact.or_else(|| kilobytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:"))?;
    Some(kilobytes * 1024)
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Time that the calling thread has spent on a processor.
pub(super) fn own_thread_time() -> Option<Duration> {
    on_processor(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let stat = "12 (a ) b (c) S 1 12 12 0 -1 4194304 99 0 0 0 150 25 0 0 20 0 3 0 1 2 3";
        assert_eq!(user_and_system(stat), Some((Duration::from_millis(1500), Duration::from_millis(250))));
        assert_eq!(user_and_system("12 (short) S 1"), None);
        assert_eq!(on_processor("123456 7 8\n"), Some(Duration::from_nanos(123_456)));
        assert_eq!(kilobytes("VmHWM:\t 10 kB\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2048));
    }

    #[test]
    fn what_was_used_since_is_counted_thread_by_thread() {
        let ms = Duration::from_millis;
        let thread = |id, time| ThreadTime { name: "t".to_owned(), id, time };
        let before = Usage { user: ms(10), system: ms(20), threads: vec![thread(1, ms(30))] };
        let after =
            Usage { user: ms(40), system: ms(30), threads: vec![thread(1, ms(60)), thread(2, ms(10))] };
        let used = after.since(&before);
        assert_eq!((used.total(), used.user, used.system), (ms(40), ms(30), ms(10)));
        assert!((used.user_share() - 0.75).abs() < 1e-9);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen_at_work() {
        let before = Usage::of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while own_thread_time().unwrap() < Duration::from_millis(30) {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let used = Usage::of(std::process::id()).unwrap().since(&before);
        assert!(used.total() > Duration::ZERO, "{used:?} after {sum} rounds");
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
    }
}
