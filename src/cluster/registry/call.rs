//! Questions about rooms are asked, alone or many at once.

use redis::Value;

use super::answer::{malformed, unavailable};
use crate::cluster::question::{Ask, Question};
use crate::store::StoreError;

pub(super) fn run(conn: &mut dyn Ask, question: Question) -> Result<Value, StoreError> {
    run_all(conn, &[question])?.pop().ok_or_else(|| malformed("no answer"))
}

/// Asks all of them in one round trip, and again those whose scripts Redis did not know.
pub(super) fn run_all(conn: &mut dyn Ask, questions: &[Question]) -> Result<Vec<Value>, StoreError> {
    let answers = conn.ask_each(questions);
    if answers.len() != questions.len() {
        return Err(malformed("another number of answers than of questions"));
    }
    answers.into_iter().map(|answer| answer.map_err(|error| unavailable(&error))).collect()
}
