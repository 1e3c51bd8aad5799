//! The platform's clients: `mayfly deploy`, `invoke`, `logs`, `list`, `rm`.
//!
//! ```text
//!   deploy ── bundle ─┐
//!   invoke ───────────┤                            POST, GET, PUT, DELETE
//!   list, rm ─────────┼── api: Lambda's calls ──┐
//!   logs ─────────────┴── api: the logs' calls ─┴── client ── HTTP/1.1, kept alive ──▶ mayfly serve
//! ```
//!
//! They know nothing of a platform but what its public API says, and so work with any that speaks it without
//! asking for signatures.

mod api;
mod bootstrap;
mod bundle;
mod client;
mod deploy;
mod endpoint;
mod functions;
mod invoke;
mod logs;
mod output;
mod table;

pub use api::Api;
pub use deploy::{deploy, put};
pub use functions::{list, remove};
pub use invoke::invoke;
pub use logs::logs;
pub use output::print;
pub use table::table;
