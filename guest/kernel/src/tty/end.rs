//! An open end of a pair, as the file that it is to programs: what they read, write and ask by ioctl(2)
//! (ioctl_tty(2)).

use alloc::rc::Rc;

use linux_raw_sys::ioctl;

use super::Terminal;
use super::terminal::WINDOW_BYTES;
use super::termios::{TERMIOS_BYTES, Termios};
use crate::errno::{Errno, Result};
use crate::fs::{File, IoctlArgument, Poll, Pulse};

/// What a packet begins with that holds what was shown (ioctl_tty(2), TIOCPKT).
const PACKET_DATA: u8 = 0;

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

    pub(super) fn slave(terminal: Rc<Terminal>) -> End {
        End { terminal, side: Side::Slave }
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
            ioctl::TIOCGPTN => argument.write(&terminal.number().to_le_bytes())?,
            ioctl::TIOCGPTLCK => {
                argument.write(&u32::from(terminal.locked.get()).to_le_bytes())?;
            }
            ioctl::TIOCPKT => terminal.packets.set(read_int(argument)? != 0),
            ioctl::TIOCGPKT => {
                argument.write(&u32::from(terminal.packets.get()).to_le_bytes())?;
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
        match line.screen() {
            screen if screen.is_empty() && self.is_left() => Err(Errno::IO),
            screen if screen.is_empty() => Err(Errno::AGAIN),
            screen if self.terminal.packets.get() => {
                to[0] = PACKET_DATA;
                Ok(1 + screen.take(&mut to[1..]))
            }
            screen => Ok(screen.take(to)),
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
