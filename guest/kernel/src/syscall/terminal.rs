//! Terminals and the processes before them: who has which, who may read, who is in front (tty_ioctl(2), credentials(7)).
//!
//! ```text
//!   session ── controlling terminal ── group in front: reads, writes, gets ^C
//!                                   └─ other groups: SIGTTIN for a read, SIGTTOU for what they must not change
//! ```

use alloc::format;
use alloc::rc::Rc;

use linux_raw_sys::{general as linux, ioctl};

use super::{Call, CallResult, Stop, file};
use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::fs::{OpenFile, OpenFlags};
use crate::kernel::Kernel;
use crate::signal::{Info, bit};
use crate::thread::Thread;
use crate::tty::{End, Target, Terminal};

const SIGTTIN: u8 = linux::SIGTTIN as u8;
const SIGTTOU: u8 = linux::SIGTTOU as u8;

/// Requests that change a terminal, which only who is in front may do.
const CHANGES: [u32; 8] = [
    ioctl::TCSETS,
    ioctl::TCSETSW,
    ioctl::TCSETSF,
    ioctl::TCFLSH,
    ioctl::TCXONC,
    ioctl::TCSBRK,
    ioctl::TCSBRKP,
    ioctl::TIOCSPGRP,
];

/// The end of a terminal that a file is.
pub fn end_of(file: &OpenFile) -> Option<&End> {
    file.file().and_then(|file| file.terminal())
}

/// Lets a read of a terminal go on, or stops the caller's group. EIO where nobody could make that go on.
pub fn admit_reader(call: &mut Call<'_>, file: &OpenFile) -> Result<(), Stop> {
    match end_of(file) {
        Some(end) => admit(call, end, SIGTTIN),
        None => Ok(()),
    }
}

/// As [`admit_reader`], for a write, where those are stopped (TOSTOP).
pub fn admit_writer(call: &mut Call<'_>, file: &OpenFile) -> Result<(), Stop> {
    match end_of(file) {
        Some(end) if end.terminal().stops_writers() => admit(call, end, SIGTTOU),
        _ => Ok(()),
    }
}

/// Whether a read of a terminal that finds nothing has waited for as long as it should (VTIME).
pub fn is_out_of_patience(call: &mut Call<'_>, file: &OpenFile) -> bool {
    let patience =
        end_of(file).filter(|end| !end.is_master()).and_then(|end| end.terminal().patience_ns());
    patience.is_some() && call.is_over(patience)
}

/// Sends the caller's group this signal, and waits, unless that is in front, or it is not its terminal.
fn admit(call: &mut Call<'_>, end: &End, signal: u8) -> Result<(), Stop> {
    let terminal = end.terminal();
    let (group, session) = place(call)?;
    let front = terminal.foreground();
    let is_free = end.is_master() || terminal.session() != Some(session);
    if is_free || front == 0 || front == group {
        return Ok(());
    }
    let is_ignored = call.thread.blocked & bit(signal) != 0
        || call.process.signals.borrow().actions.is_ignored(signal);
    if is_ignored {
        return if signal == SIGTTIN { Err(Errno::IO.into()) } else { Ok(()) };
    }
    if call.kernel.processes.with(|families| families.is_orphaned(group)) {
        return Err(Errno::IO.into());
    }
    call.kernel.send_to(Target::Group(group), signal, Some(call.thread));
    Err(call.wait(None, Errno::INTR))
}

/// The caller's group and session.
fn place(call: &Call<'_>) -> Result<(Pid, Pid)> {
    let pid = call.process.pid;
    call.kernel.processes.with(|families| families.get(pid).map(|of| (of.group, of.session)))
}

/// A terminal's slave was opened: it becomes the terminal of a session's leader that has none.
pub fn opened(call: &Call<'_>, file: &OpenFile, flags: OpenFlags) -> Result<()> {
    let Some(end) = end_of(file).filter(|end| !end.is_master()) else { return Ok(()) };
    let (group, session) = place(call)?;
    let terminal = end.terminal();
    let leads = session == call.process.pid;
    let has_none = call.kernel.terminals.of_session(session).is_none();
    if leads && has_none && terminal.session().is_none() && !flags.contains(OpenFlags::NOCTTY) {
        terminal.control(session, group);
    }
    Ok(())
}

