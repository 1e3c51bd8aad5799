//! Batches: up to ten entries, each with an id of its own and an end of its own.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::SqsError;

/// Entries of a batch.
const ENTRIES_MAX: usize = 10;
const ID_CHARS_MAX: usize = 80;

/// Checks the ids of a batch's entries; `call` is the batch's operation.
///
/// # Errors
/// None or too many of them, one that is none, or one twice.
pub(super) fn check<'a>(
    call: &str,
    ids: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), SqsError> {
    match ids.len() {
        0 => return Err(SqsError::empty_batch(call)),
        count if count > ENTRIES_MAX => return Err(SqsError::batch_count(count)),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=ID_CHARS_MAX).contains(&id.len()) || !id.bytes().all(fits) {
            return Err(SqsError::batch_id());
        }
        if !seen.insert(id) {
            return Err(SqsError::batch_ids(id));
        }
    }
    Ok(())
}

/// A batch's answer: what came of each entry, by id.
pub(super) fn answer(ends: Vec<(String, Result<Value, SqsError>)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, end) in ends {
        match end {
            Ok(mut result) => {
                result["Id"] = id.into();
                successful.push(result);
            }
            Err(error) => failed.push(error.entry(&id)),
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}
