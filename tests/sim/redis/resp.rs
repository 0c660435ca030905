//! What Redis hears and says (RESP3).

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Nothing,
    Status(&'static str),
    Error(String),
    Number(i64),
    Text(Vec<u8>),
    List(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    Push(Vec<Reply>),
}

impl Reply {
    pub(crate) fn text(text: impl AsRef<[u8]>) -> Reply {
        Reply::Text(text.as_ref().to_vec())
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut line = |mark: char, rest: &str| out.extend(format!("{mark}{rest}\r\n").into_bytes());
        match self {
            Reply::Nothing => line('_', ""),
            Reply::Status(status) => line('+', status),
            Reply::Error(error) => line('-', error),
            Reply::Number(number) => line(':', &number.to_string()),
            Reply::Text(text) => {
                line('$', &text.len().to_string());
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Reply::List(list) => {
                line('*', &list.len().to_string());
                list.iter().for_each(|item| item.encode(out));
            }
            Reply::Push(list) => {
                line('>', &list.len().to_string());
                list.iter().for_each(|item| item.encode(out));
            }
            Reply::Map(pairs) => {
                line('%', &pairs.len().to_string());
                for (key, value) in pairs {
                    key.encode(out);
                    value.encode(out);
                }
            }
        }
    }
}

/// Takes a command from the beginning of what has come, if there is a whole one.
pub(crate) fn take_command(input: &mut Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let mut at = 0;
    let count = number(input, &mut at, b'*')?;
    let mut command = Vec::with_capacity(count);
    for _ in 0..count {
        let len = number(input, &mut at, b'$')?;
        command.push(input.get(at..at + len)?.to_vec());
        at += len + 2;
    }
    if at > input.len() {
        return None;
    }
    input.drain(..at);
    Some(command)
}

fn number(input: &[u8], at: &mut usize, mark: u8) -> Option<usize> {
    let rest = input.get(*at..)?;
    let end = rest.windows(2).position(|bytes| bytes == b"\r\n")?;
    assert_eq!(rest[0], mark, "this is no command: {}", input.escape_ascii());
    *at += end + 2;
    Some(std::str::from_utf8(&rest[1..end]).unwrap().parse().expect("a number"))
}
