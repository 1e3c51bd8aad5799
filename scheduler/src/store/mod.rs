//! What survives a restart: functions in SQLite, code beside it.
//!
//! ```text
//!   DATA/mayfly.db               functions, one row each           (database.rs)
//!   DATA/code/SHA256/bundle.zip  an upload, as it came             (code.rs)
//!                   /task/       its files, as /var/task shows them
//! ```

mod code;
mod database;
mod functions;

pub use code::{CodeError, CodeStore, StoredCode};
pub use database::StoreError;
pub use functions::FunctionStore;
