//! CreateSchedule, GetSchedule, ListSchedules, UpdateSchedule, DeleteSchedule.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde_json::json;
use uuid::Uuid;

use super::error::ScheduleError;
use super::shapes::{self, ScheduleInput};
use super::{Answer, Body, Parameters, check, parse};
use crate::api::Platform;
use crate::api::functions::Shared;
use crate::clock;
use crate::schedules::{DEFAULT_GROUP, Schedule, Schedules};

/// Schedules of a platform: what is read through at each tick, and kept in memory.
const SCHEDULES_MAX: usize = 100_000;
/// What all of them may take, bytes: they are kept in memory, and each may have 256 KB of input.
const BYTES_MAX: usize = 1 << 30;

pub(super) async fn create(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let schedules = &platform.schedules;
    put(&platform, name, body, |schedule, before| anew(schedules, schedule, before)).await
}

pub(super) async fn update(
    State(platform): Shared,
    Path(name): Path<String>,
    body: Body,
) -> Answer {
    let schedules = &platform.schedules;
    put(&platform, name, body, |schedule, before| another(schedules, schedule, before)).await
}

/// Puts what `make` makes of the schedule in a request in the place of the one that there is.
async fn put(
    platform: &Platform,
    name: String,
    body: Body,
    make: impl FnOnce(Schedule, Option<&Schedule>) -> Result<Schedule, ScheduleError>,
) -> Answer {
    let identity = &platform.service.identity;
    let schedule = parse::<ScheduleInput>(body)?.schedule(identity, name)?;
    let (group, name) = (schedule.group.clone(), schedule.name.clone());
    platform.schedules.change(&group, &name, |before| make(schedule, before)).await?;
    Ok(Json(json!({ "ScheduleArn": identity.schedule_arn(&group, &name) })).into_response())
}

/// A schedule where there is none.
fn anew(
    schedules: &Schedules,
    schedule: Schedule,
    before: Option<&Schedule>,
) -> Result<Schedule, ScheduleError> {
    let group = schedules.groups.get(&schedule.group);
    group.ok_or_else(|| ScheduleError::no_group(&schedule.group))?;
    if let Some(before) = before {
        // The same request again: its answer got lost.
        let is_same =
            schedule.client_token.is_some() && before.client_token == schedule.client_token;
        let exists = || ScheduleError::exists("Schedule", &schedule.name);
        return Some(before.clone()).filter(|_| is_same).ok_or_else(exists);
    }
    if schedules.count() >= SCHEDULES_MAX {
        return Err(ScheduleError::too_many("schedules", SCHEDULES_MAX));
    }
    check_room(schedules.bytes(), &schedule, None)?;
    let now_ms = clock::unix_ms();
    shapes::dates(&schedule, now_ms)?;
    let schedule = Schedule { id: Uuid::new_v4().to_string(), ..schedule };
    schedule.in_place_of(None, now_ms).ok_or_else(never)
}

/// Another schedule in the place of the one that there is.
fn another(
    schedules: &Schedules,
    schedule: Schedule,
    before: Option<&Schedule>,
) -> Result<Schedule, ScheduleError> {
    let before = before.ok_or_else(|| ScheduleError::no_schedule(&schedule.name))?;
    check_room(schedules.bytes(), &schedule, Some(before))?;
    let now_ms = clock::unix_ms();
    if (before.start_ms, before.end_ms) != (schedule.start_ms, schedule.end_ms) {
        shapes::dates(&schedule, now_ms)?;
    }
    let (id, client_token) = (before.id.clone(), before.client_token.clone());
    let schedule = Schedule { id, client_token, ..schedule };
    schedule.in_place_of(Some(before), now_ms).ok_or_else(never)
}

/// Refuses more input than there was, where all schedules, which take so many bytes now, would take too many.
fn check_room(
    bytes: usize,
    after: &Schedule,
    before: Option<&Schedule>,
) -> Result<(), ScheduleError> {
    let input = |one: &Schedule| one.target.input.as_ref().map_or(0, String::len);
    let more = input(after).saturating_sub(before.map_or(0, input));
    match more > 0 && bytes + more > BYTES_MAX {
        true => Err(ScheduleError::too_many("bytes of all schedules together", BYTES_MAX)),
        false => Ok(()),
    }
}

pub(super) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Answer {
    let group = of_group(&name, &parameters)?;
    let found = platform.schedules.get(group, &name);
    let found = found.ok_or_else(|| ScheduleError::no_schedule(&name))?;
    Ok(Json(shapes::show(&platform.service.identity, &found)).into_response())
}

pub(super) async fn delete(
    State(platform): Shared,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Answer {
    let group = of_group(&name, &parameters)?;
    parameters.client_token()?;
    match platform.schedules.remove(group, &name).await? {
        true => Ok(Json(json!({})).into_response()),
        false => Err(ScheduleError::no_schedule(&name)),
    }
}

pub(super) async fn list(State(platform): Shared, parameters: Parameters) -> Answer {
    let group = parameters.get("ScheduleGroup");
    if let Some(group) = group {
        check::name(group, "groupName")?;
        platform.schedules.groups.get(group).ok_or_else(|| ScheduleError::no_group(group))?;
    }
    let prefix = parameters.prefix()?;
    let words = [("ENABLED", true), ("DISABLED", false)];
    let state = parameters.get("State").map(|state| check::one_of(state, "state", words));
    let state = state.transpose()?;
    let found = platform.schedules.list().into_iter().filter(|one| {
        group.is_none_or(|group| one.group == group)
            && one.name.starts_with(prefix)
            && state.is_none_or(|state| one.is_enabled == state)
    });
    let identity = &platform.service.identity;
    let key = |one: &Schedule| Schedule::key(&one.group, &one.name);
    let show = |one: &Schedule| shapes::summary(identity, one);
    Ok(Json(shapes::page("Schedules", found, key, show, parameters.page()?)).into_response())
}

/// The group that a query names, or the one that is meant where it names none.
fn of_group<'a>(name: &str, parameters: &'a Parameters) -> Result<&'a str, ScheduleError> {
    check::name(name, "name")?;
    let group = parameters.get("groupName").unwrap_or(DEFAULT_GROUP);
    check::name(group, "groupName")?;
    Ok(group)
}

fn never() -> ScheduleError {
    ScheduleError::invalid("Invalid Schedule Expression: there is no time to come that it names.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_have_room_together() {
        let with = |bytes: usize| {
            let mut schedule = Schedule::default();
            schedule.target.input = Some("x".repeat(bytes));
            schedule
        };
        assert!(check_room(BYTES_MAX - 9, &with(9), None).is_ok());
        let full = check_room(BYTES_MAX - 9, &with(10), None).unwrap_err();
        assert_eq!(full.into_response().status(), 402);
        // What takes no more than before finds room, and so does what has no input.
        assert!(check_room(BYTES_MAX, &with(10), Some(&with(10))).is_ok());
        assert!(check_room(BYTES_MAX, &Schedule::default(), None).is_ok());
    }
}
