//! Queues of messages, as Amazon SQS has them: what they are, on the same engine as events.
//!
//! ```text
//!   Queues (registry.rs) ── by name ──▶ Definition: Attributes (attributes.rs), tags
//!                                           │ lane sqs/NAME
//!   Envelope (envelope.rs), digests (md5.rs), receipts (receipt.rs)   what a message is there
//!   content.rs   what it may say
//! ```

mod attributes;
mod content;
mod envelope;
mod md5;
mod receipt;
mod registry;

pub(crate) use attributes::{Attributes, BadAttribute, MESSAGE_BYTES_MAX, NAMES};
pub(crate) use content::{is_id, is_sendable, name_of_content};
pub(crate) use envelope::{Attribute, Envelope, sequence};
pub(crate) use md5::{of_attributes, of_body};
pub(crate) use receipt::Receipt;
pub(crate) use registry::{Definition, Queues};
