//! `mayfly serve`: joins the platform with what makes its VMs and their images.

use std::env::VarError;
use std::io;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;

use mayfly_scheduler::core::Limits;
use mayfly_scheduler::launcher::ProcessLauncher;
use mayfly_scheduler::queue::{self, retry::Delays};
use mayfly_scheduler::{Config, Identity, Server};
use mayfly_vmm::kvm::Hypervisor;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{QueueServer, Serve};
use crate::failure::{Failure, SIGNALED, say};
use crate::names;
use crate::runtimes::Runtimes;

/// The password of `--queue`'s user, as PostgreSQL's own clients have it.
const PASSWORD: &str = "PGPASSWORD";

/// What the platform's tasks run on: half of the processors. An invocation keeps its VM's processor as busy as the
/// platform's, and with fewer threads it crosses from one to the other less often, each time a wake-up.
///
/// # Errors
/// What the host says.
pub fn runtime() -> Result<Runtime, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = (processors / 2).max(1);
    Ok(Builder::new_multi_thread().worker_threads(workers).enable_all().build()?)
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// A host that has no KVM for us, an address or a data directory that cannot be used, in one line.
pub fn serve(options: Serve) -> Result<ExitCode, Failure> {
    // Functions without VMs are of no use: better to hear it now than from the first invocation.
    Hypervisor::open()?;
    let queue =
        options.queue.queue.as_deref().map(|url| server(url, &options.queue)).transpose()?;
    let runtime = runtime()?;
    let launcher = ProcessLauncher::new(runtime.handle().clone()).map_err(Failure::new)?;
    let images = Arc::new(Runtimes::new(&options.data));
    let config = Config {
        listen: options.listen,
        data: options.data,
        queue,
        limits: Limits {
            memory_mib: options.memory,
            keep_alive: options.keep_alive,
            ..Limits::default()
        },
        identity: Identity::default(),
        url_form: options.function_urls.unwrap_or_else(names::url_form),
        delays: Delays::scaled(options.retry_scale),
        launcher: Arc::new(launcher.keeping_calls(options.no_syscall_rewrite)),
        images,
    };
    runtime.block_on(async {
        let server = Server::bind(config).await.map_err(Failure::new)?;
        // Up to here, where another's end may be waited for, a signal ends this process as it ends any.
        let signals = Ending::new()?;
        say(&format!("serving Lambda's API at http://{}", server.address()));
        server.run(stop(signals)).await.map_err(Failure::new)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// The queues' server, with the password from where no list of processes shows it.
fn server(url: &str, options: &QueueServer) -> Result<queue::Server, Failure> {
    let server =
        queue::Server::parse(url).map_err(|error| Failure::new(format!("--queue: {error}")))?;
    if let Some(file) = &options.queue_password_file {
        let password = std::fs::read_to_string(file).map_err(|error| Failure::at(file, error))?;
        return Ok(server.with_password(password.trim_end_matches('\n')));
    }
    match std::env::var(PASSWORD) {
        Ok(password) => Ok(server.with_password(&password)),
        Err(VarError::NotPresent) => Ok(server),
        Err(error) => Err(Failure::new(format!("{PASSWORD}: {error}"))),
    }
}

/// The signals that end the platform: Ctrl-C, and a supervisor's.
struct Ending {
    interrupted: Signal,
    terminated: Signal,
}

impl Ending {
    fn new() -> io::Result<Ending> {
        let interrupted = signal(SignalKind::interrupt())?;
        Ok(Ending { interrupted, terminated: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one: its number.
    async fn next(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.interrupted.recv() => SignalKind::interrupt(),
            _ = self.terminated.recv() => SignalKind::terminate(),
        };
        kind.as_raw_value()
    }
}

/// Waits for the first signal. The next one ends the process at once, as it would have without this: VMs go
/// with it, and what is queued is as safe as from a loss of power.
async fn stop(mut signals: Ending) {
    signals.next().await;
    say("ending: running invocations have a few seconds; another signal ends it at once");
    tokio::spawn(async move {
        let signal = signals.next().await;
        std::process::exit(i32::from(SIGNALED) + signal);
    });
}
