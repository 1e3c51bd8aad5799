//! Files in, a read-only EROFS file-system image out.
//!
//! ```text
//!   Tree ──build──► ImageLayout = segments in the order of the image
//!                    │ 0          Bytes     superblock, root, all directories, small files
//!                    │ 64 KiB     External  file 0, straight from where the caller has it
//!                    │ 64 K+len   Zero      up to the next block
//!                    │ …
//!                    ├─► write_to: an image in a file
//!                    └─► a virtual disk that is composed as it is read, without a copy
//! ```
//!
//! What a guest reads while it boots is at the front and close together: the superblock, the root
//! inode and the root directory share the first block, then each directory is followed by the inodes
//! of its files. Contents of a block or more lie in whole blocks, so they can be mapped and shared.
//!
//! Beside that, [`layers`] lays archives over one another, [`elf`] and [`loader`] tell which libraries a program comes with.
//!
//! The same tree and options give the same bytes. The crate is pure: no file is opened here, but by
//! the module `walk`, behind a feature of that name.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod dir;
pub mod elf;
mod error;
mod inode;
pub mod layers;
mod layout;
pub mod loader;
mod options;
mod plan;
mod superblock;
mod tree;
#[cfg(feature = "walk")]
pub mod walk;
mod write;

pub use error::{BuildError, TreeError};
pub use layout::{ImageLayout, Segment, SegmentSource};
pub use mayfly_abi::erofs::Timestamp;
pub use options::{Options, Uuid};
pub use plan::INLINE_FILE_LEN_MAX;
pub use tree::{Attributes, Leaf, NodeId, Source, Tree};
pub use write::{Found, WriteError};
