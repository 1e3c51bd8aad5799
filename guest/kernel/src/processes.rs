//! All processes: those that live, and what is left of those that have ended.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::errno::{Errno, Result};
use crate::family::{Families, Pid};
use crate::process::Process;

/// The processes.
#[derive(Default)]
pub struct Processes {
    living: RefCell<BTreeMap<Pid, Rc<Process>>>,
    families: RefCell<Families>,
}

impl Processes {
    /// Adds the first process.
    pub fn add_first(&self, process: &Rc<Process>) {
        self.families.borrow_mut().add_first(process.pid);
        self.living.borrow_mut().insert(process.pid, Rc::clone(process));
    }

    /// Adds a child of `parent`, whose end sends this signal.
    pub fn add(&self, process: &Rc<Process>, parent: Pid, exit_signal: u8) {
        self.families.borrow_mut().add(process.pid, parent, exit_signal);
        self.living.borrow_mut().insert(process.pid, Rc::clone(process));
    }

    /// A process that has not ended.
    pub fn get(&self, pid: Pid) -> Option<Rc<Process>> {
        self.living.borrow().get(&pid).cloned()
    }

    /// The process with this number; `None` where it has ended and waits to be waited for. ESRCH.
    pub fn find(&self, pid: Pid) -> Result<Option<Rc<Process>>> {
        self.families.borrow().get(pid)?;
        Ok(self.get(pid))
    }

    /// Those that have not ended.
    pub fn living(&self) -> Vec<Rc<Process>> {
        self.living.borrow().values().cloned().collect()
    }

    /// How many have ended and wait to be waited for.
    pub fn ended(&self) -> usize {
        self.families.borrow().len() - self.living.borrow().len()
    }

    /// Takes a process that has ended out of those that have not.
    pub fn bury(&self, pid: Pid) {
        let buried = self.living.borrow_mut().remove(&pid);
        drop(buried);
    }

    /// Gives `work` who is whose child.
    pub fn with<R>(&self, work: impl FnOnce(&mut Families) -> R) -> R {
        work(&mut self.families.borrow_mut())
    }

    /// The number of a process's parent.
    pub fn parent(&self, pid: Pid) -> Pid {
        self.with(|families| families.get(pid).map_or(crate::family::INIT, |of| of.parent))
    }

    /// The number of a process's group.
    pub fn group(&self, pid: Pid) -> Pid {
        self.with(|families| families.get(pid).map_or(pid, |of| of.group))
    }

    /// The processes that a kill(2) of this argument means, the caller last where it is among them. ESRCH.
    pub fn meant(&self, caller: Pid, target: i32) -> Result<Vec<Pid>> {
        let mut pids = self.with(|families| match target {
            0 => families.get(caller).map(|of| families.group(of.group)),
            -1 => Ok(families.pids().into_iter().filter(|pid| *pid != caller).collect()),
            group if group < 0 => Ok(families.group(group.unsigned_abs())),
            pid => families.get(pid as u32).map(|_| [pid as u32].into()),
        })?;
        // Its own signal must not keep it from sending the others': it is the last to be told.
        pids.sort_by_key(|pid| *pid == caller);
        if pids.is_empty() { Err(Errno::SRCH) } else { Ok(pids) }
    }
}
