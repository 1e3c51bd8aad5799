//! Images in, a boot plan out: what to write into guest memory, and the vCPU's first state.
//!
//! Pure: the plan is a value. The VMM carries it out; a test reads it.
//!
//! ```text
//!   KernelHeader ─┐
//!   Machine      ─┼─▶ plan() ─▶ BootPlan { writes: [(gpa, bytes)], cpu: CpuState, upcall, devices }
//!   Command      ─┘
//! ```
#![forbid(unsafe_code)]

mod command;
mod cpu_state;
mod kernel;
mod page_tables;
mod plan;
mod queues;
mod stubs;
mod upcall;
mod vcpu_page;

pub use command::{Command, CommandError, Mount};
pub use cpu_state::{CpuState, Segment, Table};
pub use kernel::{KernelError, check_elf, check_header};
pub use plan::{BootError, BootPlan, Machine, Write, plan};
pub use queues::{DeviceRequest, QueueError};
pub use upcall::{Position, Upcall};
