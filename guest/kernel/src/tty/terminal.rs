//! A pair of master and slave, and what it is to sessions: whose terminal, and which group is in front.
//!
//! ```text
//!   master closed            the slave's reads end, its writes are EIO, the session's leader gets SIGHUP
//!   session's leader ends    the group in front gets SIGHUP; the terminal is nobody's
//!   last slave closed        the master's reads are EIO, until one is opened again
//! ```

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general as linux;

use super::line::Line;
use super::{End, Notice, Target, Terminals};
use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::fs::File;
use crate::fs::stat::TimeNs;

/// Bytes of struct winsize.
pub(super) const WINDOW_BYTES: usize = 8;
/// Group of a new slave: Debian's "tty".
const GROUP: u32 = 5;

/// Who may use a slave's name (chmod(2), chown(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A pair.
pub struct Terminal {
    terminals: Rc<Terminals>,
    number: u32,
    created: TimeNs,
    /// Who may use the slave's name.
    pub access: Cell<Access>,
    pub(super) line: RefCell<Line>,
    pub(super) window: Cell<[u8; WINDOW_BYTES]>,
    /// The slave cannot be opened yet (unlockpt(3)).
    pub(super) locked: Cell<bool>,
    /// Nobody but root may open it again (TIOCEXCL): the program is root.
    pub(super) exclusive: Cell<bool>,
    /// Whether what the master reads begins with a byte that says what it is (TIOCPKT).
    pub(super) packets: Cell<bool>,
    session: Cell<Option<Pid>>,
    /// The group in front; 0: none.
    foreground: Cell<Pid>,
    /// The master is closed.
    is_over: Cell<bool>,
    /// Slaves that are open.
    pub(super) slaves: Cell<u32>,
    /// Whether there has been one.
    pub(super) had_slave: Cell<bool>,
}

impl Terminal {
    pub(super) fn new(terminals: Rc<Terminals>, number: u32, now: TimeNs) -> Rc<Terminal> {
        Rc::new(Terminal {
            terminals,
            number,
            created: now,
            access: Cell::new(Access { permissions: 0o620, uid: 0, gid: GROUP }),
            line: RefCell::default(),
            window: Cell::default(),
            locked: Cell::new(true),
            exclusive: Cell::new(false),
            packets: Cell::new(false),
            session: Cell::new(None),
            foreground: Cell::new(0),
            is_over: Cell::new(false),
            slaves: Cell::new(0),
            had_slave: Cell::new(false),
        })
    }

    /// N of /dev/pts/N.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// When it was made.
    pub fn created(&self) -> TimeNs {
        self.created
    }

    /// Whether the master is closed.
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// The slave, opened. EIO while it is locked, and once the master is closed.
    pub fn open_slave(self: &Rc<Terminal>) -> Result<Rc<dyn File>> {
        if self.locked.get() || self.is_over.get() {
            return Err(Errno::IO);
        }
        self.slaves.update(|count| count + 1);
        self.had_slave.set(true);
        Ok(Rc::new(End::slave(self.clone())))
    }

    /// The session whose controlling terminal it is.
    pub fn session(&self) -> Option<Pid> {
        self.session.get()
    }

    /// From now on it is the terminal of this session, with this group in front.
    pub fn control(&self, session: Pid, foreground: Pid) {
        self.session.set(Some(session));
        self.foreground.set(foreground);
    }

    /// The group in front; 0: none.
    pub fn foreground(&self) -> Pid {
        self.foreground.get()
    }

    /// Puts a group in front (tcsetpgrp(3)).
    pub fn set_foreground(&self, group: Pid) {
        self.foreground.set(group);
    }

    /// Whether who is not in front may not write either (TOSTOP).
    pub fn stops_writers(&self) -> bool {
        self.line.borrow().termios().has(linux::TOSTOP)
    }

    /// How long a read that finds nothing waits until it gives nothing, ns; `None`: as long as it takes.
    pub fn patience_ns(&self) -> Option<u64> {
        self.line.borrow().patience_ns()
    }

    /// Its session's leader has ended, or gives it up: it is nobody's. Who gives it up also makes the group in front go
    /// on.
    pub fn leave_session(&self, has_ended: bool) {
        self.tell_foreground(linux::SIGHUP);
        if !has_ended {
            self.tell_foreground(linux::SIGCONT);
        }
        self.session.set(None);
        self.foreground.set(0);
    }

    fn tell_foreground(&self, signal: u32) {
        if self.foreground.get() != 0 {
            let to = Target::Group(self.foreground.get());
            self.terminals.tell(Notice { to, signal: signal as u8 });
        }
    }

    /// The master is closed.
    pub(super) fn hang_up(&self) {
        self.is_over.set(true);
        self.terminals.forget(self.number);
        if let Some(leader) = self.session.take() {
            for signal in [linux::SIGHUP, linux::SIGCONT] {
                let to = Target::Process(leader);
                self.terminals.tell(Notice { to, signal: signal as u8 });
            }
        }
    }

    pub(super) fn set_window(&self, window: [u8; WINDOW_BYTES]) {
        if self.window.replace(window) != window {
            self.tell_foreground(linux::SIGWINCH);
        }
    }

    /// Bytes are typed: how many. EAGAIN.
    pub(super) fn type_in(&self, bytes: &[u8]) -> Result<usize> {
        let mut line = self.line.borrow_mut();
        let count = bytes.len().min(line.room());
        for byte in &bytes[..count] {
            if let Some(signal) = line.type_in(*byte) {
                self.tell_foreground(signal.into());
            }
        }
        if count == 0 && !bytes.is_empty() { Err(Errno::AGAIN) } else { Ok(count) }
    }

    pub(super) fn flush(&self, which: u64) -> Result<u32> {
        let mut line = self.line.borrow_mut();
        let (input, output) = match which as u32 {
            linux::TCIFLUSH => (true, false),
            linux::TCOFLUSH => (false, true),
            linux::TCIOFLUSH => (true, true),
            _ => return Err(Errno::INVAL),
        };
        if input {
            line.flush_input();
        }
        if output {
            line.screen().flush();
        }
        Ok(0)
    }

    /// tcflow(3): its own output, or the start and stop characters for who types.
    pub(super) fn flow(&self, action: u64) -> Result<u32> {
        let mut line = self.line.borrow_mut();
        let settings = *line.termios();
        match action as u32 {
            linux::TCOOFF => line.stop(true),
            linux::TCOON => line.stop(false),
            action @ (linux::TCIOFF | linux::TCION) => {
                let which = if action == linux::TCIOFF { linux::VSTOP } else { linux::VSTART };
                line.screen().put(&settings, settings.characters[which as usize]);
            }
            _ => return Err(Errno::INVAL),
        }
        Ok(0)
    }
}
