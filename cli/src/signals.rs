//! Signals that end a command, as something that can be waited for, or asked about.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What a terminal or a supervisor sends to end a program.
const ENDING: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// The signals, blocked from now on, as a descriptor.
#[derive(Debug)]
pub struct Signals(OwnedFd);

/// What came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// This signal.
    Signal(u8),
    /// The other descriptor became readable.
    Readable,
}

impl Signals {
    /// Blocks the signals and collects them. Processes that are started later do not inherit that.
    ///
    /// # Errors
    /// What the host says.
    pub fn new() -> io::Result<Signals> {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: sigemptyset fills the set, which then is valid for all the calls. The new descriptor is
        // nobody else's.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            let mut set = set.assume_init();
            for signal in ENDING {
                libc::sigaddset(&mut set, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            match libc::signalfd(-1, &set, libc::SFD_CLOEXEC) {
                -1 => Err(io::Error::last_os_error()),
                fd => Ok(Signals(OwnedFd::from_raw_fd(fd))),
            }
        }
    }

    /// Waits for a signal or for `other` to become readable.
    ///
    /// # Errors
    /// What the host says.
    pub fn or_readable(&self, other: BorrowedFd<'_>) -> io::Result<First> {
        let mut entries = [entry(self.0.as_fd()), entry(other)];
        loop {
            // SAFETY: the entries are valid for the call.
            let count =
                unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, -1) };
            match (count, entries[0].revents, entries[1].revents) {
                (1.., 0, _) => return Ok(First::Readable),
                (1.., _, _) => return self.take().map(First::Signal),
                _ => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => continue,
                    error => return Err(error),
                },
            }
        }
    }

    /// Whether one has come.
    pub fn have_come(&self) -> bool {
        let mut entries = [entry(self.0.as_fd())];
        // SAFETY: the entry is valid for the call, which does not wait.
        unsafe { libc::poll(entries.as_mut_ptr(), 1, 0) > 0 }
    }

    fn take(&self) -> io::Result<u8> {
        let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most `size` bytes; every pattern of bytes is valid.
        unsafe {
            match libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) {
                count if count == size as isize => Ok(info.assume_init().ssi_signo as u8),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }
}

fn entry(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}
