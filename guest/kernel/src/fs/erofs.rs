//! The image: a read-only EROFS on a disk, through the page cache.
//!
//! ```text
//!   file page ──extent──► disk page ──► cache ──► frame             contents in blocks of their own
//!             ├─────────► among metadata: copied into a frame       a short file, or a file's end
//!             └─────────► nowhere: the page of zeros                a hole
//! ```
//!
//! Each file remembers where its last request ended. A miss just there means that the file is read from
//! front to back, and doubles the next request.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell};
use core::ops::{ControlFlow, Deref};

use linux_raw_sys::general::EROFS_SUPER_MAGIC_V1;
use mayfly_erofs::{self as format, BlockSource, Extent, SYMLINK_LEN_MAX};
use mayfly_hal::phys::{FRAME_SIZE, Frame};

use super::cache::{Disk, PageCache, REQUEST_PAGES_MAX};
use super::inode::{DirEntry, DirSink, FileSystem, Inode};
use super::stat::{FileType, Stat, StatFs, TimeNs, Times, device_number};
use crate::errno::{Errno, Result};

/// Pages in the first request for a file. The first touch of a frame costs about as much as a small
/// request, so what may not be needed is not read.
const FIRST_REQUEST: u64 = 4;
/// Pages around a mapped page that are read with it: 64 KiB, a request's cost in copying.
const MAPPED_WINDOW: u64 = 16;
/// Pages in a request for metadata: the image keeps together what a path walk needs.
const METADATA_REQUEST: u64 = 4;

const PAGE: u64 = FRAME_SIZE as u64;

type Reader = format::Erofs<Metadata>;
type ReadResult<T> = Result<T, format::Error<Errno>>;

/// A mounted image.
pub struct ErofsFs {
    shared: Rc<Shared>,
    root: Rc<Node>,
}

struct Shared {
    reader: Reader,
    cache: Rc<PageCache>,
    dev: u64,
    /// One page of zeros stands for all holes. Nobody can write to it.
    zeros: OnceCell<Frame>,
}

struct Node {
    shared: Rc<Shared>,
    inode: format::Inode,
    file_type: FileType,
    /// The page after the last one that was read from the disk for this file.
    request_end: Cell<u64>,
    /// How many pages that request had.
    request_len: Cell<u64>,
    /// The file's last page, where the disk has no page like it.
    last_page: OnceCell<Frame>,
}

impl ErofsFs {
    /// Mounts the image on `disk`; `dev` is its `st_dev`. EUCLEAN for an image that is corrupt,
    /// EOPNOTSUPP for one that uses what the reader does not know.
    pub fn mount(disk: Rc<dyn Disk>, dev: u64) -> Result<ErofsFs> {
        let cache = Rc::new(PageCache::new(disk));
        let reader = Reader::mount(Metadata(cache.clone())).map_err(errno)?;
        let inode = reader.root().map_err(errno)?;
        let shared = Rc::new(Shared { reader, cache, dev, zeros: OnceCell::new() });
        let root = Rc::new(Node::new(shared.clone(), inode));
        Ok(ErofsFs { shared, root })
    }

    /// The disk's cached pages.
    pub fn cache(&self) -> &PageCache {
        &self.shared.cache
    }
}

impl FileSystem for ErofsFs {
    fn type_name(&self) -> &'static str {
        "erofs"
    }

    fn root(&self) -> Rc<dyn Inode> {
        self.root.clone()
    }

    fn statfs(&self) -> StatFs {
        let volume = self.shared.reader.volume();
        StatFs {
            magic: EROFS_SUPER_MAGIC_V1,
            block_size: FRAME_SIZE as u32,
            blocks: volume.blocks.into(),
            blocks_free: 0,
            files: volume.inodes,
            files_free: 0,
        }
    }

    fn shrink(&self, frames: usize) -> usize {
        self.shared.cache.shrink(frames)
    }

    fn cached(&self) -> u64 {
        self.shared.cache.idle() as u64
    }
}

/// The reader's view of the cache.
struct Metadata(Rc<PageCache>);

/// A block that the reader looks at: held, so that it stays.
struct Block(Frame);

impl Deref for Block {
    type Target = [u8; FRAME_SIZE];

    fn deref(&self) -> &[u8; FRAME_SIZE] {
        self.0.bytes()
    }
}

impl BlockSource for Metadata {
    type Error = Errno;
    type Page<'a> = Block;

