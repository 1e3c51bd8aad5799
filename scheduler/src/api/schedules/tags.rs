//! TagResource, UntagResource, ListTagsForResource: groups alone have tags.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::ScheduleError;
use super::{Answer, Body, Parameters, check, parse};
use crate::api::Platform;
use crate::api::functions::Shared;
use crate::schedules::Group;

/// Tags in a request, and of a group.
const TAGS_MAX: usize = 200;

/// Tag.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagResource {
    tags: Option<Vec<Tag>>,
}

/// Tags by their keys.
///
/// # Errors
/// ValidationException, about the first thing that is wrong.
pub(super) fn checked(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, ScheduleError> {
    few(tags.len())?;
    for Tag { key, value } in &tags {
        check::length(key, "tags.key", 1..=128)?;
        check::length(value, "tags.value", 1..=256)?;
    }
    Ok(tags.into_iter().map(|Tag { key, value }| (key, value)).collect())
}

pub(super) async fn tag(State(platform): Shared, Path(arn): Path<String>, body: Body) -> Answer {
    let request: TagResource = parse(body)?;
    let tags = checked(request.tags.ok_or_else(|| ScheduleError::missing("tags"))?)?;
    change(&platform, &arn, |group| {
        group.tags.extend(tags);
        few(group.tags.len())
    })
    .await
}

pub(super) async fn untag(
    State(platform): Shared,
    Path(arn): Path<String>,
    parameters: Parameters,
) -> Answer {
    let keys: Vec<&str> = parameters.all("TagKeys").collect();
    few(keys.len())?;
    keys.iter().try_for_each(|key| check::length(key, "tagKeys", 1..=128))?;
    change(&platform, &arn, |group| {
        keys.iter().for_each(|key| drop(group.tags.remove(*key)));
        Ok(())
    })
    .await
}

pub(super) async fn list(State(platform): Shared, Path(arn): Path<String>) -> Answer {
    let name = resource(&platform, &arn)?;
    let group = platform.schedules.groups.get(name).ok_or_else(|| ScheduleError::no_group(name))?;
    let tags = group.tags.iter();
    let tags: Vec<_> = tags.map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(Json(json!({ "Tags": tags })).into_response())
}

async fn change(
    platform: &Platform,
    arn: &str,
    change: impl FnOnce(&mut Group) -> Result<(), ScheduleError>,
) -> Answer {
    let name = resource(platform, arn)?;
    let changed = platform.schedules.groups.change(name, |before| {
        let mut group = before.cloned().ok_or_else(|| ScheduleError::no_group(name))?;
        change(&mut group)?;
        Ok::<_, ScheduleError>(group)
    });
    changed.await?;
    Ok(Json(json!({})).into_response())
}

/// The group that an ARN names.
fn resource<'a>(platform: &Platform, arn: &'a str) -> Result<&'a str, ScheduleError> {
    check::length(arn, "resourceArn", 1..=1011)?;
    let name = arn.strip_prefix(&*platform.service.identity.schedule_group_arn(""));
    let name = name.filter(|name| check::name(name, "").is_ok());
    name.ok_or_else(|| {
        let must = "be the ARN of a schedule group of this platform";
        ScheduleError::constraint(arn, "resourceArn", must)
    })
}

fn few(count: usize) -> Result<(), ScheduleError> {
    match count {
        0..=TAGS_MAX => Ok(()),
        _ => Err(ScheduleError::invalid(format!("There are at most {TAGS_MAX} tags."))),
    }
}
