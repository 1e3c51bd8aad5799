//! The guest kernel's unsafe, fenced: the CPU, its entry paths, page tables, frames, ports and memory
//! shared with devices. Everything above this crate is safe Rust.
//!
//! With the feature `hosted` the frames live in a heap arena of the calling thread, so that the kernel's
//! logic runs under plain `cargo test`.
#![no_std]

#[cfg(any(feature = "hosted", test))]
extern crate std;

pub mod cell;
pub mod dma;
pub mod phys;
