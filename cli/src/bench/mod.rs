//! `mayfly bench`: measurements, each beside its floor or its peer in the same run.

mod boot;
mod burst;
mod echo;
mod flood;
mod function;
mod invoke;
mod load;
mod own;
mod parts;
mod process;
mod python;
mod queue;
mod server;
mod summary;
mod syscall;

use std::process::ExitCode;

use crate::args::BenchCommand;
use crate::failure::Failure;

/// Carries one out.
///
/// # Errors
/// A host that can't run it.
pub fn bench(command: BenchCommand) -> Result<ExitCode, Failure> {
    match command {
        BenchCommand::Boot { runs, json } => boot::boot(runs, json),
        BenchCommand::Burst(options) => burst::burst(&options),
        BenchCommand::Invoke(options) => invoke::invoke(&options),
        BenchCommand::Queue(options) => queue::queue(&options),
        BenchCommand::Process(options) => process::process(&options),
        BenchCommand::Python(options) => python::python(&options),
        BenchCommand::Syscall(options) => syscall::syscall(&options),
        BenchCommand::Echo => echo::serve(),
    }
}