    fn page(&self, index: u64) -> Result<Block> {
        self.0.load(index, METADATA_REQUEST).map(|(frame, _)| Block(frame))
    }
}

fn errno(error: format::Error<Errno>) -> Errno {
    match error {
        format::Error::Source(errno) => errno,
        format::Error::Corrupt(_) => Errno::UCLEAN,
        format::Error::Unsupported(_) => Errno::OPNOTSUPP,
        format::Error::NotADirectory => Errno::NOTDIR,
        format::Error::NotASymlink => Errno::INVAL,
    }
}

fn file_type(of: format::FileType) -> FileType {
    match of {
        format::FileType::Regular => FileType::Regular,
        format::FileType::Directory => FileType::Directory,
        format::FileType::Symlink => FileType::Symlink,
        format::FileType::CharDevice => FileType::CharDevice,
        format::FileType::BlockDevice => FileType::BlockDevice,
        format::FileType::Fifo => FileType::Fifo,
        format::FileType::Socket => FileType::Socket,
    }
}

impl Node {
    fn new(shared: Rc<Shared>, inode: format::Inode) -> Node {
        Node {
            shared,
            file_type: file_type(inode.file_type),
            inode,
            request_end: Cell::new(0),
            request_len: Cell::new(FIRST_REQUEST / 2),
            last_page: OnceCell::new(),
        }
    }

    fn with<R>(&self, ask: impl FnOnce(&Reader, &format::Inode) -> ReadResult<R>) -> Result<R> {
        ask(&self.shared.reader, &self.inode).map_err(errno)
    }

    /// A page of the file that is page `index` of the disk, as are the `left` pages from it on; `needed`
    /// of them for sure.
    fn load(&self, file_page: u64, index: u64, left: u64, needed: u64) -> Result<Frame> {
        if let Some(frame) = self.shared.cache.get(index) {
            return Ok(frame);
        }
        let is_sequential = self.request_end.get() == file_page;
        let ahead = if is_sequential { self.request_len.get() * 2 } else { FIRST_REQUEST };
        let wanted = ahead.max(needed).min(left).min(REQUEST_PAGES_MAX as u64);
        let (frame, read) = self.shared.cache.load(index, wanted)?;
        self.request_end.set(file_page + read);
        self.request_len.set(read);
        Ok(frame)
    }

    /// As [`Node::load`], for a mapping: programs jump about, so the aligned window around the page is read,
    /// and the fault that asks maps what it finds in memory.
    fn load_mapped(&self, file_page: u64, index: u64) -> Result<Frame> {
        if let Some(frame) = self.shared.cache.get(index) {
            return Ok(frame);
        }
        let window = file_page - file_page % MAPPED_WINDOW;
        let size = self.inode.size.div_ceil(PAGE);
        let pages = MAPPED_WINDOW.min(size - window);
        let before = file_page - window;
        let first = self.with(|reader, inode| reader.extent(inode, window * PAGE))?;
        let is_contiguous = matches!(first, Some(Extent::Blocks { offset, .. })
            if offset / PAGE + before == index);
        if is_contiguous {
            self.shared.cache.load(index - before, pages)?;
        }
        // Where part of the window was there already, the rest of it.
        self.shared.cache.load(index, pages - before).map(|(frame, _)| frame)
    }

    /// What of the file is past its end, in its last page, reads as zero: mostly it is on the disk too.
    fn end_page(&self, frame: Frame, len: usize) -> Result<Frame> {
        if frame.bytes()[len..].iter().all(|&byte| byte == 0) {
            return Ok(frame);
        }
        self.make_last_page(|page| {
            page.write(0, &frame.bytes()[..len]);
            Ok(())
        })
    }

    fn make_last_page(&self, fill: impl FnOnce(&Frame) -> Result<()>) -> Result<Frame> {
        if let Some(frame) = self.last_page.get() {
            return Ok(frame.clone());
        }
        let frame = Frame::zeroed().ok_or(Errno::NOMEM)?;
        fill(&frame)?;
        Ok(self.last_page.get_or_init(|| frame).clone())
    }

    fn zeros(&self) -> Result<Frame> {
        if let Some(frame) = self.shared.zeros.get() {
            return Ok(frame.clone());
        }
        let frame = Frame::zeroed().ok_or(Errno::NOMEM)?;
        Ok(self.shared.zeros.get_or_init(|| frame).clone())
    }
}

