//! `mayfly serve`: joins the platform with what makes its VMs and their images.

use std::process::ExitCode;
use std::sync::Arc;

use mayfly_scheduler::core::Limits;
use mayfly_scheduler::launcher::ProcessLauncher;
use mayfly_scheduler::{Config, Identity, Server};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Serve;
use crate::failure::{Failure, say};
use crate::runtimes::Runtimes;

/// What the platform's tasks run on.
///
/// # Errors
/// What the host says.
pub fn runtime() -> Result<Runtime, Failure> {
    Ok(Runtime::new()?)
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// An address or a data directory that cannot be used, in one line.
pub fn serve(options: Serve) -> Result<ExitCode, Failure> {
    let runtime = runtime()?;
    let images = Arc::new(Runtimes::new(&options.data));
    let config = Config {
        listen: options.listen,
        data: options.data,
        limits: Limits { memory_mib: options.memory, ..Limits::default() },
        identity: Identity::default(),
        launcher: Arc::new(ProcessLauncher::new(runtime.handle().clone()).map_err(Failure::new)?),
        images,
    };
    runtime.block_on(async {
        let interrupted = signal(SignalKind::interrupt()).map_err(Failure::new)?;
        let terminated = signal(SignalKind::terminate()).map_err(Failure::new)?;
        let server = Server::bind(config).await.map_err(Failure::new)?;
        say(&format!("serving Lambda's API at http://{}", server.address()));
        server.run(stop(interrupted, terminated)).await.map_err(Failure::new)?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn stop(mut interrupted: Signal, mut terminated: Signal) {
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    say("ending: running invocations have a few seconds");
}
