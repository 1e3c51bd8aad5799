//! A pair of master and slave, and what it is to sessions: whose terminal, and which group is in front.
//!
//! ```text
//!   master closed            the slave's reads end, its writes are EIO, the session's leader gets SIGHUP
//!   session's leader ends    the group in front gets SIGHUP; the terminal is nobody's
//!   last slave closed        the master's reads are EIO, until one is opened again
//! ```

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use linux_raw_sys::{general as linux, ioctl};

use super::line::Line;
use super::termios::{TERMIOS_BYTES, Termios};
use super::{Notice, Target, Terminals};
use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::fs::stat::TimeNs;
use crate::fs::{File, IoctlArgument, Poll, Pulse};

/// Bytes of struct winsize.
const WINDOW_BYTES: usize = 8;
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
    line: RefCell<Line>,
    window: Cell<[u8; WINDOW_BYTES]>,
    /// The slave cannot be opened yet (unlockpt(3)).
    locked: Cell<bool>,
    /// Nobody but root may open it again (TIOCEXCL): the program is root.
    exclusive: Cell<bool>,
    session: Cell<Option<Pid>>,
    /// The group in front; 0: none.
    foreground: Cell<Pid>,
    /// The master is closed.
    is_over: Cell<bool>,
    /// Slaves that are open.
    slaves: Cell<u32>,
    /// Whether there has been one.
    had_slave: Cell<bool>,
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
        Ok(Rc::new(End { terminal: self.clone(), side: Side::Slave }))
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
    fn hang_up(&self) {
        self.is_over.set(true);
        self.terminals.forget(self.number);
        if let Some(leader) = self.session.take() {
            for signal in [linux::SIGHUP, linux::SIGCONT] {
                let to = Target::Process(leader);
                self.terminals.tell(Notice { to, signal: signal as u8 });
            }
        }
    }

    fn set_window(&self, window: [u8; WINDOW_BYTES]) {
        if self.window.replace(window) != window {
            self.tell_foreground(linux::SIGWINCH);
        }
    }

    /// Bytes are typed: how many. EAGAIN.
    fn type_in(&self, bytes: &[u8]) -> Result<usize> {
        let mut line = self.line.borrow_mut();
        let count = bytes.len().min(line.room());
        for byte in &bytes[..count] {
            if let Some(signal) = line.type_in(*byte) {
                self.tell_foreground(signal.into());
            }
        }
        if count == 0 && !bytes.is_empty() { Err(Errno::AGAIN) } else { Ok(count) }
    }

    fn flush(&self, which: u64) -> Result<u32> {
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
    fn flow(&self, action: u64) -> Result<u32> {
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

/// Which end of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Master,
    Slave,
}

/// An open end of a pair.
pub struct End {
    terminal: Rc<Terminal>,
    side: Side,
}

impl End {
    pub(super) fn master(terminal: Rc<Terminal>) -> End {
        End { terminal, side: Side::Master }
    }

    /// The pair.
    pub fn terminal(&self) -> &Rc<Terminal> {
        &self.terminal
    }

    /// Whether this is the master.
    pub fn is_master(&self) -> bool {
        self.side == Side::Master
    }

    /// Whether this is a slave that has nothing behind it any more.
    pub fn is_hung_up(&self) -> bool {
        !self.is_master() && self.terminal.is_over()
    }

    /// Whether this is the master of slaves that are all closed.
    fn is_left(&self) -> bool {
        let terminal = &self.terminal;
        self.is_master() && terminal.had_slave.get() && terminal.slaves.get() == 0
    }

    fn set_termios(&self, argument: &dyn IoctlArgument, flushes: bool) -> Result<u32> {
        let mut bytes = [0; TERMIOS_BYTES];
        argument.read(&mut bytes)?;
        let mut line = self.terminal.line.borrow_mut();
        if flushes {
            line.flush_input();
        }
        line.set_termios(Termios::from_bytes(&bytes));
        Ok(0)
    }

    /// What only masters know.
    fn master_ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        let terminal = &self.terminal;
        match request {
            ioctl::TIOCGPTN => argument.write(&terminal.number.to_le_bytes())?,
            ioctl::TIOCGPTLCK => {
                argument.write(&u32::from(terminal.locked.get()).to_le_bytes())?;
            }
            ioctl::TIOCSPTLCK => terminal.locked.set(read_int(argument)? != 0),
            _ => return Err(Errno::NOTTY),
        }
        Ok(0)
    }
}

fn read_int(argument: &dyn IoctlArgument) -> Result<i32> {
    let mut bytes = [0; 4];
    argument.read(&mut bytes)?;
    Ok(i32::from_le_bytes(bytes))
}

