//! The `mayfly` command: argv in, an exit status out.

// They panic where nobody reads: see `platform::print` and `failure::say`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod bench;
mod demo;
mod doctor;
mod elf;
mod environment;
mod failure;
mod files;
mod filesystems;
mod footprint;
mod guest;
mod image;
mod names;
mod platform;
mod program;
mod progress;
mod root;
mod run;
mod runtimes;
mod sample;
mod serve;
mod signals;
mod simulate;
mod timing;

use std::process::ExitCode;

use args::{Command, ImageCommand};
use failure::Failure;
use timing::TimeZero;

fn main() -> ExitCode {
    let started_ns = mayfly_vmm::time::monotonic_ns();
    // The VM's own process, which every start of a VM waits for, has no use for a command line.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "vmm") {
        mayfly_vmm::process::child_main();
    }
    let command = match args::parse() {
        Ok(command) => command,
        Err(status) => return status,
    };
    let result = match command {
        Command::Run(run) => TimeZero::new(started_ns).and_then(|zero| run::run(run, zero)),
        Command::Serve(options) => serve::serve(options),
        Command::Deploy(options) => platform::deploy(options),
        Command::Invoke(options) => platform::invoke(options),
        Command::Logs(options) => platform::logs(options),
        Command::List(options) => platform::list(options),
        Command::History(options) => platform::history(&options),
        Command::Queue(options) => platform::queue(options),
        Command::Remove(options) => platform::remove(options),
        Command::Publish(options) => platform::publish(&options),
        Command::Alias(command) => platform::alias(&command),
        Command::Layer(command) => platform::layer(&command),
        Command::Schedule(command) => platform::schedule(&command),
        Command::Top(options) => platform::top(&options),
        Command::Completions { shell } => {
            platform::print(&args::completions(shell)).map(|reader| {
                reader.done();
                ExitCode::SUCCESS
            })
        }
        Command::Demo => demo::demo(),
        Command::Doctor { json } => doctor::doctor(json),
        Command::Bench(command) => bench::bench(command),
        Command::Simulate(options) => simulate::simulate(options),
        Command::Image(ImageCommand::Dir { directory, out }) => {
            image::from_dir(&directory, &out).and_then(|bytes| image::made(&out, bytes))
        }
        Command::Image(ImageCommand::Tar { archive, out }) => {
            image::from_tar(&archive, &out).and_then(|bytes| image::made(&out, bytes))
        }
        Command::Image(ImageCommand::Host { programs, add, out }) => {
            let contents = image::Contents { programs: &programs, more: &add, has_tools: false };
            image::from_host(contents, &out).and_then(|bytes| image::made(&out, bytes))
        }
    };
    result.unwrap_or_else(Failure::report)
}
