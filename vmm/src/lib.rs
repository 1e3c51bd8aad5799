//! Carries boot plans and device effects out on KVM.
//!
//! ```text
//!   the starter (mayfly run, mayfly serve)          the VM's process (mayfly vmm)
//!  ┌──────────────────────────────────────┐        ┌─────────────────────────────────────────────┐
//!  │ process::Starting ─▶ process::Vm     │ control│ process::child ─▶ Machine ─▶ Runner         │
//!  │        spec, descriptors ────────────┼────────┼▶                                            │
//!  │        outcome, report  ◀────────────┼────────┼─ kvm · memory · devices (disk, streams)     │
//!  └──────────────────────────────────────┘        └─────────────────────────────────────────────┘
//! ```
//!
//! One VM is one process with one thread: it runs the guest, and on an exit the devices. Nothing that the
//! guest writes makes this crate panic, wait without an end, or touch memory that is not the guest's.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod clock;
pub mod descriptors;
mod devices;
mod disk;
mod embedded;
mod kernel_image;
pub mod kvm;
mod machine;
mod memory;
mod outcome;
mod poll;
mod preemption;
pub mod process;
mod requests;
mod runner;
mod scatter;
mod streams;
pub mod time;
mod waiter;

pub use descriptors::Descriptors;
pub use machine::{Machine, MachineError, Prepared};
pub use runner::{RunError, Runner};
