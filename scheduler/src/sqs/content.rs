//! What a message may say, and what it is told apart by where nothing else is given.

use sha2::{Digest, Sha256};

const ID_CHARS_MAX: usize = 128;

/// Whether a queue takes this text (SQS API reference, "SendMessage").
pub(crate) fn is_sendable(text: &str) -> bool {
    text.chars().all(|one| {
        matches!(one, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    })
}

/// Whether this may be a message's group, or what it is told apart by (likewise).
pub(crate) fn is_id(text: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The deduplication id of a body, in queues that have ContentBasedDeduplication.
pub(crate) fn name_of_content(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}
