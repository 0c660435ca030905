//! How much memory the process takes, and its threads of the processor.

use std::time::Duration;

/// Bytes of memory that the process has resident, as far as the system tells: Linux does.
// The kernel makes the file up when it is read: no disk is waited for.
pub(crate) fn resident_bytes() -> Option<u64> {
    if is_simulated() {
        return None;
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The processor time that this thread has used so far, as far as the system tells: Linux does.
pub(crate) fn thread_time() -> Option<Duration> {
    if is_simulated() {
        return None;
    }
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    times.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Whether this thread is in a simulation, of which each run takes what it takes.
fn is_simulated() -> bool {
    #[cfg(feature = "simulation")]
    return super::world::current().is_some();
    #[cfg(not(feature = "simulation"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_uses_time() {
        // Nothing, or always nothing, where the system does not tell.
        let Some(before) = thread_time().filter(|time| !time.is_zero()) else { return };
        let mut later = before;
        while later == before {
            later = thread_time().unwrap();
        }
        assert!(later > before && later < Duration::from_secs(3600));
    }
}