impl Inode for Node {
    fn stat(&self) -> Stat {
        let inode = &self.inode;
        let nanoseconds = i64::from(inode.mtime.nanoseconds);
        let modified: TimeNs =
            inode.mtime.seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds);
        Stat {
            dev: self.shared.dev,
            ino: inode.nid,
            mode: inode.mode.into(),
            nlink: inode.nlink,
            uid: inode.uid,
            gid: inode.gid,
            rdev: device_number(inode.rdev.0, inode.rdev.1),
            size: inode.size,
            blocks: inode.size.div_ceil(512),
            block_size: FRAME_SIZE as u32,
            times: Times::all(modified),
        }
    }

    fn file_type(&self) -> FileType {
        self.file_type
    }

    fn lookup(&self, name: &[u8]) -> Result<Rc<dyn Inode>> {
        let inode = self.with(|reader, inode| match reader.lookup(inode, name)? {
            Some(found) => reader.inode(found.nid).map(Some),
            None => Ok(None),
        })?;
        Ok(Rc::new(Node::new(self.shared.clone(), inode.ok_or(Errno::NOENT)?)))
    }

    fn read_dir(&self, cookie: u64, sink: &mut DirSink<'_>) -> Result<()> {
        self.with(|reader, inode| {
            reader.read_dir(inode, cookie, |entry| match entry.name {
                b"." | b".." => ControlFlow::Continue(()),
                name => sink(DirEntry {
                    name,
                    ino: entry.found.nid,
                    file_type: file_type(entry.found.file_type),
                    next: entry.next,
                }),
            })
        })?;
        Ok(())
    }

    fn xattr(&self, _name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::NODATA)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.file_type != FileType::Symlink {
            return Err(Errno::INVAL);
        }
        let len = usize::try_from(self.inode.size).unwrap_or(usize::MAX);
        let mut text = vec![0; len.min(SYMLINK_LEN_MAX)];
        let count = self.with(|reader, inode| reader.read_link(inode, &mut text))?;
        text.truncate(count);
        Ok(text)
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        match self.file_type {
            FileType::Regular => {}
            FileType::Directory => return Err(Errno::ISDIR),
            _ => return Err(Errno::INVAL),
        }
        let mut done = 0;
        while done < to.len() {
            let at = offset.saturating_add(done as u64);
            let page_start = at / PAGE * PAGE;
            let Some(extent) = self.with(|reader, inode| reader.extent(inode, page_start))? else {
                break;
            };
            let within = (at - page_start) as usize;
            let there = extent.bytes().saturating_sub(within as u64);
            let now = there.min((to.len() - done) as u64).min(PAGE - within as u64) as usize;
            if now == 0 {
                break;
            }
            let needed = (within as u64 + (to.len() - done) as u64).div_ceil(PAGE);
            let to = &mut to[done..done + now];
            match extent {
                Extent::Blocks { offset, len } => {
                    let left = len.div_ceil(PAGE);
                    self.load(at / PAGE, offset / PAGE, left, needed)?.read(within, to);
                }
                Extent::Hole { .. } => to.fill(0),
                Extent::Inline { .. } => {
                    self.with(|reader, inode| reader.read_at(inode, at, to))?;
                }
            }
            done += now;
        }
        Ok(done)
    }

    fn page(&self, index: u64) -> Result<Frame> {
        if self.file_type != FileType::Regular {
            return Err(Errno::NODEV);
        }
        let offset = index.checked_mul(PAGE).ok_or(Errno::NXIO)?;
        match self.with(|reader, inode| reader.extent(inode, offset))?.ok_or(Errno::NXIO)? {
            Extent::Hole { .. } => self.zeros(),
            Extent::Blocks { offset, len } => {
                let frame = self.load_mapped(index, offset / PAGE)?;
                if len < PAGE { self.end_page(frame, len as usize) } else { Ok(frame) }
            }
            Extent::Inline { len, .. } => self.make_last_page(|page| {
                let mut bytes = vec![0; len.min(PAGE) as usize];
                let count = self.with(|reader, inode| reader.read_at(inode, offset, &mut bytes))?;
                page.write(0, &bytes[..count]);
                Ok(())
            }),
        }
    }

    fn is_immutable(&self) -> bool {
        true
    }

    fn cached_page(&self, index: u64) -> Option<Frame> {
        let offset = index.checked_mul(PAGE)?;
        match self.with(|reader, inode| reader.extent(inode, offset)).ok()?? {
            Extent::Blocks { offset, len } if len >= PAGE => self.shared.cache.get(offset / PAGE),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
