//! Reads a log's events, from any position on.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::record::Record;
use super::segments;

/// A place in a log, before an event: what came before it has a smaller one, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Number of the segment.
    pub(crate) segment: u64,
    /// Bytes in it.
    pub(crate) offset: u64,
}

/// A line that was printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    /// Where it is.
    pub(crate) position: Position,
    /// Where the next one is.
    pub(crate) next: Position,
    /// When it came, ms since 1970.
    pub(crate) time_ms: i64,
    /// Which environment printed it.
    pub(crate) stream: &'a str,
    /// What, without its end; any bytes.
    pub(crate) message: &'a [u8],
}

/// Shows `visit` each event from `from` on until it breaks, and returns the position behind the last one seen.
///
/// A segment is read at once: it is small, and may go away meanwhile. What follows its last line's end is in the
/// making.
pub(super) fn scan(
    dir: &Path,
    from: Position,
    mut visit: impl FnMut(Event<'_>) -> ControlFlow<()>,
) -> io::Result<Position> {
    let mut end = from;
    for (segment, path) in
        segments::list(dir)?.into_iter().filter(|(number, _)| *number >= from.segment)
    {
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let start = if segment == from.segment { from.offset } else { 0 };
        let mut at = usize::try_from(start).unwrap_or(usize::MAX).min(content.len());
        end = Position { segment, offset: at as u64 };
        while let Some(len) = content[at..].iter().position(|&byte| byte == b'\n') {
            let position = end;
            let line = &content[at..at + len];
            at += len + 1;
            end.offset = at as u64;
            if let Some(Record { time_ms, stream, message }) = Record::decode(line)
                && visit(Event { position, next: end, time_ms, stream, message }).is_break()
            {
                return Ok(end);
            }
        }
    }
    Ok(end)
}
