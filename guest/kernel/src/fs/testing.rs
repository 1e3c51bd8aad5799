//! What the tests of this folder share: a machine with a tree of files, a clock that ticks and a disk in
//! memory.

use alloc::rc::{Rc, Weak};
use core::cell::{Cell, RefCell};
use core::ops::ControlFlow;
use std::collections::BTreeMap;
use std::string::String;
use std::vec;
use std::vec::Vec;

use mayfly_hal::phys::{FRAME_SIZE, Frame};

use super::devfs::devfs;
use super::devpts::DevPts;
use super::procfs::procfs;
use super::ramfs::{Limits, RamFs};
use super::sysfs::sysfs;
use super::*;
use crate::tty::Terminals;

/// Room in the machine's /tmp.
pub const TMP_LIMITS: Limits = Limits { bytes: 1 << 20, entries: 30_000, spared: 0 };

/// A kernel as the file systems see it.
pub struct TestSystem {
    this: Weak<TestSystem>,
    /// Processes besides number 7.
    pub others: RefCell<Vec<u32>>,
    ticks: Cell<i64>,
    terminal: Cell<bool>,
    terminals: Rc<Terminals>,
    descriptors: RefCell<BTreeMap<u32, Rc<OpenFile>>>,
    directory: RefCell<Option<Rc<Dentry>>>,
    executable: RefCell<Option<Rc<Dentry>>>,
}

impl TestSystem {
    /// A system with one process.
    pub fn new() -> Rc<TestSystem> {
        Rc::new_cyclic(|this| TestSystem {
            this: this.clone(),
            others: RefCell::default(),
            ticks: Cell::default(),
            terminal: Cell::default(),
            terminals: Rc::default(),
            descriptors: RefCell::default(),
            directory: RefCell::default(),
            executable: RefCell::default(),
        })
    }

    fn directory(&self) -> Rc<Dentry> {
        self.directory.borrow().clone().expect("the machine has a root by now")
    }
}

struct Terminal;

impl File for Terminal {
    fn write(&self, _offset: u64, from: &[u8]) -> Result<usize> {
        Ok(from.len())
    }
}

impl System for TestSystem {
    /// One nanosecond later each time.
    fn realtime_ns(&self) -> stat::TimeNs {
        self.ticks.update(|ticks| ticks + 1);
        1_700_000_000_000_000_000 + self.ticks.get()
    }

    fn uptime_ns(&self) -> u64 {
        12_340_000_000
    }

    fn cpu_time_ns(&self) -> u64 {
        2_340_000_000
    }

    fn fill_random(&self, to: &mut [u8]) {
        let seed = self.realtime_ns() as u64;
        for (n, byte) in to.iter_mut().enumerate() {
            *byte = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 8 * 8)) as u8 ^ n as u8;
        }
    }

    fn boot_id(&self) -> [u8; 16] {
        [0xab; 16]
    }

    fn hostname(&self) -> Vec<u8> {
        b"mayfly".to_vec()
    }

    fn release(&self) -> Vec<u8> {
        b"6.1.0-mayfly".to_vec()
    }

    fn mountinfo(&self) -> Vec<u8> {
        b"21 21 0:2 / / ro - none none ro\n".to_vec()
    }

    fn mounts(&self) -> Vec<u8> {
        b"image / erofs ro,noatime 0 0\n".to_vec()
    }

    fn terminals(&self) -> Rc<Terminals> {
        self.terminals.clone()
    }

    fn terminal(&self) -> Option<Rc<dyn File>> {
        self.terminal.get().then(|| Rc::new(Terminal) as Rc<dyn File>)
    }

    fn pid(&self) -> u32 {
        7
    }

    fn pids(&self) -> Vec<u32> {
        self.others.borrow().iter().copied().chain([7]).collect()
    }

    fn process(&self, pid: u32) -> Option<Rc<dyn ProcessInfo>> {
        let is_there = self.pids().contains(&pid);
        let this = self.this.upgrade()?;
        is_there.then(|| Rc::new(TestProcess { system: this, pid }) as Rc<dyn ProcessInfo>)
    }
}

