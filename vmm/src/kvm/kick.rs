//! Takes a guest that never exits out of KVM_RUN.
//!
//! ```text
//!   outside KVM_RUN   the signal is blocked: it waits, and no system call returns EINTR for it
//!   inside KVM_RUN    the signal is let through: KVM_RUN returns EINTR, with the signal still pending
//! ```
//!
//! The signal comes from outside the vCPU's thread: the control socket sends it when it has something (signal-driven
//! I/O), or an alarm. One that comes when nobody waits for it any more finds a handler that does nothing: its default
//! action would end the process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use kvm_ioctls::VcpuFd;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

/// The signal that kicks: the kernel's own for signal-driven I/O.
pub(super) const SIGNAL: libc::c_int = libc::SIGIO;

/// The kick's signal, blocked in this thread for as long as this lives.
#[derive(Debug)]
pub struct Kick {
    /// The thread's signal mask before.
    before: libc::sigset_t,
}

/// Linux's own signal set has 64 bits; libc's `sigset_t` is longer.
const KERNEL_SIGSET_BYTES: usize = 8;

/// `struct kvm_signal_mask` with its set.
#[repr(C)]
struct SignalMask {
    len: u32,
    set: [u8; KERNEL_SIGSET_BYTES],
}

// KVM's header defines the request by the size of the structure without its set.
ioctl_iow_nr!(KVM_SET_SIGNAL_MASK, kvm_bindings::KVMIO, 0x8b, u32);

impl Kick {
    /// Blocks the signal in this thread.
    ///
    /// # Errors
    /// What the host says.
    pub fn new() -> io::Result<Kick> {
        disarm()?;
        let mut before = empty_set();
        // SAFETY: both sets are valid for the call.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &signal_set(), &mut before) } {
            0 => Ok(Kick { before }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Has the host send the signal to this thread whenever `descriptor` has input or is hung up.
    ///
    /// # Errors
    /// What the host says.
    pub fn when_ready(&self, descriptor: BorrowedFd) -> io::Result<()> {
        let fd = descriptor.as_raw_fd();
        // SAFETY: gettid has no preconditions.
        let owner = FOwnerEx { kind: F_OWNER_TID, pid: unsafe { libc::gettid() } };
        // SAFETY: the structure is the one that F_SETOWN_EX reads.
        check(unsafe { libc::fcntl(fd, F_SETOWN_EX, &owner) })?;
        // SAFETY: these commands take and return integers.
        let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
        // SAFETY: as above.
        check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_ASYNC) }).map(drop)
    }

    /// Forgets a kick that has come; whether one had.
    pub fn clear(&self) -> bool {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both structures are valid for the call. EAGAIN says that nothing was pending.
        unsafe { libc::sigtimedwait(&signal_set(), std::ptr::null_mut(), &now) == SIGNAL }
    }

    /// KVM_SET_SIGNAL_MASK: the mask while in KVM_RUN is the thread's from before.
    pub(super) fn let_through(&self, vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
        let mut mask =
            SignalMask { len: KERNEL_SIGSET_BYTES as u32, set: [0; KERNEL_SIGSET_BYTES] };
        for signal in 1..=KERNEL_SIGSET_BYTES * 8 {
            // SAFETY: the set is valid, and so are the signal's numbers.
            let blocked = unsafe { libc::sigismember(&self.before, signal as libc::c_int) } == 1;
            if blocked && signal as libc::c_int != SIGNAL {
                mask.set[(signal - 1) / 8] |= 1 << ((signal - 1) % 8);
            }
        }
        // SAFETY: the structure is the one that this request reads, its length included.
        match unsafe { ioctl_with_ref(vcpu, KVM_SET_SIGNAL_MASK(), &mask) } {
            0 => Ok(()),
            _ => Err(kvm_ioctls::Error::last()),
        }
    }
}

impl Drop for Kick {
    fn drop(&mut self) {
        self.clear();
        // SAFETY: the set is the one that pthread_sigmask gave.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// Has the signal do nothing, unless somebody else has said what it does. Ignored, it would not get through to KVM_RUN.
fn disarm() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: a struct sigaction of zeros is one: no handler, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is valid for the call.
    check(unsafe { libc::sigaction(SIGNAL, std::ptr::null(), &mut action) })?;
    if action.sa_sigaction != libc::SIG_DFL {
        return Ok(());
    }
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the structure is valid, and the handler may run at any time.
    check(unsafe { libc::sigaction(SIGNAL, &action, std::ptr::null_mut()) }).map(drop)
}

/// `struct f_owner_ex` and its constants (fcntl(2)), which the libc crate does not have.
#[repr(C)]
struct FOwnerEx {
    kind: libc::c_int,
    pid: libc::pid_t,
}
const F_SETOWN_EX: libc::c_int = 15;
const F_OWNER_TID: libc::c_int = 0;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn empty_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset fills the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn signal_set() -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: the set is valid, and the signal exists.
    unsafe { libc::sigaddset(&mut set, SIGNAL) };
    set
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_kick_that_comes_too_late_ends_nothing() {
        drop(Kick::new().unwrap());
        // SAFETY: raise has no preconditions.
        assert_eq!(unsafe { libc::raise(SIGNAL) }, 0);
    }

    #[test]
    fn a_kick_waits_until_it_is_forgotten() {
        let kick = Kick::new().unwrap();
        assert!(!kick.clear());
        // SAFETY: as above.
        assert_eq!(unsafe { libc::raise(SIGNAL) }, 0);
        assert!(kick.clear() && !kick.clear());
    }
}
