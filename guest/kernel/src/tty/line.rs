//! The line discipline: what becomes of bytes between a keyboard and a program (termios(3)).
//!
//! ```text
//!   typed ─▶ signals, flow ─▶ edit ──'\n', ^D──▶ ready ─▶ read        by lines (ICANON)
//!                 │        └───────────────────▶ ready ─▶ read        or byte by byte
//!                 └ echo ─┐
//!   written ──────────────┴▶ screen: columns, "\r\n" ──▶ shown
//! ```
//!
//! Pure: bytes in, bytes and signals out; what would wait is EAGAIN. As Linux's n_tty, without parity, `ECHOPRT`, and
//! the pauses that mechanical printers need.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::termios::Termios;
use crate::errno::{Errno, Result};

mod screen;

use screen::Screen;

/// Longest line, its end included: Linux's N_TTY_BUF_SIZE. What is typed beyond is lost.
const LINE_MAX: usize = 4096;
/// Most bytes that wait for a reader: what Linux lets wait in front of a line discipline.
const INPUT_MAX: usize = 64 << 10;

/// The bytes of one terminal.
#[derive(Default)]
pub struct Line {
    termios: Termios,
    /// What reads find.
    ready: VecDeque<u8>,
    /// How many bytes of it are in each line; 0: the end of the file was typed.
    lines: VecDeque<usize>,
    /// The line that is being typed.
    edit: Vec<u8>,
    /// The column in which that began.
    edit_column: usize,
    /// The next byte means nothing special (VLNEXT).
    literal: bool,
    screen: Screen,
    /// The terminal was told to be quiet (VSTOP, tcflow(3)).
    stopped: bool,
    /// Bytes ever typed.
    typed: u64,
}

impl Line {
    /// The settings.
    pub fn termios(&self) -> &Termios {
        &self.termios
    }

    /// Changes the settings. What was typed stays, and becomes a line, or stops being one.
    pub fn set_termios(&mut self, termios: Termios) {
        let (was, is) = (self.termios.has(linux::ICANON), termios.has(linux::ICANON));
        self.termios = termios;
        if was == is {
            return;
        }
        self.lines.clear();
        if is && !self.ready.is_empty() {
            self.lines.push_back(self.ready.len());
        }
        self.ready.extend(self.edit.drain(..));
        if !termios.inputs(linux::IXON) {
            self.stopped = false;
        }
    }

    /// Bytes that can be typed now.
    pub fn room(&self) -> usize {
        // An end of the file is a line without bytes.
        INPUT_MAX.saturating_sub((self.ready.len() + self.edit.len()).max(self.lines.len()))
    }

    /// Bytes ever typed, for who waits for more.
    pub fn typed(&self) -> u64 {
        self.typed
    }

    /// What is shown.
    pub fn screen(&mut self) -> &mut Screen {
        &mut self.screen
    }

    /// A byte is typed: the signal that it sends, if it does.
    pub fn type_in(&mut self, byte: u8) -> Option<u8> {
        self.typed += 1;
        if core::mem::take(&mut self.literal) {
            self.keep(byte);
            return None;
        }
        let settings = self.termios;
        let byte = if settings.inputs(linux::ISTRIP) { byte & 0x7f } else { byte };
        let lowers = settings.inputs(linux::IUCLC) && settings.has(linux::IEXTEN);
        let byte = if lowers { byte.to_ascii_lowercase() } else { byte };
        if settings.inputs(linux::IXON) {
            let is_any = self.stopped && settings.inputs(linux::IXANY);
            let (starts, stops) =
                (settings.is(linux::VSTART, byte), settings.is(linux::VSTOP, byte));
            if starts || stops {
                self.stopped = stops;
                return None;
            }
            self.stopped &= !is_any;
        }
        if settings.has(linux::ISIG)
            && let Some(signal) = signal_of(&settings, byte)
        {
            self.interrupt(byte);
            return Some(signal);
        }
        let byte = match byte {
            b'\r' if settings.inputs(linux::IGNCR) => return None,
            b'\r' if settings.inputs(linux::ICRNL) => b'\n',
            b'\n' if settings.inputs(linux::INLCR) => b'\r',
            byte => byte,
        };
        if settings.has(linux::ICANON) {
            self.edit(byte)
        } else {
            self.keep(byte)
        }
        None
    }

