//! Invocations: from the client's request to its reply.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::environment::Environment;
use super::report::{self, Fault, Measured};
use super::streams::Opening;
use super::trace::Trace;
use super::{Service, State, deployment_of};
use crate::clock;
use crate::core::{Ending, EnvironmentId, Event, InvocationId, Outcome};
use crate::function::Function;
use crate::runtime_api::{Answer, Work};

/// What a client wants to run.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    pub(crate) function: Arc<Function>,
    /// As the client named it, with its qualifier.
    pub(crate) function_arn: String,
    pub(crate) payload: Bytes,
    pub(crate) client_context: Option<String>,
    /// What has led to it.
    pub(crate) trace: Trace,
}

/// What it gets.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The function ran, or failed to.
    Done {
        /// The function's result or an error document.
        payload: Bytes,
        /// Whether it is an error document.
        is_error: bool,
        /// The last 4 KB of the log.
        tail: Vec<u8>,
    },
    /// Nothing is free to run it.
    Throttled,
    /// As much of its function runs as is reserved for it.
    OverReserved,
    /// The service goes down.
    Stopping,
    /// The host failed.
    HostFailed(String),
}

impl Reply {
    /// Why nothing was run, for a log; `None` for what has run.
    pub(crate) fn why_not_run(&self) -> Option<String> {
        match self {
            Reply::Done { .. } => None,
            Reply::Throttled => Some("nothing is free to run it".into()),
            Reply::OverReserved => {
                Some("as much of its function runs as is reserved for it".into())
            }
            Reply::Stopping => Some("the platform goes down".into()),
            Reply::HostFailed(detail) => Some(format!("the host failed: {detail}")),
        }
    }
}

/// An invocation on its way.
pub(super) struct Call {
    invocation: Invocation,
    reply: oneshot::Sender<Reply>,
    /// Taken when the runtime begins to answer bit by bit, where its client wants that.
    pub(super) opening: Option<Opening>,
    /// When it was dispatched, and whether to a new environment.
    started: Option<(Instant, bool)>,
    answer: Option<Answer>,
}

impl Call {
    pub(super) fn function(&self) -> &Arc<Function> {
        &self.invocation.function
    }

    /// Ends this invocation's part of its environment's log, and returns the end of it.
    fn close_log(&self, id: InvocationId, host: &Environment, fault: Option<&Fault>) -> Vec<u8> {
        let request_id = &self.invocation.request_id;
        let logging = &self.function().configuration.logging;
        // One that was never dispatched waited for the start that failed.
        let is_cold = self.started.is_none_or(|(_, is_cold)| is_cold);
        let measured = Measured {
            duration: self.started.map(|(at, _)| at.elapsed()).unwrap_or_default(),
            memory_mib: self.function().configuration.memory_mib,
            memory_used_max: host.memory_used_max(),
            init: host.init_time().filter(|_| is_cold),
        };
        if self.started.is_none() {
            host.begin(id, &report::start_line(logging, request_id, self.function().version));
        }
        host.finish(&report::end_lines(logging, request_id, &measured, fault))
    }
}

impl Service {
    /// Runs a function once. A client that goes away leaves its invocation running, as on Lambda.
    pub(crate) async fn invoke(&self, invocation: Invocation) -> Reply {
        self.begin(invocation, None).await.unwrap_or(Reply::Stopping)
    }

    /// Accepts an invocation; its reply.
    pub(super) fn begin(
        &self,
        invocation: Invocation,
        opening: Option<Opening>,
    ) -> oneshot::Receiver<Reply> {
        let (reply, replied) = oneshot::channel();
        let mut state = self.lock();
        state.next_invocation += 1;
        let id = InvocationId(state.next_invocation);
        let deployment = deployment_of(&invocation.function);
        let (wanted, there) = (deployment.memory_mib, self.limits.memory_mib);
        if wanted > there {
            // Never will there be room: that is no throttling.
            let why = format!(
                "the function has {wanted} MB of memory, and all environments together {there}"
            );
            let _ = reply.send(Reply::HostFailed(why));
            return replied;
        }
        if !state.pool.is_retired(deployment.id) {
            let function = || Arc::clone(&invocation.function);
            state.functions.entry(deployment.id).or_insert_with(function);
        }
        state.calls.insert(id, Call { invocation, reply, opening, started: None, answer: None });
        self.handle_locked(&mut state, Event::Invoke { invocation: id, deployment });
        replied
    }

