//! Descriptors on their way through a socket (SCM_RIGHTS, unix(7)).
//!
//! A file in flight is held by the queue that it is in. Queues of sockets that are themselves in flight
//! can be nested as deep as the program likes, so files that nobody received are not dropped on the
//! spot, one inside the other, but one after another from a list.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::errno::{Errno, Result};
use crate::fs::OpenFile;

/// Most descriptors in flight. Sockets sent through each other in a circle are never received and stay:
/// this bounds them too.
pub const IN_FLIGHT_MAX: usize = 1024;
/// Most descriptors of one message (SCM_MAX_FD).
pub const RIGHTS_MAX: usize = 253;

/// All descriptors in flight.
#[derive(Default)]
pub struct InFlight {
    count: Cell<usize>,
    dying: RefCell<Vec<Rc<OpenFile>>>,
    burying: Cell<bool>,
}

impl InFlight {
    /// Sends files on their way. EINVAL for too many in one message; ETOOMANYREFS for too many in all.
    pub fn send(self: &Rc<InFlight>, files: Vec<Rc<OpenFile>>) -> Result<Rights> {
        if files.len() > RIGHTS_MAX {
            return Err(Errno::INVAL);
        }
        let count = self.count.get() + files.len();
        if count > IN_FLIGHT_MAX {
            return Err(Errno::TOOMANYREFS);
        }
        self.count.set(count);
        Ok(Rights { files, in_flight: self.clone() })
    }

    fn bury(&self, files: Vec<Rc<OpenFile>>) {
        self.dying.borrow_mut().extend(files);
        if self.burying.replace(true) {
            return;
        }
        loop {
            // Bound, so that the list is free for what this file's end adds to it.
            let next = self.dying.borrow_mut().pop();
            let Some(file) = next else { break };
            drop(file);
        }
        self.burying.set(false);
    }
}

/// The descriptors of one message.
pub struct Rights {
    files: Vec<Rc<OpenFile>>,
    in_flight: Rc<InFlight>,
}

impl Rights {
    /// They arrive.
    pub fn receive(mut self) -> Vec<Rc<OpenFile>> {
        let files = core::mem::take(&mut self.files);
        self.in_flight.count.update(|count| count - files.len());
        files
    }

    /// Others of the same files, for a look ahead (MSG_PEEK). ETOOMANYREFS.
    pub fn duplicate(&self) -> Result<Rights> {
        self.in_flight.send(self.files.clone())
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        let files = core::mem::take(&mut self.files);
        self.in_flight.count.update(|count| count - files.len());
        if !files.is_empty() {
            self.in_flight.bury(files);
        }
    }
}
