//! What survives a restart: functions and layers in SQLite, code beside it.
//!
//! ```text
//!   DATA/mayfly.db               functions, layers                 (sqlite.rs, database.rs, schema.rs, rows.rs)
//!   DATA/code/SHA256/bundle.zip  an upload, as it came             (code.rs)
//!                   /task/       its files, as /var/task or /opt shows them
//!   DATA/id                      which directory this is, for a database that is elsewhere (id.rs)
//! ```
//!
//! Functions and layers are written to SQLite first and read from memory.

mod code;
mod database;
mod functions;
mod history;
pub(crate) mod id;
pub(crate) mod kind;
mod layers;
mod rows;
mod schema;
pub(crate) mod sqlite;

pub(crate) use code::sha256_hex;
pub use code::{CodeError, CodeStore, StoredCode};
pub use database::{Database, StoreError};
pub use functions::FunctionStore;
pub use history::HISTORY_MAX;
pub use layers::LayerStore;
