//! Extended attributes: values that a file has by name (xattr(7)).
//!
//! ```text
//!   "user.mime_type"  regular files and directories alone
//!   "trusted.…"       root's: the program's
//!   "security.…"      kept, and nobody here acts on them
//!   "system.…"        none: there are no access control lists
//! ```
//!
//! File systems in memory keep them. Images have none: their writer leaves them out.

use alloc::rc::Rc;
use alloc::vec::Vec;

use bitflags::bitflags;
use linux_raw_sys::general as linux;

use super::{Dentry, FileType, Vfs};
use crate::errno::{Errno, Result};

/// Longest name (XATTR_NAME_MAX).
pub const NAME_MAX: usize = linux::XATTR_NAME_MAX as usize;
/// Largest value, bytes (XATTR_SIZE_MAX).
pub const VALUE_MAX: usize = linux::XATTR_SIZE_MAX as usize;
/// Most bytes that the names of one file may be listed in, each with its NUL (XATTR_LIST_MAX).
pub const LIST_MAX: usize = linux::XATTR_LIST_MAX as usize;

bitflags! {
    /// Flags of setxattr(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct XattrFlags: u32 {
        /// Fail where the file has such an attribute.
        const CREATE = linux::XATTR_CREATE;
        /// Fail where it has none.
        const REPLACE = linux::XATTR_REPLACE;
    }
}

/// Whose attributes a name is among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Namespace {
    User,
    Trusted,
    Security,
}

impl Namespace {
    /// EOPNOTSUPP for one that is not here; EINVAL where that is the whole name.
    fn of(name: &[u8]) -> Result<Namespace> {
        let dot = name.iter().position(|byte| *byte == b'.').ok_or(Errno::OPNOTSUPP)?;
        let namespace = match &name[..dot] {
            b"user" => Namespace::User,
            b"trusted" => Namespace::Trusted,
            b"security" => Namespace::Security,
            _ => return Err(Errno::OPNOTSUPP),
        };
        if name.len() == dot + 1 { Err(Errno::INVAL) } else { Ok(namespace) }
    }

    /// Whether what is of this type may have such attributes.
    fn fits(self, file_type: FileType) -> bool {
        self != Namespace::User || matches!(file_type, FileType::Regular | FileType::Directory)
    }
}

impl Vfs {
    /// getxattr(2). EINVAL, ENODATA, EOPNOTSUPP.
    pub fn xattr(&self, dentry: &Rc<Dentry>, name: &[u8]) -> Result<Vec<u8>> {
        let inode = dentry.inode();
        if !Namespace::of(name)?.fits(inode.file_type()) {
            return Err(Errno::NODATA);
        }
        inode.xattr(name)
    }

    /// listxattr(2): the names, each with its NUL. E2BIG beyond [`LIST_MAX`].
    pub fn xattr_names(&self, dentry: &Rc<Dentry>) -> Result<Vec<u8>> {
        let names = dentry.inode().xattr_names()?;
        if names.len() > LIST_MAX { Err(Errno::TOOBIG) } else { Ok(names) }
    }

