//! Both ends of pairs, and who is told what.

use alloc::rc::Rc;
use core::cell::Cell;
use std::vec::Vec;

use linux_raw_sys::{general as linux, ioctl};

use super::*;
use crate::fs::testing::TestSystem;
use crate::fs::{IoctlArgument, Poll};

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
    let notices = [linux::SIGHUP, linux::SIGCONT].map(|signal| Notice { to, signal: signal as u8 });
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
    assert_eq!(masters.len(), TERMINALS_MAX as usize);
    assert_eq!(open().err(), Some(Errno::NOSPC));
    drop(masters.remove(7));
    let again = open().unwrap();
    assert_eq!(ioctl_int(&again, ioctl::TIOCGPTN, 0), Ok(7));
}