    /// Makes the terminal quiet, or go on (tcflow(3)).
    pub fn stop(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// A byte that sends a signal: what was typed and what was not shown yet is gone, unless that is not wanted.
    fn interrupt(&mut self, byte: u8) {
        if !self.termios.has(linux::NOFLSH) {
            self.flush_input();
            self.screen.flush();
        }
        self.stopped = false;
        self.echo(byte);
    }

    /// A byte of a line.
    fn edit(&mut self, byte: u8) {
        let settings = self.termios;
        let extended = settings.has(linux::IEXTEN);
        match byte {
            b'\n' => {
                if settings.has(linux::ECHO | linux::ECHONL) {
                    self.screen.put(&settings, b'\n');
                }
                self.end_line(Some(byte));
            }
            _ if settings.is(linux::VERASE, byte) => self.erase(1, byte),
            _ if settings.is(linux::VWERASE, byte) && extended => self.erase(self.word(), byte),
            _ if settings.is(linux::VKILL, byte) => self.kill(byte),
            _ if settings.is(linux::VEOF, byte) => self.end_line(None),
            _ if settings.is(linux::VLNEXT, byte) && extended => {
                self.literal = true;
                if settings.has(linux::ECHO) && settings.has(linux::ECHOCTL) {
                    self.screen.put_all(&settings, b"^\x08");
                }
            }
            _ if settings.is(linux::VREPRINT, byte) && extended && settings.has(linux::ECHO) => {
                self.echo(byte);
                self.screen.put(&settings, b'\n');
                self.edit_column = self.screen.column();
                let edit = core::mem::take(&mut self.edit);
                edit.iter().for_each(|byte| self.echo(*byte));
                self.edit = edit;
            }
            _ if settings.is(linux::VEOL, byte) || settings.is(linux::VEOL2, byte) && extended => {
                self.echo(byte);
                self.end_line(Some(byte));
            }
            _ => self.keep(byte),
        }
    }

    /// A byte that means itself.
    fn keep(&mut self, byte: u8) {
        if !self.termios.has(linux::ICANON) {
            self.echo(byte);
            self.ready.push_back(byte);
            return;
        }
        // The last place is for the line's end.
        if self.edit.len() + 1 >= LINE_MAX {
            return;
        }
        if self.edit.is_empty() {
            self.edit_column = self.screen.column();
        }
        self.echo(byte);
        self.edit.push(byte);
    }

    fn end_line(&mut self, last: Option<u8>) {
        self.edit.extend(last);
        self.lines.push_back(self.edit.len());
        self.ready.extend(self.edit.drain(..));
    }

    /// Bytes of the last word, with what is behind it.
    fn word(&self) -> usize {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let backwards = self.edit.iter().rev();
        let behind = backwards.clone().take_while(|byte| !is_word(byte)).count();
        behind + backwards.skip(behind).take_while(|byte| is_word(byte)).count()
    }

    /// Takes `count` bytes off the line, whole characters of UTF-8 where that is what is typed. `by`: what asked for it.
    fn erase(&mut self, count: usize, by: u8) {
        let settings = self.termios;
        let utf8 = settings.inputs(linux::IUTF8);
        let target = self.edit.len().saturating_sub(count);
        while self.edit.len() > target {
            let mut before = self.edit.len();
            let is_continued = |at: usize| utf8 && self.edit[at] & 0xc0 == 0x80;
            before -= 1;
            while before > 0 && is_continued(before) {
                before -= 1;
            }
            if !settings.has(linux::ECHO) {
                self.edit.truncate(before);
            } else if settings.has(linux::ECHOE) {
                let end = screen::column_after(&settings, self.edit_column, &self.edit);
                self.edit.truncate(before);
                let start = screen::column_after(&settings, self.edit_column, &self.edit);
                for _ in start..end {
                    self.screen.put_all(&settings, b"\x08 \x08");
                }
            } else {
                self.edit.truncate(before);
                self.echo(by);
            }
        }
    }

    /// Takes the whole line.
    fn kill(&mut self, by: u8) {
        let settings = self.termios;
        let visibly = linux::ECHOK | linux::ECHOKE | linux::ECHOE;
        if settings.local & visibly == visibly && settings.has(linux::ECHO) {
            return self.erase(self.edit.len(), by);
        }
        self.edit.clear();
        self.echo(by);
        if settings.has(linux::ECHO) && settings.has(linux::ECHOK) {
            self.screen.put(&settings, b'\n');
        }
    }

    fn echo(&mut self, byte: u8) {
        if self.termios.has(linux::ECHO) {
            self.screen.echo(&self.termios, byte);
        }
    }

    /// read(2) at the slave: a line or a part of it, or as many bytes as are asked for together. EAGAIN.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        let count = if self.termios.has(linux::ICANON) {
            let line = self.lines.front_mut().ok_or(Errno::AGAIN)?;
            let count = to.len().min(*line);
            *line -= count;
            if *line == 0 {
                self.lines.pop_front();
            }
            count
        } else {
            let (there, waits) = (self.ready.len(), self.termios.patience() > 0);
            let least = if waits { 1 } else { self.termios.least().min(to.len()) };
            if there < least {
                return Err(Errno::AGAIN);
            }
            to.len().min(there)
        };
        for (to, byte) in to.iter_mut().zip(self.ready.drain(..count)) {
            *to = byte;
        }
        Ok(count)
    }

    /// How long a read that finds nothing waits until it gives nothing, ns; `None`: as long as it takes.
    pub fn patience_ns(&self) -> Option<u64> {
        let limited = !self.termios.has(linux::ICANON) && self.termios.least() == 0;
        limited.then(|| u64::from(self.termios.patience()) * 100_000_000)
    }

    /// Bytes that a read finds (FIONREAD).
    pub fn available(&self) -> usize {
        match self.termios.has(linux::ICANON) {
            true => self.lines.front().copied().unwrap_or(0),
            false => self.ready.len(),
        }
    }

    /// Whether poll(2) is to say so.
    pub fn is_readable(&self) -> bool {
        if self.termios.has(linux::ICANON) {
            return !self.lines.is_empty();
        }
        let least = if self.termios.patience() > 0 { 1 } else { self.termios.least().max(1) };
        self.ready.len() >= least
    }

    /// write(2) at the slave: how many bytes were taken. EAGAIN.
    pub fn write(&mut self, from: &[u8]) -> Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        let fits = |screen: &Screen| !self.stopped && screen.has_room();
        let mut taken = 0;
        while taken < from.len() && fits(&self.screen) {
            self.screen.put(&self.termios, from[taken]);
            taken += 1;
        }
        if taken == 0 { Err(Errno::AGAIN) } else { Ok(taken) }
    }

    /// Whether a write at the slave finds room.
    pub fn is_writable(&self) -> bool {
        !self.stopped && self.screen.has_room()
    }

    /// Forgets what was typed and not read (TCIFLUSH).
    pub fn flush_input(&mut self) {
        self.ready.clear();
        self.lines.clear();
        self.edit.clear();
        self.literal = false;
    }
}

/// The signal that a byte sends.
fn signal_of(settings: &Termios, byte: u8) -> Option<u8> {
    let signals = [
        (linux::VINTR, linux::SIGINT),
        (linux::VQUIT, linux::SIGQUIT),
        (linux::VSUSP, linux::SIGTSTP),
    ];
    let meant = signals.into_iter().find(|(which, _)| settings.is(*which, byte));
    meant.map(|(_, signal)| signal as u8)
}

#[cfg(test)]
mod tests;
