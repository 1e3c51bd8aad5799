//! The shell around the core: tells it what happens, and does what it decides.
//!
//! ```text
//!   api ── invoke ──▶ ┌─────────────────────────────┐ ── Start ───▶ environment.rs: a task for each
//!   Session ─ ready ▶ │ Mutex<State>: Pool, calls,  │ ── Dispatch ▶ Session::deliver
//!   task ─── ended ─▶ │ environments                │ ── Complete ▶ the client's oneshot
//!   clock ── tick ──▶ └─────────────────────────────┘ ── Kill ────▶ the environment's task
//! ```
//!
//! No action blocks, so events are carried through under one lock, in order, on whichever thread they
//! come: a warm invocation crosses no queue.

mod calls;
mod environment;
mod moments;
mod provisioning;
mod records;
mod report;
mod streams;
mod trace;
mod variables;
mod view;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::core::{
    Action, Deployment, DeploymentId, EnvironmentId, Event, FunctionId, InvocationId, Limits, Pool,
};
use crate::function::Function;
use crate::launcher::{GuestStream, ImageBuilder, Launcher};
use crate::logs::Logs;
use crate::store::CodeStore;

use calls::Call;
pub(crate) use calls::{Invocation, Reply};
use environment::{Environment, Images};
pub(crate) use streams::{Begun, Stream};
pub(crate) use trace::Trace;
pub(crate) use variables::RESERVED as RESERVED_VARIABLES;
use view::Counts;

/// Where the platform claims to be.
#[derive(Clone, Debug)]
pub struct Identity {
    /// AWS region in ARNs and in environments.
    pub region: String,
    /// Account in ARNs, 12 digits.
    pub account: String,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { region: "us-east-1".into(), account: "000000000000".into() }
    }
}

impl Identity {
    /// The ARN of a function.
    pub(crate) fn function_arn(&self, name: &str) -> String {
        format!("arn:aws:lambda:{}:{}:function:{name}", self.region, self.account)
    }

    /// The ARN of what a qualifier names of a function.
    pub(crate) fn qualified_arn(&self, name: &str, qualifier: Option<&str>) -> String {
        let arn = self.function_arn(name);
        qualifier.map_or(arn.clone(), |qualifier| format!("{arn}:{qualifier}"))
    }

    /// The ARN of a queue.
    pub(crate) fn queue_arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.region, self.account)
    }

    /// The ARN of a schedule.
    pub(crate) fn schedule_arn(&self, group: &str, name: &str) -> String {
        format!("arn:aws:scheduler:{}:{}:schedule/{group}/{name}", self.region, self.account)
    }

    /// The ARN of a group of schedules.
    pub(crate) fn schedule_group_arn(&self, name: &str) -> String {
        format!("arn:aws:scheduler:{}:{}:schedule-group/{name}", self.region, self.account)
    }

    /// The ARN of a layer.
    pub(crate) fn layer_arn(&self, name: &str) -> String {
        format!("arn:aws:lambda:{}:{}:layer:{name}", self.region, self.account)
    }
}

/// Everything that is at work.
pub(crate) struct Service {
    me: Weak<Service>,
    pub(crate) identity: Identity,
    code: Arc<CodeStore>,
    logs: Arc<Logs>,
    launcher: Arc<dyn Launcher>,
    images: Images,
    limits: Limits,
    /// Who serves the platform's own API to programs in environments.
    platform: OnceLock<Box<ServeStream>>,
    runtime: Handle,
    origin: Instant,
    state: Mutex<State>,
    /// The core wants to be told of the time sooner than that.
    moved: Notify,
    stopped: Notify,
}

/// Serves one connection to its end.
pub(crate) type ServeStream =
    dyn Fn(GuestStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

struct State {
    pool: Pool,
    calls: HashMap<InvocationId, Call>,
    environments: HashMap<EnvironmentId, Arc<Environment>>,
    /// What was invoked of what is not retired: an environment may be started with nobody waiting for it.
    functions: HashMap<DeploymentId, Arc<Function>>,
    next_invocation: u64,
    /// When the core is told of the time next, as far as that is settled.
    ticks_at: Option<Duration>,
    counts: Counts,
}

/// What a service is made of.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    pub(crate) code: Arc<CodeStore>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) launcher: Arc<dyn Launcher>,
    pub(crate) images: Arc<dyn ImageBuilder>,
}

