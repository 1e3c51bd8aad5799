//! The guest kernel's unsafe, fenced: the CPU, its entry paths, page tables, frames, ports and memory
//! shared with devices. Everything above this crate is safe Rust.
//!
//! Without the feature `bare-metal` there is no vCPU to run on: frames live in a heap arena of the
//! calling thread, and the kernel's logic runs under plain `cargo test`.
#![no_std]

#[cfg(feature = "bare-metal")]
extern crate alloc;
#[cfg(not(feature = "bare-metal"))]
extern crate std;

#[cfg(feature = "bare-metal")]
pub mod boot;
pub mod cell;
#[cfg(feature = "bare-metal")]
pub mod channel;
pub mod context;
pub mod cpu;
pub mod dma;
#[cfg(feature = "bare-metal")]
mod entry;
#[cfg(feature = "bare-metal")]
pub mod fpu;
#[cfg(feature = "bare-metal")]
mod heap;
#[cfg(feature = "bare-metal")]
pub mod jump;
pub mod paging;
pub mod phys;
#[cfg(feature = "bare-metal")]
mod symbols;
#[cfg(feature = "bare-metal")]
pub mod user;
#[cfg(feature = "bare-metal")]
pub mod vdso;

#[cfg(feature = "bare-metal")]
pub use entry::run;
