//! Scripts are run, alone or many in one pipeline.

use redis::{Cmd, ConnectionLike, Pipeline, Value};

use super::answer::{malformed, unavailable};
use crate::cluster::scripts::Script;
use crate::store::StoreError;

/// A script and what it is given.
pub(super) struct Call {
    pub(super) script: &'static Script,
    /// All of one partition.
    pub(super) keys: Vec<String>,
    pub(super) args: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn new(script: &'static Script, keys: Vec<String>) -> Call {
        Call { script, keys, args: Vec::new() }
    }

    pub(super) fn arg(mut self, arg: impl Into<Vec<u8>>) -> Call {
        self.args.push(arg.into());
        self
    }

    pub(super) fn run(self, conn: &mut dyn ConnectionLike) -> Result<Value, StoreError> {
        run_all(conn, &[self])?.pop().ok_or_else(|| malformed("no answer"))
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys);
        for arg in &self.args {
            command.arg(&arg[..]);
        }
        command
    }
}

/// Runs all of them in one round trip, and those that Redis does not know yet in a second one.
pub(super) fn run_all(conn: &mut dyn ConnectionLike, calls: &[Call]) -> Result<Vec<Value>, StoreError> {
    let mut pipe = Pipeline::with_capacity(calls.len());
    for call in calls {
        pipe.add_command(call.command("EVALSHA", call.script.digest()));
    }
    let mut answers = ask(conn, &pipe)?;
    let unknown: Vec<usize> = (0..answers.len()).filter(|index| is_unknown(&answers[*index])).collect();
    let mut pipe = Pipeline::with_capacity(unknown.len());
    for index in &unknown {
        pipe.add_command(calls[*index].command("EVAL", calls[*index].script.source()));
    }
    for (index, answer) in unknown.into_iter().zip(ask(conn, &pipe)?) {
        answers[index] = answer;
    }
    accept(answers)
}

/// Runs commands that only read in one round trip.
pub(super) fn read_all(conn: &mut dyn ConnectionLike, pipe: &Pipeline) -> Result<Vec<Value>, StoreError> {
    accept(ask(conn, pipe)?)
}

/// One answer for each command, errors among them.
fn ask(conn: &mut dyn ConnectionLike, pipe: &Pipeline) -> Result<Vec<Value>, StoreError> {
    if pipe.is_empty() {
        return Ok(Vec::new());
    }
    let answers = conn.req_packed_commands(&pipe.get_packed_pipeline(), 0, pipe.len());
    let answers = answers.map_err(|error| unavailable(&error))?;
    if answers.len() != pipe.len() {
        return Err(malformed("another number of answers than of questions"));
    }
    Ok(answers)
}

fn is_unknown(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

fn accept(answers: Vec<Value>) -> Result<Vec<Value>, StoreError> {
    let accepted = answers.into_iter().map(|answer| match answer {
        Value::ServerError(error) => Err(unavailable(&error)),
        answer => Ok(answer),
    });
    accepted.collect()
}
