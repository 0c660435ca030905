//! Names of files in a data directory.

use std::path::Path;

/// The database.
pub(super) const DATABASE_FILE: &str = "foghorn.db";
/// Locked as long as the store is open. Stays behind, empty.
pub(super) const LOCK_FILE: &str = "foghorn.lock";
/// The database while it is being restored and not whole.
pub(super) const UNFINISHED_FILE: &str = "foghorn.restoring";

/// Whether a restore into this directory has not come to its end.
pub(super) fn is_restore_interrupted(dir: &Path) -> bool {
    dir.join(UNFINISHED_FILE).exists()
}