/// ioctl(2) of a terminal's end; `None` where that is the terminal's own business alone.
pub fn ioctl(call: &mut Call<'_>, open: &OpenFile, request: u32) -> Option<CallResult> {
    let end = end_of(open)?;
    if CHANGES.contains(&request)
        && let Err(stop) = admit(call, end, SIGTTOU)
    {
        return Some(Err(stop));
    }
    if end.is_hung_up() {
        return Some(Err(Errno::IO.into()));
    }
    let terminal = end.terminal();
    let answer = match request {
        ioctl::TIOCSCTTY => take(call, end),
        ioctl::TIOCNOTTY => give_up(call, terminal),
        ioctl::TIOCGPGRP => front(call, end).map(|()| terminal.foreground()),
        ioctl::TIOCSPGRP => put_in_front(call, end),
        ioctl::TIOCGSID => front(call, end).and_then(|()| terminal.session().ok_or(Errno::NOTTY)),
        ioctl::TIOCGPTPEER if end.is_master() => return Some(open_peer(call, terminal)),
        _ => return None,
    };
    Some(answer.map_err(Stop::from).and_then(|value| match request {
        ioctl::TIOCGPGRP | ioctl::TIOCGSID => {
            call.put(call.args[2], &value.to_le_bytes())?;
            Ok(0)
        }
        _ => Ok(value.into()),
    }))
}

/// ENOTTY for a slave that is not the caller's controlling terminal.
fn front(call: &Call<'_>, end: &End) -> Result<()> {
    let is_own = end.terminal().session() == Some(place(call)?.1);
    if end.is_master() || is_own { Ok(()) } else { Err(Errno::NOTTY) }
}

/// TIOCSCTTY: a session's leader takes the terminal. EPERM where it has one, or another session has this one; root may
/// take it away.
fn take(call: &Call<'_>, end: &End) -> Result<u32> {
    let (group, session) = place(call)?;
    let terminal = end.terminal();
    if session == call.process.pid && terminal.session() == Some(session) {
        return Ok(0);
    }
    let leads = session == call.process.pid;
    if !leads || call.kernel.terminals.of_session(session).is_some() {
        return Err(Errno::PERM);
    }
    if terminal.session().is_some() && call.args[2] != 1 {
        return Err(Errno::PERM);
    }
    terminal.control(session, group);
    Ok(0)
}

/// TIOCNOTTY: the session's leader gives its terminal up. Another process cannot leave it without a session of its own.
fn give_up(call: &Call<'_>, terminal: &Terminal) -> Result<u32> {
    let (_, session) = place(call)?;
    if terminal.session() != Some(session) {
        return Err(Errno::NOTTY);
    }
    if session == call.process.pid {
        terminal.leave_session(false);
    }
    Ok(0)
}

/// TIOCSPGRP: a group of the session is in front now. EINVAL, ENOTTY, EPERM, ESRCH.
fn put_in_front(call: &Call<'_>, end: &End) -> Result<u32> {
    let (_, session) = place(call)?;
    let terminal = end.terminal();
    if end.is_master() || terminal.session() != Some(session) {
        return Err(Errno::NOTTY);
    }
    let group = i32::from_le_bytes(call.get(call.args[2])?);
    let group = Pid::try_from(group).map_err(|_| Errno::INVAL)?;
    let sessions = call.kernel.processes.with(|families| families.sessions_of(group));
    match sessions.as_slice() {
        [] => return Err(Errno::SRCH),
        sessions if !sessions.contains(&session) => return Err(Errno::PERM),
        _ => {}
    }
    terminal.set_foreground(group);
    Ok(0)
}

/// TIOCGPTPEER: a new descriptor of the slave. EMFILE.
fn open_peer(call: &Call<'_>, terminal: &Terminal) -> CallResult {
    let path = format!("/dev/pts/{}", terminal.number());
    let flags = OpenFlags::from_bits_truncate(call.args[2] as u32) | OpenFlags::LARGEFILE;
    let vfs = &call.kernel.vfs;
    let open: Rc<OpenFile> = vfs.open(vfs.root(), path.as_bytes(), flags, 0)?;
    Ok(file::add(call, open, flags)?.into())
}

impl Kernel {
    /// Sends the signals that terminals have for processes. `current` is the thread that runs.
    pub fn send_of_terminals(&self, current: Option<&Thread>) {
        if self.terminals.has_notices() {
            for notice in self.terminals.take_notices() {
                self.send_to(notice.to, notice.signal, current);
            }
        }
    }

    /// Sends a signal to a process or a group.
    fn send_to(&self, to: Target, signal: u8, current: Option<&Thread>) {
        let pids = match to {
            Target::Process(pid) => [pid].into(),
            Target::Group(group) => self.processes.with(|families| families.group(group)),
        };
        for process in pids.into_iter().filter_map(|pid| self.processes.get(pid)) {
            // A full queue loses it: nobody is there to be told.
            let _ = self.send(&process, Info::from_kernel(signal), current);
        }
    }

    /// A process has ended, or leaves its session: where it leads one, that has no terminal any more.
    pub fn leave_terminal(&self, pid: Pid) {
        if let Some(terminal) = self.terminals.of_session(pid) {
            terminal.leave_session(true);
        }
    }
}
