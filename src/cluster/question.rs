//! What Redis is asked, and about which partition: so it is known which master answers.

use redis::{Arg, Cmd, RedisResult, ServerError, ToRedisArgs, Value, cmd};

use super::partition::Partition;
use super::scripts::Script;

/// A command about keys or channels of one partition.
pub(super) struct Question {
    pub(super) partition: Partition,
    command: Cmd,
    /// The script that it runs, of which Redis may know nothing yet.
    script: Option<&'static Script>,
}

/// Those who put questions to the masters of partitions.
pub(super) trait Ask {
    /// One answer, or one reason why there is none, for each question. Those for one master take one round trip.
    fn ask_each(&mut self, questions: &[Question]) -> Vec<RedisResult<Value>>;
}

impl Question {
    pub(super) fn new(partition: Partition, command: &str) -> Question {
        Question { partition, command: cmd(command), script: None }
    }

    /// Runs a script with these keys; other arguments follow.
    pub(super) fn to_run(script: &'static Script, partition: Partition, keys: &[String]) -> Question {
        let mut question = Question::new(partition, "EVALSHA");
        question.command.arg(script.digest()).arg(keys.len() + 1).arg(keys).arg(partition.guard());
        question.script = Some(script);
        question
    }

    pub(super) fn arg(mut self, arg: impl ToRedisArgs) -> Question {
        self.command.arg(arg);
        self
    }

    /// Another argument, of one that is not moved.
    pub(super) fn push_arg(&mut self, arg: impl ToRedisArgs) -> &mut Question {
        self.command.arg(arg);
        self
    }

    /// Writes it as it is sent.
    pub(super) fn pack(&self, into: &mut Vec<u8>) {
        self.command.write_packed_command(into);
    }

    /// Whether it was answered that the script is not known.
    pub(super) fn is_unknown(&self, error: &ServerError) -> bool {
        self.script.is_some() && error.code() == "NOSCRIPT"
    }

    /// Writes it with the script itself.
    pub(super) fn pack_with_source(&self, into: &mut Vec<u8>) {
        let Some(script) = self.script else { return self.pack(into) };
        let mut whole = cmd("EVAL");
        whole.arg(script.source());
        for arg in self.command.args_iter().skip(2) {
            if let Arg::Simple(arg) = arg {
                whole.arg(arg);
            }
        }
        whole.write_packed_command(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_sent_by_its_digest_or_whole_with_the_same_arguments() {
        static SCRIPT: Script = Script::new("return 1");
        let question =
            Question::to_run(&SCRIPT, Partition::of("lobby"), &["a".into(), "b".into()]).arg(7).arg("");
        let (mut short, mut long) = (Vec::new(), Vec::new());
        question.pack(&mut short);
        question.pack_with_source(&mut long);
        let (short, long) = (String::from_utf8(short).unwrap(), String::from_utf8(long).unwrap());
        let (_, arguments) = short.split_once(SCRIPT.digest()).unwrap();
        assert_eq!(long, format!("*8\r\n$4\r\nEVAL\r\n$8\r\nreturn 1{arguments}"));
        assert!(arguments.starts_with("\r\n$1\r\n3\r\n$1\r\na\r\n"), "{arguments}");
    }
}
