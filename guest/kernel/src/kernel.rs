//! The kernel: what it is made of, in the order in which it comes to life.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general as linux;
use mayfly_abi::channel::Counters;
use mayfly_hal::boot::Boot;
use mayfly_hal::fpu::Fpu;
use mayfly_hal::phys::{self, Frame};
use mayfly_hal::{channel, jump, vdso};

use crate::agenda::{Agenda, Tid};
use crate::devices::{Devices, Partition};
use crate::errno::{Errno, Result};
use crate::event::{Due, Timers};
use crate::fs::devfs::devfs;
use crate::fs::devpts::DevPts;
use crate::fs::erofs::ErofsFs;
use crate::fs::locks::Locks;
use crate::fs::procfs::procfs;
use crate::fs::ramfs::{Limits, RamFs};
use crate::fs::sysfs::sysfs;
use crate::fs::{MountFlags, RECLAIMED_FRAMES, System, Vfs};
use crate::limits;
use crate::machine::Machine;
use crate::mm::Trapped;
use crate::net::{Net, host};
use crate::processes::Processes;
use crate::random::Random;
use crate::shm::Segments;
use crate::signal::{self, Info, Waiting};
use crate::slice::{SLICE_NS, Slice};
use crate::thread::Thread;
use crate::threads::{THREADS_MAX, Threads};
use crate::tty::Terminals;
use crate::{clock, command, end, scheduler};

/// What uname(2) says: programs parse the release, and want one that is not old.
pub const RELEASE: &str = "6.1.0-mayfly";
/// What uname(2) says the kernel is.
pub const VERSION: &str = concat!("#1 Mayfly ", env!("CARGO_PKG_VERSION"));
/// The machine's name, until a program gives it another: one that /etc/hosts has everywhere, so that who looks up the own
/// name finds it.
pub const HOSTNAME: &str = "localhost";
/// A name in memory costs kernel memory: one for each so many bytes of a file system's limit.
const BYTES_FOR_NAME: u64 = 4096;
/// What files in memory leave to programs: one in so many bytes of memory …
const SPARED_SHARE: u64 = 4;
/// … at most: enough for what a runtime still allocates after its start, also where there is much more.
const SPARED_MAX: u64 = 64 << 20;
/// Fewest names that a file system in memory may have, however small it is.
const NAMES_MIN: u64 = 1024;
/// `st_dev` of each file system.
const DEV_ROOT: u64 = 0x10;
const DEV_TMP: u64 = 0x11;
const DEV_DEV: u64 = 0x12;
const DEV_PROC: u64 = 0x13;
const DEV_SYS: u64 = 0x14;
const DEV_SHM: u64 = 0x15;
const DEV_MEMORY: u64 = 0x16;
const DEV_PTS: u64 = 0x17;
/// … and of the images mounted besides the root.
const DEV_IMAGES: u64 = 0x20;

/// The kernel.
pub struct Kernel {
    pub(crate) boot: Boot,
    /// The tree of files.
    pub vfs: Rc<Vfs>,
    /// Disk and streams.
    pub devices: Rc<Devices>,
    /// Random numbers.
    pub random: Rc<Random>,
    /// The pseudo-terminals.
    pub terminals: Rc<Terminals>,
    /// Sockets.
    pub net: Rc<Net>,
    /// The processes.
    pub processes: Rc<Processes>,
    /// Their threads.
    pub threads: Rc<Threads>,
    /// The turn of the one that runs.
    pub slice: Rc<Slice>,
    /// The extended registers.
    pub fpu: Fpu,
    pub(crate) vdso: Frame,
    /// What ends a sleep besides devices and deadlines of threads.
    pub timers: Timers,
    /// System V's shared memory.
    pub segments: RefCell<Segments>,
    /// Locks of files.
    pub locks: Rc<Locks>,
    /// Where files are that have no name: memfd_create(2), memory that mappings share.
    pub memory_files: Rc<RamFs>,
    pub(crate) machine: Rc<Machine>,
    system_calls: Cell<u64>,
    unknown_calls: Cell<u64>,
    page_faults: Cell<u64>,
    jumped_calls: Cell<u64>,
    rewritten_sites: Cell<u64>,
    trapping_sites: Cell<u64>,
}

