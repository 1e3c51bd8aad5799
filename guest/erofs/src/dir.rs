//! Directories: names in, inodes out.
//!
//! A cookie says where in a directory a listing goes on: the block in the high bits, the entry in the
//! low 12. It comes back from outside (lseek on a directory), so any value is taken; one that names
//! no entry means the next block.

use core::cmp::Ordering;
use core::ops::{ControlFlow, Deref};

use mayfly_abi::erofs::{BLOCK_BITS, BLOCK_SIZE, Dirent, FileType, NAME_LEN_MAX};
use zerocopy::FromBytes;

use crate::{BlockSource, Corrupt, DirFault, Erofs, Error, Extent, Inode};

const _: () = assert!(BLOCK_SIZE / size_of::<Dirent>() < 1 << BLOCK_BITS, "the cookie holds it");

/// What [`Erofs::lookup`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The inode's number, for [`Erofs::inode`].
    pub nid: u64,
    /// What the entry says that the inode is. The inode itself has the last word.
    pub file_type: FileType,
}

/// One entry of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The name: neither empty nor longer than [`NAME_LEN_MAX`], without slashes and NULs. `.` and
    /// `..` come too, at their places in the order.
    pub name: &'a [u8],
    /// The inode and its type.
    pub found: Found,
    /// Where the entry after this one is (`d_off` of getdents64).
    pub next: u64,
}

