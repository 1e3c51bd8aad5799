//! Threads: how they begin, what they leave behind, and what is noted of them meanwhile.
//!
//! ```text
//!   clone, clone3 ─▶ Spawn ─┬▶ thread: the caller's registers, another stack, RAX 0 ─▶ ready
//!                           └▶ process: [`super::fork`]
//!   exit ─▶ the futexes that it holds are marked, its number is cleared, who waits is woken ─▶ gone
//! ```

use alloc::boxed::Box;
use alloc::rc::Rc;

use linux_raw_sys::general as linux;
use mayfly_abi::layout::USER_END;

use super::{Call, CallResult, fork};
use crate::errno::{Errno, Result};
use crate::futex::{ANY, Key};
use crate::kernel::Kernel;
use crate::process::Process;
use crate::thread::{Registers, Thread};

/// What a thread shares with its creator.
const SHARED: u64 = flag(
    linux::CLONE_VM
        | linux::CLONE_FS
        | linux::CLONE_FILES
        | linux::CLONE_SIGHAND
        | linux::CLONE_THREAD,
);
/// What threads and processes may ask for. The last three mean nothing here.
pub(super) const OPTIONS: u64 = flag(
    linux::CLONE_SETTLS
        | linux::CLONE_PARENT_SETTID
        | linux::CLONE_CHILD_SETTID
        | linux::CLONE_CHILD_CLEARTID
        | linux::CLONE_SYSVSEM
        | linux::CLONE_DETACHED
        | linux::CLONE_UNTRACED,
);
const PIDFD: u64 = flag(linux::CLONE_PIDFD);
/// The bits of clone(2)'s flags that are the signal at the end of a process.
const EXIT_SIGNAL: u64 = 0xff;
/// Words of struct clone_args in its first version, and now: eleven.
const ARGUMENTS_MIN_BYTES: u64 = linux::CLONE_ARGS_SIZE_VER0 as u64;
const ARGUMENTS: usize = 11;
/// Bytes of struct robust_list_head.
const ROBUST_LIST_BYTES: u64 = 24;

pub(super) const fn flag(flags: u32) -> u64 {
    flags as u64
}

/// What a new thread or process is to be.
#[derive(Clone, Copy)]
pub(super) struct Spawn {
    /// CLONE_… flags.
    pub flags: u64,
    /// The signal at a process's end; 0: none.
    pub exit_signal: u64,
    /// RSP; 0: its creator's.
    pub stack: u64,
    /// Where its creator is told of its descriptor.
    pub pidfd: u64,
    /// Where its creator is told its number.
    pub parent_tid: u64,
    /// Where it finds its number, and where that is cleared at its end.
    pub child_tid: u64,
    /// FS.
    pub tls: u64,
}

impl Spawn {
    /// Whether a flag is set.
    pub fn has(&self, option: u32) -> bool {
        self.flags & flag(option) != 0
    }
}

/// clone(2). EAGAIN beyond the most there may be; EINVAL; ENOMEM.
pub fn clone(call: &mut Call<'_>) -> CallResult {
    let [flags, stack, parent_tid, child_tid, tls, _] = call.args;
    let exit_signal = flags & EXIT_SIGNAL;
    // The bits above are clone3's.
    let flags = flags & u64::from(u32::MAX) & !EXIT_SIGNAL;
    // clone(2) has one argument for both.
    let pidfd = parent_tid;
    if flags & PIDFD != 0 && flags & flag(linux::CLONE_PARENT_SETTID) != 0 {
        return Err(Errno::INVAL.into());
    }
    spawn(call, &Spawn { flags, exit_signal, stack, pidfd, parent_tid, child_tid, tls })
}