/// One of its processes: they differ by their numbers alone.
struct TestProcess {
    system: Rc<TestSystem>,
    pid: u32,
}

impl ProcessInfo for TestProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn family(&self) -> [u32; 3] {
        [1, self.pid, self.pid]
    }

    fn state(&self, _: u32) -> char {
        'R'
    }

    fn cpu_time_ns(&self) -> u64 {
        self.system.cpu_time_ns()
    }

    fn threads(&self) -> Vec<u32> {
        vec![self.pid, 70]
    }

    fn comm(&self) -> Vec<u8> {
        b"prog".to_vec()
    }

    fn executable(&self) -> Rc<Dentry> {
        self.system.executable.borrow().clone().unwrap_or_else(|| self.system.directory())
    }

    fn working_directory(&self) -> Rc<Dentry> {
        self.system.directory()
    }

    fn root_directory(&self) -> Rc<Dentry> {
        self.system.directory()
    }

    fn arguments(&self) -> Vec<u8> {
        b"prog\0-x\0".to_vec()
    }

    fn environment(&self) -> Vec<u8> {
        b"HOME=/\0".to_vec()
    }

    fn auxiliary_vector(&self) -> Vec<u8> {
        vec![0; 16]
    }

    fn maps(&self) -> Vec<u8> {
        b"400000-401000 r-xp 00000000 00:00 0 /prog\n".to_vec()
    }

    fn resident(&self) -> (u64, u64) {
        (8 << 20, 1 << 20)
    }

    fn limits(&self) -> Vec<u8> {
        b"Limit Soft Limit Hard Limit Units\n".to_vec()
    }

    fn descriptors(&self, first: u32) -> Vec<u32> {
        self.system.descriptors.borrow().range(first..).map(|(fd, _)| *fd).collect()
    }

    fn descriptor(&self, fd: u32) -> Option<Rc<OpenFile>> {
        self.system.descriptors.borrow().get(&fd).cloned()
    }
}

/// A tree as a guest has it: a read-only root, and /tmp, /dev and /proc over it.
pub struct Machine {
    pub system: Rc<TestSystem>,
    pub vfs: Vfs,
}

/// A machine whose root has no names but those of mounts.
pub fn machine() -> Machine {
    let system = TestSystem::new();
    let nothing = Limits { bytes: 0, entries: 0, spared: 0 };
    let root = Rc::new(RamFs::new(system.clone(), 1, nothing, 0o755));
    machine_with_root(system, root)
}

/// A machine with this root.
pub fn machine_with_root(system: Rc<TestSystem>, root: Rc<dyn FileSystem>) -> Machine {
    let vfs = Vfs::new(system.clone(), root, b"image", MountFlags::RDONLY);
    let tmp = Rc::new(RamFs::new(system.clone(), 2, TMP_LIMITS, 0o1777));
    let none = MountFlags::empty();
    vfs.mount(b"/tmp", tmp, b"tmpfs", none).unwrap();
    vfs.mount(b"/dev", Rc::new(devfs(system.clone(), 3)), b"dev", none).unwrap();
    let slaves = DevPts::new(&*system, system.terminals(), 6);
    vfs.mount(b"/dev/pts", Rc::new(slaves), b"devpts", none).unwrap();
    vfs.mount(b"/proc", Rc::new(procfs(system.clone(), 4)), b"proc", none).unwrap();
    vfs.mount(b"/sys", Rc::new(sysfs(system.clone(), 5)), b"sysfs", none).unwrap();
    *system.directory.borrow_mut() = Some(vfs.root().clone());
    Machine { system, vfs }
}

impl Machine {
    pub fn root(&self) -> &Rc<Dentry> {
        self.vfs.root()
    }

    pub fn open(&self, path: &str, flags: OpenFlags) -> Result<Rc<OpenFile>> {
        self.vfs.open(self.root(), path.as_bytes(), flags, 0o644)
    }

    pub fn lookup(&self, path: &str) -> Result<Rc<Dentry>> {
        self.vfs.lookup(self.root(), path.as_bytes(), Follow::Yes)
    }

