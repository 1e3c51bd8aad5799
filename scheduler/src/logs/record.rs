//! One line of a log, as its file holds it.
//!
//! ```text
//!   1738326896007 2025/01/31/[$LATEST]4f2a… what was printed⏎
//! ```
//!
//! Text, so that a person needs no tool to read it. What was printed may be any bytes but a line's end.

/// A line that was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// When it came, ms since 1970.
    pub(super) time_ms: i64,
    /// Which environment printed it.
    pub(super) stream: &'a str,
    /// What, without its end.
    pub(super) message: &'a [u8],
}

impl<'a> Record<'a> {
    /// Bytes that it takes at most.
    pub(super) fn len_max(&self) -> usize {
        "-9223372036854775808".len() + self.stream.len() + self.message.len() + 3
    }

    /// Appends it.
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.time_ms.to_string().as_bytes());
        to.push(b' ');
        to.extend_from_slice(self.stream.as_bytes());
        to.push(b' ');
        to.extend_from_slice(self.message);
        to.push(b'\n');
    }

    /// Reads a line, without its end. `None` for what is no record: a file may be damaged.
    pub(super) fn decode(line: &'a [u8]) -> Option<Record<'a>> {
        let (time, rest) = split(line)?;
        let (stream, message) = split(rest)?;
        let time_ms = std::str::from_utf8(time).ok()?.parse().ok()?;
        let stream = std::str::from_utf8(stream).ok().filter(|name| !name.is_empty())?;
        Some(Record { time_ms, stream, message })
    }
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == b' ')?;
    Some((&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        for message in [&b""[..], b" a  b ", b"\x00\xff\r\t", "ä".as_bytes()] {
            let record = Record { time_ms: 1_738_326_896_007, stream: "d/[$LATEST]0", message };
            let mut line = Vec::new();
            record.encode(&mut line);
            assert!(line.len() <= record.len_max());
            assert_eq!(line.pop(), Some(b'\n'));
            assert_eq!(Record::decode(&line), Some(record));
        }
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        for line in [&b""[..], b"1", b"1 s", b"x s m", b"1  m", b"\0\0\0\0", b"1 \xff m"] {
            assert_eq!(Record::decode(line), None, "{line:?}");
        }
    }
}
