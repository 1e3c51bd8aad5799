//! Mayfly's own: every configuration that a function has had, the newest first. Those of its versions are among
//! them; what it had before it was deleted and made anew is not.

use axum::extract::{Path, Query, State};
use serde_json::Value;

use super::blocking::blocking;
use super::error::ApiError;
use super::find::{entry, unqualified};
use super::functions::{Answer, Shared};
use super::page::{self, Page};
use super::versions;
use crate::function::Function;

pub(super) async fn list(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let entry = entry(&platform, &unqualified(&platform, &name)?)?;
    let count = page.count(page::ITEMS)?;
    // A marker is the last deployment of the page before.
    let before = page.marker.as_deref().map(|marker| {
        marker.parse().map_err(|_| ApiError::invalid("The Marker is not one of this list's."))
    });
    let before = before.transpose()?;
    let identity = platform.service.identity.clone();
    let found =
        blocking(move || Ok(platform.functions.history(entry.latest.id, before, count + 1)?));
    let show = |function: &Function| {
        let mut value: Value = versions::listed(&identity, function);
        value["Deployment"] = function.deployment.into();
        value
    };
    Ok(page::answer("History", found.await?, count, show, |one| one.deployment.to_string()))
}