    /// The runtime of an environment has answered.
    pub(super) fn answered(&self, environment: EnvironmentId, request_id: &str, answer: Answer) {
        let mut state = self.lock();
        let Some((invocation, call)) = running(&mut state, environment, request_id) else { return };
        call.answer = Some(answer);
        self.handle_locked(&mut state, Event::Responded { environment, invocation });
    }

    pub(super) fn dispatch(
        &self,
        state: &mut State,
        environment: EnvironmentId,
        id: InvocationId,
        is_cold: bool,
    ) {
        let (Some(host), Some(call)) =
            (state.environments.get(&environment), state.calls.get_mut(&id))
        else {
            return;
        };
        call.started = Some((Instant::now(), is_cold));
        let invocation = &call.invocation;
        let configuration = &invocation.function.configuration;
        let version = invocation.function.version;
        let trace = invocation.trace.enter(invocation.function.id);
        let request_id = &invocation.request_id;
        host.begin(id, &report::start_line(&configuration.logging, request_id, version));
        host.session.deliver(Arc::new(Work {
            request_id: invocation.request_id.clone(),
            payload: invocation.payload.clone(),
            deadline_ms: clock::unix_ms() + 1000 * i64::from(configuration.timeout_s),
            function_arn: invocation.function_arn.clone(),
            trace_id: trace.rooted(&invocation.request_id).to_string(),
            client_context: invocation.client_context.clone(),
        }));
    }

    pub(super) fn complete(
        &self,
        state: &mut State,
        id: InvocationId,
        environment: Option<EnvironmentId>,
        outcome: Outcome,
    ) {
        let Some(call) = state.calls.remove(&id) else { return };
        let host = environment.and_then(|environment| state.environments.get(&environment));
        let reply = match self.verdict(&call, host, outcome) {
            Ok(Document { payload, is_error, fault }) => {
                let tail = host.map(|host| call.close_log(id, host, fault.as_ref()));
                Reply::Done { payload, is_error, tail: tail.unwrap_or_default() }
            }
            Err(reply) => reply,
        };
        // A client that has gone away does not want to know.
        let _ = call.reply.send(reply);
    }

    /// What the client is told, short of the log.
    fn verdict(
        &self,
        call: &Call,
        host: Option<&Arc<Environment>>,
        outcome: Outcome,
    ) -> Result<Document, Reply> {
        let request_id = &call.invocation.request_id;
        let timeout = deployment_of(&call.invocation.function).timeout;
        let of_runtime = |payload, is_error| Ok(Document { payload, is_error, fault: None });
        let fault = match (outcome, &call.answer) {
            (Outcome::Answered, Some(Answer::Response(body))) => {
                return of_runtime(body.clone(), false);
            }
            (Outcome::Answered, Some(Answer::Streamed)) => return of_runtime(Bytes::new(), false),
            (Outcome::Answered, Some(Answer::Error(body))) => {
                return of_runtime(body.clone(), true);
            }
            (Outcome::Answered, _) => report::response_too_large(),
            (Outcome::TimedOut, _) => report::timed_out(timeout),
            (Outcome::InitTimedOut, _) => report::timed_out(timeout.max(self.limits.init_max)),
            (Outcome::InitFailed, _) => {
                return of_runtime(host.and_then(|host| host.fault()).unwrap_or_default(), true);
            }
            (Outcome::Died(Ending::Failed), _) => {
                let detail = host.and_then(|host| host.ending_detail());
                return Err(Reply::HostFailed(detail.unwrap_or_default()));
            }
            (Outcome::Died(ending), _) => {
                let detail = host.and_then(|host| host.ending_detail());
                report::died(ending, detail)
            }
            (Outcome::Throttled, _) => return Err(Reply::Throttled),
            (Outcome::OverReserved, _) => return Err(Reply::OverReserved),
            (Outcome::Stopping, _) => return Err(Reply::Stopping),
        };
        Ok(Document { payload: fault.document(request_id), is_error: true, fault: Some(fault) })
    }
}

/// The invocation that runs in an environment, if that is the one of this request.
pub(super) fn running<'a>(
    state: &'a mut State,
    environment: EnvironmentId,
    request_id: &str,
) -> Option<(InvocationId, &'a mut Call)> {
    let invocation = state.environments.get(&environment)?.running()?;
    let call = state.calls.get_mut(&invocation)?;
    (call.invocation.request_id == request_id).then_some((invocation, call))
}

/// A function's result, or its error.
struct Document {
    payload: Bytes,
    is_error: bool,
    /// Where it is an error that the log does not have from the runtime.
    fault: Option<Fault>,
}
