//! What a terminal shows: bytes for who holds the other end, and the column that they leave the cursor in.

use alloc::collections::VecDeque;

use linux_raw_sys::general as linux;

use crate::tty::termios::Termios;

/// Most bytes that wait to be shown, as Linux bounds a pair's buffer.
const SHOWN_MAX: usize = 64 << 10;
/// Most bytes that one written byte becomes: a tab's spaces.
const EXPANSION_MAX: usize = TAB;
/// Columns from one tab stop to the next.
const TAB: usize = 8;

/// What is shown.
#[derive(Default)]
pub struct Screen {
    bytes: VecDeque<u8>,
    column: usize,
    /// Bytes ever shown.
    shown: u64,
    /// Bytes ever taken.
    taken: u64,
}

impl Screen {
    /// The column of the cursor.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Whether a byte can be written.
    pub fn has_room(&self) -> bool {
        self.bytes.len() + EXPANSION_MAX <= SHOWN_MAX
    }

    /// Bytes that were shown and not taken.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes ever shown and ever taken, for who waits.
    pub fn counts(&self) -> (u64, u64) {
        (self.shown, self.taken)
    }

    /// Takes what was shown: how many bytes.
    pub fn take(&mut self, to: &mut [u8]) -> usize {
        let count = to.len().min(self.bytes.len());
        for (to, byte) in to.iter_mut().zip(self.bytes.drain(..count)) {
            *to = byte;
        }
        self.taken += count as u64;
        count
    }

    /// Forgets what was not taken (TCOFLUSH).
    pub fn flush(&mut self) {
        self.bytes.clear();
    }

    /// Shows a byte that was written, as the settings say. What finds no room is lost: who writes has asked.
    pub fn put(&mut self, settings: &Termios, byte: u8) {
        if !self.has_room() {
            return;
        }
        if !settings.outputs(linux::OPOST) {
            return self.push(byte);
        }
        match byte {
            b'\n' if settings.outputs(linux::ONLCR) => self.push(b'\r'),
            b'\r' if settings.outputs(linux::ONOCR) && self.column == 0 => return,
            b'\r' if settings.outputs(linux::OCRNL) => return self.push(b'\n'),
            b'\t' if settings.output & linux::TABDLY == linux::XTABS => {
                (self.column % TAB..TAB).for_each(|_| self.push(b' '));
                return;
            }
            _ => {}
        }
        let uppers = settings.outputs(linux::OLCUC);
        self.push(if uppers { byte.to_ascii_uppercase() } else { byte });
    }

    /// Shows bytes that were written.
    pub fn put_all(&mut self, settings: &Termios, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(settings, *byte));
    }

    /// Shows a byte that was typed: control characters as ^X, where that is wanted. The end of a line is one of them where
    /// there are no lines (Linux's n_tty: echo_char).
    pub fn echo(&mut self, settings: &Termios, byte: u8) {
        if is_shown_as_two(settings, byte) {
            self.put(settings, b'^');
            self.put(settings, byte ^ 0x40);
        } else {
            self.put(settings, byte);
        }
    }

    fn push(&mut self, byte: u8) {
        self.bytes.push_back(byte);
        self.shown += 1;
        self.column = match byte {
            b'\r' => 0,
            byte => step(self.column, byte),
        };
    }
}

fn is_shown_as_two(settings: &Termios, byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t' && settings.has(linux::ECHOCTL)
}

/// The column after a byte. Of a character of UTF-8 only the first byte takes one.
fn step(column: usize, byte: u8) -> usize {
    match byte {
        b'\t' => (column / TAB + 1) * TAB,
        b'\x08' => column.saturating_sub(1),
        byte if byte.is_ascii_control() || byte & 0xc0 == 0x80 => column,
        _ => column + 1,
    }
}

/// The column after these bytes, echoed from this one on.
pub(super) fn column_after(settings: &Termios, column: usize, bytes: &[u8]) -> usize {
    bytes.iter().fold(column, |column, byte| match is_shown_as_two(settings, *byte) {
        true => column + 2,
        false => step(column, *byte),
    })
}
