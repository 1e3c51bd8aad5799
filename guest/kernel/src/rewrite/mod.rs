//! System calls as jumps: a place in a program that makes the same call again and again is changed so that it reaches
//! the kernel without a trap.
//!
//! ```text
//!   as compiled     b8 nr nr nr nr   0f 05        mov eax, nr; syscall
//!   rewritten       ff 24 25 lo lo   0f 05        jmp [0x050flolo]
//!                     └── written ──┘ └ as before: who jumps here, or was interrupted here, makes the call by a trap
//!
//!   table  0x050flolo ──▶ stub  mov rcx, address after the site; mov eax, nr; jump into the kernel (hal's jump.rs)
//! ```
//!
//! [`site`] decides whether bytes are such a pair, [`hot`] whether it is worth it, [`stub`] what a stub is, and
//! [`calls`] keeps what one program has. Memory is changed by `mm/rewrite.rs`.

pub mod calls;
pub mod hot;
pub mod site;
pub mod stub;

pub use calls::{Calls, Entries};
