//! A mounted image: from a number to an inode, and from an inode to its bytes.

use mayfly_abi::erofs::{self as disk, BLOCK_BITS, BLOCK_SIZE, FileType, InodeCompact, SLOT_SIZE};
use zerocopy::{FromBytes, IntoBytes};

use crate::inode::widen;
use crate::{BlockSource, Corrupt, Error, Extent, Inode, Unsupported, Volume};

/// A mounted image. It holds no state but the superblock; caching is the [`BlockSource`]'s affair.
#[derive(Debug)]
pub struct Erofs<S> {
    source: S,
    volume: Volume,
}

impl<S: BlockSource> Erofs<S> {
    /// Checks the superblock and that the root is a directory.
    ///
    /// # Errors
    ///
    /// [`Unsupported`] names the features, block size or the like that the reader does not know.
    pub fn mount(source: S) -> Result<Self, Error<S::Error>> {
        let volume = Volume::parse(&*source.page(0).map_err(Error::Source)?)?;
        let fs = Erofs { source, volume };
        match fs.root()?.file_type {
            FileType::Directory => Ok(fs),
            _ => Err(Corrupt::Root { nid: volume.root_nid }.into()),
        }
    }

    /// What the superblock says.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Where the blocks come from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The root directory.
    pub fn root(&self) -> Result<Inode, Error<S::Error>> {
        self.inode(self.volume.root_nid)
    }

    /// The inode with this number. Any number may be asked for; one where no inode was written gives
    /// an error or an inode made of whatever bytes are there, whose contents are inside the image.
    pub fn inode(&self, nid: u64) -> Result<Inode, Error<S::Error>> {
        let offset = nid
            .checked_mul(SLOT_SIZE as u64)
            .and_then(|offset| offset.checked_add(self.volume.meta_start))
            .filter(|&offset| self.volume.holds(offset, SLOT_SIZE as u64))
            .ok_or(Corrupt::Nid { nid })?;
        let compact: InodeCompact = self.read_metadata(offset)?;
        let format = compact.format.get();
        let (is_extended, layout) =
            disk::parse_inode_format(format).ok_or(Unsupported::InodeFormat { nid, format })?;
        let mut raw = widen(&compact, &self.volume);
        let mut end = offset + SLOT_SIZE as u64;
        if is_extended {
            end += SLOT_SIZE as u64;
            if end > self.volume.size() {
                return Err(Corrupt::Nid { nid }.into());
            }
            raw = self.read_metadata(offset)?;
        }
        end += disk::xattr_size(raw.xattr_icount.get());
        Inode::check(nid, layout, &raw, end, &self.volume)
    }

    /// Copies the target of a symbolic link to the front of `buf` and returns how much: all of it
    /// where `buf` is as long as the inode's size, else as much as fits, like readlink(2).
    pub fn read_link(&self, link: &Inode, buf: &mut [u8]) -> Result<usize, Error<S::Error>> {
        match link.file_type {
            FileType::Symlink => self.read_at(link, 0, buf),
            _ => Err(Error::NotASymlink),
        }
    }

    /// Copies bytes of a file, beginning with `file_offset`, and returns how many: fewer than `buf`
    /// holds just where the file ends.
    pub fn read_at(
        &self,
        inode: &Inode,
        file_offset: u64,
        buf: &mut [u8],
    ) -> Result<usize, Error<S::Error>> {
        let mut done = 0;
        while done < buf.len() {
            let Some(extent) = self.extent(inode, file_offset.saturating_add(done as u64))? else {
                break;
            };
            let rest = &mut buf[done..];
            let len = rest.len().min(usize::try_from(extent.bytes()).unwrap_or(usize::MAX));
            match extent {
                Extent::Hole { .. } => rest[..len].fill(0),
                Extent::Blocks { offset, .. } | Extent::Inline { offset, .. } => {
                    self.read_exact_at(offset, &mut rest[..len])?;
                }
            }
            done += len;
        }
        Ok(done)
    }

    /// One block of the image.
    pub(crate) fn page(&self, index: u64) -> Result<S::Page<'_>, Error<S::Error>> {
        self.source.page(index).map_err(Error::Source)
    }

    /// Reads a structure that the caller knows to be inside the image. It may lie across two blocks.
    pub(crate) fn read_metadata<T: FromBytes + IntoBytes>(
        &self,
        offset: u64,
    ) -> Result<T, Error<S::Error>> {
        let mut structure = T::new_zeroed();
        self.read_exact_at(offset, structure.as_mut_bytes())?;
        Ok(structure)
    }

    fn read_exact_at(&self, mut offset: u64, mut to: &mut [u8]) -> Result<(), Error<S::Error>> {
        while !to.is_empty() {
            let page = self.page(offset >> BLOCK_BITS)?;
            let from = &page[offset as usize % BLOCK_SIZE..];
            let (now, later) = to.split_at_mut(from.len().min(to.len()));
            now.copy_from_slice(&from[..now.len()]);
            offset += now.len() as u64;
            to = later;
        }
        Ok(())
    }
}
