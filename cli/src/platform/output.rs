//! What the platform's clients print.

use std::io::{self, Write};

use crate::failure::Failure;

/// Writes to stdout. Whoever reads may go away when it has seen enough.
///
/// # Errors
/// What the host says: a full disk.
pub fn print(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new(format!("standard output: {error}"))),
    }
}

/// Whether somebody still reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "nobody may read what would follow"]
pub enum Reader {
    /// As far as one can know.
    Listens,
    /// There is no use in going on.
    Gone,
}

impl Reader {
    /// Where nothing would follow anyway.
    pub fn done(self) {}
}

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..0x10_0000 => format!("{} KiB", count.div_ceil(1024)),
        _ => format!("{:.1} MiB", count as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1025), "2 KiB");
        assert_eq!(bytes(5 << 19), "2.5 MiB");
    }
}