/// Boots, and runs the program to its end.
pub fn start(boot: Boot) -> ! {
    let random = Rc::new(Random::new(&boot.info.seed, &boot.info.cpu));
    let machine = Rc::new(Machine::new(&boot.info.cpu, random.clone()));
    let devices = Rc::new(Devices::new(&boot));
    let (vfs, memory_files) = match mount(&boot, &machine, &devices) {
        Ok((vfs, memory_files)) => (Rc::new(vfs), memory_files),
        Err(error) => end::not_started(
            error.number(),
            format_args!("cannot mount the root image: {} ({error:?})", error.text()),
        ),
    };
    let _ = machine.vfs.set(vfs.clone());
    let kernel = Kernel {
        processes: Rc::clone(&machine.processes),
        terminals: Rc::clone(&machine.terminals),
        threads: Rc::clone(&machine.threads),
        slice: machine.slice.clone(),
        fpu: Fpu::new(&boot.info.cpu),
        vdso: vdso::frame().expect("memory at boot"),
        boot,
        vfs,
        net: Net::new(host::gateway(devices.clone()), Machine::caller(&machine)),
        timers: Timers::default(),
        segments: RefCell::default(),
        locks: Rc::default(),
        memory_files,
        devices,
        random,
        machine,
        system_calls: Cell::new(0),
        unknown_calls: Cell::new(0),
        page_faults: Cell::new(0),
        jumped_calls: Cell::new(0),
        rewritten_sites: Cell::new(0),
        trapping_sites: Cell::new(0),
    };
    channel::mark_kernel_ready();
    let thread = kernel.first_program();
    scheduler::run(&kernel, thread)
}

/// The tree of files, and a file system for files without a name.
fn mount(boot: &Boot, machine: &Rc<Machine>, devices: &Rc<Devices>) -> Result<(Vfs, Rc<RamFs>)> {
    let system: Rc<dyn System> = machine.clone();
    let disk = Rc::new(Partition::whole(devices.clone()));
    let root = Rc::new(ErofsFs::mount(disk, DEV_ROOT)?);
    let vfs = Vfs::new(system.clone(), root, b"/dev/vda", MountFlags::RDONLY);
    let total = system.memory().total;
    let in_memory = |dev, bytes: u64, spared| {
        let bytes = bytes.min(total.saturating_sub(spared));
        let entries = (bytes / BYTES_FOR_NAME).max(NAMES_MIN);
        Rc::new(RamFs::new(system.clone(), dev, Limits { bytes, entries, spared }, 0o1777))
    };
    let spared = (total / SPARED_SHARE).min(SPARED_MAX);
    let plain = MountFlags::empty();
    vfs.mount(b"/tmp", in_memory(DEV_TMP, boot.info.tmp_bytes_max, spared), b"tmpfs", plain)?;
    vfs.mount(b"/dev", Rc::new(devfs(system.clone(), DEV_DEV)), b"dev", plain)?;
    // As Linux bounds it by default; what memory holds is memory's own bound.
    let memory = boot.info.memory_bytes;
    vfs.mount(b"/dev/shm", in_memory(DEV_SHM, memory / 2, spared), b"tmpfs", plain)?;
    let slaves = DevPts::new(&*system, system.terminals(), DEV_PTS);
    vfs.mount(b"/dev/pts", Rc::new(slaves), b"devpts", plain)?;
    vfs.mount(b"/proc", Rc::new(procfs(system.clone(), DEV_PROC)), b"proc", plain)?;
    vfs.mount(b"/sys", Rc::new(sysfs(system.clone(), DEV_SYS)), b"sysfs", plain)?;
    mount_images(boot, devices, &vfs)?;
    // What mappings share is the programs' own memory.
    Ok((vfs, in_memory(DEV_MEMORY, memory, 0)))
}

/// Mounts the images that come behind the root's on the disk.
fn mount_images(boot: &Boot, devices: &Rc<Devices>, vfs: &Vfs) -> Result<()> {
    let places: Vec<_> = boot.info.mounts.iter().take_while(|mount| mount.len > 0).collect();
    if places.is_empty() {
        return Ok(());
    }
    let paths = command::parse(boot).mounts;
    for ((path, place), dev) in paths.iter().zip(places).zip(DEV_IMAGES..) {
        let disk = Rc::new(Partition::of(devices.clone(), place)?);
        vfs.mount(path, Rc::new(ErofsFs::mount(disk, dev)?), b"/dev/vda", MountFlags::RDONLY)?;
    }
    Ok(())
}

