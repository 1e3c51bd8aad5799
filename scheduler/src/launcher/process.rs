//! Environments as microVMs: a `mayfly vmm` process for each, told over its control socket what to be.
//!
//! ```text
//!   launch ──▶ spawner thread: starts the process      (a VM's process dies with the thread that started
//!                 │                                     it, so this thread lives as long as the launcher)
//!                 ▼
//!              task: sends Start + descriptors, grants connections, waits for Ended or kill, kills
//!                 │
//!                 ▼
//!              reaper thread: waits until its memory is free, then reports Ended
//! ```

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc as thread_channel};
use std::thread;

use mayfly_abi::control::{
    DESCRIPTORS_MAX, Direction, FRAME_MAX, FromVmm, Outcome, Stream, ToVmm, VmSpec,
};
use mayfly_abi::ports;
use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    Api, Ended, EnvironmentSpec, GuestStream, LaunchEvent, Launched, Launcher, MemoryGauge,
};
use crate::core::Ending;

/// This very program, also where its file has been replaced meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// Events of one environment that may wait to be taken.
const EVENTS_MAX: usize = 64;
/// The descriptors that each environment gets besides its image's files.
const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const RUNTIME_API: u8 = 2;
const FILES: u8 = 3;

/// Starts environments as processes of this program.
pub struct ProcessLauncher {
    spawner: thread_channel::Sender<SpawnRequest>,
    reaper: thread_channel::Sender<Dying>,
    runtime: Handle,
    keeps_calls: bool,
}

/// A process that has been killed, and what its end is to be called.
type Dying = (Child, mpsc::Sender<LaunchEvent>, Ended);
type SpawnRequest = (StdStream, oneshot::Sender<io::Result<Child>>);

impl ProcessLauncher {
    /// A launcher whose tasks run on `runtime`.
    ///
    /// # Errors
    /// The host can't start a thread.
    pub fn new(runtime: Handle) -> io::Result<ProcessLauncher> {
        Self::of_program(runtime, Path::new(OWN_PROGRAM))
    }

    /// As [`Self::new`], with another program's file.
    ///
    /// # Errors
    /// The host can't start a thread.
    pub fn of_program(runtime: Handle, program: &Path) -> io::Result<ProcessLauncher> {
        let (spawner, requests) = thread_channel::channel();
        let program = program.to_owned();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || spawn_all(&program, requests))?;
        let (reaper, dying) = thread_channel::channel();
        thread::Builder::new().name("reaper".into()).spawn(move || reap_all(dying))?;
        Ok(ProcessLauncher { spawner, reaper, runtime, keeps_calls: false })
    }

    /// Whether programs' system calls stay traps, where they could be made jumps: to compare.
    pub fn keeping_calls(self, keeps_calls: bool) -> ProcessLauncher {
        ProcessLauncher { keeps_calls, ..self }
    }
}

fn spawn_all(program: &PathBuf, requests: thread_channel::Receiver<SpawnRequest>) {
    for (control, reply) in requests {
        let child = Command::new(program)
            .arg("vmm")
            // It asks for nothing there, and a guest that breaks out shall find no password.
            .env_clear()
            .stdin(OwnedFd::from(control))
            .stdout(Stdio::null())
            .spawn();
        if let Err(Ok(mut orphan)) = reply.send(child) {
            // The runtime is gone; the process sees its control socket close and ends.
            let _ = orphan.wait();
        }
    }
}

fn reap_all(dying: thread_channel::Receiver<Dying>) {
    for (mut child, events, ended) in dying {
        let _ = child.wait();
        let _ = events.blocking_send(LaunchEvent::Ended(ended));
    }
}

impl Launcher for ProcessLauncher {
    fn launch(&self, spec: EnvironmentSpec) -> Launched {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let killed = Arc::new(Notify::new());
        let kill = Arc::clone(&killed);
        let (spawner, reaper) = (self.spawner.clone(), self.reaper.clone());
        let keeps_calls = self.keeps_calls;
        self.runtime.spawn(async move {
            let (mut child, control) = match spawn(&spawner).await {
                Ok(process) => process,
                Err(error) => {
                    let detail = format!("the VM's process does not start: {error}");
                    let ended = Ended::because(Ending::Failed, detail);
                    let _ = sender.send(LaunchEvent::Ended(ended)).await;
                    return;
                }
            };
            if let Ok(gauge) = MemoryGauge::of_process(child.id()) {
                let _ = sender.send(LaunchEvent::Started(gauge)).await;
            }
            let ended = tokio::select! {
                end = run(control, spec, keeps_calls, &sender) => end.unwrap_or_else(|error| {
                    Ended::because(Ending::Failed, format!("the VM's process is lost: {error}"))
                }),
                () = killed.notified() => Ended::new(Ending::Killed),
            };
            // At once; an error says that it has ended already. Giving its memory back takes longer.
            let _ = child.kill();
            // The reaper lives as long as a sender to it does.
            let _ = reaper.send((child, sender, ended));
        });
        Launched { events, kill: Box::new(move || kill.notify_one()) }
    }
}

