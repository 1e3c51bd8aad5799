//! The program: what its threads share.
//!
//! Each part has a cell of its own and is borrowed for a moment, since parts are reached from two sides:
//! by system calls, and by the files of /proc that show them.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::fs::{Dentry, FdTable};
use crate::mm::AddressSpace;
use crate::signal::Signals;

/// The one process's number: programs expect init to be somebody else.
pub const PID: u32 = 2;

/// What a program was started with, for /proc and for AT_EXECFN.
#[derive(Clone)]
pub struct Started {
    /// The file that runs.
    pub executable: Rc<Dentry>,
    /// Arguments, each ended by NUL.
    pub arguments: Vec<u8>,
    /// Environment, each variable ended by NUL.
    pub environment: Vec<u8>,
    /// Auxiliary vector, as bytes.
    pub auxiliary: Vec<u8>,
}

/// Where paths begin, and what new files are denied.
pub struct Paths {
    /// Root directory.
    pub root: Rc<Dentry>,
    /// Working directory.
    pub cwd: Rc<Dentry>,
    /// Mode bits that new files do not get (umask(2)).
    pub umask: u32,
}

/// A process.
pub struct Process {
    /// Its number, and its first thread's.
    pub pid: u32,
    /// How many threads it has.
    pub threads: Cell<u32>,
    /// The status of its first thread, once that has ended: the process's, if its last thread just ends too.
    pub status: Cell<Option<u8>>,
    /// Its memory.
    pub space: RefCell<AddressSpace>,
    /// Its descriptors.
    pub files: FdTable,
    /// Its directories.
    pub paths: RefCell<Paths>,
    /// What it does about signals.
    pub signals: RefCell<Signals>,
    /// What it was started with.
    pub started: RefCell<Started>,
    /// Its name: the last part of the executable's path, 15 bytes at most (prctl PR_SET_NAME).
    pub name: RefCell<Vec<u8>>,
    /// What its limits are, soft and hard (getrlimit(2)).
    pub limits: RefCell<crate::limits::Limits>,
    /// How long its threads have run, ns: up to the beginning of the turn that is on.
    pub ran_ns: Cell<u64>,
}