impl Kernel {
    /// CLOCK_BOOTTIME, ns.
    pub fn uptime_ns(&self) -> u64 {
        self.machine.uptime_ns()
    }

    /// Counts what timers have expired; signals come where they are due. `current` is the thread that runs.
    pub fn expire_timers(&self, current: Option<&mut Thread>) {
        let expired = self.timers.expire(|| self.moment(current.as_deref()));
        if expired.any {
            self.threads.with_agenda(Agenda::stir);
        }
        self.ring(&expired.alarms, current.as_deref());
        self.notify(&expired.due, current);
    }

    /// Sends the signals of timers. A thread that has ended is not told, nor is anybody whose queue is full.
    fn notify(&self, due: &[Due], mut current: Option<&mut Thread>) {
        for Due { pid, id, notice, overrun } in due {
            let Some(process) = self.processes.get(*pid) else { continue };
            let fields = [u64::from(*id) | u64::from(*overrun) << 32, notice.value, 0];
            let info = Info { signal: notice.signal, code: linux::SI_TIMER, fields };
            match (notice.tid, &mut current) {
                (None, current) => drop(self.send(&process, info, current.as_deref())),
                (Some(tid), Some(thread)) if thread.tid == tid => {
                    let _ = thread.signals.borrow_mut().push(info);
                }
                (Some(tid), _) => drop(self.threads.raise_at(*pid, tid, info)),
            }
        }
    }

    /// Makes the processor see the memory of the thread that runs next, /proc/self be its process, and descriptors of
    /// signals see its own.
    pub fn switch_to(&self, thread: &Thread) {
        let process = &thread.process;
        self.threads.load_memory(process);
        self.machine.process.replace(Some(Rc::clone(process)));
        self.machine.signals.replace(Rc::clone(&thread.signals));
    }

    /// The signals that wait for the thread that runs, whichever that is.
    pub fn waiting_signals(&self) -> Rc<dyn Waiting> {
        self.machine.clone()
    }

    /// A number for a new thread or process. EAGAIN where there are [`THREADS_MAX`], or as many as the caller's
    /// RLIMIT_NPROC allows.
    pub fn new_tid(&self, caller: &Thread) -> Result<Tid> {
        let ended = self.processes.ended();
        let limit = caller.process.limits.borrow().get(limits::PROCESSES)?.0;
        if (self.threads.count() + ended) as u64 >= limit.min(THREADS_MAX as u64) {
            return Err(Errno::AGAIN);
        }
        let is_taken = |tid| self.processes.with(|families| families.is_taken(tid));
        Ok(self.threads.new_tid(caller.tid, is_taken))
    }

    /// Does what is due by now: timers, and deadlines of threads. `current` is the thread that runs.
    pub fn pass_time(&self, current: Option<&mut Thread>) {
        self.expire_timers(current);
        self.threads.with_agenda(|agenda| {
            if agenda.deadline_ns().is_some() {
                agenda.expire(clock::monotonic_ns());
            }
        });
    }

    /// Takes in news from the host that threads wait for while others run.
    pub fn look_out(&self) {
        let watched = self.threads.with_agenda(|agenda| agenda.has_watchers());
        let is_due = || self.devices.looked_ns().saturating_add(SLICE_NS) <= clock::monotonic_ns();
        if watched && is_due() {
            self.glance();
        }
    }

    /// Takes in news from the host, unless that was done just now; whether there were any.
    pub fn glance(&self) -> bool {
        let news = self.devices.glance();
        if news {
            self.threads.with_agenda(Agenda::stir);
        }
        news
    }

    /// Lets the host see what was queued for it long ago.
    pub fn tell_host(&self) {
        if self.devices.kick_if_late() {
            self.threads.with_agenda(Agenda::stir);
        }
    }

    /// Whether the thread that runs has had its slice, and others wait for theirs.
    pub fn is_turn_over(&self) -> bool {
        let shares = self.threads.with_agenda(|agenda| agenda.has_ready() || agenda.has_watchers());
        if !shares || !self.slice.is_over() {
            return false;
        }
        self.look_out();
        if self.threads.with_agenda(|agenda| agenda.has_ready()) {
            return true;
        }
        self.slice.extend();
        false
    }

