//! Who is whose child, in which group and session, and how it ended: plain data, one entry for each process until somebody
//! has waited for it.
//!
//! ```text
//!   fork ─▶ Running ⇄ Stopped ─▶ Ended ── waited for, or nobody will ─▶ gone
//!                │ news: stopped, continued                  │ its children go to the nearest subreaper, or to init
//!                └──────────── wait4, waitid ◀───────────────┘
//! ```
//!
//! Init, number 1, is the kernel itself: it waits for every child that it is given.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};

/// A process's number.
pub type Pid = u32;
/// Numbers of processes and threads wrap here (Linux's pid_max on 64-bit machines).
pub const PID_END: Pid = 4 << 20;

/// The kernel as a process.
pub const INIT: Pid = 1;

/// SIGCHLD.
const SIGCHLD: u8 = linux::SIGCHLD as u8;

/// What there is to tell of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It has exited with this status.
    Exited(u8),
    /// This signal has killed it. There are no core dumps.
    Killed(u8),
    /// This signal has stopped it.
    Stopped(u8),
    /// SIGCONT has made it go on.
    Continued,
}

impl Status {
    /// As wait4(2) tells it.
    pub fn word(self) -> u32 {
        match self {
            Status::Exited(code) => u32::from(code) << 8,
            Status::Killed(signal) => signal.into(),
            Status::Stopped(signal) => u32::from(signal) << 8 | 0x7f,
            Status::Continued => 0xffff,
        }
    }

    /// As siginfo_t has it: si_code and si_status.
    pub fn code(self) -> (i32, u8) {
        let (code, status) = match self {
            Status::Exited(code) => (linux::CLD_EXITED, code),
            Status::Killed(signal) => (linux::CLD_KILLED, signal),
            Status::Stopped(signal) => (linux::CLD_STOPPED, signal),
            Status::Continued => (linux::CLD_CONTINUED, linux::SIGCONT as u8),
        };
        (code as i32, status)
    }
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or could.
    Running,
    /// A signal has stopped it.
    Stopped,
    /// It has ended so, and nobody has waited for it.
    Ended(Status),
}

/// A process among others.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who waits for it.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// Its session.
    pub session: Pid,
    /// The signal that its parent gets at its end; 0: none.
    pub exit_signal: u8,
    /// How far it is.
    pub state: State,
    /// What has happened to it that nobody has waited for: it was stopped, or went on.
    pub news: Option<Status>,
    /// It runs a program of its own: its parent may not move it to another group any more.
    pub has_executed: bool,
    /// Its orphaned descendants become its children (PR_SET_CHILD_SUBREAPER).
    pub is_subreaper: bool,
    /// The signal that it gets when its parent ends (PR_SET_PDEATHSIG); 0: none.
    pub death_signal: u8,
    /// How long it has run, once it has ended, ns.
    pub ran_ns: u64,
    /// How long those of its children have run that it has waited for, with theirs, ns.
    pub children_ran_ns: u64,
}

/// For whom wait4(2) or waitid(2) waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// For any child.
    Any,
    /// For this one.
    Child(Pid),
    /// For any of this group.
    Group(Pid),
}

/// For what it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// An end (WEXITED).
    pub ended: bool,
    /// A stop (WSTOPPED).
    pub stopped: bool,
    /// That one goes on (WCONTINUED).
    pub continued: bool,
    /// Only of children whose end sends another signal than SIGCHLD, or none (__WCLONE).
    pub clones: bool,
    /// Of those and all others (__WALL).
    pub all: bool,
}

/// A child that has lost its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its number.
    pub pid: Pid,
    /// The signal that it gets now; 0: none.
    pub death_signal: u8,
    /// Whether it waits to be waited for.
    pub has_ended: bool,
}

/// All processes.
#[derive(Debug, Default)]
pub struct Families {
    members: BTreeMap<Pid, Member>,
}

impl Families {
    /// The first process: it leads a group and a session.
    pub fn add_first(&mut self, pid: Pid) {
        self.members.insert(pid, Member::new(INIT, pid, pid, SIGCHLD));
    }

    /// A child of `parent`, in its group and session.
    pub fn add(&mut self, pid: Pid, parent: Pid, exit_signal: u8) {
        let of_parent = self.members.get(&parent);
        let (group, session) = of_parent.map_or((pid, pid), |of| (of.group, of.session));
        self.members.insert(pid, Member::new(parent, group, session, exit_signal));
    }

    /// How many there are, those included that nobody has waited for.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A process. ESRCH.
    pub fn get(&self, pid: Pid) -> Result<&Member> {
        self.members.get(&pid).ok_or(Errno::SRCH)
    }

    /// A process, to change. ESRCH.
    pub fn get_mut(&mut self, pid: Pid) -> Result<&mut Member> {
        self.members.get_mut(&pid).ok_or(Errno::SRCH)
    }

    /// All numbers, ascending.
    pub fn pids(&self) -> Vec<Pid> {
        self.members.keys().copied().collect()
    }

    /// The numbers of a group's processes.
    pub fn group(&self, group: Pid) -> Vec<Pid> {
        let of_group = self.members.iter().filter(|(_, member)| member.group == group);
        of_group.map(|(pid, _)| *pid).collect()
    }