impl<S: BlockSource> Erofs<S> {
    /// Looks a name up in a directory; `None` where it has no such entry.
    ///
    /// Two binary searches, so in a directory that is not sorted it may miss, but it ends.
    pub fn lookup(&self, dir: &Inode, name: &[u8]) -> Result<Option<Found>, Error<S::Error>> {
        // The last block whose first name is not after the name.
        let mut candidate = None;
        let (mut from, mut to) = (0, dir_blocks(dir)?);
        while from < to {
            let middle = from + (to - from) / 2;
            let block = self.dir_block(dir, middle)?;
            if block.name(0)? <= name {
                candidate = Some(block);
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        match candidate {
            Some(block) => Ok(block.find(name)?),
            None => Ok(None),
        }
    }

    /// Shows a directory's entries to `visit`, beginning with those at `cookie` (0 is the first), until
    /// `visit` breaks or all were seen. Returns the cookie to go on from: that of the entry where
    /// `visit` broke, so a full buffer loses nothing.
    ///
    /// # Errors
    ///
    /// A name that does not come after the one before it is [`DirFault::Order`].
    pub fn read_dir(
        &self,
        dir: &Inode,
        cookie: u64,
        mut visit: impl FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<u64, Error<S::Error>> {
        let blocks = dir_blocks(dir)?;
        let mut at = cookie;
        while at >> BLOCK_BITS < blocks {
            let number = at >> BLOCK_BITS;
            let block = self.dir_block(dir, number)?;
            let first = at as usize % BLOCK_SIZE;
            for index in first..block.count {
                at = number << BLOCK_BITS | index as u64;
                let name = block.name(index)?;
                if index > 0 && block.name(index - 1)? >= name {
                    return Err(block.fault(DirFault::Order).into());
                }
                if index == 0 && number > 0 && self.last_name_is_after(dir, number - 1, name)? {
                    return Err(block.fault(DirFault::Order).into());
                }
                let found = block.found(index)?;
                if visit(DirEntry { name, found, next: at + 1 }).is_break() {
                    return Ok(at);
                }
            }
            at = (number + 1) << BLOCK_BITS;
        }
        Ok(at)
    }

    fn last_name_is_after(
        &self,
        dir: &Inode,
        number: u64,
        name: &[u8],
    ) -> Result<bool, Error<S::Error>> {
        let block = self.dir_block(dir, number)?;
        Ok(block.name(block.count - 1)? >= name)
    }

    /// One block of a directory. `number` is below [`dir_blocks`].
    fn dir_block(
        &self,
        dir: &Inode,
        number: u64,
    ) -> Result<DirBlock<S::Page<'_>>, Error<S::Error>> {
        let Some(extent) = self.extent(dir, number << BLOCK_BITS)? else {
            return Err(Corrupt::Contents { nid: dir.nid }.into());
        };
        let (Extent::Blocks { offset, len } | Extent::Inline { offset, len }) = extent else {
            return Err(Corrupt::Contents { nid: dir.nid }.into());
        };
        let page = self.page(offset >> BLOCK_BITS)?;
        let start = offset as usize % BLOCK_SIZE;
        let len = len.min((BLOCK_SIZE - start) as u64) as usize;
        Ok(DirBlock::new(page, start, len, dir.nid, number)?)
    }
}

/// How many blocks a directory has: as many as its size says, which are in the image.
fn dir_blocks<E>(dir: &Inode) -> Result<u64, Error<E>> {
    match dir.file_type {
        FileType::Directory => Ok(dir.size.div_ceil(BLOCK_SIZE as u64)),
        _ => Err(Error::NotADirectory),
    }
}

/// A directory block in its page: `count` entries, at least one, all before the first name.
struct DirBlock<P> {
    page: P,
    start: usize,
    len: usize,
    count: usize,
    nid: u64,
    number: u64,
}

impl<P: Deref<Target = [u8; BLOCK_SIZE]>> DirBlock<P> {
    fn new(page: P, start: usize, len: usize, nid: u64, number: u64) -> Result<Self, Corrupt> {
        let mut block = DirBlock { page, start, len, count: 1, nid, number };
        let names_at = usize::from(block.dirent(0)?.nameoff);
        if names_at == 0 || names_at >= len || names_at % size_of::<Dirent>() != 0 {
            return Err(block.fault(DirFault::Count));
        }
        block.count = names_at / size_of::<Dirent>();
        Ok(block)
    }

    fn bytes(&self) -> &[u8] {
        &self.page[self.start..self.start + self.len]
    }

    fn fault(&self, fault: DirFault) -> Corrupt {
        Corrupt::Directory { nid: self.nid, block: self.number, fault }
    }

    fn dirent(&self, index: usize) -> Result<&Dirent, Corrupt> {
        self.bytes()
            .get(index * size_of::<Dirent>()..)
            .and_then(|rest| Dirent::ref_from_prefix(rest).ok())
            .map(|(dirent, _)| dirent)
            .ok_or(self.fault(DirFault::Count))
    }

    /// A name ends where the next begins, the last one at a NUL or at the end of the block.
    fn name(&self, index: usize) -> Result<&[u8], Corrupt> {
        let begin = usize::from(self.dirent(index)?.nameoff);
        let end = match index + 1 {
            next if next < self.count => usize::from(self.dirent(next)?.nameoff),
            _ => self.len,
        };
        let name = match self.bytes().get(begin..end) {
            Some(name) if begin >= self.count * size_of::<Dirent>() => name,
            _ => return Err(self.fault(DirFault::NameOffset)),
        };
        let name = match name.iter().position(|&byte| byte == 0) {
            Some(len) if index + 1 == self.count => &name[..len],
            Some(_) => return Err(self.fault(DirFault::Name)),
            None => name,
        };
        if name.is_empty() || name.len() > NAME_LEN_MAX || name.contains(&b'/') {
            return Err(self.fault(DirFault::Name));
        }
        Ok(name)
    }

    fn found(&self, index: usize) -> Result<Found, Corrupt> {
        let dirent = self.dirent(index)?;
        let file_type =
            FileType::from_dirent_code(dirent.file_type).ok_or(self.fault(DirFault::Type))?;
        Ok(Found { nid: dirent.nid.get(), file_type })
    }

    fn find(&self, name: &[u8]) -> Result<Option<Found>, Corrupt> {
        let (mut from, mut to) = (0, self.count);
        while from < to {
            let middle = from + (to - from) / 2;
            match self.name(middle)?.cmp(name) {
                Ordering::Equal => return Ok(Some(self.found(middle)?)),
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
            }
        }
        Ok(None)
    }
}