    /// setxattr(2), or removexattr(2) without a value. E2BIG, EEXIST, EINVAL, ENODATA, ENOSPC, EOPNOTSUPP, EPERM, EROFS.
    pub fn set_xattr(
        &self,
        dentry: &Rc<Dentry>,
        name: &[u8],
        value: Option<&[u8]>,
        how: XattrFlags,
    ) -> Result<()> {
        if value.is_some_and(|value| value.len() > VALUE_MAX) {
            return Err(Errno::TOOBIG);
        }
        dentry.check_writable()?;
        let inode = dentry.inode();
        if !Namespace::of(name)?.fits(inode.file_type()) {
            return Err(Errno::PERM);
        }
        inode.set_xattr(name, value, how)?;
        dentry.tell_all(linux::IN_ATTRIB);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::OpenFlags;
    use crate::fs::testing::{Machine, TMP_LIMITS, machine};

    const ANY: XattrFlags = XattrFlags::empty();

    fn file(machine: &Machine) -> Rc<Dentry> {
        machine.open("/tmp/f", OpenFlags::CREAT | OpenFlags::WRONLY).unwrap().dentry().clone()
    }

    #[test]
    fn attributes_are_set_replaced_listed_and_removed() {
        let machine = machine();
        let (vfs, file) = (&machine.vfs, file(&machine));
        let set = |name: &[u8], value: &[u8], how| vfs.set_xattr(&file, name, Some(value), how);
        assert_eq!(vfs.xattr_names(&file), Ok(Vec::new()));
        assert_eq!(vfs.xattr(&file, b"user.a").err(), Some(Errno::NODATA));
        assert_eq!(set(b"user.a", b"1", XattrFlags::REPLACE), Err(Errno::NODATA));
        assert_eq!(set(b"user.a", b"1", XattrFlags::CREATE), Ok(()));
        assert_eq!(set(b"user.a", b"2", XattrFlags::CREATE), Err(Errno::EXIST));
        assert_eq!(set(b"user.a", b"", XattrFlags::REPLACE), Ok(()));
        assert_eq!(set(b"trusted.b", b"22", ANY), Ok(()));
        assert_eq!(vfs.xattr(&file, b"user.a").as_deref(), Ok(&b""[..]));
        assert_eq!(vfs.xattr(&file, b"trusted.b").as_deref(), Ok(&b"22"[..]));
        assert_eq!(vfs.xattr_names(&file).unwrap(), b"trusted.b\0user.a\0");
        assert_eq!(vfs.set_xattr(&file, b"user.a", None, ANY), Ok(()));
        assert_eq!(vfs.set_xattr(&file, b"user.a", None, ANY), Err(Errno::NODATA));
        assert_eq!(vfs.xattr_names(&file).unwrap(), b"trusted.b\0");
    }

    #[test]
    fn names_say_who_may_have_them() {
        let machine = machine();
        let (vfs, file) = (&machine.vfs, file(&machine));
        let set = |at: &Rc<Dentry>, name: &[u8]| vfs.set_xattr(at, name, Some(b"x"), ANY);
        assert_eq!(set(&file, b"user."), Err(Errno::INVAL));
        for name in [&b"user"[..], b"system.posix_acl_access", b"other.x", b""] {
            assert_eq!(set(&file, name), Err(Errno::OPNOTSUPP));
            assert_eq!(vfs.xattr(&file, name).err(), Some(Errno::OPNOTSUPP));
        }
        machine.symlink("f", "/tmp/link").unwrap();
        let link = vfs.lookup(machine.root(), b"/tmp/link", crate::fs::Follow::No).unwrap();
        assert_eq!(set(&link, b"user.x"), Err(Errno::PERM));
        assert_eq!(vfs.xattr(&link, b"user.x").err(), Some(Errno::NODATA));
        assert_eq!(set(&link, b"security.x"), Ok(()));
        assert_eq!(set(machine.root(), b"user.x"), Err(Errno::ROFS));
        assert_eq!(set(&machine.lookup("/proc/self").unwrap(), b"user.x"), Err(Errno::OPNOTSUPP));
    }

    #[test]
    fn values_count_against_the_file_systems_bytes() {
        let machine = machine();
        let (vfs, file) = (&machine.vfs, file(&machine));
        let value = [7; VALUE_MAX];
        let free = || vfs.statfs(&file).blocks_free;
        let before = free();
        let long = [&value[..], b"8"].concat();
        assert_eq!(vfs.set_xattr(&file, b"user.x", Some(&long), ANY), Err(Errno::TOOBIG));
        let set = |number: usize| {
            let name = std::format!("user.{number}");
            vfs.set_xattr(&file, name.as_bytes(), Some(&value), ANY)
        };
        let taken = (0..).take_while(|number| set(*number).is_ok()).count();
        assert!(taken > 1 && taken <= TMP_LIMITS.bytes as usize / VALUE_MAX);
        assert_eq!(set(taken), Err(Errno::NOSPC));
        assert_eq!(vfs.set_xattr(&file, b"user.0", None, ANY), Ok(()));
        assert_eq!(set(taken), Ok(()), "what was removed left room");
        machine.unlink("/tmp/f").unwrap();
        vfs.shrink(0);
        let root = machine.lookup("/tmp").unwrap();
        drop(file);
        assert_eq!(vfs.statfs(&root).blocks_free, before, "and so does the file's end");
    }
}
