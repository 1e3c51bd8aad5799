//! What a handler works with: the kernel, the process, the thread, and the program's memory.

use alloc::rc::Rc;
use alloc::vec::Vec;

use mayfly_hal::user::UserRange;

use super::table;
use crate::clock;
use crate::errno::{Errno, Result};
use crate::fs::{Dentry, OpenFile};
use crate::kernel::Kernel;
use crate::process::Process;
use crate::signal::{Info, blockable};
use crate::thread::Thread;

/// Longest path, its NUL included (PATH_MAX).
const PATH_MAX: usize = 4096;
/// Most bytes of argument or environment strings (a quarter of the stack, as Linux).
const STRINGS_MAX: usize = 2 << 20;
/// Longest of these strings, its NUL included (MAX_ARG_STRLEN).
const STRING_MAX: usize = 128 << 10;

/// Why a call does not return a value now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It fails.
    Errno(Errno),
    /// It waits for files or the host; `Pending::deadline_ns` says until when at the latest.
    Wait,
    /// It waits for nothing but its deadline, a signal, or somebody who wakes it by name.
    Sleep,
    /// It waits for somebody who wakes it by name, and no signal changes that but SIGKILL.
    Hold,
    /// The process ends with this status.
    Exit(u8),
    /// The process ends as if by SIGKILL: it has lost its program, and cannot have another.
    Kill,
    /// The thread ends; should the process end with it, the status is this.
    ExitThread(u8),
    /// The thread's registers were replaced: return to them as they are.
    Resume,
}

/// What a handler returns: a value for RAX, or why not.
pub type CallResult = Result<u64, Stop>;

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Errno(errno)
    }
}

/// One system call.
pub struct Call<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The calling process.
    pub process: &'a Rc<Process>,
    /// The calling thread.
    pub thread: &'a mut Thread,
    /// The arguments.
    pub args: [u64; 6],
}

/// Makes the call that the thread's registers ask for.
pub fn dispatch(kernel: &Kernel, process: &Rc<Process>, thread: &mut Thread) -> CallResult {
    let number = u32::try_from(thread.context.call_number()).unwrap_or(u32::MAX);
    let args = thread.context.arguments();
    match table::handler(number) {
        Some(handler) => handler(&mut Call { kernel, process, thread, args }),
        None => match table::fixed_error(number) {
            Some(errno) => Err(errno.into()),
            None => {
                kernel.count_unknown_call();
                Err(Errno::NOSYS.into())
            }
        },
    }
}

