//! CreateScheduleGroup, GetScheduleGroup, ListScheduleGroups, DeleteScheduleGroup.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ScheduleError;
use super::shapes::{page, seconds};
use super::tags::{self, Tag};
use super::{Answer, Body, Parameters, check, parse};
use crate::api::functions::Shared;
use crate::clock;
use crate::schedules::{DEFAULT_GROUP, Group};
use crate::service::Identity;

/// Groups of a platform (EventBridge Scheduler user guide, "Quotas").
const GROUPS_MAX: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateScheduleGroup {
    #[serde(default)]
    tags: Vec<Tag>,
    client_token: Option<String>,
}

pub(super) async fn create(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    check::name(&name, "name")?;
    let request: CreateScheduleGroup = parse(body)?;
    if let Some(token) = &request.client_token {
        check::client_token(token)?;
    }
    let (tags, client_token) = (tags::checked(request.tags)?, request.client_token);
    let groups = &platform.schedules.groups;
    let created = groups.change(&name, |before| match before {
        Some(before) if before.client_token.is_some() && before.client_token == client_token => {
            Ok(before.clone())
        }
        Some(_) => Err(ScheduleError::exists("Schedule group", &name)),
        None if groups.list().len() >= GROUPS_MAX => {
            Err(ScheduleError::too_many("schedule groups", GROUPS_MAX))
        }
        None => {
            let now_ms = clock::unix_ms();
            let (created_ms, modified_ms) = (now_ms, now_ms);
            Ok(Group { name: name.clone(), tags, client_token, created_ms, modified_ms })
        }
    });
    created.await?;
    let arn = platform.service.identity.schedule_group_arn(&name);
    Ok(Json(json!({ "ScheduleGroupArn": arn })).into_response())
}

pub(super) async fn get(State(platform): Shared, Path(name): Path<String>) -> Answer {
    check::name(&name, "name")?;
    let group = platform.schedules.groups.get(&name);
    let group = group.ok_or_else(|| ScheduleError::no_group(&name))?;
    Ok(Json(show(&platform.service.identity, &group)).into_response())
}

pub(super) async fn list(State(platform): Shared, parameters: Parameters) -> Answer {
    let prefix = parameters.prefix()?;
    let found = platform.schedules.groups.list().into_iter();
    let found = found.filter(|one| one.name.starts_with(prefix));
    let identity = &platform.service.identity;
    let key = |one: &Group| one.name.clone();
    let show = |one: &Group| show(identity, one);
    Ok(Json(page("ScheduleGroups", found, key, show, parameters.page()?)).into_response())
}

pub(super) async fn delete(
    State(platform): Shared,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Answer {
    check::name(&name, "name")?;
    parameters.client_token()?;
    if name == DEFAULT_GROUP {
        return Err(ScheduleError::invalid("The default schedule group cannot be deleted."));
    }
    match platform.schedules.remove_group(&name).await? {
        true => Ok(Json(json!({})).into_response()),
        false => Err(ScheduleError::no_group(&name)),
    }
}

/// GetScheduleGroupOutput, ScheduleGroupSummary.
fn show(identity: &Identity, group: &Group) -> Value {
    json!({
        "Arn": identity.schedule_group_arn(&group.name),
        "Name": group.name,
        "State": "ACTIVE",
        "CreationDate": seconds(group.created_ms),
        "LastModificationDate": seconds(group.modified_ms),
    })
}
