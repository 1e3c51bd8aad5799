//! Which microVM runs which call: a self-hosted Lambda over execution environments that somebody else
//! makes.
//!
//! ```text
//!   client ─▶ api ─────────────────▶ service ─▶ core (decides)
//!              │ └─▶ queue ─▶ poller ──▲ │ ▲
//!            store                       ▼ │
//!                                    launcher ─▶ microVM ─▶ runtime_api ─▶ service
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod api;
pub mod bundle;
mod clock;
pub mod core;
pub mod function;
pub mod launcher;
pub mod layer;
mod logs;
pub mod policy;
mod poller;
pub mod queue;
pub mod runtime_api;
pub mod schedules;
mod serve;
mod service;
pub mod simulation;
mod sources;
mod sqs;
pub mod store;

pub use serve::{Config, ServeError, Server, serve};
pub use service::Identity;
