//! Event source mappings: queues whose messages functions are invoked with (Lambda developer guide, "Using Lambda with Amazon
//! SQS").
//!
//! ```text
//!   sqs/NAME ── lease ─▶ batch ── filter.rs ─▶ event.rs ─▶ Service ── done ─▶ completed, but for failures
//!      ▲                                                     └─ failed ─┐
//!      └──────────── visible again when its time-out ends ──────────────┘
//! ```
//!
//! Each mapping that is enabled has a task (`poll.rs`); a change ends it and begins another.

mod event;
mod filter;
mod mapping;
mod pace;
mod poll;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::logs::Logs;
use crate::queue::retry::Delays;
use crate::queue::{QueueError, Registry};
use crate::service::Service;
use crate::sqs::Queues;
use crate::store::FunctionStore;

pub(crate) use filter::Pattern;
pub(crate) use mapping::Mapping;

/// All mappings, and those at work.
pub(crate) struct Sources {
    pub(crate) mappings: Registry<Mapping>,
    queues: Arc<Queues>,
    functions: Arc<FunctionStore>,
    service: Arc<Service>,
    logs: Arc<Logs>,
    delays: Delays,
    /// What tells a mapping's task to end.
    at_work: Mutex<HashMap<String, watch::Sender<bool>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Sources {
    /// The mappings in the database, at work.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn start(
        queues: Arc<Queues>,
        functions: Arc<FunctionStore>,
        service: Arc<Service>,
        logs: Arc<Logs>,
        delays: Delays,
    ) -> Result<Arc<Sources>, QueueError> {
        let mappings = Registry::load(Arc::clone(&queues.queue), "mapping").await?;
        let (at_work, tasks) = (Mutex::default(), Mutex::default());
        let sources =
            Sources { mappings, queues, functions, service, logs, delays, at_work, tasks };
        let sources = Arc::new(sources);
        for mapping in sources.mappings.list() {
            sources.renew(&mapping.id);
        }
        Ok(sources)
    }

    /// Has a mapping work as it says now, or not at all.
    pub(crate) fn renew(self: &Arc<Sources>, id: &str) {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = at_work.remove(id) {
            stop.send_replace(true);
        }
        let Some(mapping) = self.mappings.get(id).filter(|mapping| mapping.is_enabled) else {
            return;
        };
        let (stop, stopping) = watch::channel(false);
        at_work.insert(id.to_owned(), stop);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(Arc::clone(self).poll(mapping, stopping));
    }

    /// Takes nothing more; the task ends with the last batch.
    pub(crate) fn stop(&self) -> JoinHandle<()> {
        let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.values().for_each(|stop| {
            stop.send_replace(true);
        });
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let tasks = std::mem::take(&mut *tasks);
        tokio::spawn(async move {
            tasks.join_all().await;
        })
    }
}
