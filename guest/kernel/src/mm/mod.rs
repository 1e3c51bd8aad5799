//! A program's memory: what is promised (areas), what is there (page tables), and the faults that turn
//! the one into the other.
//!
//! ```text
//!   mmap, brk, exec ──▶ Areas: [start, end) protection, backing   ── a promise, costs nothing
//!                          │
//!   page fault ────────────┴─▶ fault.rs ──▶ PageTables: frames    ── made good page by page
//!   kernel about to copy ──┘
//! ```

mod area;
mod fault;
mod fork;
mod remap;
mod rewrite;
mod space;

pub use area::{Area, Areas, Backing, OnFork, Protection, Sharing};
pub use fault::BadAccess;
pub use remap::Destination;
pub use rewrite::Trapped;
pub use space::{AddressSpace, Placement, STACK_NAME};
