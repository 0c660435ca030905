//! What Redis does in one step.

use std::sync::OnceLock;

use redis::{Cmd, ConnectionLike, RedisResult, ServerErrorKind, Value, cmd};

use super::connection::Connection;

/// A script, known by its digest once Redis has it.
pub(super) struct Script {
    source: &'static str,
    digest: OnceLock<String>,
}

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: Script = Script::new(concat!(
            include_str!("scripts/common.lua"),
            include_str!(concat!("scripts/", $file))
        ));
    };
}

script!(APPEND, "append.lua");
script!(OPEN, "open.lua");
script!(PAGE, "page.lua");
script!(RENEW, "renew.lua");
script!(REAP, "reap.lua");
script!(BURY, "bury.lua");
script!(HEADS, "heads.lua");
script!(FENCE, "fence.lua");

impl Script {
    pub(super) const fn new(source: &'static str) -> Script {
        Script { source, digest: OnceLock::new() }
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn digest(&self) -> &str {
        self.digest.get_or_init(|| sha1_smol::Sha1::from(self.source).digest().to_string())
    }

    /// What runs it with these keys; the other arguments follow.
    pub(super) fn call(&self, keys: &[String]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(self.digest()).arg(keys.len()).arg(keys);
        call
    }

    /// Has Redis know it.
    pub(super) fn load(&self, connection: &mut Connection) -> RedisResult<()> {
        connection.ask(cmd("SCRIPT").arg("LOAD").arg(self.source)).map(drop)
    }

    /// Runs it, also where Redis does not know it yet.
    pub(super) fn run(&self, connection: &mut Connection, call: &Cmd) -> RedisResult<Value> {
        match connection.ask(call) {
            Err(error) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.load(connection)?;
                connection.ask(call)
            }
            answer => answer,
        }
    }

    /// Runs it as often as there are calls, in one round trip where Redis knows it. An error of one is one of all.
    pub(super) fn run_all(&self, connection: &mut Connection, calls: &[Cmd]) -> RedisResult<Vec<Value>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let packed: Vec<u8> = calls.iter().flat_map(Cmd::get_packed_command).collect();
        let answers = connection.req_packed_commands(&packed, 0, calls.len())?;
        let is_unknown =
            |answer: &Value| matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT");
        if answers.iter().any(is_unknown) {
            self.load(connection)?;
            return calls.iter().map(|call| connection.ask(call)).collect();
        }
        let answers = answers.into_iter().map(|answer| match answer {
            Value::ServerError(error) => Err(error.into()),
            answer => Ok(answer),
        });
        answers.collect()
    }
}
