//! The client's side of the wire, written for this: frames (RFC 6455), responses (RFC 9112), events (WHATWG).

use flate2::{Decompress, FlushDecompress};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// A masked frame of a client.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
        len => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// Takes a whole frame from the beginning of what has come, if there is one.
///
/// # Errors
/// What a server must not send.
pub(crate) fn take_frame(input: &mut Vec<u8>, deflates: bool) -> Result<Option<Frame>, String> {
    let [first, second, ..] = **input else { return Ok(None) };
    if second & 0x80 != 0 {
        return Err("a frame of the server is masked".into());
    }
    let (header, len) = match second {
        126 if input.len() < 4 => return Ok(None),
        126 => (4, usize::from(u16::from_be_bytes([input[2], input[3]]))),
        127 if input.len() < 10 => return Ok(None),
        127 => (10, usize::try_from(u64::from_be_bytes(input[2..10].try_into().unwrap())).unwrap()),
        len => (2, usize::from(len)),
    };
    if input.len() < header + len {
        return Ok(None);
    }
    let mut payload: Vec<u8> = input[header..header + len].to_vec();
    input.drain(..header + len);
    if first & 0x40 != 0 {
        if !deflates {
            return Err("a frame is compressed, which was not agreed on".into());
        }
        payload = inflate(&payload)?;
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| "a text is not UTF-8".to_owned());
    match first & 0xbf {
        0x81 => Ok(Some(Frame::Text(text(payload)?))),
        0x82 => Ok(Some(Frame::Binary(payload))),
        0x88 if payload.len() < 2 => Ok(Some(Frame::Close(1005, String::new()))),
        0x88 => {
            let code = u16::from_be_bytes([payload[0], payload[1]]);
            Ok(Some(Frame::Close(code, text(payload[2..].to_vec())?)))
        }
        0x89 => Ok(Some(Frame::Ping(payload))),
        0x8a => Ok(Some(Frame::Pong(payload))),
        other => Err(format!("a frame begins with {other:#x}")),
    }
}

fn inflate(payload: &[u8]) -> Result<Vec<u8>, String> {
    let mut input = payload.to_vec();
    input.extend([0, 0, 0xff, 0xff]);
    let mut inflater = Decompress::new(false);
    let mut out = Vec::with_capacity(64 * 1024);
    inflater
        .decompress_vec(&input, &mut out, FlushDecompress::Sync)
        .map_err(|error| format!("a compressed message is broken: {error}"))?;
    Ok(out)
}

#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

/// Takes the head of a response.
pub(crate) fn take_head(input: &mut Vec<u8>) -> Result<Option<Head>, String> {
    let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8(input.drain(..end + 4).collect()).map_err(|_| "a head is not text")?;
    let mut lines = text.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("this is no response: {text}"))?;
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Some(Head { status, fields }))
}

/// Takes a body of this length.
pub(crate) fn take_body(input: &mut Vec<u8>, len: usize) -> Option<Vec<u8>> {
    (input.len() >= len).then(|| input.drain(..len).collect())
}

/// Takes whole chunks; true at the last.
pub(crate) fn take_chunks(input: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<bool, String> {
    loop {
        let Some(end) = input.windows(2).position(|bytes| bytes == b"\r\n") else { return Ok(false) };
        let size =
            std::str::from_utf8(&input[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.ok_or_else(|| format!("this is no chunk: {}", input[..end].escape_ascii()))?;
        if input.len() < end + 2 + size + 2 {
            return Ok(false);
        }
        out.extend(&input[end + 2..end + 2 + size]);
        input.drain(..end + 2 + size + 2);
        if size == 0 {
            return Ok(true);
        }
    }
}
