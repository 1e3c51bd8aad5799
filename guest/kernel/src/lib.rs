//! The unikernel: Linux's system calls at CPL 3, for the one program it runs.
//!
//! ```text
//!   hal::boot ─▶ kernel::start: random numbers, devices, mounts, first program
//!                   └─▶ scheduler::run ⟲ enter a thread ─▶ syscall/ │ mm/ (faults) │ signal/
//!                          │             exec/ starts programs; fs/, net/, event/ and tty/ are what they see as files
//!                          └─▶ agenda: who is next · futex: who waits where · slice: for how long
//! ```
//!
//! Without the feature `bare-metal` only what needs no machine is compiled: that is what `cargo test` runs.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "bare-metal")]
mod accounting;
pub mod agenda;
pub mod capabilities;
#[cfg(feature = "bare-metal")]
mod clock;
#[cfg(any(feature = "bare-metal", test))]
mod command;
#[cfg(feature = "bare-metal")]
mod console;
pub mod credentials;
#[cfg(feature = "bare-metal")]
mod devices;
#[cfg(feature = "bare-metal")]
pub mod end;
pub mod errno;
pub mod event;
pub mod exec;
#[cfg(feature = "bare-metal")]
mod exit;
pub mod family;
#[cfg(feature = "bare-metal")]
mod fault;
pub mod fs;
pub mod futex;
#[cfg(feature = "bare-metal")]
mod kernel;
pub mod limits;
#[cfg(feature = "bare-metal")]
mod machine;
pub mod mm;
pub mod net;
pub mod personality;
#[cfg(feature = "bare-metal")]
mod process;
#[cfg(feature = "bare-metal")]
mod processes;
#[cfg(feature = "bare-metal")]
mod programs;
#[cfg(feature = "bare-metal")]
mod random;
pub mod rewrite;
#[cfg(feature = "bare-metal")]
mod scheduler;
pub mod shm;
#[cfg(feature = "bare-metal")]
mod sigframe;
pub mod signal;
#[cfg(feature = "bare-metal")]
mod signaling;
#[cfg(feature = "bare-metal")]
mod slice;
pub mod syscall;
#[cfg(feature = "bare-metal")]
mod thread;
#[cfg(feature = "bare-metal")]
mod threads;
pub mod tty;

#[cfg(feature = "bare-metal")]
pub use kernel::start;
