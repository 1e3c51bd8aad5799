//! Terminals made of software: pairs of a master, which a program holds as if it were the screen and the keyboard, and
//! a slave, which other programs take for their terminal (pty(7)).
//!
//! ```text
//!   /dev/ptmx ─▶ master ──write──▶ ┌───────────┐ ──read───▶ slave ◀─ /dev/pts/N, /dev/tty
//!                       ◀──read─── │   Line    │ ◀──write──
//!                                  └─────┬─────┘
//!                                        └─▶ notices: ^C, a new size, a hang-up … the kernel sends their signals
//! ```
//!
//! `termios` holds the settings, `line` what becomes of bytes, `terminal` the pair, `end` the file that each of its
//! ends is, and this file which pairs there are. Nothing here knows processes: who may read and who is told is asked and
//! answered by numbers.

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::fs::{File, System};

pub mod end;
pub mod line;
pub mod terminal;
pub mod termios;
#[cfg(test)]
mod tests;

pub use end::End;
pub use terminal::Terminal;

/// Most pairs at a time. Linux's kernel.pty.max is 4,096; each may hold 128 KiB of the kernel's memory here.
pub const TERMINALS_MAX: u32 = 256;

/// Who is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A process.
    Process(Pid),
    /// All processes of a group.
    Group(Pid),
}

/// A signal that a terminal sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// To whom.
    pub to: Target,
    /// Its number.
    pub signal: u8,
}

/// All pairs.
#[derive(Default)]
pub struct Terminals {
    /// A pair lives as long as its master is open.
    pairs: RefCell<BTreeMap<u32, Weak<Terminal>>>,
    notices: RefCell<Vec<Notice>>,
}

impl Terminals {
    /// A new pair's master (open(2) of /dev/ptmx). ENOSPC beyond [`TERMINALS_MAX`].
    pub fn open_master(self: &Rc<Terminals>, system: &dyn System) -> Result<Rc<dyn File>> {
        let mut pairs = self.pairs.borrow_mut();
        let number = (0..TERMINALS_MAX).find(|number| !pairs.contains_key(number));
        let number = number.ok_or(Errno::NOSPC)?;
        let terminal = Terminal::new(self.clone(), number, system.realtime_ns());
        pairs.insert(number, Rc::downgrade(&terminal));
        Ok(Rc::new(End::master(terminal)))
    }

    /// The pair of this number.
    pub fn get(&self, number: u32) -> Option<Rc<Terminal>> {
        self.pairs.borrow().get(&number)?.upgrade()
    }

    /// The numbers of all pairs, ascending.
    pub fn numbers(&self) -> Vec<u32> {
        self.pairs.borrow().keys().copied().collect()
    }

    /// The terminal that controls a session.
    pub fn of_session(&self, session: Pid) -> Option<Rc<Terminal>> {
        let pairs = self.pairs.borrow();
        pairs.values().filter_map(Weak::upgrade).find(|pair| pair.session() == Some(session))
    }

    /// Takes the signals that are to be sent.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.notices.take()
    }

    /// Whether there are any.
    pub fn has_notices(&self) -> bool {
        !self.notices.borrow().is_empty()
    }

    /// A signal is to be sent. Who is to get it already gets it once.
    fn tell(&self, notice: Notice) {
        let mut notices = self.notices.borrow_mut();
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }

    /// The pair is no more: its number is free.
    fn forget(&self, number: u32) {
        self.pairs.borrow_mut().remove(&number);
    }
}
