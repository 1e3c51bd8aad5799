//! The standard streams: vsock streams to the descriptors that `mayfly run` was given.

use alloc::rc::Rc;

use linux_raw_sys::general as linux;
use linux_raw_sys::ioctl;
use mayfly_abi::ports;
use mayfly_drivers::vsock::{StreamError, StreamId};

use crate::devices::Devices;
use crate::errno::{Errno, Result};
use crate::fs::{File, FileType, IoctlArgument, OpenFile, OpenFlags, Poll, Pulse, Vfs};

/// One stream to the host.
struct HostStream {
    devices: Rc<Devices>,
    id: StreamId,
    terminal: bool,
}

/// Opens standard input, output and error. Bit n of `terminals` says that stream n is a terminal.
/// The host learns of it at the first kick; nothing waits here.
pub fn open(vfs: &Vfs, devices: &Rc<Devices>, terminals: u32) -> Result<[Rc<OpenFile>; 3]> {
    let stream = |index: u32, port, flags| -> Result<Rc<OpenFile>> {
        let id = devices.with_vsock(|vsock| vsock.connect(port)).map_err(|_| Errno::NFILE)?;
        let terminal = terminals & 1 << index != 0;
        let file = Rc::new(HostStream { devices: devices.clone(), id, terminal });
        let (kind, name) = if terminal {
            (FileType::CharDevice, "/dev/tty")
        } else {
            (FileType::Fifo, "pipe:[…]")
        };
        Ok(vfs.anonymous(file, kind, name, flags))
    };
    Ok([
        stream(0, ports::STDIN, OpenFlags::RDONLY)?,
        stream(1, ports::STDOUT, OpenFlags::WRONLY)?,
        stream(2, ports::STDERR, OpenFlags::WRONLY)?,
    ])
}

impl File for HostStream {
    fn read(&self, _offset: u64, to: &mut [u8]) -> Result<usize> {
        match self.devices.with_vsock(|vsock| vsock.recv(self.id, to)) {
            Ok(count) => Ok(count),
            Err(StreamError::WouldBlock | StreamError::NotConnected) => Err(Errno::AGAIN),
            // The host could not read its descriptor: a reset does not carry why.
            Err(_) => Err(Errno::IO),
        }
    }

    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        let sent = self.devices.with_vsock(|vsock| vsock.send(self.id, from));
        match sent {
            Ok(count) => {
                self.devices.kick_soon();
                Ok(count)
            }
            Err(StreamError::WouldBlock | StreamError::NotConnected) => Err(Errno::AGAIN),
            Err(_) => Err(Errno::PIPE),
        }
    }

    fn poll(&self) -> Poll {
        self.devices.poll_stream(self.id)
    }

    fn pulse(&self) -> Option<Pulse> {
        let input = self.devices.with_vsock(|vsock| vsock.received_bytes(self.id));
        // Room comes back as the host reads, which nobody counts: each look may find some.
        let poll = u64::from(self.poll().bits()) << 32;
        Some(Pulse { input: u64::from(input) ^ poll, output: poll })
    }

    fn ioctl(&self, request: u32, argument: &dyn IoctlArgument) -> Result<u32> {
        if !self.terminal {
            return Err(Errno::NOTTY);
        }
        match request {
            // The host's terminal does the line editing: what programs ask for is what they get.
            ioctl::TCGETS => argument.write(&TERMIOS).map(|()| 0),
            ioctl::TCSETS | ioctl::TCSETSW | ioctl::TCSETSF => Ok(0),
            ioctl::TIOCGWINSZ => argument.write(&WINDOW).map(|()| 0),
            ioctl::TIOCGPGRP => argument.write(&crate::process::FIRST.to_le_bytes()).map(|()| 0),
            ioctl::TIOCSPGRP => Ok(0),
            _ => Err(Errno::NOTTY),
        }
    }
}

/// struct winsize: 24 rows of 80 columns.
const WINDOW: [u8; 8] = [24, 0, 80, 0, 0, 0, 0, 0];

/// struct termios of a terminal in its usual state (stty sane).
const TERMIOS: [u8; 36] = {
    let mut bytes = [0; 36];
    let flags = [
        linux::ICRNL | linux::IXON,
        linux::OPOST | linux::ONLCR,
        linux::CS8 | linux::CREAD | linux::B38400,
        linux::ISIG | linux::ICANON | linux::ECHO | linux::ECHOE | linux::ECHOK | linux::IEXTEN,
    ];
    let mut index = 0;
    while index < flags.len() {
        let word = flags[index].to_le_bytes();
        let mut byte = 0;
        while byte < 4 {
            bytes[index * 4 + byte] = word[byte];
            byte += 1;
        }
        index += 1;
    }
    bytes
};