    /// Tells the VMM when the program is to be interrupted: at the end of its slice where others are ready, in time
    /// for the deadlines of others, and for alarms. `current` is the thread that is to run.
    pub fn ask_for_upcall(&self, current: &Thread) {
        let slice = self.threads.with_agenda(|agenda| {
            let shares = agenda.has_ready() || agenda.has_watchers();
            [shares.then(|| self.slice.ends_ns()), agenda.deadline_ns()]
        });
        let signal = self.timers.signal_deadline_ns(|| self.moment(Some(current)));
        self.slice.interrupt_at(slice.into_iter().chain([signal]).flatten().min());
    }

    /// Waits until a device has something, a timer expires, or a thread's deadline comes.
    pub fn wait(&self) {
        let timer_ns = self.timers.deadline_ns(clock::now);
        let thread_ns = self.threads.with_agenda(|agenda| agenda.deadline_ns());
        self.devices.wait(timer_ns.into_iter().chain(thread_ns).min());
        self.threads.with_agenda(Agenda::stir);
    }

    /// Whether so few frames are free that caches are to give theirs.
    pub fn is_short_of_memory(&self) -> bool {
        phys::usage().free < RECLAIMED_FRAMES as u32
    }

    /// Ends the guest: a signal has killed its program. `text` says what a fault was.
    pub fn end_by(&self, thread: &Thread, info: &Info, text: &str) -> ! {
        let path = thread.process.started.borrow().executable.path().unwrap_or_default();
        let path = String::from_utf8_lossy(&path);
        let (signal, name) = (info.signal, signal::name(info.signal));
        let (address, rip) = (info.fields[0], thread.context.rip);
        if text.is_empty() {
            end::signaled(signal, format_args!("{path}: killed by {name}"), self.counters())
        }
        end::signaled(
            signal,
            format_args!("{path}: {text} at address {address:#x} (rip {rip:#x}): killed by {name}"),
            self.counters(),
        )
    }

    /// Counts a call that nobody knows.
    pub fn count_unknown_call(&self) {
        self.unknown_calls.set(self.unknown_calls.get() + 1);
    }

    /// Counts a page fault that was resolved.
    pub fn count_page_fault(&self) {
        self.page_faults.set(self.page_faults.get() + 1);
    }

    /// All counts.
    pub fn counters(&self) -> Counters {
        let usage = phys::usage();
        Counters {
            system_calls: self.system_calls.get(),
            unknown_calls: self.unknown_calls.get(),
            page_faults: self.page_faults.get(),
            frames: (usage.total - usage.free).into(),
            block_requests: self.devices.block_requests(),
            jumped_calls: self.jumped_calls.get(),
            rewritten_sites: self.rewritten_sites.get(),
            trapping_sites: self.trapping_sites.get(),
        }
    }

    /// Counts a system call that has just come, and makes its site a jump where it has trapped often.
    pub fn note_call(&self, thread: &mut Thread, trapped: bool) {
        self.system_calls.set(self.system_calls.get() + 1);
        if !trapped {
            self.jumped_calls.set(self.jumped_calls.get() + 1);
            return;
        }
        let (back, number) = (thread.context.rip, thread.context.call_number());
        let trapped = thread.process.space().borrow_mut().note_trap(back, number);
        match trapped {
            Trapped::Cold => {}
            Trapped::Rewritten => {
                self.rewritten_sites.set(self.rewritten_sites.get() + 1);
                // Its code was written at another address, which `iretq` makes the processor notice (AMD APM vol 2
                // §7.6.1).
                thread.context.restore_all();
            }
            Trapped::Stays => self.trapping_sites.set(self.trapping_sites.get() + 1),
        }
    }

    /// Counts the calls that were answered without the kernel.
    pub fn note_answered(&self) {
        let answered = jump::take_answered();
        self.system_calls.set(self.system_calls.get() + answered);
        self.jumped_calls.set(self.jumped_calls.get() + answered);
    }

    /// A thread that was stopped in a stub has not made its call yet: it stands at its site's `syscall`, as anywhere
    /// else. So nobody ever sees a thread in a stub, and stubs may vanish.
    pub fn leave_stub(&self, thread: &mut Thread) {
        let place = thread.process.space().borrow().place_of_stub(thread.context.rip);
        if let Some((rip, number)) = place {
            thread.context.rip = rip;
            thread.context.rax = number.into();
        }
    }
}