async fn spawn(spawner: &thread_channel::Sender<SpawnRequest>) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let (reply, child) = oneshot::channel();
    spawner.send((theirs, reply)).map_err(io::Error::other)?;
    Ok((child.await.map_err(io::Error::other)??, UnixStream::from_std(ours)?))
}

/// Tells the process what to be, grants it what its guest connects to, and waits for its report.
async fn run(
    mut control: UnixStream,
    spec: EnvironmentSpec,
    keeps_calls: bool,
    events: &mpsc::Sender<LaunchEvent>,
) -> io::Result<Ended> {
    // Every runtime connects to its API, so the first connection is granted before it asks.
    let theirs = connect(Api::Runtime, events).await?;
    let input = File::open("/dev/null")?;
    let mut descriptors = vec![input.as_fd(), spec.output.as_fd(), theirs.as_fd()];
    descriptors.extend(spec.image.files.iter().map(AsFd::as_fd));
    let vm = VmSpec { keeps_calls, ..vm_spec(&spec) };
    send(&mut control, &ToVmm::Start(Box::new(vm)), &descriptors).await?;
    // The process has copies: what it closes shall be closed.
    drop((spec, theirs, input));
    loop {
        match receive(&mut control).await? {
            FromVmm::Connect { request, port } => {
                let Some(api) = api_at(port) else {
                    send(&mut control, &ToVmm::Refuse { request }, &[]).await?;
                    continue;
                };
                let theirs = connect(api, events).await?;
                send(&mut control, &ToVmm::Accept { request }, &[theirs.as_fd()]).await?;
            }
            FromVmm::Begun { report } => {
                events.send(LaunchEvent::Begun(report)).await.map_err(io::Error::other)?;
            }
            FromVmm::Ended { outcome, report } => {
                let ended = match outcome {
                    Outcome::Exited(status) => Ended::new(Ending::Exited(status)),
                    Outcome::Signaled(signal, detail) => {
                        Ended::because(Ending::Signaled(signal), detail)
                    }
                    Outcome::NotStarted(detail) => {
                        Ended::because(Ending::InvalidEntrypoint, detail)
                    }
                    Outcome::Failed(detail) => Ended::because(Ending::Failed, detail),
                };
                return Ok(Ended { resident_bytes: Some(report.resident_bytes), ..ended });
            }
        }
    }
}

fn api_at(port: u32) -> Option<Api> {
    match port {
        ports::RUNTIME_API => Some(Api::Runtime),
        ports::PLATFORM_API => Some(Api::Platform),
        _ => None,
    }
}

/// Makes a connection to `api`, and gives its one end to whoever serves that; the other is the guest's.
async fn connect(api: Api, events: &mpsc::Sender<LaunchEvent>) -> io::Result<StdStream> {
    let (ours, theirs) = StdStream::pair()?;
    let connected = LaunchEvent::Connected(api, GuestStream::new(ours)?);
    events.send(connected).await.map_err(io::Error::other)?;
    Ok(theirs)
}

fn vm_spec(spec: &EnvironmentSpec) -> VmSpec {
    let stream = |port, descriptor, direction| Stream { port, descriptor, direction };
    VmSpec {
        memory_mib: spec.memory_mib.into(),
        kernel: None,
        root: spec.image.disk.behind(FILES),
        mounts: spec.image.mounts.clone(),
        program: spec.image.program.clone().into(),
        argv: vec![spec.image.program.clone().into()],
        env: spec.variables.iter().map(|one| one.clone().into()).collect(),
        cwd: spec.directory.clone().into(),
        tmp_bytes_max: spec.tmp_bytes_max,
        streams: vec![
            stream(ports::STDIN, INPUT, Direction::ToGuest),
            stream(ports::STDOUT, OUTPUT, Direction::FromGuest),
            stream(ports::STDERR, OUTPUT, Direction::FromGuest),
            stream(ports::RUNTIME_API, RUNTIME_API, Direction::Both),
        ],
        services: vec![ports::RUNTIME_API, ports::PLATFORM_API],
        keeps_calls: false,
        tells_start: true,
        terminals: 0,
        cpuid: Vec::new(),
    }
}

/// Sends a frame (see [`mayfly_abi::control`]).
async fn send(
    socket: &mut UnixStream,
    message: &ToVmm,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = postcard::to_allocvec(message).map_err(io::Error::other)?;
    if body.len() > FRAME_MAX || descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::other("the environment's description is too long"));
    }
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    let sent = socket
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
            let pieces = [IoSlice::new(&frame)];
            Ok(sendmsg(&*socket, &pieces, &mut ancillary, SendFlags::NOSIGNAL)?)
        })
        .await?;
    socket.write_all(&frame[sent..]).await
}

/// Receives a frame. Its sender serves a hostile guest: no length in it is believed.
async fn receive(socket: &mut UnixStream) -> io::Result<FromVmm> {
    let len = socket.read_u32_le().await? as usize;
    if len > FRAME_MAX {
        return Err(io::Error::other("a message that is too long"));
    }
    let mut body = vec![0; len];
    socket.read_exact(&mut body).await?;
    postcard::from_bytes(&body).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