impl File for End {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        if to.is_empty() || self.is_hung_up() {
            return Ok(0);
        }
        let mut line = self.terminal.line.borrow_mut();
        if !self.is_master() {
            return line.read(to);
        }
        match line.screen().take(to) {
            0 if self.is_left() => Err(Errno::IO),
            0 => Err(Errno::AGAIN),
            count => Ok(count),
        }
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        if self.is_hung_up() {
            return Err(Errno::IO);
        }
        match self.side {
            Side::Master => self.terminal.type_in(from),
            Side::Slave => self.terminal.line.borrow_mut().write(from),
        }
    }

    fn poll(&self) -> Poll {
        if self.is_hung_up() {
            return Poll::READY | Poll::ERR | Poll::HUP;
        }
        let mut line = self.terminal.line.borrow_mut();
        let (input, output) = match self.side {
            Side::Master => (!line.screen().is_empty(), line.room() > 0),
            Side::Slave => (line.is_readable(), line.is_writable()),
        };
        let mut poll = Poll::empty();
        poll.set(Poll::IN, input);
        poll.set(Poll::OUT, output);
        poll.set(Poll::HUP, self.is_left());
        poll
    }

    fn pulse(&self) -> Option<Pulse> {
        let gone = u64::from(self.is_hung_up() || self.is_left()) << 63;
        let mut line = self.terminal.line.borrow_mut();
        let (typed, room) = (line.typed(), line.room() as u64);
        let (shown, taken) = line.screen().counts();
        let (input, output) = if self.is_master() { (shown, typed ^ room) } else { (typed, taken) };
        Some(Pulse { input: input ^ gone, output: output ^ gone })
    }

    fn terminal(&self) -> Option<&End> {
        Some(self)
    }

    fn ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        if self.is_hung_up() {
            return Err(Errno::IO);
        }
        let terminal = &self.terminal;
        match request {
            ioctl::TCGETS => {
                let settings = *terminal.line.borrow().termios();
                argument.write(&settings.to_bytes())?;
            }
            // What is written is shown at once: there is nothing to wait for.
            ioctl::TCSETS | ioctl::TCSETSW => return self.set_termios(argument, false),
            ioctl::TCSETSF => return self.set_termios(argument, true),
            ioctl::TCSBRK | ioctl::TCSBRKP => {}
            ioctl::TCFLSH => return terminal.flush(argument.value()),
            ioctl::TCXONC => return terminal.flow(argument.value()),
            ioctl::TIOCGWINSZ => argument.write(&terminal.window.get())?,
            ioctl::TIOCSWINSZ => {
                let mut window = [0; WINDOW_BYTES];
                argument.read(&mut window)?;
                terminal.set_window(window);
            }
            ioctl::FIONREAD | ioctl::TIOCOUTQ => {
                let mut line = terminal.line.borrow_mut();
                let (typed, shown) = (line.available(), line.screen().len());
                let of_screen = self.is_master() == (request == ioctl::FIONREAD);
                let count = if of_screen { shown } else { typed } as u32;
                drop(line);
                argument.write(&count.to_le_bytes())?;
            }
            ioctl::TIOCEXCL | ioctl::TIOCNXCL => {
                terminal.exclusive.set(request == ioctl::TIOCEXCL);
            }
            ioctl::TIOCGEXCL => {
                argument.write(&u32::from(terminal.exclusive.get()).to_le_bytes())?;
            }
            // The only line discipline there is.
            ioctl::TIOCGETD => argument.write(&0_u32.to_le_bytes())?,
            _ if self.is_master() => return self.master_ioctl(request, argument),
            _ => return Err(Errno::NOTTY),
        }
        Ok(0)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        match self.side {
            Side::Master => self.terminal.hang_up(),
            Side::Slave => self.terminal.slaves.update(|count| count - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::fs::testing::TestSystem;

    /// A number, and where one is written.
    struct Int(Cell<i32>);

    impl IoctlArgument for Int {
        fn value(&self) -> u64 {
            self.0.get() as u64
        }

        fn read(&self, to: &mut [u8]) -> Result<()> {
            to.fill(0);
            to[..4].copy_from_slice(&self.0.get().to_le_bytes());
            Ok(())
        }

        fn write(&self, from: &[u8]) -> Result<()> {
            self.0.set(i32::from_le_bytes(*from.first_chunk().ok_or(Errno::FAULT)?));
            Ok(())
        }
    }

    fn ioctl_int(file: &Rc<dyn File>, request: u32, value: i32) -> Result<i32> {
        let int = Int(Cell::new(value));
        file.ioctl(request, &int)?;
        Ok(int.0.get())
    }

    fn pair() -> (Rc<Terminals>, Rc<dyn File>, Rc<Terminal>) {
        let terminals = Rc::<Terminals>::default();
        let master = terminals.open_master(&*TestSystem::new()).unwrap();
        let number = ioctl_int(&master, ioctl::TIOCGPTN, 0).unwrap();
        let terminal = terminals.get(number as u32).unwrap();
        assert_eq!(terminal.open_slave().err(), Some(Errno::IO), "it is locked");
        ioctl_int(&master, ioctl::TIOCSPTLCK, 0).unwrap();
        (terminals, master, terminal)
    }

    #[test]
    fn bytes_go_both_ways_and_are_echoed() {
        let (_, master, terminal) = pair();
        let slave = terminal.open_slave().unwrap();
        let mut buffer = [0; 64];
        assert_eq!(slave.read(0, &mut buffer), Err(Errno::AGAIN));
        assert_eq!(master.write(0, b"hi\r"), Ok(3));
        assert_eq!((slave.poll(), master.poll()), (Poll::READY, Poll::READY));
        assert_eq!((slave.read(0, &mut buffer), &buffer[..3]), (Ok(3), &b"hi\n"[..]));
        assert_eq!(slave.write(0, b"ok\n"), Ok(3));
        assert_eq!(ioctl_int(&master, ioctl::FIONREAD, 0), Ok(8));
        assert_eq!((master.read(0, &mut buffer), &buffer[..8]), (Ok(8), &b"hi\r\nok\r\n"[..]));
        assert_eq!(ioctl_int(&slave, ioctl::TIOCGPTN, 0), Err(Errno::NOTTY));
    }

    #[test]
    fn the_master_sees_that_no_slave_is_left() {
        let (_, master, terminal) = pair();
        assert_eq!(master.read(0, &mut [0]), Err(Errno::AGAIN), "none yet");
        let slave = terminal.open_slave().unwrap();
        slave.write(0, b"x").unwrap();
        drop(slave);
        assert_eq!(master.poll(), Poll::READY | Poll::HUP);
        assert_eq!((master.read(0, &mut [0]), master.read(0, &mut [0])), (Ok(1), Err(Errno::IO)));
        let slave = terminal.open_slave().unwrap();
        assert_eq!(master.read(0, &mut [0]), Err(Errno::AGAIN), "one again");
        drop(slave);
    }

    #[test]
    fn closing_the_master_hangs_up() {
        let (terminals, master, terminal) = pair();
        let slave = terminal.open_slave().unwrap();
        terminal.control(5, 6);
        drop(master);
        let to = Target::Process(5);
        let notices =
            [linux::SIGHUP, linux::SIGCONT].map(|signal| Notice { to, signal: signal as u8 });
        assert_eq!(terminals.take_notices(), notices);
        assert_eq!((slave.read(0, &mut [0]), slave.write(0, b"x")), (Ok(0), Err(Errno::IO)));
        assert!(slave.poll().contains(Poll::HUP) && terminal.open_slave().is_err());
        assert_eq!(ioctl_int(&slave, ioctl::FIONREAD, 0), Err(Errno::IO));
        assert!(terminals.numbers().is_empty() && terminals.of_session(5).is_none());
    }

    #[test]
    fn a_sessions_end_is_told_to_who_is_in_front() {
        let (terminals, master, terminal) = pair();
        let slave = terminal.open_slave().unwrap();
        terminal.control(5, 6);
        assert!(terminals.of_session(5).is_some());
        master.write(0, b"\x03\x03").unwrap();
        let to = Target::Group(6);
        let interrupt = Notice { to, signal: linux::SIGINT as u8 };
        assert_eq!(terminals.take_notices(), [interrupt], "told once");
        terminal.leave_session(true);
        let told: Vec<u8> = terminals.take_notices().iter().map(|notice| notice.signal).collect();
        assert_eq!(told, [linux::SIGHUP as u8]);
        assert!(terminals.of_session(5).is_none());
        assert_eq!(slave.write(0, b"x"), Ok(1), "who has it open still has it");
        master.write(0, b"\x03").unwrap();
        assert!(!terminals.has_notices(), "nobody is in front");
    }

    #[test]
    fn pairs_are_bounded_and_their_numbers_are_used_again() {
        let terminals = Rc::<Terminals>::default();
        let system = TestSystem::new();
        let open = || terminals.open_master(&*system);
        let mut masters: Vec<_> = core::iter::from_fn(|| open().ok()).collect();
        assert_eq!(masters.len(), super::super::TERMINALS_MAX as usize);
        assert_eq!(open().err(), Some(Errno::NOSPC));
        drop(masters.remove(7));
        let again = open().unwrap();
        assert_eq!(ioctl_int(&again, ioctl::TIOCGPTN, 0), Ok(7));
    }
}
