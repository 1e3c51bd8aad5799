//! What the files of /proc and /dev ask of the kernel.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};

use mayfly_abi::CpuInfo;
use mayfly_hal::phys::{self, FRAME_SIZE, Frame};

use crate::clock;
use crate::credentials::Credentials;
use crate::family::{INIT, Member, Pid};
use crate::fs::{Dentry, File, FileType, OpenFile, ProcessInfo, System, Vfs};
use crate::kernel::{HOSTNAME, RELEASE};
use crate::mm::{Backing, Protection};
use crate::net::{Caller, Ucred};
use crate::personality::Personality;
use crate::process::{FIRST, Process};
use crate::processes::Processes;
use crate::random::Random;
use crate::signal::{Info, OwnQueue, Queue, Waiting};
use crate::slice::Slice;
use crate::threads::Threads;
use crate::tty::Terminals;

/// The kernel as files see it.
pub struct Machine {
    /// The processor.
    pub cpu: &'static CpuInfo,
    /// The generator.
    pub random: Rc<Random>,
    /// CLOCK_MONOTONIC at boot, ns.
    pub booted_ns: u64,
    /// Set once there is one.
    pub vfs: OnceCell<Rc<Vfs>>,
    /// The process that runs, once there is one.
    pub process: RefCell<Option<Rc<Process>>>,
    /// The signals of its thread that runs.
    pub signals: RefCell<OwnQueue>,
    /// All processes.
    pub processes: Rc<Processes>,
    /// Their threads.
    pub threads: Rc<Threads>,
    /// The turn of the one that runs.
    pub slice: Rc<Slice>,
    /// The pseudo-terminals.
    pub terminals: Rc<Terminals>,
    /// Its name (sethostname(2)).
    pub hostname: RefCell<Vec<u8>>,
    boot_id: [u8; 16],
}

impl Machine {
    /// A machine that begins now.
    pub fn new(cpu: &'static CpuInfo, random: Rc<Random>) -> Machine {
        let mut boot_id = [0; 16];
        random.fill(&mut boot_id);
        Machine {
            cpu,
            random,
            booted_ns: clock::monotonic_ns(),
            vfs: OnceCell::new(),
            process: RefCell::new(None),
            signals: RefCell::default(),
            processes: Rc::default(),
            threads: Rc::default(),
            slice: Rc::default(),
            terminals: Rc::default(),
            hostname: RefCell::new(HOSTNAME.into()),
            boot_id,
        }
    }

    /// Tells whose process makes a call.
    pub fn caller(machine: &Rc<Machine>) -> Box<Caller> {
        let machine = Rc::clone(machine);
        Box::new(move || {
            let (uid, gid) = machine.owner();
            Ucred { pid: machine.pid(), uid, gid }
        })
    }

    /// Gives `work` the signals of the process that runs.
    fn of_process<R>(&self, work: impl FnOnce(&mut Queue) -> R) -> Option<R> {
        let process = self.process.borrow();
        Some(work(&mut process.as_ref()?.signals.borrow_mut().queue))
    }
}

impl Waiting for Machine {
    fn mask(&self) -> u64 {
        self.signals.borrow().borrow().mask() | self.of_process(|queue| queue.mask()).unwrap_or(0)
    }

    fn arrived(&self) -> u64 {
        let of_process = self.of_process(|queue| queue.arrived()).unwrap_or(0);
        self.signals.borrow().borrow().arrived() + of_process
    }

    fn take(&self, wanted: u64) -> Option<Info> {
        let own = self.signals.borrow().borrow_mut().take(wanted);
        own.or_else(|| self.of_process(|queue| queue.take(wanted))?)
    }
}

impl System for Machine {
    fn realtime_ns(&self) -> crate::fs::stat::TimeNs {
        clock::realtime_ns() as crate::fs::stat::TimeNs
    }

    fn uptime_ns(&self) -> u64 {
        clock::monotonic_ns() - self.booted_ns
    }

    fn cpu_time_ns(&self) -> u64 {
        self.slice.all_ns()
    }

    fn fill_random(&self, to: &mut [u8]) {
        self.random.fill(to);
    }

    fn owner(&self) -> (u32, u32) {
        let process = self.process.borrow();
        let ids = process.as_ref().map(|process| process.credentials.borrow().ids());
        ids.map_or((0, 0), |[user, group]| (user.file_system, group.file_system))
    }

    fn take_frame(&self, zeroed: bool) -> Option<Frame> {
        let take = || if zeroed { Frame::zeroed() } else { Frame::scratch() };
        take().or_else(|| {
            self.vfs.get()?.reclaim();
            take()
        })
    }

    fn has_more_than(&self, bytes: u64) -> bool {
        let has = || u64::from(phys::usage().free) * FRAME_SIZE as u64 > bytes;
        has() || self.vfs.get().is_some_and(|vfs| vfs.reclaim() && has())
    }

    fn cached(&self) -> u64 {
        self.vfs.get().map_or(0, |vfs| vfs.cached() * FRAME_SIZE as u64)
    }

    fn boot_id(&self) -> [u8; 16] {
        self.boot_id
    }

    fn hostname(&self) -> Vec<u8> {
        self.hostname.borrow().clone()
    }

    fn release(&self) -> Vec<u8> {
        RELEASE.into()
    }

    fn cpu(&self) -> CpuInfo {
        *self.cpu
    }

    fn mounts(&self) -> Vec<u8> {
        self.vfs.get().map(|vfs| vfs.mounts_text()).unwrap_or_default()
    }

    fn mountinfo(&self) -> Vec<u8> {
        self.vfs.get().map(|vfs| vfs.mountinfo_text()).unwrap_or_default()
    }

