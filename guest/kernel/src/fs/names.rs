//! The calls that make, move and remove names: what Linux checks before a file system is asked.
//!
//! They take the directory that the path is seen from, and the path; `Walk` stops in front of its last
//! name. A link there is taken itself.

use alloc::rc::Rc;

use super::Vfs;
use linux_raw_sys::general as linux;

use super::dentry::{Dentry, PATH_MAX};
use super::inode::{NewNode, RenameFlags};
use super::path::{Last, Walk};
use crate::errno::{Errno, Result};

/// A directory, and a name in it that may or may not exist.
struct Slot<'p> {
    directory: Rc<Dentry>,
    name: alloc::borrow::Cow<'p, [u8]>,
    /// Whether the path said that it is a directory.
    slash: bool,
}

impl Slot<'_> {
    fn lookup(&self) -> Result<Rc<Dentry>> {
        self.directory.lookup(&self.name)
    }

    /// EEXIST where the name is taken; EROFS where no name can be made.
    fn check_free(&self) -> Result<()> {
        match self.lookup() {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => self.directory.check_writable(),
            Err(errno) => Err(errno),
        }
    }
}

impl Vfs {
    fn slot<'p>(
        &self,
        base: &Rc<Dentry>,
        path: &'p [u8],
        otherwise: impl FnOnce(Last<'p>) -> Errno,
    ) -> Result<Slot<'p>> {
        let mut walk = Walk::new(self.root(), base, path)?;
        let last = walk.to_last()?;
        self.recent.note(walk.at());
        match last {
            Last::Name { name, slash } => Ok(Slot { directory: walk.at().clone(), name, slash }),
            other => Err(otherwise(other)),
        }
    }

    /// mkdir(2), with the umask applied.
    pub fn mkdir(&self, base: &Rc<Dentry>, path: &[u8], mode: u32) -> Result<()> {
        let slot = self.slot(base, path, |_| Errno::EXIST)?;
        slot.check_free()?;
        slot.directory.inode().create(&slot.name, NewNode::Directory, mode & 0o1777)?;
        slot.directory.tell(linux::IN_CREATE | linux::IN_ISDIR, 0, &slot.name);
        Ok(())
    }

    /// mknod(2), with the umask applied.
    pub fn mknod(
        &self,
        base: &Rc<Dentry>,
        path: &[u8],
        what: NewNode<'_>,
        mode: u32,
    ) -> Result<()> {
        let slot = self.slot(base, path, |_| Errno::EXIST)?;
        slot.check_free()?;
        if slot.slash {
            return Err(Errno::NOENT);
        }
        slot.directory.inode().create(&slot.name, what, mode)?;
        slot.directory.tell(linux::IN_CREATE, 0, &slot.name);
        Ok(())
    }

    /// symlink(2). ENOENT for an empty text, ENAMETOOLONG.
    pub fn symlink(&self, text: &[u8], base: &Rc<Dentry>, path: &[u8]) -> Result<()> {
        match text.len() {
            0 => return Err(Errno::NOENT),
            len if len >= PATH_MAX => return Err(Errno::NAMETOOLONG),
            _ => {}
        }
        self.mknod(base, path, NewNode::Symlink(text), 0o777)
    }

    /// link(2): another name for `target`, which is no directory.
    pub fn link(&self, target: &Rc<Dentry>, base: &Rc<Dentry>, path: &[u8]) -> Result<()> {
        let slot = self.slot(base, path, |_| Errno::EXIST)?;
        slot.check_free()?;
        if slot.slash {
            return Err(Errno::NOENT);
        }
        if !same_mount(target, &slot.directory) {
            return Err(Errno::XDEV);
        }
        if target.is_dir() {
            return Err(Errno::PERM);
        }
        slot.directory.inode().link(&slot.name, target.inode().stat().ino)?;
        target.tell(linux::IN_ATTRIB, 0, b"");
        slot.directory.tell(linux::IN_CREATE, 0, &slot.name);
        Ok(())
    }

    /// unlink(2).
    pub fn unlink(&self, base: &Rc<Dentry>, path: &[u8]) -> Result<()> {
        let slot = self.slot(base, path, |_| Errno::ISDIR)?;
        let victim = slot.lookup()?;
        if slot.slash {
            return Err(if victim.is_dir() { Errno::ISDIR } else { Errno::NOTDIR });
        }
        slot.directory.check_writable()?;
        if victim.is_dir() {
            return Err(Errno::ISDIR);
        }
        slot.directory.inode().unlink(&slot.name)?;
        victim.removed();
        victim.tell_removed();
        slot.directory.tell(linux::IN_DELETE, 0, &slot.name);
        Ok(())
    }

    /// rmdir(2).
    pub fn rmdir(&self, base: &Rc<Dentry>, path: &[u8]) -> Result<()> {
        let slot = self.slot(base, path, |last| match last {
            Last::Dot => Errno::INVAL,
            Last::DotDot => Errno::NOTEMPTY,
            _ => Errno::BUSY,
        })?;
        let victim = slot.lookup()?;
        if victim.is_busy() {
            return Err(Errno::BUSY);
        }
        slot.directory.check_writable()?;
        if !victim.is_dir() {
            return Err(Errno::NOTDIR);
        }
        slot.directory.inode().rmdir(&slot.name)?;
        victim.removed();
        victim.tell_removed();
        slot.directory.tell(linux::IN_DELETE | linux::IN_ISDIR, 0, &slot.name);
        Ok(())
    }

    /// renameat2(2): from one path to another, each seen from a directory. EINVAL where both flags are
    /// given.
    pub fn rename(
        &self,
        (old_base, old_path): (&Rc<Dentry>, &[u8]),
        (new_base, new_path): (&Rc<Dentry>, &[u8]),
        how: RenameFlags,
    ) -> Result<()> {
        if how.is_all() {
            return Err(Errno::INVAL);
        }
        let from = self.slot(old_base, old_path, |_| Errno::BUSY)?;
        let taken = if how.contains(RenameFlags::NOREPLACE) { Errno::EXIST } else { Errno::BUSY };
        let to = self.slot(new_base, new_path, |_| taken)?;
        if !same_mount(&from.directory, &to.directory) {
            return Err(Errno::XDEV);
        }
        from.directory.check_writable()?;
        let moved = from.lookup()?;
        let target = match to.lookup() {
            Ok(target) => Some(target),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno),
        };
        if target.is_some() && how.contains(RenameFlags::NOREPLACE) {
            return Err(Errno::EXIST);
        }
        let exchange = how.contains(RenameFlags::EXCHANGE);
        let target_is_dir = target.as_ref().is_some_and(|target| target.is_dir());
        let wrong_slash = !moved.is_dir() && (from.slash || !exchange && to.slash);
        if wrong_slash || exchange && to.slash && !target_is_dir {
            return Err(Errno::NOTDIR);
        }
        if moved.is_busy() || target.as_ref().is_some_and(|target| target.is_busy()) {
            return Err(Errno::BUSY);
        }
        let to_ino = to.directory.inode().stat().ino;
        from.directory.inode().rename(&from.name, to_ino, &to.name, how)?;
        let (from_place, to_place) = ((&*from.directory, &*from.name), (&*to.directory, &*to.name));
        match target {
            Some(target) if is_same(&moved, &target) => return Ok(()),
            Some(target) if exchange => {
                target.moved(&from.directory, &from.name);
                target.tell_move(to_place, from_place);
            }
            Some(target) => {
                target.removed();
                target.tell_removed();
            }
            None => {}
        }
        moved.moved(&to.directory, &to.name);
        moved.tell_move(from_place, to_place);
        Ok(())
    }
}

/// Two names of one inode, or twice the same name: renaming one to the other does nothing.
fn is_same(one: &Rc<Dentry>, other: &Rc<Dentry>) -> bool {
    let (one, other) = (one.inode().stat(), other.inode().stat());
    (one.dev, one.ino) == (other.dev, other.ino)
}

fn same_mount(one: &Rc<Dentry>, other: &Rc<Dentry>) -> bool {
    match (one.mount(), other.mount()) {
        (Some(one), Some(other)) => Rc::ptr_eq(one, other),
        _ => false,
    }
}
