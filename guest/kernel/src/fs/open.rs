//! open(2): from a path and flags to an open file description.
//!
//! ```text
//!   flags ─► checked ─► walk to the last name ─┬─ a link ──► walk on, unless it is refused
//!                                              ├─ missing ─► O_CREAT makes it
//!                                              └─ found ───► type and access checked, O_TRUNC, open
//! ```
//!
//! The program is root with every capability, so permission bits refuse nothing here.

use alloc::rc::Rc;

use bitflags::bitflags;
use linux_raw_sys::general as linux;

use super::dentry::Dentry;
use super::inode::NewNode;
use super::open_file::OpenFile;
use super::path::{Follow, Last, Resolve, Walk};
use super::stat::FileType;
use super::{Vfs, devices};
use crate::errno::{Errno, Result};

bitflags! {
    /// Flags of open(2). Bits that Linux does not know are ignored, as open(2) does.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// For writing only.
        const WRONLY = linux::O_WRONLY;
        /// For reading and writing.
        const RDWR = linux::O_RDWR;
        /// Make the file where it is missing.
        const CREAT = linux::O_CREAT;
        /// With `CREAT`: fail where it is not missing.
        const EXCL = linux::O_EXCL;
        /// Do not become the controlling terminal.
        const NOCTTY = linux::O_NOCTTY;
        /// Empty the file.
        const TRUNC = linux::O_TRUNC;
        /// Write at the end.
        const APPEND = linux::O_APPEND;
        /// Do not wait. Files never do; their caller looks at this.
        const NONBLOCK = linux::O_NONBLOCK;
        /// Write data through.
        const DSYNC = linux::O_DSYNC;
        /// Signal readiness. Kept and shown, not acted on.
        const ASYNC = linux::FASYNC;
        /// Pass by the page cache.
        const DIRECT = linux::O_DIRECT;
        /// Always so on 64 bits.
        const LARGEFILE = linux::O_LARGEFILE;
        /// Fail where it is no directory.
        const DIRECTORY = linux::O_DIRECTORY;
        /// Fail where the last name is a link.
        const NOFOLLOW = linux::O_NOFOLLOW;
        /// Leave the access time.
        const NOATIME = linux::O_NOATIME;
        /// Close on execve(2): a descriptor's flag, not the file's.
        const CLOEXEC = linux::O_CLOEXEC;
        /// Write data and metadata through.
        const SYNC = linux::O_SYNC;
        /// Only name a place.
        const PATH = linux::O_PATH;
        /// Make a file without a name.
        const TMPFILE = linux::O_TMPFILE;
    }
}

impl OpenFlags {
    /// For reading only: no bit at all.
    pub const RDONLY: OpenFlags = OpenFlags::empty();
    /// What F_SETFL may change.
    pub const SETTABLE: OpenFlags = OpenFlags::APPEND
        .union(OpenFlags::NONBLOCK)
        .union(OpenFlags::ASYNC)
        .union(OpenFlags::DIRECT)
        .union(OpenFlags::NOATIME);
    /// What an open file keeps: all but what only concerns the opening.
    pub(super) const KEPT: OpenFlags = OpenFlags::CREAT
        .union(OpenFlags::EXCL)
        .union(OpenFlags::NOCTTY)
        .union(OpenFlags::TRUNC)
        .union(OpenFlags::CLOEXEC)
        .complement();
    /// What O_PATH leaves of the flags.
    const WITH_PATH: OpenFlags = OpenFlags::PATH
        .union(OpenFlags::DIRECTORY)
        .union(OpenFlags::NOFOLLOW)
        .union(OpenFlags::CLOEXEC);

    /// Whether reads are allowed.
    pub fn reads(self) -> bool {
        matches!(self.bits() & linux::O_ACCMODE, linux::O_RDONLY | linux::O_RDWR)
    }

    /// Whether writes are allowed.
    pub fn writes(self) -> bool {
        matches!(self.bits() & linux::O_ACCMODE, linux::O_WRONLY | linux::O_RDWR)
    }