    /// The sessions that a group's processes are in: one, or none where there is no such group.
    pub fn sessions_of(&self, group: Pid) -> Vec<Pid> {
        let members = self.members.values().filter(|member| member.group == group);
        members.map(|member| member.session).collect()
    }

    /// Whether nobody of a group's session is left who could make it go on: no member has its parent in another group of
    /// the session.
    pub fn is_orphaned(&self, group: Pid) -> bool {
        let is_cared_for = |member: &Member| {
            let parent = self.members.get(&member.parent);
            parent.is_some_and(|of| of.session == member.session && of.group != group)
        };
        !self.members.values().filter(|member| member.group == group).any(is_cared_for)
    }

    /// Whether a number is that of a process, a group or a session: no other thread may get it.
    pub fn is_taken(&self, number: Pid) -> bool {
        self.members.contains_key(&number)
            || self.members.values().any(|of| of.group == number || of.session == number)
    }

    /// setpgid(2). EACCES, EPERM, ESRCH.
    pub fn set_group(&mut self, caller: Pid, pid: Pid, group: Pid) -> Result<()> {
        let (session, member) = (self.get(caller)?.session, self.get(pid)?);
        let is_child = member.parent == caller;
        if pid != caller && !is_child {
            return Err(Errno::SRCH);
        }
        if is_child && pid != caller && member.has_executed {
            return Err(Errno::ACCES);
        }
        if member.session == pid || member.session != session {
            return Err(Errno::PERM);
        }
        let exists = |of: &Member| of.group == group && of.session == session;
        if group != pid && !self.members.values().any(exists) {
            return Err(Errno::PERM);
        }
        self.get_mut(pid)?.group = group;
        Ok(())
    }

    /// setsid(2). EPERM where a group has the caller's number.
    pub fn set_session(&mut self, pid: Pid) -> Result<Pid> {
        if self.members.values().any(|of| of.group == pid) {
            return Err(Errno::PERM);
        }
        let member = self.get_mut(pid)?;
        (member.group, member.session) = (pid, pid);
        Ok(pid)
    }

    /// A child of `parent` of which there is news, and what it is; `None` while there is none. ECHILD where none will ever
    /// come.
    pub fn find(&self, parent: Pid, which: Which, events: Events) -> Result<Option<(Pid, Status)>> {
        let is_meant = |pid: Pid, member: &Member| {
            let fits = match which {
                Which::Any => true,
                Which::Child(child) => pid == child,
                Which::Group(group) => member.group == group,
            };
            let kind = events.all || events.clones == (member.exit_signal != SIGCHLD);
            member.parent == parent && fits && kind
        };
        let mut exists = false;
        for (pid, member) in self.members.iter().filter(|(pid, member)| is_meant(**pid, member)) {
            let news = match (member.state, member.news) {
                (State::Ended(status), _) if events.ended => Some(status),
                (_, Some(news @ Status::Stopped(_))) if events.stopped => Some(news),
                (_, Some(Status::Continued)) if events.continued => Some(Status::Continued),
                _ => None,
            };
            if let Some(status) = news {
                return Ok(Some((*pid, status)));
            }
            exists |= events.ended || !matches!(member.state, State::Ended(_));
        }
        if exists { Ok(None) } else { Err(Errno::CHILD) }
    }

    /// The parent knows what [`Families::find`] has told. Who has ended is gone then, and its time counts as the
    /// parent's children's.
    pub fn take_news(&mut self, pid: Pid) {
        let Some(member) = self.members.get_mut(&pid) else { return };
        member.news = None;
        if matches!(member.state, State::Ended(_)) {
            let (parent, ran_ns) = (member.parent, member.ran_ns + member.children_ran_ns);
            self.members.remove(&pid);
            if let Some(parent) = self.members.get_mut(&parent) {
                parent.children_ran_ns += ran_ns;
            }
        }
    }

    /// Forgets a process for which nobody waits.
    pub fn remove(&mut self, pid: Pid) {
        self.members.remove(&pid);
    }

    /// A process has ended so. Its children have other parents now: the nearest ancestor that is a subreaper, or init.
    pub fn end(&mut self, pid: Pid, status: Status, ran_ns: u64) -> Vec<Orphan> {
        let Some(member) = self.members.get_mut(&pid) else { return Vec::new() };
        (member.state, member.news, member.ran_ns) = (State::Ended(status), None, ran_ns);
        let mut heir = member.parent;
        while let Some(ancestor) = self.members.get(&heir) {
            if ancestor.is_subreaper && !matches!(ancestor.state, State::Ended(_)) {
                break;
            }
            heir = ancestor.parent;
        }
        let mut orphans = Vec::new();
        for (pid, child) in self.members.iter_mut().filter(|(_, child)| child.parent == pid) {
            child.parent = heir;
            child.exit_signal = SIGCHLD;
            let has_ended = matches!(child.state, State::Ended(_));
            orphans.push(Orphan { pid: *pid, death_signal: child.death_signal, has_ended });
        }
        orphans
    }
}

impl Member {
    fn new(parent: Pid, group: Pid, session: Pid, exit_signal: u8) -> Member {
        Member {
            parent,
            group,
            session,
            exit_signal,
            state: State::Running,
            news: None,
            has_executed: false,
            is_subreaper: false,
            death_signal: 0,
            ran_ns: 0,
            children_ran_ns: 0,
        }
    }
}

#[cfg(test)]
mod tests;
