//! One execution environment at work: its image, its process, its streams and its log.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, OnceCell};
use tokio::task::{JoinSet, spawn_blocking};

use super::moments::Moments;
use super::{Service, State, variables};
use crate::core::{Deployment, DeploymentId, Ending, EnvironmentId, Event, InvocationId};
use crate::function::{Function, Version};
use crate::launcher::{
    Api, Code, Ended, EnvironmentSpec, ImageBuilder, LaunchEvent, MemoryGauge, RootImage,
};
use crate::logs::Stream;
use crate::runtime_api::{self, Answer, Fault, Session, Sink, Watcher};
use crate::store::CodeStore;

/// Connections to the Runtime API at once, and to the platform's: a runtime and ten extensions need one or
/// two each.
const CONNECTIONS_MAX: usize = 32;
/// Read at once from what a program prints.
const OUTPUT_BYTES: usize = 16 * 1024;
/// What the pipe that it prints into holds (pipe(7)).
const PIPE_BYTES: usize = 64 * 1024;

/// What the service keeps of an environment.
pub(super) struct Environment {
    /// The function's name.
    pub(super) function: String,
    /// Whether it was started to be kept.
    is_provisioned: bool,
    pub(super) version: Version,
    /// What it takes out of the budget.
    pub(super) memory_mib: u32,
    pub(super) session: Arc<Session>,
    output: Mutex<Output>,
    inner: Mutex<Inner>,
    killed: Notify,
    launched: Instant,
    moments: Mutex<Moments>,
}

struct Output {
    pipe: Option<pipe::Receiver>,
    log: Stream,
}

#[derive(Default)]
struct Inner {
    running: Option<InvocationId>,
    init: Option<Duration>,
    fault: Option<Bytes>,
    memory: Option<MemoryGauge>,
    memory_max: u64,
    ending_detail: Option<String>,
}

impl Environment {
    fn new(
        function: &Function,
        session: Session,
        log: Stream,
        is_provisioned: bool,
    ) -> Environment {
        Environment {
            is_provisioned,
            function: function.configuration.name.clone(),
            version: function.version,
            memory_mib: function.configuration.memory_mib,
            session: Arc::new(session),
            output: Mutex::new(Output { pipe: None, log }),
            inner: Mutex::default(),
            killed: Notify::new(),
            launched: Instant::now(),
            moments: Mutex::new(Moments::asked_now()),
        }
    }

    pub(super) fn kill(&self) {
        self.killed.notify_one();
    }

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.launched.elapsed()
    }

    /// When what happened so far, and the name of its log.
    pub(super) fn moments(&self) -> (Moments, String) {
        (*lock(&self.moments), lock(&self.output).log.name().to_owned())
    }

    /// The invocation that it was given last.
    pub(super) fn running(&self) -> Option<InvocationId> {
        lock(&self.inner).running
    }

    /// Starts an invocation's part of the log.
    pub(super) fn begin(&self, invocation: InvocationId, line: &str) {
        lock(&self.inner).running = Some(invocation);
        let mut output = lock(&self.output);
        output.drain();
        // What was printed while it started belongs to the first invocation.
        output.log.say(line);
    }

    /// Ends an invocation's part of the log, and returns the end of it. What the program printed before
    /// its answer is in the pipe by the time that the answer is here, as far as the pipe had room.
    pub(super) fn finish(&self, lines: &str) -> Vec<u8> {
        let mut output = lock(&self.output);
        output.drain();
        output.log.say(lines);
        output.log.take_tail()
    }

    /// How long it took to become ready.
    pub(super) fn init_time(&self) -> Option<Duration> {
        lock(&self.inner).init
    }

    /// What the runtime said when it could not be initialised.
    pub(super) fn fault(&self) -> Option<Bytes> {
        lock(&self.inner).fault.clone()
    }

    /// Most bytes of the host's memory that it was seen to take, if it was seen. Looks again.
    pub(super) fn memory_used_max(&self) -> Option<u64> {
        let mut inner = lock(&self.inner);
        let now = inner.memory.as_ref().and_then(MemoryGauge::resident_bytes);
        inner.memory_max = inner.memory_max.max(now.unwrap_or(0));
        Some(inner.memory_max).filter(|bytes| *bytes > 0)
    }

    /// More about its end, where there is more.
    pub(super) fn ending_detail(&self) -> Option<String> {
        lock(&self.inner).ending_detail.clone()
    }

    fn drain_output(&self) {
        lock(&self.output).drain();
    }
}

