//! Lists in pages: a marker says behind what the next one begins.

use std::ops::RangeInclusive;

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::ApiError;

/// Entries on one page: as many as AWS gives.
const PAGE_MAX: usize = 50;
/// What a client may ask for (MaxListItems, MaxLayerListItems, MaxItems).
pub(super) const ITEMS: RangeInclusive<usize> = 1..=10_000;
pub(super) const LAYER_ITEMS: RangeInclusive<usize> = 1..=50;

/// Which page a client wants.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(rename = "Marker")]
    pub(super) marker: Option<String>,
    #[serde(rename = "MaxItems")]
    items_max: Option<usize>,
}

impl Page {
    /// How many entries are on it.
    ///
    /// # Errors
    /// More or fewer than are `allowed`.
    pub(super) fn count(&self, allowed: RangeInclusive<usize>) -> Result<usize, ApiError> {
        match self.items_max {
            Some(count) if !allowed.contains(&count) => {
                let (min, max) = allowed.into_inner();
                Err(ApiError::invalid(format!("MaxItems must be from {min} to {max}.")))
            }
            Some(count) => Ok(count.min(PAGE_MAX)),
            None => Ok(PAGE_MAX),
        }
    }
}

/// The answer with `count` of what was `found`, in the list that the model calls `member`. Whoever found one
/// more than that makes a next page.
pub(super) fn answer<T>(
    member: &str,
    mut found: Vec<T>,
    count: usize,
    show: impl Fn(&T) -> Value,
    marker: impl Fn(&T) -> String,
) -> Response {
    let is_last = found.len() <= count;
    found.truncate(count);
    let mut answer = Map::new();
    answer.insert(member.into(), found.iter().map(show).collect());
    if let (false, Some(last)) = (is_last, found.last()) {
        answer.insert("NextMarker".into(), marker(last).into());
    }
    Json(Value::Object(answer)).into_response()
}
