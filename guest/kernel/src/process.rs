//! A process: what its threads share.
//!
//! Each part has a cell of its own and is borrowed for a moment, since parts are reached from two sides:
//! by system calls, and by the files of /proc that show them. What it is to other processes is in [`crate::family`].

use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::agenda::Tid;
use crate::credentials::Credentials;
use crate::errno::Result;
use crate::family::Pid;
use crate::fs::{Dentry, FdTable};
use crate::limits::Limits;
use crate::mm::AddressSpace;
use crate::personality::Personality;
use crate::signal::Signals;

/// The first process's number: programs expect init to be somebody else.
pub const FIRST: Pid = 2;

/// Memory, which processes share between vfork(2) and execve(2).
pub type Memory = Rc<RefCell<AddressSpace>>;

/// What a program was started with, for /proc and for AT_EXECFN.
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
#[derive(Clone)]
pub struct Paths {
    /// Root directory.
    pub root: Rc<Dentry>,
    /// Working directory.
    pub cwd: Rc<Dentry>,
    /// Mode bits that new files do not get (umask(2)).
    pub umask: u32,
}

/// A process that has not ended.
pub struct Process {
    /// Its number, and its first thread's.
    pub pid: Pid,
    /// The numbers of its threads.
    pub threads: RefCell<BTreeSet<Tid>>,
    /// The status of its first thread, once that has ended: the process's, if its last thread just ends too.
    pub status: Cell<Option<u8>>,
    /// Its memory; `None` before its first program, and after its end.
    pub memory: RefCell<Option<Memory>>,
    /// Its descriptors.
    pub files: FdTable,
    /// Its directories.
    pub paths: RefCell<Paths>,
    /// What it does about signals.
    pub signals: RefCell<Signals>,
    /// What it was started with.
    pub started: RefCell<Rc<Started>>,
    /// Its name: the last part of the executable's path, 15 bytes at most (prctl PR_SET_NAME).
    pub name: RefCell<Vec<u8>>,
    /// Who it says it is.
    pub credentials: RefCell<Credentials>,
    /// What its limits are, soft and hard (getrlimit(2)).
    pub limits: RefCell<Limits>,
    /// How it lets others go first, -20 to 19 (setpriority(2)): kept and told.
    pub nice: Cell<i8>,
    /// What it wants done otherwise than Linux usually does (personality(2)).
    pub personality: Cell<Personality>,
    /// How long its threads have run, ns: up to the beginning of the turn that is on.
    pub ran_ns: Cell<u64>,
    /// Whether a signal has stopped it: none of its threads runs.
    pub is_stopped: Cell<bool>,
    /// Whether it has ended: for descriptors of it, which live on.
    pub has_ended: Rc<Cell<bool>>,
    /// The thread that does not go on until this process has another program, or has ended (vfork(2)).
    pub borrowed_from: Cell<Option<Tid>>,
}

impl Process {
    /// The first process, before it has a program.
    pub fn first(root: &Rc<Dentry>, cwd: &Rc<Dentry>) -> Process {
        let started = Started {
            executable: root.clone(),
            arguments: Vec::new(),
            environment: Vec::new(),
            auxiliary: Vec::new(),
        };
        let paths = Paths { root: root.clone(), cwd: cwd.clone(), umask: 0o022 };
        Process {
            pid: FIRST,
            threads: RefCell::new([FIRST].into()),
            status: Cell::new(None),
            memory: RefCell::new(None),
            files: FdTable::new(),
            paths: RefCell::new(paths),
            signals: RefCell::new(Signals::of_first()),
            started: RefCell::new(Rc::new(started)),
            name: RefCell::new(Vec::new()),
            credentials: RefCell::default(),
            limits: RefCell::new(Limits::default()),
            nice: Cell::new(0),
            personality: Cell::new(Personality::empty()),
            ran_ns: Cell::new(0),
            is_stopped: Cell::new(false),
            has_ended: Rc::default(),
            borrowed_from: Cell::new(None),
        }
    }

    /// A child with copies of everything but memory, which it is given. ENOMEM.
    pub fn child(&self, pid: Pid, memory: Memory) -> Result<Process> {
        Ok(Process {
            pid,
            threads: RefCell::new([pid].into()),
            status: Cell::new(None),
            memory: RefCell::new(Some(memory)),
            files: self.files.duplicate()?,
            paths: self.paths.clone(),
            signals: RefCell::new(self.signals.borrow().of_child()),
            started: self.started.clone(),
            name: self.name.clone(),
            credentials: self.credentials.clone(),
            limits: self.limits.clone(),
            nice: self.nice.clone(),
            personality: self.personality.clone(),
            ran_ns: Cell::new(0),
            is_stopped: Cell::new(false),
            has_ended: Rc::default(),
            borrowed_from: Cell::new(None),
        })
    }

    /// Whether the guest ends with it.
    pub fn is_first(&self) -> bool {
        self.pid == FIRST
    }

    /// Its memory.
    ///
    /// # Panics
    /// Where it has no program: none of its threads runs then.
    pub fn space(&self) -> Memory {
        self.memory.borrow().clone().expect("who runs has memory")
    }
}