impl Output {
    /// Takes what is in the pipe, and no more: a program that goes on printing keeps nobody.
    fn drain(&mut self) {
        let mut buffer = [0; OUTPUT_BYTES];
        let mut taken = 0;
        while let (Some(pipe), true) = (&self.pipe, taken < PIPE_BYTES) {
            match pipe.try_read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    self.log.print(&buffer[..count]);
                    taken += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }
}

/// Tells the service what the runtime of one environment does.
struct Report {
    service: Weak<Service>,
    environment: EnvironmentId,
}

impl Watcher for Report {
    fn ready(&self) {
        let Some(service) = self.service.upgrade() else { return };
        let mut state = service.lock();
        if let Some(environment) = state.environments.get(&self.environment) {
            let mut inner = lock(&environment.inner);
            inner.init.get_or_insert_with(|| environment.launched.elapsed());
            lock(&environment.moments).ready_now();
        }
        service.handle_locked(&mut state, Event::Ready { environment: self.environment });
    }

    fn opened(&self, request_id: &str, content_type: Option<&str>) -> Option<Sink> {
        self.service.upgrade()?.opened(self.environment, request_id, content_type)
    }

    fn answered(&self, request_id: &str, answer: Answer) {
        if let Some(service) = self.service.upgrade() {
            service.answered(self.environment, request_id, answer);
        }
    }

    fn init_failed(&self, fault: Fault) {
        let Some(service) = self.service.upgrade() else { return };
        let mut state = service.lock();
        if let Some(environment) = state.environments.get(&self.environment) {
            lock(&environment.inner).fault = Some(fault.0);
        }
        service.handle_locked(&mut state, Event::InitFailed { environment: self.environment });
    }
}

impl Service {
    pub(super) fn start_environment(
        &self,
        state: &mut State,
        id: EnvironmentId,
        deployment: Deployment,
        is_provisioned: bool,
    ) {
        // Of one that has been retired, whoever waits for it knows the function.
        let mut waiting = state.calls.values().map(|call| call.function());
        let function = state.functions.get(&deployment.id);
        let function =
            function.or_else(|| waiting.find(|function| function.deployment == deployment.id.0));
        let (Some(service), Some(function)) = (self.me.upgrade(), function.cloned()) else {
            // Nobody waits any more: it ends before it began, on its own turn.
            if let Some(service) = self.me.upgrade() {
                self.runtime.spawn(async move { service.ended(id, Ending::Killed) });
            }
            return;
        };
        let report = Report { service: self.me.clone(), environment: id };
        let log = self
            .logs
            .stream(&function.configuration.log(), variables::log_stream(function.version));
        let environment = Arc::new(Environment::new(
            &function,
            Session::new(Box::new(report)),
            log,
            is_provisioned,
        ));
        state.environments.insert(id, Arc::clone(&environment));
        self.runtime.spawn(async move {
            let ended = service.live(&environment, &function).await;
            environment.session.close();
            environment.drain_output();
            {
                let mut inner = lock(&environment.inner);
                inner.memory_max = inner.memory_max.max(ended.resident_bytes.unwrap_or(0));
                inner.ending_detail = ended.detail;
            }
            service.ended(id, ended.ending);
        });
    }

    fn ended(&self, id: EnvironmentId, ending: Ending) {
        let mut state = self.lock();
        self.handle_locked(&mut state, Event::Ended { environment: id, ending });
        state.environments.remove(&id);
    }