/// clone3(2). As clone(2); E2BIG for arguments that nobody knows, EFAULT.
pub fn clone3(call: &mut Call<'_>) -> CallResult {
    let [address, bytes, ..] = call.args;
    if bytes < ARGUMENTS_MIN_BYTES {
        return Err(Errno::INVAL.into());
    }
    if bytes > ARGUMENTS as u64 * 8 {
        return Err(Errno::TOOBIG.into());
    }
    let mut words = [0; ARGUMENTS];
    let range = call.bytes(address, bytes)?;
    for (word, bytes) in words.iter_mut().zip(range.bytes().as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let [flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls, set_tid, ..] =
        words;
    let is_thread = flags & flag(linux::CLONE_THREAD) != 0;
    let bad_signal = exit_signal > EXIT_SIGNAL || is_thread && exit_signal != 0;
    if bad_signal || set_tid != 0 || (stack == 0) != (stack_bytes == 0) {
        return Err(Errno::INVAL.into());
    }
    let stack = stack.checked_add(stack_bytes).ok_or(Errno::INVAL)?;
    spawn(call, &Spawn { flags, exit_signal, stack, pidfd, parent_tid, child_tid, tls })
}

fn spawn(call: &mut Call<'_>, spawn: &Spawn) -> CallResult {
    if spawn.has(linux::CLONE_SETTLS) && spawn.tls >= USER_END {
        return Err(Errno::PERM.into());
    }
    if !spawn.has(linux::CLONE_THREAD) {
        return fork::spawn(call, spawn);
    }
    if spawn.flags & SHARED != SHARED || spawn.flags & !(SHARED | OPTIONS) != 0 {
        return Err(Errno::INVAL.into());
    }
    let thread = new_thread(call, spawn, Rc::clone(call.process))?;
    let tid = thread.tid;
    call.process.threads.borrow_mut().insert(tid);
    call.kernel.threads.ready(thread);
    Ok(tid.into())
}

/// A thread of `process` that goes on where the caller does, with RAX 0. EAGAIN, ENOMEM.
pub(super) fn new_thread(
    call: &Call<'_>,
    spawn: &Spawn,
    process: Rc<Process>,
) -> Result<Box<Thread>> {
    let (kernel, parent) = (call.kernel, &*call.thread);
    // A process's first thread has its number.
    let tid = match Rc::ptr_eq(&process, call.process) {
        true => kernel.new_tid(parent)?,
        false => process.pid,
    };
    let mut context = parent.context;
    context.rax = 0;
    if spawn.stack != 0 {
        context.rsp = spawn.stack;
    }
    let mut registers = Registers::copied(&kernel.fpu, &context)?;
    if spawn.has(linux::CLONE_SETTLS) {
        registers.fs_base = spawn.tls;
    }
    let mut thread = Box::new(Thread::new(tid, process, context, registers));
    thread.blocked = parent.blocked;
    thread.timer_slack_ns = parent.timer_slack_ns;
    thread.name.clone_from(&parent.name);
    if spawn.has(linux::CLONE_CHILD_CLEARTID) {
        thread.clear_tid = spawn.child_tid;
    }
    if spawn.has(linux::CLONE_CHILD_SETTID) {
        thread.set_tid = spawn.child_tid;
    }
    if spawn.has(linux::CLONE_PARENT_SETTID) {
        // As Linux, it does not mind where this can't be written.
        let _ = call.put(spawn.parent_tid, &tid.to_le_bytes());
    }
    Ok(thread)
}

/// Writes a new thread's number where it wants to find it, in its own memory (CLONE_CHILD_SETTID).
pub fn tell_itself(kernel: &Kernel, thread: &mut Thread) {
    let (process, address) = (Rc::clone(&thread.process), core::mem::take(&mut thread.set_tid));
    let tid = thread.tid;
    let call = Call { kernel, process: &process, thread, args: [0; 6] };
    // As for the parent.
    let _ = call.put(address, &tid.to_le_bytes());
}

/// What a thread that ends leaves behind: marks in the futexes that it held, and a 0 where its number was. Its memory
/// must be the one that the processor sees.
pub fn leave(kernel: &Kernel, thread: &mut Thread) {
    let process = Rc::clone(&thread.process);
    let call = &Call { kernel, process: &process, thread, args: [0; 6] };
    let robust_list = call.thread.robust_list;
    if robust_list != 0 {
        // A list that cannot be read has nothing more to tell.
        let _ = leave_robust_list(call, robust_list);
    }
    let clear_tid = call.thread.clear_tid;
    if clear_tid != 0 && call.put(clear_tid, &0u32.to_le_bytes()).is_ok() {
        kernel.threads.wake_at(key(call, clear_tid), 1, ANY);
    }
    kernel.threads.bequeath(call.thread.tid);
    (thread.robust_list, thread.clear_tid) = (0, 0);
}

/// The futex at an address, which processes may share.
fn key(call: &Call<'_>, address: u64) -> Key {
    call.process.space().borrow().futex(address, false)
}

/// Marks each futex of the list, and the one that the thread was about to add or remove (struct robust_list_head:
/// first entry, offset from an entry to its futex, pending entry). Bit 0 of an entry's address marks a futex with
/// priority inheritance, which is handed over instead of waking somebody.
fn leave_robust_list(call: &Call<'_>, head: u64) -> Result<()> {
    let [first, offset, pending] = call.get_words(head)?;
    let mut entry = first;
    for _ in 0..linux::ROBUST_LIST_LIMIT {
        let at = entry & !1;
        if at == head {
            break;
        }
        let [next] = call.get_words(at)?;
        if at != pending & !1 {
            mark_owner_died(call, at.wrapping_add(offset), entry & 1 != 0, false)?;
        }
        entry = next;
    }
    let at = pending & !1;
    if at != 0 {
        mark_owner_died(call, at.wrapping_add(offset), pending & 1 != 0, true)?;
    }
    Ok(())
}

fn mark_owner_died(call: &Call<'_>, address: u64, inherits: bool, is_pending: bool) -> Result<()> {
    if !address.is_multiple_of(4) {
        return Err(Errno::INVAL);
    }
    let value = u32::from_le_bytes(call.get(address)?);
    let key = key(call, address);
    // It was given up, and who waits was not woken yet.
    if is_pending && !inherits && value == 0 {
        call.kernel.threads.wake_at(key, 1, ANY);
        return Ok(());
    }
    if value & linux::FUTEX_TID_MASK != call.thread.tid {
        return Ok(());
    }
    let marked = value & linux::FUTEX_WAITERS | linux::FUTEX_OWNER_DIED;
    call.put(address, &marked.to_le_bytes())?;
    if !inherits && value & linux::FUTEX_WAITERS != 0 {
        call.kernel.threads.wake_at(key, 1, ANY);
    }
    Ok(())
}

/// set_tid_address(2).
pub fn set_tid_address(call: &mut Call<'_>) -> CallResult {
    call.thread.clear_tid = call.args[0];
    Ok(call.thread.tid.into())
}

/// set_robust_list(2). EINVAL for another size than Linux's.
pub fn set_robust_list(call: &mut Call<'_>) -> CallResult {
    if call.args[1] != ROBUST_LIST_BYTES {
        return Err(Errno::INVAL.into());
    }
    call.thread.robust_list = call.args[0];
    Ok(0)
}

/// get_robust_list(2). ESRCH, EFAULT.
pub fn get_robust_list(call: &mut Call<'_>) -> CallResult {
    let tid = call.uint(0);
    let list = match tid {
        0 => Some(call.thread.robust_list),
        tid if tid == call.thread.tid => Some(call.thread.robust_list),
        tid => call.kernel.threads.with(tid, |thread| thread.robust_list),
    };
    call.put_words(call.args[1], &[list.ok_or(Errno::SRCH)?])?;
    call.put_words(call.args[2], &[ROBUST_LIST_BYTES])?;
    Ok(0)
}
