//! A reader for EROFS images that trusts nothing it reads.
//!
//! ```text
//!   path walk, getdents, readlink, page cache          the kernel
//!        │ lookup    │ read_dir  │ extent
//!  ┌─────▼───────────▼───────────▼──────┐
//!  │ Erofs: nid ─► Inode ─► Extent      │             this crate: no memory of its own, no unsafe
//!  └─────┬──────────────────────────────┘
//!        │ page(index): one cached block, not copied
//!   BlockSource over virtio-block                      the kernel
//! ```
//!
//! The image comes from outside the virtual machine, so each number in it is an allegation until it
//! has been checked against the image's size: an [`Inode`] exists only once its contents are known to
//! lie inside, and a directory block is looked at only through a view that has checked its header.
//! What fails a check ends in [`Corrupt`], what is sound but beyond this reader in [`Unsupported`].
//!
//! Nothing here recurses, and no loop runs longer than the directory, or the caller's buffer, is long.
//! A directory that contains itself is a longer path to the same inode, which the kernel's bound on
//! paths ends.
#![no_std]
#![forbid(unsafe_code)]

mod dir;
mod error;
mod extent;
mod fs;
mod inode;
mod source;
mod volume;

pub use dir::{DirEntry, Found};
pub use error::{Corrupt, DirFault, Error, Unsupported};
pub use extent::Extent;
pub use fs::Erofs;
pub use inode::Inode;
pub use mayfly_abi::erofs::{BLOCK_SIZE, FileType, NAME_LEN_MAX, SYMLINK_LEN_MAX, Timestamp};
pub use source::{BlockSource, OutOfRange};
pub use volume::Volume;