    /// From the image to the end.
    async fn live(&self, environment: &Arc<Environment>, function: &Arc<Function>) -> Ended {
        let failed = |error: io::Error| Ended::because(Ending::Failed, error);
        let image = tokio::select! {
            image = self.images.get(function, &self.code) => image,
            () = environment.killed.notified() => return Ended::new(Ending::Killed),
        };
        let image = match image {
            Ok(Some(image)) => image,
            Ok(None) => return Ended::new(Ending::InvalidEntrypoint),
            Err(error) => return failed(error),
        };
        let output = match output(environment) {
            Ok(output) => output,
            Err(error) => return failed(error),
        };
        lock(&environment.moments).image_ready_now();
        let stream = lock(&environment.output).log.name().to_owned();
        let configuration = &function.configuration;
        let mut launched = self.launcher.launch(EnvironmentSpec {
            memory_mib: configuration.memory_mib,
            tmp_bytes_max: u64::from(configuration.tmp_mib) << 20,
            image,
            variables: variables::all(
                &self.identity,
                function,
                &stream,
                environment.is_provisioned,
            ),
            directory: "/var/task".into(),
            output,
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                event = launched.events.recv() => match event {
                    Some(LaunchEvent::Started(memory)) => {
                        lock(&environment.inner).memory = Some(memory);
                    }
                    Some(LaunchEvent::Begun(report)) => lock(&environment.moments).boot = report,
                    // One too many is closed.
                    Some(LaunchEvent::Connected(..)) if connections.len() >= CONNECTIONS_MAX => {}
                    Some(LaunchEvent::Connected(Api::Runtime, stream)) => {
                        connections.spawn(runtime_api::serve(stream, Arc::clone(&environment.session)));
                    }
                    Some(LaunchEvent::Connected(Api::Platform, stream)) => {
                        if let Some(platform) = self.platform.get() {
                            connections.spawn(platform(stream));
                        }
                    }
                    Some(LaunchEvent::Ended(ended)) => return ended,
                    None => return Ended::new(Ending::Failed),
                },
                () = environment.killed.notified() => (launched.kill)(),
                _ = connections.join_next(), if !connections.is_empty() => {}
                () = readable(environment) => environment.drain_output(),
            }
        }
    }
}

/// Makes the pipe that a program prints into.
fn output(environment: &Environment) -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    let pipe = pipe::Receiver::from_owned_fd(reader.into())?;
    lock(&environment.output).pipe = Some(pipe);
    Ok(writer.into())
}

/// Waits until there may be output; for ever, once there can't be any.
async fn readable(environment: &Environment) {
    std::future::poll_fn(|context| match &lock(&environment.output).pipe {
        Some(pipe) => pipe.poll_read_ready(context).map(drop),
        None => std::task::Poll::Pending,
    })
    .await;
}

/// An image that is built once, or nothing to run.
type Built = Arc<OnceCell<Option<Arc<RootImage>>>>;

/// Root images, one for each deployment at work.
pub(super) struct Images {
    builder: Arc<dyn ImageBuilder>,
    built: Mutex<HashMap<DeploymentId, Built>>,
}

impl Images {
    pub(super) fn new(builder: Arc<dyn ImageBuilder>) -> Images {
        Images { builder, built: Mutex::default() }
    }

    pub(super) fn forget(&self, deployment: DeploymentId) {
        lock(&self.built).remove(&deployment);
    }

    /// Makes sure that a runtime is there. Blocks.
    pub(super) fn prepare(&self, runtime: &str) -> Result<(), String> {
        self.builder.prepare(runtime)
    }

    /// The image of a function, built at first use; `None` where it has nothing to run.
    async fn get(
        &self,
        function: &Function,
        code: &CodeStore,
    ) -> io::Result<Option<Arc<RootImage>>> {
        let cell = {
            let mut built = lock(&self.built);
            Arc::clone(built.entry(DeploymentId(function.deployment)).or_default())
        };
        let build = || async {
            let builder = Arc::clone(&self.builder);
            let configuration = &function.configuration;
            let runtime = configuration.runtime.clone();
            let task = code.files(&function.code_sha256);
            let layers: Vec<PathBuf> =
                configuration.layers.iter().map(|layer| code.files(&layer.code_sha256)).collect();
            let image = spawn_blocking(move || {
                builder.build(Code { runtime: &runtime, task: &task, layers: &layers })
            });
            Ok::<_, io::Error>(image.await.map_err(io::Error::other)??.map(Arc::new))
        };
        cell.get_or_try_init(build).await.cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