    /// The flags as open(2) takes them: with O_PATH most others count for nothing. EINVAL for
    /// combinations without sense.
    fn checked(self) -> Result<OpenFlags> {
        if self.contains(OpenFlags::PATH) {
            return Ok(self & OpenFlags::WITH_PATH);
        }
        let makes_unnamed = self.contains(OpenFlags::TMPFILE);
        if makes_unnamed && !self.writes() {
            return Err(Errno::INVAL);
        }
        if self.contains(OpenFlags::CREAT | OpenFlags::DIRECTORY) {
            return Err(Errno::INVAL);
        }
        Ok(self)
    }

    /// Whether the last name is followed where it is a link.
    fn follows(self) -> bool {
        !self.contains(OpenFlags::NOFOLLOW) && !self.contains(OpenFlags::CREAT | OpenFlags::EXCL)
    }
}

impl Vfs {
    /// openat(2): opens `path`, seen from the directory `base`. A file that is made gets the permission
    /// bits of `mode`, the umask applied by the caller.
    pub fn open(
        &self,
        base: &Rc<Dentry>,
        path: &[u8],
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Rc<OpenFile>> {
        let flags = flags.checked()?;
        self.open_at(Walk::new(self.root(), base, path)?, flags, mode)
    }

    /// openat2(2): as [`Vfs::open`], by a walk that keeps to `rules`. EINVAL also for flags that O_PATH would drop.
    pub fn open_by_rules(
        &self,
        base: &Rc<Dentry>,
        path: &[u8],
        (flags, mode): (OpenFlags, u32),
        rules: Resolve,
    ) -> Result<Rc<OpenFile>> {
        let checked = flags.checked()?;
        if checked != flags {
            return Err(Errno::INVAL);
        }
        self.open_at(Walk::by_rules(self.root(), base, path, rules)?, flags, mode)
    }

    fn open_at(&self, mut walk: Walk<'_>, flags: OpenFlags, mode: u32) -> Result<Rc<OpenFile>> {
        if flags.contains(OpenFlags::TMPFILE) {
            return self.open_unnamed(&walk.to_end(Follow::Yes)?, flags, mode);
        }
        loop {
            let last = walk.to_last()?;
            self.recent.note(walk.at());
            let Last::Name { name, slash } = last else {
                return self.open_found(walk.at().clone(), flags);
            };
            if slash && flags.contains(OpenFlags::CREAT) {
                return Err(Errno::ISDIR);
            }
            let child = match walk.child(&name) {
                Err(Errno::NOENT) if flags.contains(OpenFlags::CREAT) => {
                    return self.open_new(walk.at(), &name, flags, mode);
                }
                child => child?,
            };
            let is_link = child.inode().file_type() == FileType::Symlink;
            if is_link && (slash || flags.follows()) {
                walk.follow(&child)?;
                continue;
            }
            if slash && !child.is_dir() {
                return Err(Errno::NOTDIR);
            }
            return self.open_found(child, flags);
        }
    }

    /// Opens a place that has been found: the end of [`Vfs::open`], and all of opening what is known
    /// already, like a program's interpreter.
    pub fn open_found(&self, dentry: Rc<Dentry>, flags: OpenFlags) -> Result<Rc<OpenFile>> {
        let flags = flags.checked()?;
        if flags.contains(OpenFlags::CREAT | OpenFlags::EXCL) {
            return Err(Errno::EXIST);
        }
        let file_type = dentry.inode().file_type();
        let is_dir = file_type == FileType::Directory;
        if flags.contains(OpenFlags::DIRECTORY) && !is_dir {
            return Err(Errno::NOTDIR);
        }
        if flags.contains(OpenFlags::PATH) {
            return Ok(OpenFile::new(dentry, None, flags));
        }
        let changes = flags.writes() || flags.contains(OpenFlags::TRUNC);
        match file_type {
            FileType::Symlink => return Err(Errno::LOOP),
            FileType::Directory if changes || flags.contains(OpenFlags::CREAT) => {
                return Err(Errno::ISDIR);
            }
            FileType::Regular if changes => dentry.check_writable()?,
            _ => {}
        }
        let file = match dentry.inode().open(flags)? {
            None if matches!(file_type, FileType::CharDevice | FileType::BlockDevice) => {
                Some(devices::open(&self.system, &dentry.inode().stat())?)
            }
            None if matches!(file_type, FileType::Socket | FileType::Fifo) => {
                return Err(Errno::NXIO);
            }
            file => file,
        };
        if flags.contains(OpenFlags::TRUNC) && file.is_none() {
            dentry.inode().truncate(0)?;
            dentry.tell_all(linux::IN_MODIFY);
        }
        dentry.tell_all(linux::IN_OPEN);
        Ok(OpenFile::new(dentry, file, flags))
    }

    /// A file without a name, in the file system of this directory. ENOTDIR, EOPNOTSUPP, EROFS.
    fn open_unnamed(
        &self,
        directory: &Rc<Dentry>,
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Rc<OpenFile>> {
        if !directory.is_dir() {
            return Err(Errno::NOTDIR);
        }
        directory.check_writable()?;
        let inode = directory.inode().unnamed(mode, !flags.contains(OpenFlags::EXCL))?;
        Ok(OpenFile::new(directory.unnamed(inode), None, flags))
    }

    fn open_new(
        &self,
        directory: &Rc<Dentry>,
        name: &[u8],
        flags: OpenFlags,
        mode: u32,
    ) -> Result<Rc<OpenFile>> {
        directory.check_writable()?;
        let inode = directory.inode().create(name, NewNode::File, mode)?;
        let dentry = directory.adopt(name, inode);
        directory.tell(linux::IN_CREATE, 0, name);
        dentry.tell_all(linux::IN_OPEN);
        Ok(OpenFile::new(dentry, None, flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::testing::machine;

    const WRITE: OpenFlags = OpenFlags::WRONLY;
    const CREAT: OpenFlags = OpenFlags::CREAT.union(OpenFlags::WRONLY);

    #[test]
    fn creating_keeps_to_the_flags() {
        let machine = machine();
        assert_eq!(machine.open("/tmp/f", WRITE).err(), Some(Errno::NOENT));
        let file = machine.open("/tmp/f", CREAT).unwrap();
        assert_eq!(file.stat().mode, linux::S_IFREG | 0o644);
        file.write(b"12345").unwrap();
        assert_eq!(machine.open("/tmp/f", CREAT).unwrap().stat().size, 5);
        assert_eq!(machine.open("/tmp/f", CREAT | OpenFlags::EXCL).err(), Some(Errno::EXIST));
        assert_eq!(machine.open("/tmp/f", WRITE | OpenFlags::TRUNC).unwrap().stat().size, 0);
        assert_eq!(machine.open("/tmp/new/", CREAT).err(), Some(Errno::ISDIR));
        assert_eq!(machine.open("/missing/f", CREAT).err(), Some(Errno::NOENT));
        assert_eq!(machine.open("/tmp/f/g", CREAT).err(), Some(Errno::NOTDIR));
        assert_eq!(
            machine.open("/tmp/f", OpenFlags::CREAT | OpenFlags::DIRECTORY).err(),
            Some(Errno::INVAL)
        );
    }

    #[test]
    fn a_file_without_a_name_may_get_one() {
        let machine = machine();
        let flags = OpenFlags::TMPFILE | OpenFlags::RDWR;
        let file = machine.open("/tmp", flags).unwrap();
        assert_eq!((file.write(b"x"), file.stat().nlink), (Ok(1), 0));
        assert_eq!(machine.list("/tmp"), [".", ".."]);
        assert!(file.dentry().shown_path().unwrap().ends_with(b" (deleted)"));
        let link = |file: &OpenFile| machine.vfs.link(file.dentry(), machine.root(), b"/tmp/f");
        link(&file).unwrap();
        assert_eq!((file.stat().nlink, machine.read("/tmp/f")), (1, b"x".to_vec()));
        machine.unlink("/tmp/f").unwrap();
        assert_eq!(link(&file), Err(Errno::NOENT), "once it had one, that was the last");
        let file = machine.open("/tmp", flags | OpenFlags::EXCL).unwrap();
        assert_eq!(link(&file), Err(Errno::NOENT));
        let open = |path, flags| machine.open(path, flags).err();
        assert_eq!(open("/tmp", OpenFlags::TMPFILE), Some(Errno::INVAL), "to read nothing");
        assert_eq!(open("/", flags), Some(Errno::ROFS));
        assert_eq!(open("/proc", flags), Some(Errno::OPNOTSUPP));
        assert_eq!(open("/dev/null", flags), Some(Errno::NOTDIR));
    }

    #[test]
    fn directories_open_for_reading_alone() {
        let machine = machine();
        machine.open("/tmp", OpenFlags::DIRECTORY).unwrap();
        machine.open("/", OpenFlags::RDONLY).unwrap();
        for path in ["/tmp", "/", "/tmp/."] {
            assert_eq!(machine.open(path, WRITE).err(), Some(Errno::ISDIR), "{path}");
            assert_eq!(machine.open(path, OpenFlags::CREAT).err(), Some(Errno::ISDIR), "{path}");
        }
        machine.open("/tmp/f", CREAT).unwrap();
        assert_eq!(machine.open("/tmp/f", OpenFlags::DIRECTORY).err(), Some(Errno::NOTDIR));
        assert_eq!(machine.open("/tmp/f/", OpenFlags::RDONLY).err(), Some(Errno::NOTDIR));
    }

    #[test]
    fn the_last_link_is_followed_unless_refused() {
        let machine = machine();
        machine.symlink("f", "/tmp/link").unwrap();
        assert_eq!(machine.open("/tmp/link", OpenFlags::RDONLY).err(), Some(Errno::NOENT));
        let file = machine.open("/tmp/link", CREAT).unwrap();
        assert_eq!(file.dentry().path().unwrap(), b"/tmp/f", "a dangling link is written through");
        let nofollow = OpenFlags::NOFOLLOW;
        assert_eq!(machine.open("/tmp/link", nofollow).err(), Some(Errno::LOOP));
        assert_eq!(
            machine.open("/tmp/link", nofollow | OpenFlags::DIRECTORY).err(),
            Some(Errno::NOTDIR)
        );
        assert_eq!(machine.open("/tmp/link", CREAT | OpenFlags::EXCL).err(), Some(Errno::EXIST));
        let link = machine.open("/tmp/link", nofollow | OpenFlags::PATH).unwrap();
        assert_eq!(link.file_type(), FileType::Symlink);
        assert_eq!(link.dentry().inode().read_link().unwrap(), b"f");
    }

    #[test]
    fn flags_that_concern_the_opening_are_forgotten() {
        let machine = machine();
        let flags = CREAT | OpenFlags::CLOEXEC | OpenFlags::NONBLOCK | OpenFlags::TRUNC;
        let file = machine.open("/tmp/f", flags).unwrap();
        assert_eq!(file.flags(), WRITE | OpenFlags::NONBLOCK);
    }

    #[test]
    fn device_files_in_any_file_system_are_the_devices() {
        let machine = machine();
        let tmp = machine.lookup("/tmp").unwrap();
        let null = NewNode::CharDevice(crate::fs::stat::device_number(1, 3));
        machine.vfs.mknod(&tmp, b"my-null", null, 0o666).unwrap();
        let file = machine.open("/tmp/my-null", OpenFlags::RDWR | OpenFlags::TRUNC).unwrap();
        assert_eq!(file.write(b"gone"), Ok(4));
        assert_eq!(file.read(&mut [0; 4]), Ok(0));
        machine.vfs.mknod(&tmp, b"odd", NewNode::CharDevice(77), 0o666).unwrap();
        machine.vfs.mknod(&tmp, b"sock", NewNode::Socket, 0o666).unwrap();
        assert_eq!(machine.open("/tmp/odd", OpenFlags::RDONLY).err(), Some(Errno::NXIO));
        assert_eq!(machine.open("/tmp/sock", OpenFlags::RDONLY).err(), Some(Errno::NXIO));
    }
}