impl Call<'_> {
    /// Argument `index` as a C int.
    pub fn int(&self, index: usize) -> i32 {
        self.args[index] as i32
    }

    /// Argument `index` as a C unsigned int.
    pub fn uint(&self, index: usize) -> u32 {
        self.args[index] as u32
    }

    /// The open file of descriptor argument `index`. EBADF.
    pub fn file(&self, index: usize) -> Result<Rc<OpenFile>> {
        self.process.files.get(self.uint(index))
    }

    /// The program's bytes at `address`, to read. EFAULT; ENOMEM where they cannot be there.
    pub fn bytes(&self, address: u64, len: u64) -> Result<UserRange> {
        self.reach(address, len, false)
    }

    /// The program's bytes at `address`, to write. EFAULT; ENOMEM where they cannot be there.
    pub fn bytes_mut(&self, address: u64, len: u64) -> Result<UserRange> {
        self.reach(address, len, true)
    }

    /// The program's bytes. Where memory is short, caches give theirs, as for a fault.
    fn reach(&self, address: u64, len: u64, writable: bool) -> Result<UserRange> {
        loop {
            match self.process.space().borrow_mut().user_range(address, len, writable) {
                Err(Errno::NOMEM) if self.kernel.vfs.reclaim() => {}
                result => return result,
            }
        }
    }

    /// A copy of `N` bytes of the program's memory. EFAULT.
    pub fn get<const N: usize>(&self, address: u64) -> Result<[u8; N]> {
        let mut copy = [0; N];
        copy.copy_from_slice(self.bytes(address, N as u64)?.bytes());
        Ok(copy)
    }

    /// A copy of `N` 64-bit words of the program's memory. EFAULT.
    pub fn get_words<const N: usize>(&self, address: u64) -> Result<[u64; N]> {
        let range = self.bytes(address, N as u64 * 8)?;
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(range.bytes().chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        Ok(words)
    }

    /// Copies bytes into the program's memory. EFAULT.
    pub fn put(&self, address: u64, bytes: &[u8]) -> Result<()> {
        self.bytes_mut(address, bytes.len() as u64)?.bytes_mut().copy_from_slice(bytes);
        Ok(())
    }

    /// Copies 64-bit words into the program's memory. EFAULT.
    pub fn put_words(&self, address: u64, words: &[u64]) -> Result<()> {
        let mut range = self.bytes_mut(address, words.len() as u64 * 8)?;
        for (bytes, word) in range.bytes_mut().chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Ok(())
    }

    /// The string at `address`, without its NUL. EFAULT; `too_long` where it has more than `max` bytes.
    pub fn string(&self, address: u64, max: usize, too_long: Errno) -> Result<Vec<u8>> {
        let mut string = Vec::new();
        while string.len() <= max {
            let at = address.checked_add(string.len() as u64).ok_or(Errno::FAULT)?;
            let rest_of_page = 4096 - at % 4096;
            let range = self.bytes(at, rest_of_page)?;
            let bytes = range.bytes();
            match bytes.iter().position(|byte| *byte == 0) {
                Some(end) if string.len() + end <= max => {
                    string.extend_from_slice(&bytes[..end]);
                    return Ok(string);
                }
                Some(_) => break,
                None => string.extend_from_slice(bytes),
            }
        }
        Err(too_long)
    }

    /// The path at argument `index`. EFAULT, ENAMETOOLONG.
    pub fn path(&self, index: usize) -> Result<Vec<u8>> {
        self.string(self.args[index], PATH_MAX - 1, Errno::NAMETOOLONG)
    }

    /// The strings whose addresses are listed at `address` up to a 0. EFAULT, E2BIG.
    pub fn strings(&self, address: u64) -> Result<Vec<Vec<u8>>> {
        let mut strings = Vec::new();
        let mut total = 0;
        for index in 0.. {
            if address == 0 {
                break;
            }
            let [pointer] = self.get_words(address + index * 8)?;
            if pointer == 0 {
                break;
            }
            let string = self.string(pointer, STRING_MAX - 1, Errno::TOOBIG)?;
            total += string.len() + 1 + 8;
            if total > STRINGS_MAX {
                return Err(Errno::TOOBIG);
            }
            strings.push(string);
        }
        Ok(strings)
    }

    /// The directory that a relative path starts from, for an `…at` call whose descriptor is argument
    /// `index`: AT_FDCWD is the working directory. EBADF; ENOTDIR comes from the walk.
    pub fn base(&self, index: usize) -> Result<Rc<Dentry>> {
        if self.int(index) == linux_raw_sys::general::AT_FDCWD {
            return Ok(self.cwd());
        }
        Ok(self.file(index)?.dentry().clone())
    }

    /// The working directory.
    pub fn cwd(&self) -> Rc<Dentry> {
        self.process.paths.borrow().cwd.clone()
    }

    /// Puts another signal mask in force until the call is over, or a handler has returned.
    pub fn use_mask(&mut self, mask: u64) {
        let before = self.thread.blocked;
        self.thread.saved_mask.get_or_insert(before);
        self.thread.blocked = blockable(mask);
    }

    /// How long the process's threads have run, ns.
    pub fn ran_ns(&self) -> u64 {
        self.process.ran_ns.get() + self.kernel.slice.ran_ns()
    }

    /// How long the calling thread has run, ns.
    pub fn thread_ran_ns(&self) -> u64 {
        self.thread.ran_ns + self.kernel.slice.ran_ns()
    }

    /// Whether a signal is to be handled before the call goes on waiting.
    pub fn is_interrupted(&self) -> bool {
        self.thread.is_interrupted()
    }

    /// Whether `timeout_ns` has passed since the call began (`None`: never). The first question of a call
    /// sets its deadline; if it is not over, the call is to wait ([`Stop::Wait`]).
    pub fn is_over(&mut self, timeout_ns: Option<u64>) -> bool {
        let now = clock::monotonic_ns();
        let pending = &mut self.thread.pending;
        if let (None, Some(timeout)) = (pending.deadline_ns, timeout_ns) {
            pending.deadline_ns = Some(now.saturating_add(timeout));
        }
        pending.deadline_ns.is_some_and(|deadline| deadline <= now)
    }

    /// Sends a signal to the calling thread. A full queue loses it: the kernel has nobody to tell.
    pub fn raise(&mut self, info: Info) {
        if !self.process.signals.borrow().actions.is_ignored(info.signal) {
            self.thread.signals.borrow_mut().push(info);
        }
    }

    /// Sleeps until `timeout_ns` has passed since the call began (`None`: for ever), or somebody wakes the thread by
    /// name; then fails with `expired`.
    pub fn sleep(&mut self, timeout_ns: Option<u64>, expired: Errno) -> Stop {
        if self.is_over(timeout_ns) { Stop::Errno(expired) } else { Stop::Sleep }
    }

    /// Waits until something happens; once `timeout_ns` has passed since the call began, fails with
    /// `expired`.
    pub fn wait(&mut self, timeout_ns: Option<u64>, expired: Errno) -> Stop {
        if self.is_over(timeout_ns) { Stop::Errno(expired) } else { Stop::Wait }
    }
}
