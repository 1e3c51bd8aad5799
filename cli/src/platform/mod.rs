//! The platform's clients: `mayfly deploy`, `invoke`, `logs`, `list`, `history`, `rm`, `publish`, `alias`,
//! `layer`, `queue`, `schedule`, `top`.
//!
//! ```text
//!   mayfly.toml ─ manifest ─┐
//!   deploy, layer ─ bundle ─┤
//!   invoke, top ────────────┤                      POST, GET, PUT, DELETE
//!   list, rm, history, … ───┼── api: Lambda's calls ──┐
//!   logs ───────────────────┴── api: the logs' calls ─┴── client ── HTTP/1.1, kept alive ──▶ mayfly serve
//! ```
//!
//! They know nothing of a platform but what its public API says, and so work with any that speaks it without
//! asking for signatures.

mod aliases;
mod api;
mod bootstrap;
mod bundle;
mod client;
mod deploy;
mod endpoint;
mod functions;
mod history;
mod invoke;
mod layers;
mod logs;
mod manifest;
mod output;
mod queue;
mod schedules;
mod table;
mod top;
mod versions;

pub use aliases::alias;
pub use api::Api;
pub use deploy::{deploy, put};
pub use functions::{list, remove};
pub use history::history;
pub use invoke::invoke;
pub use layers::layer;
pub use logs::logs;
pub use manifest::{Settings, Wanted};
pub use output::print;
pub use queue::queue;
pub use schedules::schedule;
pub use table::table;
pub use top::top;
pub use versions::publish;
