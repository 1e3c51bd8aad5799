//! What file systems ask of the kernel they live in.

use alloc::rc::Rc;
use alloc::vec::Vec;

use mayfly_abi::CpuInfo;
use mayfly_hal::phys::{self, FRAME_SIZE, Frame};

use super::dentry::Dentry;
use super::file::File;
use super::open_file::OpenFile;
use super::stat::TimeNs;
use crate::credentials::Credentials;
use crate::family::Pid;
use crate::personality::Personality;
use crate::tty::Terminals;

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What the kernel manages.
    pub total: u64,
    /// What nobody uses.
    pub free: u64,
    /// What caches hold of files that can be read again.
    pub cached: u64,
}

/// The kernel, as files see it: clock, memory, processes.
///
/// The methods are called while a file is opened, read or looked up. They may come back only to
/// [`Vfs::shrink`](super::Vfs::shrink) and [`Vfs::mounts_text`](super::Vfs::mounts_text) and its like.
pub trait System {
    /// CLOCK_REALTIME.
    fn realtime_ns(&self) -> TimeNs;

    /// CLOCK_BOOTTIME.
    fn uptime_ns(&self) -> u64;

    /// Time that all processes have used of the vCPU.
    fn cpu_time_ns(&self) -> u64 {
        self.uptime_ns()
    }

    /// Unpredictable bytes (getrandom(2)).
    fn fill_random(&self, to: &mut [u8]);

    /// A frame for a file's bytes, full of zeros or as it comes. The kernel may shrink its caches first.
    fn take_frame(&self, zeroed: bool) -> Option<Frame> {
        if zeroed { Frame::zeroed() } else { Frame::scratch() }
    }

    /// Whether more than so many bytes of memory are free. The kernel may shrink its caches first.
    fn has_more_than(&self, bytes: u64) -> bool {
        self.memory().free > bytes
    }

    /// Whose new files are: the user and the group as which the process acts that runs.
    fn owner(&self) -> (u32, u32) {
        (0, 0)
    }

    /// What caches hold, bytes (see [`Memory::cached`]).
    fn cached(&self) -> u64 {
        0
    }

    /// How the memory is used.
    fn memory(&self) -> Memory {
        let usage = phys::usage();
        let bytes = |frames: u32| u64::from(frames) * FRAME_SIZE as u64;
        Memory { total: bytes(usage.total), free: bytes(usage.free), cached: self.cached() }
    }

    /// Random bytes that stay the same until the next boot.
    fn boot_id(&self) -> [u8; 16];

    /// The machine's name (gethostname(2)).
    fn hostname(&self) -> Vec<u8>;

    /// The kernel's release, as uname(2) gives it.
    fn release(&self) -> Vec<u8>;

    /// The processor.
    fn cpu(&self) -> CpuInfo {
        CpuInfo::default()
    }

    /// The lines of /proc/mounts: what [`Vfs::mounts_text`](super::Vfs::mounts_text) gives.
    fn mounts(&self) -> Vec<u8>;

    /// The lines of /proc/self/mountinfo: what [`Vfs::mountinfo_text`](super::Vfs::mountinfo_text) gives.
    fn mountinfo(&self) -> Vec<u8>;

    /// The pseudo-terminals.
    fn terminals(&self) -> Rc<Terminals>;

    /// What /dev/tty is: the session's terminal, or where it has none standard input or output, if one is a terminal.
    fn terminal(&self) -> Option<Rc<dyn File>>;

    /// The number of the process that runs.
    fn pid(&self) -> Pid;

    /// The numbers of all processes, ascending.
    fn pids(&self) -> Vec<Pid>;

    /// A process. `None` where it has ended.
    fn process(&self, pid: Pid) -> Option<Rc<dyn ProcessInfo>>;
}

/// A process, as files see it.
pub trait ProcessInfo {
    /// Its number.
    fn pid(&self) -> Pid;

    /// Its parent's number, its group's, its session's.
    fn family(&self) -> [Pid; 3];

    /// One letter for what one of its threads does: R, S or T (proc_pid_stat(5)).
    fn state(&self, tid: u32) -> char;

    /// Time that it has used of the vCPU.
    fn cpu_time_ns(&self) -> u64;

    /// The numbers of its threads, ascending.
    fn threads(&self) -> Vec<u32>;

    /// Its name, at most 15 bytes (PR_SET_NAME).
    fn comm(&self) -> Vec<u8>;

    /// The file that it was started from.
    fn executable(&self) -> Rc<Dentry>;

    /// Its working directory.
    fn working_directory(&self) -> Rc<Dentry>;

    /// Its root directory.
    fn root_directory(&self) -> Rc<Dentry>;

    /// Who it says it is.
    fn credentials(&self) -> Credentials {
        Credentials::default()
    }

    /// What it wants done otherwise (personality(2)).
    fn personality(&self) -> Personality {
        Personality::empty()
    }

    /// Its arguments, each ended by NUL.
    fn arguments(&self) -> Vec<u8>;

    /// Its environment at the start, each variable ended by NUL.
    fn environment(&self) -> Vec<u8>;

    /// Its auxiliary vector at the start, as bytes (getauxval(3)).
    fn auxiliary_vector(&self) -> Vec<u8>;

    /// The lines of /proc/self/maps.
    fn maps(&self) -> Vec<u8>;

    /// Its mapped and its resident memory, in bytes.
    fn resident(&self) -> (u64, u64);

    /// The lines of /proc/self/limits.
    fn limits(&self) -> Vec<u8>;

    /// Its descriptors from `first` on, ascending.
    fn descriptors(&self, first: u32) -> Vec<u32>;

    /// What descriptor `fd` stands for.
    fn descriptor(&self, fd: u32) -> Option<Rc<OpenFile>>;
}
