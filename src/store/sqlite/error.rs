//! What SQLite says, as errors of the store.

use std::sync::Arc;

use rusqlite::ffi;
use rusqlite::{Error as SqliteError, ErrorCode};

use crate::rooms::store_api::RoomId;
use crate::store::error::StoreError;

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> StoreError {
        let reason: Arc<str> = error.to_string().into();
        // What stands in the database is not what this program writes.
        let is_foreign = matches!(
            error,
            SqliteError::FromSqlConversionFailure(..)
                | SqliteError::IntegralValueOutOfRange(..)
                | SqliteError::InvalidColumnType(..)
                | SqliteError::Utf8Error(..)
        );
        match error.sqlite_error().map(|error| (error.code, error.extended_code)) {
            None if is_foreign => StoreError::RoomDamaged { room: RoomId(0), reason },
            None if matches!(error, SqliteError::ToSqlConversionFailure(_)) => StoreError::Malformed,
            Some((_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC)) => {
                StoreError::Failed(format!("the disk did not confirm a write ({reason})").into())
            }
            Some((ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _)) => StoreError::Damaged(reason),
            Some((ErrorCode::TooBig, _)) => StoreError::Malformed,
            Some(_) | None => StoreError::Unavailable(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: i32) -> StoreError {
        SqliteError::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn a_failed_fsync_is_told_from_a_full_disk_and_from_damage() {
        for code in [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC] {
            assert!(matches!(sqlite(code), StoreError::Failed(_)), "{code}");
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_READONLY, ffi::SQLITE_BUSY] {
            assert!(matches!(sqlite(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_CORRUPT_INDEX, ffi::SQLITE_NOTADB] {
            assert!(matches!(sqlite(code), StoreError::Damaged(_)), "{code}");
        }
    }
}
