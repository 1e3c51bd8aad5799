//! The part of the scheduler that decides: which execution environment runs which invocation.
//!
//! Sans-I/O: it holds no descriptor, clock, thread or logger. The shell around it says what happened and
//! when, then takes out what is to be done until there is nothing more.
//!
//! ```text
//!                    handle(Event, now)                 poll() ─▶ Action
//!   API ── Invoke ─────────┐                                ┌──────▶ Start, Kill        launcher
//!   Runtime API ── Ready, ─┤        ┌────────────┐          ├──────▶ Dispatch           Runtime API
//!      Responded, …        ├──────▶ │    Pool    │ ─────────┤
//!   launcher ── Ended ─────┤        └────────────┘          └──────▶ Complete           API
//!   clock ── Tick ─────────┘          ▲    │ next_deadline(): when a Tick is due
//!                                     └────┘
//! ```
//!
//! `now` is the time since an arbitrary origin and never runs backwards.

mod action;
mod capacity;
mod check;
mod environment;
mod event;
mod expiry;
mod ids;
mod index;
mod keep_alive;
mod lane;
mod limits;
mod pool;
mod provisioned;
mod reserved;
mod shutdown;
#[cfg(test)]
mod tests;
mod view;
mod warmth;

pub use action::{Action, Ending, Outcome};
pub use check::Rule;
pub use event::Event;
pub use ids::{Deployment, DeploymentId, EnvironmentId, FunctionId, InvocationId};
pub use keep_alive::{
    FixedTime, Histogram, Hybrid, KeepAlive, KeepAlivePolicy, LeastRecentlyUsed, Windows,
};
pub use limits::Limits;
pub use pool::Pool;
pub use provisioned::Provisioned;
pub use view::Stage;
