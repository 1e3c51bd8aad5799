//! A descriptor of a process (pidfd_open(2)): readable once that has ended.

use alloc::rc::Rc;
use core::cell::Cell;

use crate::family::Pid;
use crate::fs::{File, Poll, Pulse};

/// The file.
pub struct PidFd {
    /// Whose.
    pub pid: Pid,
    /// Whether it has ended: the process's own note.
    pub has_ended: Rc<Cell<bool>>,
}

impl File for PidFd {
    fn poll(&self) -> Poll {
        if self.has_ended.get() { Poll::IN } else { Poll::empty() }
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(Pulse { input: self.has_ended.get().into(), output: 0 })
    }

    fn process(&self) -> Option<Pid> {
        Some(self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno::Errno;

    #[test]
    fn it_is_readable_once_the_process_has_ended() {
        let has_ended = Rc::new(Cell::new(false));
        let file = PidFd { pid: 7, has_ended: Rc::clone(&has_ended) };
        assert_eq!((file.poll(), file.process()), (Poll::empty(), Some(7)));
        let before = file.pulse();
        has_ended.set(true);
        assert_eq!(file.poll(), Poll::IN);
        assert_ne!(file.pulse(), before);
        assert_eq!(file.read(0, &mut [0; 8]), Err(Errno::INVAL));
    }
}
