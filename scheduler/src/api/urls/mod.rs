//! Function URLs: HTTP requests of any client become events of a function, its answers HTTP responses (Lambda
//! developer guide, "Invoking Lambda function URLs").
//!
//! ```text
//!   http://ID.lambda-url.REGION.localhost:PORT/path ─┐ address ─▶ access ─▶ event ─▶ invoke or stream ─▶ answer ─▶ CORS
//!   http://HOST:PORT/mayfly/urls/ID/path ────────────┘   │
//!   anything else ───────────────────────────────────────┴──▶ Lambda's own API
//! ```
//!
//! The second form needs no name service. Names below localhost are this host (RFC 6761 section 6.3), but few programs
//! know that by themselves.

mod access;
mod address;
mod answer;
mod config;
mod cors;
mod event;
mod serve;
mod shapes;
mod streamed;

pub(crate) use access::Told;
pub(super) use config::{create, delete, get, list, update};
pub(super) use serve::intercept;