    fn terminals(&self) -> Rc<Terminals> {
        Rc::clone(&self.terminals)
    }

    fn terminal(&self) -> Option<Rc<dyn File>> {
        let process = self.process.borrow();
        let process = process.as_deref()?;
        let session =
            self.processes.with(|families| families.get(process.pid).map(|of| of.session)).ok()?;
        if session != FIRST {
            return self.terminals.of_session(session)?.open_slave().ok();
        }
        let files = &process.files;
        // The host's terminal is the first session's. It has no device number here.
        (0..3).filter_map(|fd| files.get(fd).ok()).find_map(|file| {
            let is_terminal = file.file_type() == FileType::CharDevice && file.stat().rdev == 0;
            file.file().filter(|_| is_terminal).cloned()
        })
    }

    fn pid(&self) -> Pid {
        self.process.borrow().as_ref().map_or(INIT, |process| process.pid)
    }

    fn pids(&self) -> Vec<Pid> {
        self.processes.living().iter().map(|process| process.pid).collect()
    }

    fn process(&self, pid: Pid) -> Option<Rc<dyn ProcessInfo>> {
        let process = self.processes.get(pid)?;
        let turn_ns = (self.pid() == pid).then(|| self.slice.ran_ns());
        let (processes, threads) = (Rc::clone(&self.processes), Rc::clone(&self.threads));
        Some(Rc::new(Shown { process, turn_ns, processes, threads }))
    }
}

/// A process, as files see it.
struct Shown {
    process: Rc<Process>,
    /// How long its turn has been on, ns, where it runs.
    turn_ns: Option<u64>,
    processes: Rc<Processes>,
    threads: Rc<Threads>,
}

impl ProcessInfo for Shown {
    fn pid(&self) -> Pid {
        self.process.pid
    }

    fn family(&self) -> [Pid; 3] {
        let of = |member: &Member| [member.parent, member.group, member.session];
        self.processes.with(|families| families.get(self.process.pid).map(of).unwrap_or_default())
    }

    fn state(&self, tid: u32) -> char {
        // A call that waits may be tried again at any time, and still waits.
        let runs =
            self.threads.with(tid, |thread| !thread.in_call).unwrap_or(self.turn_ns.is_some());
        match (self.process.is_stopped.get(), runs) {
            (true, _) => 'T',
            (_, true) => 'R',
            _ => 'S',
        }
    }

    fn cpu_time_ns(&self) -> u64 {
        self.process.ran_ns.get() + self.turn_ns.unwrap_or(0)
    }

    fn threads(&self) -> Vec<u32> {
        self.process.threads.borrow().iter().copied().collect()
    }

    fn comm(&self) -> Vec<u8> {
        self.process.name.borrow().clone()
    }

    fn executable(&self) -> Rc<Dentry> {
        self.process.started.borrow().executable.clone()
    }

    fn working_directory(&self) -> Rc<Dentry> {
        self.process.paths.borrow().cwd.clone()
    }

    fn root_directory(&self) -> Rc<Dentry> {
        self.process.paths.borrow().root.clone()
    }

    fn credentials(&self) -> Credentials {
        self.process.credentials.borrow().clone()
    }

    fn personality(&self) -> Personality {
        self.process.personality.get()
    }

    fn arguments(&self) -> Vec<u8> {
        self.process.started.borrow().arguments.clone()
    }

    fn environment(&self) -> Vec<u8> {
        self.process.started.borrow().environment.clone()
    }

    fn auxiliary_vector(&self) -> Vec<u8> {
        self.process.started.borrow().auxiliary.clone()
    }

    fn maps(&self) -> Vec<u8> {
        let mut text = String::new();
        if let Some(space) = &*self.process.memory.borrow() {
            space.borrow().areas().iter().for_each(|area| text += &maps_line(area));
        }
        text.into_bytes()
    }

    fn resident(&self) -> (u64, u64) {
        let usage = phys::usage();
        let memory = self.process.memory.borrow();
        let mapped = memory.as_ref().map_or(0, |space| space.borrow().areas().bytes());
        (mapped, u64::from(usage.total - usage.free) * 4096)
    }

    fn limits(&self) -> Vec<u8> {
        self.process.limits.borrow().text()
    }

    fn descriptors(&self, first: u32) -> Vec<u32> {
        self.process.files.descriptors(first)
    }

    fn descriptor(&self, fd: u32) -> Option<Rc<OpenFile>> {
        self.process.files.get(fd).ok()
    }
}

/// A line as proc_pid_maps(5) describes it.
fn maps_line(area: &crate::mm::Area) -> String {
    let flag = |bit, letter| if area.protection.contains(bit) { letter } else { '-' };
    let shared = if area.backing.is_shared() { 's' } else { 'p' };
    let (dev, ino, offset, name) = match &area.backing {
        Backing::Anonymous => (0, 0, 0, area.name.into()),
        Backing::File { file, offset, .. } => {
            let stat = file.inode().stat();
            let path = file.shown_path().unwrap_or_default();
            (stat.dev, stat.ino, *offset, String::from_utf8_lossy(&path).into_owned())
        }
    };
    let (major, minor) = (dev >> 8, dev & 0xff);
    format!(
        "{:012x}-{:012x} {}{}{}{} {:08x} {major:02x}:{minor:02x} {:<20} {}\n",
        area.start,
        area.end,
        flag(Protection::READ, 'r'),
        flag(Protection::WRITE, 'w'),
        flag(Protection::EXECUTE, 'x'),
        shared,
        offset,
        ino,
        name,
    )
}