impl Service {
    /// A service whose tasks run on the runtime that this is called on.
    pub(crate) fn start(parts: Parts) -> Arc<Service> {
        let service = Arc::new_cyclic(|me| Service {
            me: me.clone(),
            identity: parts.identity,
            code: parts.code,
            logs: parts.logs,
            launcher: parts.launcher,
            images: Images::new(parts.images),
            limits: parts.limits,
            platform: OnceLock::new(),
            runtime: Handle::current(),
            origin: Instant::now(),
            state: Mutex::new(State {
                pool: Pool::new(parts.limits),
                calls: HashMap::new(),
                environments: HashMap::new(),
                functions: HashMap::new(),
                next_invocation: 0,
                ticks_at: None,
                counts: Counts::default(),
            }),
            moved: Notify::new(),
            stopped: Notify::new(),
        });
        service.runtime.spawn(tick(Arc::downgrade(&service)));
        service
    }

    /// Has connections to the platform's own API, from inside environments, served by `serve`. Until then
    /// they are closed.
    pub(crate) fn open_platform(&self, serve: Box<ServeStream>) {
        // The first one stays.
        let _ = self.platform.set(serve);
    }

    /// Makes sure that a runtime is there; may block for seconds.
    ///
    /// # Errors
    /// A sentence for the client.
    pub(crate) fn prepare_runtime(&self, runtime: &str) -> Result<(), String> {
        self.images.prepare(runtime)
    }

    /// Forgets a deployment that has been deleted or replaced; what it has accepted is finished.
    pub(crate) fn retire(&self, deployment: u64) {
        let deployment = DeploymentId(deployment);
        self.images.forget(deployment);
        let mut state = self.lock();
        state.functions.remove(&deployment);
        self.handle_locked(&mut state, Event::Retire { deployment });
    }

    /// Forgets what was learnt of a function that has been deleted.
    pub(crate) fn forget(&self, function: u64) {
        self.handle(Event::Forget { function: FunctionId(function) });
    }

    /// Bounds how many invocations of a function are under way at once, by what `limit` says. That is asked while
    /// nobody else can set a bound, so the last one to have changed it has the last word.
    pub(crate) fn reserve(&self, function: u64, limit: impl FnOnce() -> Option<u32>) {
        let mut state = self.lock();
        let event = Event::Reserve { function: FunctionId(function), limit: limit() };
        self.handle_locked(&mut state, event);
    }

    /// Invocations that can be under way at once, at most.
    pub(crate) fn concurrency_max(&self) -> usize {
        self.limits.environments_max
    }

    /// Accepts nothing more; comes back when the last environment is gone, those still at work after
    /// `grace` by force.
    pub(crate) async fn shutdown(&self, grace: Duration) {
        let stopped = self.stopped.notified();
        self.handle(Event::Shutdown { deadline: self.now() + grace });
        stopped.await;
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The core asserts its own rules; a panic anywhere ends the process in release builds.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, event: Event) {
        self.handle_locked(&mut self.lock(), event);
    }

    fn handle_locked(&self, state: &mut State, event: Event) {
        state.pool.handle(event, self.now());
        while let Some(action) = state.pool.poll() {
            self.perform(state, action);
        }
        let is_sooner = |deadline| state.ticks_at.is_none_or(|at| deadline < at);
        if state.pool.next_deadline().is_some_and(is_sooner) {
            self.moved.notify_one();
        }
    }

    fn perform(&self, state: &mut State, action: Action) {
        state.counts.count(&action);
        match action {
            Action::Start { environment, deployment, is_provisioned } => {
                self.start_environment(state, environment, deployment, is_provisioned);
            }
            Action::Dispatch { environment, invocation, is_cold } => {
                self.dispatch(state, environment, invocation, is_cold);
            }
            Action::Kill { environment } => {
                if let Some(environment) = state.environments.get(&environment) {
                    environment.kill();
                }
            }
            Action::Complete { invocation, environment, outcome } => {
                self.complete(state, invocation, environment, outcome);
            }
            Action::Stopped => self.stopped.notify_waiters(),
        }
    }
}

/// Tells the core that time has passed, whenever it wants to know, and now and then when it does not: a deadline that
/// moves away, as one does twice in each invocation, leaves the timer as it is.
async fn tick(service: Weak<Service>) {
    loop {
        let Some(strong) = service.upgrade() else { return };
        let deadline = {
            let mut state = strong.lock();
            state.ticks_at = state.pool.next_deadline();
            state.ticks_at
        };
        let wait = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until((strong.origin + deadline).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait => strong.handle(Event::Tick),
            () = strong.moved.notified() => {}
        }
    }
}

fn deployment_of(function: &Function) -> Deployment {
    Deployment {
        id: DeploymentId(function.deployment),
        function: FunctionId(function.id),
        memory_mib: function.configuration.memory_mib.into(),
        timeout: Duration::from_secs(function.configuration.timeout_s.into()),
    }
}
