//! Shared memory as System V has it (sysvipc(7)): segments that have numbers, and keys by which processes find them.
//!
//! ```text
//!   key ─shmget─▶ id ─shmat─▶ an area of the segment's file, which has no name
//!   IPC_RMID: the key is free at once; the memory goes with its last area, which alone holds it then
//! ```

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};

use crate::errno::{Errno, Result};
use crate::family::Pid;
use crate::fs::{Dentry, Inode};

/// The key of segments that are found by their number alone.
pub const IPC_PRIVATE: u32 = 0;
/// Most segments: Linux's kernel.shmmni.
pub const SEGMENTS_MAX: usize = 4096;

/// Who holds a segment's memory.
enum Hold {
    /// The segment, whoever has it attached.
    Kept(Rc<Dentry>),
    /// Those who have it attached: it was removed.
    Left(Weak<Dentry>),
}

/// A segment.
pub struct Segment {
    hold: Hold,
    /// What finds it; [`IPC_PRIVATE`] once it is removed.
    pub key: u32,
    /// How long it is, as it was asked for.
    pub bytes: u64,
    /// Permissions, kept and told.
    pub mode: u32,
    /// User and group that own it.
    pub owner: [u32; 2],
    /// User and group that made it.
    pub creator: [u32; 2],
    /// Who made it, and who attached or detached it last; 0: nobody.
    pub pids: [Pid; 2],
    /// When it was attached, detached and changed last, seconds since 1970; 0: never.
    pub times: [u64; 3],
}

impl Segment {
    /// Its memory; `None` where it was removed and nobody has it any more.
    pub fn file(&self) -> Option<Rc<Dentry>> {
        match &self.hold {
            Hold::Kept(file) => Some(file.clone()),
            Hold::Left(file) => file.upgrade(),
        }
    }

    /// Whether it was removed.
    pub fn is_removed(&self) -> bool {
        matches!(self.hold, Hold::Left(_))
    }
}

/// All segments.
#[derive(Default)]
pub struct Segments {
    by_id: BTreeMap<u32, Segment>,
    next_id: u32,
}

impl Segments {
    /// The number of the segment with this key.
    pub fn find(&self, key: u32) -> Option<u32> {
        let has_key = |(_, segment): &(&u32, &Segment)| key != IPC_PRIVATE && segment.key == key;
        self.by_id.iter().find(has_key).map(|(id, _)| *id)
    }

    /// A new segment, whose memory is `file`. ENOSPC.
    pub fn add(&mut self, file: Rc<Dentry>, key: u32, bytes: u64) -> Result<(u32, &mut Segment)> {
        self.forget_gone();
        if self.by_id.len() >= SEGMENTS_MAX {
            return Err(Errno::NOSPC);
        }
        while self.by_id.contains_key(&self.next_id) {
            self.next_id = (self.next_id + 1) & i32::MAX as u32;
        }
        let id = self.next_id;
        self.next_id = (id + 1) & i32::MAX as u32;
        let segment = self.by_id.entry(id).or_insert(Segment {
            hold: Hold::Kept(file),
            key,
            bytes,
            mode: 0,
            owner: [0; 2],
            creator: [0; 2],
            pids: [0; 2],
            times: [0; 3],
        });
        Ok((id, segment))
    }

    /// A segment that is there, or was removed and is attached somewhere. EINVAL.
    pub fn get(&mut self, id: u32) -> Result<&mut Segment> {
        self.forget_gone();
        self.by_id.get_mut(&id).ok_or(Errno::INVAL)
    }

    /// The segment whose memory is this file.
    pub fn of_file(&mut self, inode: &Rc<dyn Inode>) -> Option<&mut Segment> {
        let is_it =
            |segment: &Segment| segment.file().is_some_and(|file| Rc::ptr_eq(file.inode(), inode));
        self.by_id.values_mut().find(|segment| is_it(segment))
    }

    /// Removes a segment: nobody finds it by its key any more (IPC_RMID). EINVAL.
    pub fn remove(&mut self, id: u32) -> Result<()> {
        let segment = self.get(id)?;
        if let Hold::Kept(file) = &segment.hold {
            segment.hold = Hold::Left(Rc::downgrade(file));
            segment.key = IPC_PRIVATE;
        }
        self.forget_gone();
        Ok(())
    }

    /// The segments that are there.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Segment)> {
        self.by_id.iter().map(|(id, segment)| (*id, segment))
    }

    fn forget_gone(&mut self) {
        self.by_id.retain(|_, segment| segment.file().is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::OpenFlags;
    use crate::fs::testing::machine;

    #[test]
    fn what_is_removed_is_there_until_nobody_has_it() {
        let machine = machine();
        let flags = OpenFlags::RDWR | OpenFlags::CREAT;
        let file = || {
            let open = machine.open("/tmp/f", flags).unwrap();
            Dentry::anonymous(open.dentry().inode().clone(), b"/SYSV")
        };
        let mut segments = Segments::default();
        let (first, _) = segments.add(file(), 7, 10).unwrap();
        let (second, _) = segments.add(file(), IPC_PRIVATE, 10).unwrap();
        assert_eq!((segments.find(7), segments.find(IPC_PRIVATE)), (Some(first), None));
        let attached = segments.get(first).unwrap().file().unwrap();
        segments.remove(first).unwrap();
        assert_eq!(segments.find(7), None, "the key is free");
        assert!(segments.get(first).unwrap().is_removed());
        drop(attached);
        assert_eq!(segments.get(first).err(), Some(Errno::INVAL));
        segments.remove(second).unwrap();
        assert_eq!((segments.iter().count(), segments.remove(second)), (0, Err(Errno::INVAL)));
    }
}
