//! Which attempts of the shards came to nothing, so that nothing is stored that was built on them.

use std::collections::HashMap;

use super::error::StoreError;
use crate::rooms::store_api::RecordBatch;

/// The last term of each shard that came to nothing, and why.
///
/// Invariant: nothing of that term or an earlier one is stored any more.
#[derive(Debug, Default)]
pub(super) struct FailedTerms(HashMap<usize, (u32, StoreError)>);

impl FailedTerms {
    /// Whether this batch may be stored, as far as that depends on those before.
    ///
    /// # Errors
    /// Why its term came to nothing.
    pub(super) fn check(&self, batch: &RecordBatch) -> Result<(), StoreError> {
        match self.0.get(&batch.shard) {
            Some((term, error)) if batch.term <= *term => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    /// This batch was not stored.
    pub(super) fn note(&mut self, batch: &RecordBatch, error: &StoreError) {
        // An earlier term fails again with each of its batches that was under way: the latest one stays noted.
        let failed = self.0.entry(batch.shard).or_insert_with(|| (batch.term, error.clone()));
        if batch.term >= failed.0 {
            *failed = (batch.term, error.clone());
        }
    }
}
