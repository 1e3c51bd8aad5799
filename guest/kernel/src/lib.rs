//! The unikernel: Linux's system calls at CPL 3, for the one program it runs.
//!
//! ```text
//!   hal::boot ─▶ kernel::start: random numbers, devices, mounts, first program
//!                   └─▶ scheduler::run ⟲ enter the program ─▶ syscall/ │ mm/ (faults) │ signal
//!                                        exec/ starts programs; fs/, net/ and event/ are what they see as files
//! ```
//!
//! Without the feature `bare-metal` only what needs no machine is compiled: that is what `cargo test` runs.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "bare-metal")]
mod clock;
#[cfg(any(feature = "bare-metal", test))]
mod command;
#[cfg(feature = "bare-metal")]
mod console;
#[cfg(feature = "bare-metal")]
mod devices;
#[cfg(feature = "bare-metal")]
pub mod end;
pub mod errno;
pub mod event;
pub mod exec;
pub mod fs;
#[cfg(feature = "bare-metal")]
mod kernel;
pub mod limits;
#[cfg(feature = "bare-metal")]
mod machine;
pub mod mm;
pub mod net;
#[cfg(feature = "bare-metal")]
mod process;
#[cfg(feature = "bare-metal")]
mod random;
#[cfg(feature = "bare-metal")]
mod scheduler;
#[cfg(feature = "bare-metal")]
mod sigframe;
pub mod signal;
pub mod syscall;
#[cfg(feature = "bare-metal")]
mod thread;

#[cfg(feature = "bare-metal")]
pub use kernel::start;
