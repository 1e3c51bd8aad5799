//! EventBridge Scheduler's API (rest-json, version 2021-06-30; shapes, limits and errors as in botocore's model of the
//! service).
//!
//! | | | |
//! | --- | --- | --- |
//! | POST, GET, PUT, DELETE | /schedules/NAME | CreateSchedule, GetSchedule, UpdateSchedule, DeleteSchedule: calls.rs |
//! | GET | /schedules | ListSchedules |
//! | POST, GET, DELETE | /schedule-groups/NAME | CreateScheduleGroup, GetScheduleGroup, DeleteScheduleGroup: groups.rs |
//! | GET | /schedule-groups | ListScheduleGroups |
//! | POST, GET, DELETE | /tags/ARN | TagResource, ListTagsForResource, UntagResource: tags.rs |

mod calls;
mod check;
mod error;
mod groups;
mod shapes;
mod tags;
mod target;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use serde::de::DeserializeOwned;

use super::Platform;
use error::ScheduleError;

/// Largest request: an input of 256 KB, each character of it as an escape.
const BODY_BYTES_MAX: usize = 2 << 20;
/// Things on a page, where nothing is said and at most.
const PAGE_MAX: u32 = 100;

type Answer = Result<Response, ScheduleError>;
type Body = Result<Bytes, BytesRejection>;

/// The service's paths.
pub(super) fn router() -> Router<Arc<Platform>> {
    let schedule = get(calls::get).post(calls::create).put(calls::update).delete(calls::delete);
    let group = get(groups::get).post(groups::create).delete(groups::delete);
    Router::new()
        .route("/schedules", get(calls::list))
        .route("/schedules/{name}", schedule)
        .route("/schedule-groups", get(groups::list))
        .route("/schedule-groups/{name}", group)
        .route("/tags/{arn}", get(tags::list).post(tags::tag).delete(tags::untag))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

fn parse<T: DeserializeOwned>(body: Body) -> Result<T, ScheduleError> {
    let body = body.map_err(|_| ScheduleError::invalid("The request is too large."))?;
    serde_json::from_slice(&body).map_err(|error| {
        ScheduleError::invalid(format!("Could not parse request body into json: {error}"))
    })
}

/// What a query says.
struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ScheduleError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ScheduleError> {
        let query = Query::from_request_parts(parts, state).await;
        let query = query.map_err(|error| ScheduleError::invalid(error.to_string()))?;
        Ok(Parameters(query.0))
    }
}

impl Parameters {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    fn client_token(&self) -> Result<(), ScheduleError> {
        self.get("clientToken").map_or(Ok(()), check::client_token)
    }

    /// What names are to begin with.
    fn prefix(&self) -> Result<&str, ScheduleError> {
        match self.get("NamePrefix") {
            None => Ok(""),
            Some(prefix) => check::name(prefix, "namePrefix").map(|()| prefix),
        }
    }

    /// Behind what the page begins, and how many are on it.
    fn page(&self) -> Result<(Option<&str>, usize), ScheduleError> {
        let count = match self.get("MaxResults") {
            None => PAGE_MAX,
            Some(text) => {
                let number = text
                    .parse()
                    .map_err(|_| ScheduleError::constraint(text, "maxResults", "be a number"))?;
                check::within(number, "maxResults", 1..=PAGE_MAX)?
            }
        };
        let token = self.get("NextToken");
        token.map_or(Ok(()), check::next_token)?;
        Ok((token, count as usize))
    }
}