    pub fn mkdir(&self, path: &str) -> Result<()> {
        self.vfs.mkdir(self.root(), path.as_bytes(), 0o755)
    }

    pub fn rmdir(&self, path: &str) -> Result<()> {
        self.vfs.rmdir(self.root(), path.as_bytes())
    }

    pub fn unlink(&self, path: &str) -> Result<()> {
        self.vfs.unlink(self.root(), path.as_bytes())
    }

    pub fn symlink(&self, text: &str, path: &str) -> Result<()> {
        self.vfs.symlink(text.as_bytes(), self.root(), path.as_bytes())
    }

    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.rename_how(from, to, RenameFlags::empty())
    }

    pub fn rename_how(&self, from: &str, to: &str, how: RenameFlags) -> Result<()> {
        let (from, to) = (from.as_bytes(), to.as_bytes());
        self.vfs.rename((self.root(), from), (self.root(), to), how)
    }

    /// Makes a file with these contents.
    pub fn write(&self, path: &str, contents: &[u8]) {
        let flags = OpenFlags::WRONLY | OpenFlags::CREAT | OpenFlags::TRUNC;
        assert_eq!(self.open(path, flags).unwrap().write(contents), Ok(contents.len()));
    }

    /// All of a file's contents, read in small pieces.
    pub fn read(&self, path: &str) -> Vec<u8> {
        let file = self.open(path, OpenFlags::RDONLY).unwrap();
        let (mut contents, mut buffer) = (Vec::new(), [0; 100]);
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => return contents,
                count => contents.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// All of a text.
    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap()
    }

    /// The names in a directory, in its order.
    pub fn list(&self, path: &str) -> Vec<String> {
        let mut names = Vec::new();
        let directory = self.open(path, OpenFlags::DIRECTORY).unwrap();
        directory
            .read_dir(&mut |entry| {
                names.push(String::from_utf8(entry.name.to_vec()).unwrap());
                ControlFlow::Continue(())
            })
            .unwrap();
        names
    }

    pub fn give_descriptor(&self, fd: u32, file: Rc<OpenFile>) {
        self.system.descriptors.borrow_mut().insert(fd, file);
    }

    pub fn set_executable(&self, dentry: Rc<Dentry>) {
        *self.system.executable.borrow_mut() = Some(dentry);
    }

    pub fn set_working_directory(&self, dentry: Rc<Dentry>) {
        *self.system.directory.borrow_mut() = Some(dentry);
    }

    pub fn set_terminal(&mut self) {
        self.system.terminal.set(true);
    }
}

/// A disk in memory, which remembers what was asked of it.
pub struct MemoryDisk {
    bytes: Vec<u8>,
    requests: RefCell<Vec<(u64, usize)>>,
    broken: Cell<Option<u64>>,
}

impl MemoryDisk {
    /// A disk with these bytes, whole pages of them.
    pub fn new(bytes: Vec<u8>) -> MemoryDisk {
        assert_eq!(bytes.len() % FRAME_SIZE, 0);
        MemoryDisk { bytes, requests: RefCell::default(), broken: Cell::new(None) }
    }

    /// The first page and the length of each request so far.
    pub fn requests(&self) -> Vec<(u64, usize)> {
        self.requests.borrow().clone()
    }

    /// From now on a request that touches this page fails.
    pub fn break_page(&self, page: u64) {
        self.broken.set(Some(page));
    }
}

impl Disk for MemoryDisk {
    fn pages(&self) -> u64 {
        (self.bytes.len() / FRAME_SIZE) as u64
    }

    fn read_pages(&self, first: u64, frames: &[Frame]) -> Result<()> {
        self.requests.borrow_mut().push((first, frames.len()));
        let pages = first..first + frames.len() as u64;
        if self.broken.get().is_some_and(|broken| pages.contains(&broken)) {
            return Err(Errno::IO);
        }
        for (page, frame) in pages.zip(frames) {
            frame.write(0, &self.bytes[page as usize * FRAME_SIZE..][..FRAME_SIZE]);
        }
        Ok(())
    }
}
