//! How much memory the process takes.

/// Bytes of memory that the process has resident, as far as the system tells: Linux does.
// The kernel makes the file up when it is read: no disk is waited for.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}
