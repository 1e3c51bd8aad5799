//! Every system call Mayfly knows, as data: it drives the dispatch, docs/compatibility.md and a test.
//!
//! A number that is not here gets ENOSYS and is counted, never a silent 0.

use linux_raw_sys::general as linux;

use crate::errno::Errno;

/// What a program can expect of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what Linux does.
    Supported,
    /// It does what Linux does, but for this.
    Partial(&'static str),
    /// It fails with this error, for this reason.
    Error(Errno, &'static str),
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number on x86-64.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// How well it works.
    pub support: Support,
}

/// The handler behind a row, in the kernel's binary.
#[cfg(feature = "bare-metal")]
pub type Handler = fn(&mut super::Call<'_>) -> super::CallResult;

macro_rules! calls {
    ($(
        $number:ident $name:literal => $kind:ident $(($($argument:expr),*))? $(, $handler:path)?;
    )*) => {
        /// All rows, by theme.
        pub const TABLE: &[Row] = &[$(
            Row {
                number: linux::$number,
                name: $name,
                support: Support::$kind $(($($argument),*))?,
            },
        )*];

        /// The handler of a call that does something.
        #[cfg(feature = "bare-metal")]
        pub fn handler(number: u32) -> Option<Handler> {
            match number {
                $($(linux::$number => Some($handler),)?)*
                _ => None,
            }
        }
    };
}

#[cfg(feature = "bare-metal")]
use super::{
    capabilities, clone, control, copy, credentials, directory, epoll, event, file, fork, futex,
    identity, inotify, locks, memory, message, metadata, openat2, pidfd, poll, prctl, priority,
    process, process_vm, sched, shm, signalfd, signals, socket, sockopt, splice, stat, storage,
    system, time, timer, transfer, wait, xattr,
};

const CLONES: &str =
    "up to 1,024 threads and processes in all; a process shares memory with its parent, or nothing";
const NUMBERS: &str = "of the process; kept, told, and written on new files, but no file or process is closed to anybody";
const PROCESSES: &str = "up to 1,024 processes and threads in all";
const SIGNALFD: &str =
    "in an epoll that fork has copied, it tells of the waiting process's signals";

const WATCHED: &str = "what is removed while it is open is told at once";

calls! {
    // Bytes in and out.
    __NR_read "read" => Supported, transfer::read;
    __NR_write "write" => Supported, transfer::write;
    __NR_readv "readv" => Supported, transfer::readv;
    __NR_writev "writev" => Supported, transfer::writev;
    __NR_pread64 "pread64" => Supported, transfer::pread64;
    __NR_pwrite64 "pwrite64" => Supported, transfer::pwrite64;
    __NR_preadv "preadv" => Supported, transfer::preadv;
    __NR_pwritev "pwritev" => Supported, transfer::pwritev;
    __NR_preadv2 "preadv2" => Partial("flags but RWF_HIPRI, DSYNC and SYNC are EOPNOTSUPP"), transfer::preadv2;
    __NR_pwritev2 "pwritev2" => Partial("flags but RWF_HIPRI, DSYNC and SYNC are EOPNOTSUPP"), transfer::pwritev2;
    __NR_sendfile "sendfile" => Supported, copy::sendfile;
    __NR_copy_file_range "copy_file_range" => Supported, copy::copy_file_range;
    __NR_splice "splice" => Supported, splice::splice;
    __NR_tee "tee" => Supported, splice::tee;
    __NR_vmsplice "vmsplice" => Supported, splice::vmsplice;
    __NR_lseek "lseek" => Supported, storage::lseek;
    // Descriptors.
    __NR_open "open" => Supported, file::open;
    __NR_openat "openat" => Supported, file::openat;
    __NR_openat2 "openat2" => Supported, openat2::openat2;
    __NR_creat "creat" => Supported, file::creat;
    __NR_close "close" => Supported, file::close;
    __NR_close_range "close_range" => Partial("CLOSE_RANGE_UNSHARE in processes of one thread"), file::close_range;
    __NR_dup "dup" => Supported, file::dup;
    __NR_dup2 "dup2" => Supported, file::dup2;
    __NR_dup3 "dup3" => Supported, file::dup3;
    __NR_fcntl "fcntl" => Partial("without leases and F_NOTIFY; pipes hold up to 1 MiB; owners are kept and not told"), control::fcntl;
    __NR_flock "flock" => Supported, locks::flock;
    __NR_ioctl "ioctl" => Partial("pseudo-terminals without TIOCSTI, packets (TIOCPKT) of data alone; the host's terminal is told nothing; FIONREAD, FIONBIO, FIOASYNC, which tells nobody; SIOCGIF…"), control::ioctl;
    __NR_pipe "pipe" => Supported, file::pipe;
    __NR_pipe2 "pipe2" => Supported, file::pipe2;
    __NR_memfd_create "memfd_create" => Partial("without huge pages"), file::memfd_create;
    __NR_fsync "fsync" => Supported, storage::fsync;
    __NR_fdatasync "fdatasync" => Supported, storage::fsync;
    __NR_sync "sync" => Supported, storage::sync;
    __NR_syncfs "syncfs" => Supported, storage::syncfs;
    __NR_sync_file_range "sync_file_range" => Supported, storage::sync_file_range;
    __NR_truncate "truncate" => Supported, storage::truncate;
    __NR_ftruncate "ftruncate" => Supported, storage::ftruncate;
    __NR_fallocate "fallocate" => Supported, storage::fallocate;
    __NR_fadvise64 "fadvise64" => Partial("accepted and ignored"), storage::fadvise64;
    __NR_readahead "readahead" => Partial("accepted and ignored"), storage::readahead;
    // Waiting for descriptors.
    __NR_poll "poll" => Supported, poll::poll;
    __NR_ppoll "ppoll" => Supported, poll::ppoll;
    __NR_select "select" => Partial("descriptors below 1024"), poll::select;
    __NR_pselect6 "pselect6" => Partial("descriptors below 1024"), poll::pselect6;
    __NR_epoll_create "epoll_create" => Supported, epoll::epoll_create;
    __NR_epoll_create1 "epoll_create1" => Supported, epoll::epoll_create1;
    __NR_epoll_ctl "epoll_ctl" => Partial("epolls up to five deep, 64 in one; EPOLLEXCLUSIVE may wake several"), epoll::epoll_ctl;
    __NR_epoll_wait "epoll_wait" => Supported, epoll::epoll_wait;
    __NR_epoll_pwait "epoll_pwait" => Supported, epoll::epoll_pwait;
    __NR_epoll_pwait2 "epoll_pwait2" => Supported, epoll::epoll_pwait2;
    __NR_eventfd "eventfd" => Supported, event::eventfd;
    __NR_eventfd2 "eventfd2" => Supported, event::eventfd2;
    __NR_timerfd_create "timerfd_create" => Supported, event::timerfd_create;
    __NR_timerfd_settime "timerfd_settime" => Partial("TFD_TIMER_CANCEL_ON_SET is ignored"), event::timerfd_settime;
    __NR_timerfd_gettime "timerfd_gettime" => Supported, event::timerfd_gettime;
    __NR_signalfd "signalfd" => Partial(SIGNALFD), signalfd::signalfd;
    __NR_signalfd4 "signalfd4" => Partial(SIGNALFD), signalfd::signalfd4;
    __NR_inotify_init "inotify_init" => Partial(WATCHED), inotify::inotify_init;
    __NR_inotify_init1 "inotify_init1" => Partial(WATCHED), inotify::inotify_init1;
    __NR_inotify_add_watch "inotify_add_watch" => Partial(WATCHED), inotify::inotify_add_watch;
    __NR_inotify_rm_watch "inotify_rm_watch" => Supported, inotify::inotify_rm_watch;
    // Directories and names.
    __NR_getdents64 "getdents64" => Supported, directory::getdents64;
    __NR_getcwd "getcwd" => Supported, directory::getcwd;
    __NR_chdir "chdir" => Supported, directory::chdir;
    __NR_fchdir "fchdir" => Supported, directory::fchdir;
    __NR_mkdir "mkdir" => Supported, directory::mkdir;
    __NR_mkdirat "mkdirat" => Supported, directory::mkdirat;
    __NR_rmdir "rmdir" => Supported, directory::rmdir;
    __NR_unlink "unlink" => Supported, directory::unlink;
    __NR_unlinkat "unlinkat" => Supported, directory::unlinkat;
    __NR_rename "rename" => Supported, directory::rename;
    __NR_renameat "renameat" => Supported, directory::renameat;
    __NR_renameat2 "renameat2" => Partial("without RENAME_WHITEOUT"), directory::renameat2;
    __NR_link "link" => Supported, directory::link;
    __NR_linkat "linkat" => Supported, directory::linkat;
    __NR_symlink "symlink" => Supported, directory::symlink;
    __NR_symlinkat "symlinkat" => Supported, directory::symlinkat;
    __NR_readlink "readlink" => Supported, directory::readlink;
    __NR_readlinkat "readlinkat" => Supported, directory::readlinkat;
    __NR_mknod "mknod" => Supported, directory::mknod;
    __NR_mknodat "mknodat" => Supported, directory::mknodat;
    __NR_chroot "chroot" => Error(Errno::PERM, "the root is the image's");
    __NR_mount "mount" => Error(Errno::PERM, "the mounts are fixed at boot");
    __NR_umount2 "umount2" => Error(Errno::PERM, "the mounts are fixed at boot");
    // What is known of files.
    __NR_stat "stat" => Supported, stat::stat;
    __NR_lstat "lstat" => Supported, stat::lstat;
    __NR_fstat "fstat" => Supported, stat::fstat;
    __NR_newfstatat "newfstatat" => Supported, stat::newfstatat;
    __NR_statx "statx" => Supported, stat::statx;
    __NR_statfs "statfs" => Supported, stat::statfs;
    __NR_fstatfs "fstatfs" => Supported, stat::fstatfs;
    __NR_access "access" => Supported, metadata::access;
    __NR_faccessat "faccessat" => Supported, metadata::faccessat;
    __NR_faccessat2 "faccessat2" => Supported, metadata::faccessat2;
    __NR_chmod "chmod" => Supported, metadata::chmod;
    __NR_fchmod "fchmod" => Supported, metadata::fchmod;
    __NR_fchmodat "fchmodat" => Supported, metadata::fchmodat;
    __NR_fchmodat2 "fchmodat2" => Supported, metadata::fchmodat2;
    __NR_chown "chown" => Supported, metadata::chown;
    __NR_lchown "lchown" => Supported, metadata::lchown;
    __NR_fchown "fchown" => Supported, metadata::fchown;
    __NR_fchownat "fchownat" => Supported, metadata::fchownat;
    __NR_utime "utime" => Supported, metadata::utime;
    __NR_utimes "utimes" => Supported, metadata::utimes;
    __NR_utimensat "utimensat" => Supported, metadata::utimensat;
    __NR_umask "umask" => Supported, metadata::umask;
    // Extended attributes: file systems in memory have them, images have none.
    __NR_getxattr "getxattr" => Supported, xattr::getxattr;
    __NR_lgetxattr "lgetxattr" => Supported, xattr::lgetxattr;
    __NR_fgetxattr "fgetxattr" => Supported, xattr::fgetxattr;
    __NR_setxattr "setxattr" => Supported, xattr::setxattr;
    __NR_lsetxattr "lsetxattr" => Supported, xattr::lsetxattr;
    __NR_fsetxattr "fsetxattr" => Supported, xattr::fsetxattr;
    __NR_listxattr "listxattr" => Supported, xattr::listxattr;
    __NR_llistxattr "llistxattr" => Supported, xattr::llistxattr;
    __NR_flistxattr "flistxattr" => Supported, xattr::flistxattr;
    __NR_removexattr "removexattr" => Supported, xattr::removexattr;
    __NR_lremovexattr "lremovexattr" => Supported, xattr::lremovexattr;
    __NR_fremovexattr "fremovexattr" => Supported, xattr::fremovexattr;
    // Memory.
    __NR_brk "brk" => Supported, memory::brk;
    __NR_mmap "mmap" => Supported, memory::mmap;
    __NR_munmap "munmap" => Supported, memory::munmap;
    __NR_mprotect "mprotect" => Supported, memory::mprotect;
    __NR_mremap "mremap" => Supported, memory::mremap;
    __NR_madvise "madvise" => Partial("MADV_DONTNEED, FREE, REMOVE, POPULATE and what is said of children act; other advice is accepted"), memory::madvise;
    __NR_msync "msync" => Supported, memory::msync;
    __NR_mincore "mincore" => Supported, memory::mincore;
    __NR_mlock "mlock" => Supported, memory::mlock;
    __NR_mlock2 "mlock2" => Supported, memory::mlock2;
    __NR_munlock "munlock" => Supported, memory::munlock;
    __NR_shmget "shmget" => Supported, shm::shmget;
    __NR_shmat "shmat" => Supported, shm::shmat;
    __NR_shmdt "shmdt" => Supported, shm::shmdt;
    __NR_shmctl "shmctl" => Partial("permissions are kept and told, and refuse nobody"), shm::shmctl;
    __NR_mlockall "mlockall" => Supported, memory::mlockall;
    __NR_munlockall "munlockall" => Supported, memory::munlockall;
    __NR_process_vm_readv "process_vm_readv" => Partial("of the process itself"), process_vm::process_vm_readv;
    __NR_process_vm_writev "process_vm_writev" => Partial("of the process itself"), process_vm::process_vm_writev;
    __NR_membarrier "membarrier" => Partial("barriers of one process and of all, which need no registration"), sched::membarrier;
    // The process.
    __NR_execve "execve" => Supported, process::execve;
    __NR_exit "exit" => Supported, process::exit;
    __NR_exit_group "exit_group" => Supported, process::exit_group;
    __NR_fork "fork" => Partial(PROCESSES), fork::fork;
    __NR_vfork "vfork" => Partial(PROCESSES), fork::vfork;
    __NR_clone "clone" => Partial(CLONES), clone::clone;
    __NR_clone3 "clone3" => Partial(CLONES), clone::clone3;
    __NR_wait4 "wait4" => Partial("of rusage, the time"), wait::wait4;
    __NR_waitid "waitid" => Partial("of rusage, the time"), wait::waitid;
    __NR_pidfd_open "pidfd_open" => Supported, pidfd::pidfd_open;
    __NR_pidfd_send_signal "pidfd_send_signal" => Supported, pidfd::pidfd_send_signal;
    __NR_arch_prctl "arch_prctl" => Partial("FS and GS"), process::arch_prctl;
    __NR_prctl "prctl" => Partial("names, dumpable, no_new_privs, kept capabilities, the parent's death, subreapers, timer slack, which changes nothing"), prctl::prctl;
    __NR_set_tid_address "set_tid_address" => Supported, clone::set_tid_address;
    __NR_set_robust_list "set_robust_list" => Supported, clone::set_robust_list;
    __NR_get_robust_list "get_robust_list" => Supported, clone::get_robust_list;
    __NR_rseq "rseq" => Error(Errno::NOSYS, "one vCPU needs no restartable sequences");
    __NR_futex "futex" => Partial("without FUTEX_WAIT_REQUEUE_PI and its counterpart; all priorities are the same"), futex::futex;
    __NR_futex_waitv "futex_waitv" => Error(Errno::NOSYS, "programs then wait for one");
    __NR_sched_yield "sched_yield" => Supported, sched::sched_yield;
    __NR_sched_getaffinity "sched_getaffinity" => Supported, sched::sched_getaffinity;
    __NR_sched_setaffinity "sched_setaffinity" => Partial("there is one vCPU"), sched::sched_setaffinity;
    __NR_sched_getscheduler "sched_getscheduler" => Supported, sched::sched_getscheduler;
    __NR_sched_setscheduler "sched_setscheduler" => Partial("policies without priorities, which are all the same here"), sched::sched_setscheduler;
    __NR_sched_getparam "sched_getparam" => Supported, sched::sched_getparam;
    __NR_sched_setparam "sched_setparam" => Partial("to priority 0"), sched::sched_setparam;
    __NR_sched_get_priority_max "sched_get_priority_max" => Supported, sched::sched_get_priority_max;
    __NR_sched_get_priority_min "sched_get_priority_min" => Supported, sched::sched_get_priority_min;
    __NR_sched_rr_get_interval "sched_rr_get_interval" => Supported, sched::sched_rr_get_interval;
    __NR_getpriority "getpriority" => Supported, priority::getpriority;
    __NR_setpriority "setpriority" => Partial("kept and told; all have the same turns"), priority::setpriority;
    __NR_personality "personality" => Partial("Linux's own, with ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC"), system::personality;
    __NR_getrlimit "getrlimit" => Supported, process::getrlimit;
    __NR_setrlimit "setrlimit" => Partial("RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_NOFILE and RLIMIT_NPROC are enforced, the last for root too"), process::setrlimit;
    __NR_prlimit64 "prlimit64" => Partial("as setrlimit"), process::prlimit64;
    // Signals.
    __NR_rt_sigaction "rt_sigaction" => Supported, signals::rt_sigaction;
    __NR_rt_sigprocmask "rt_sigprocmask" => Supported, signals::rt_sigprocmask;
    __NR_rt_sigpending "rt_sigpending" => Supported, signals::rt_sigpending;
    __NR_rt_sigsuspend "rt_sigsuspend" => Supported, signals::rt_sigsuspend;
    __NR_rt_sigreturn "rt_sigreturn" => Supported, signals::rt_sigreturn;
    __NR_sigaltstack "sigaltstack" => Supported, signals::sigaltstack;
    __NR_rt_sigtimedwait "rt_sigtimedwait" => Supported, signals::rt_sigtimedwait;
    __NR_rt_sigqueueinfo "rt_sigqueueinfo" => Supported, signals::rt_sigqueueinfo;
    __NR_rt_tgsigqueueinfo "rt_tgsigqueueinfo" => Supported, signals::rt_tgsigqueueinfo;
    __NR_kill "kill" => Supported, signals::kill;
    __NR_tkill "tkill" => Supported, signals::tkill;
    __NR_tgkill "tgkill" => Supported, signals::tgkill;
    __NR_pause "pause" => Supported, signals::pause;
    // Who and where.
    __NR_getpid "getpid" => Supported, identity::getpid;
    __NR_gettid "gettid" => Supported, identity::gettid;
    __NR_getppid "getppid" => Supported, identity::getppid;
    __NR_getpgrp "getpgrp" => Supported, identity::getpgrp;
    __NR_getpgid "getpgid" => Supported, identity::getpgid;
    __NR_getsid "getsid" => Supported, identity::getsid;
    __NR_setpgid "setpgid" => Supported, identity::setpgid;
    __NR_setsid "setsid" => Supported, identity::setsid;
    __NR_getuid "getuid" => Supported, credentials::getuid;
    __NR_geteuid "geteuid" => Supported, credentials::geteuid;
    __NR_getgid "getgid" => Supported, credentials::getgid;
    __NR_getegid "getegid" => Supported, credentials::getegid;
    __NR_getgroups "getgroups" => Supported, credentials::getgroups;
    __NR_setuid "setuid" => Partial(NUMBERS), credentials::setuid;
    __NR_setgid "setgid" => Partial(NUMBERS), credentials::setgid;
    __NR_setreuid "setreuid" => Partial(NUMBERS), credentials::setreuid;
    __NR_setregid "setregid" => Partial(NUMBERS), credentials::setregid;
    __NR_setresuid "setresuid" => Partial(NUMBERS), credentials::setresuid;
    __NR_setresgid "setresgid" => Partial(NUMBERS), credentials::setresgid;
    __NR_setfsuid "setfsuid" => Partial(NUMBERS), credentials::setfsuid;
    __NR_setfsgid "setfsgid" => Partial(NUMBERS), credentials::setfsgid;
    __NR_setgroups "setgroups" => Partial(NUMBERS), credentials::setgroups;
    __NR_getresuid "getresuid" => Supported, credentials::getresuid;
    __NR_getresgid "getresgid" => Supported, credentials::getresgid;
    __NR_capget "capget" => Supported, capabilities::capget;
    __NR_capset "capset" => Partial("of the process; decides who may change users and groups"), capabilities::capset;
    __NR_uname "uname" => Supported, system::uname;
    __NR_sysinfo "sysinfo" => Supported, system::sysinfo;
    __NR_getrandom "getrandom" => Supported, system::getrandom;
    __NR_getrusage "getrusage" => Partial("times and the largest resident size"), system::getrusage;
    __NR_getcpu "getcpu" => Supported, system::getcpu;
    __NR_times "times" => Supported, system::times;
    __NR_syslog "syslog" => Error(Errno::PERM, "the kernel keeps no log");
    __NR_sethostname "sethostname" => Supported, system::sethostname;
    __NR_reboot "reboot" => Error(Errno::PERM, "exit instead");
    // Time.
    __NR_time "time" => Supported, time::time;
    __NR_gettimeofday "gettimeofday" => Supported, time::gettimeofday;
    __NR_clock_gettime "clock_gettime" => Supported, time::clock_gettime;
    __NR_clock_getres "clock_getres" => Supported, time::clock_getres;
    __NR_clock_nanosleep "clock_nanosleep" => Supported, time::clock_nanosleep;
    __NR_nanosleep "nanosleep" => Supported, time::nanosleep;
    __NR_setitimer "setitimer" => Supported, event::setitimer;
    __NR_getitimer "getitimer" => Supported, event::getitimer;
    __NR_alarm "alarm" => Supported, event::alarm;
    __NR_timer_create "timer_create" => Supported, timer::timer_create;
    __NR_timer_settime "timer_settime" => Supported, timer::timer_settime;
    __NR_timer_gettime "timer_gettime" => Supported, timer::timer_gettime;
    __NR_timer_getoverrun "timer_getoverrun" => Partial("what was missed by the time the timer was looked at"), timer::timer_getoverrun;
    __NR_timer_delete "timer_delete" => Supported, timer::timer_delete;
    __NR_clock_settime "clock_settime" => Error(Errno::PERM, "the clock is the host's");
    __NR_settimeofday "settimeofday" => Error(Errno::PERM, "the clock is the host's");
    // The network.
    __NR_socket "socket" => Partial("AF_UNIX; TCP and UDP on loopback; AF_NETLINK tells of lo"), socket::socket;
    __NR_socketpair "socketpair" => Supported, socket::socketpair;
    __NR_bind "bind" => Partial("loopback addresses and \"any\""), socket::bind;
    __NR_listen "listen" => Supported, socket::listen;
    __NR_accept "accept" => Supported, socket::accept;
    __NR_accept4 "accept4" => Supported, socket::accept4;
    __NR_connect "connect" => Partial("loopback, and the host's services there; ENETUNREACH beyond; waits without end where a backlog is full"), socket::connect;
    __NR_shutdown "shutdown" => Supported, socket::shutdown;
    __NR_getsockname "getsockname" => Supported, socket::getsockname;
    __NR_getpeername "getpeername" => Supported, socket::getpeername;
    __NR_getsockopt "getsockopt" => Partial("options that are numbers, and SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO, SO_PEERCRED"), sockopt::getsockopt;
    __NR_setsockopt "setsockopt" => Partial("remembered; effective: SO_REUSEADDR, SO_REUSEPORT, SO_LINGER of 0, SO_RCVTIMEO, SO_SNDTIMEO, IPV6_V6ONLY"), sockopt::setsockopt;
    __NR_sendto "sendto" => Partial("without MSG_OOB; messages up to 128 KiB"), message::sendto;
    __NR_recvfrom "recvfrom" => Partial("without MSG_OOB"), message::recvfrom;
    __NR_sendmsg "sendmsg" => Partial("SCM_RIGHTS over AF_UNIX; other control messages are ignored"), message::sendmsg;
    __NR_recvmsg "recvmsg" => Partial("SCM_RIGHTS over AF_UNIX is the only control message"), message::recvmsg;
    __NR_sendmmsg "sendmmsg" => Supported, message::sendmmsg;
    __NR_recvmmsg "recvmmsg" => Partial("a time-out ends the wait for the first message too"), message::recvmmsg;
}

/// Whether a call may make a file ready for a thread that waits. Not those that programs make most often and that
/// have nothing to do with files.
pub fn may_change_files(number: u64) -> bool {
    const OTHERS: [u32; 27] = [
        linux::__NR_futex,
        linux::__NR_sched_yield,
        linux::__NR_clock_gettime,
        linux::__NR_clock_nanosleep,
        linux::__NR_nanosleep,
        linux::__NR_gettimeofday,
        linux::__NR_time,
        linux::__NR_getpid,
        linux::__NR_gettid,
        linux::__NR_brk,
        linux::__NR_mmap,
        linux::__NR_mprotect,
        linux::__NR_mremap,
        linux::__NR_madvise,
        linux::__NR_clone,
        linux::__NR_clone3,
        linux::__NR_set_robust_list,
        linux::__NR_rt_sigaction,
        linux::__NR_rt_sigprocmask,
        linux::__NR_rt_sigreturn,
        linux::__NR_sigaltstack,
        linux::__NR_tgkill,
        linux::__NR_getrandom,
        linux::__NR_poll,
        linux::__NR_epoll_wait,
        linux::__NR_epoll_pwait,
        linux::__NR_fstat,
    ];
    !OTHERS.iter().any(|other| u64::from(*other) == number)
}

/// The error that a known call always gives.
pub fn fixed_error(number: u32) -> Option<Errno> {
    TABLE.iter().find(|row| row.number == number).and_then(|row| match row.support {
        Support::Error(errno, _) => Some(errno),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn each_call_is_listed_once() {
        let numbers: BTreeSet<u32> = TABLE.iter().map(|row| row.number).collect();
        assert_eq!(numbers.len(), TABLE.len());
        let names: BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }
}
