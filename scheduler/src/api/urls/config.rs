//! CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig, DeleteFunctionUrlConfig,
//! ListFunctionUrlConfigs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use uuid::Uuid;

use super::shapes::{UrlRequest, changed, show};
use crate::api::Platform;
use crate::api::blocking::blocking;
use crate::api::error::ApiError;
use crate::api::find::{named, unqualified};
use crate::api::functions::{Answer, Qualified, Shared, parse};
use crate::api::name::is_alias_name;
use crate::api::page::{self, Page};
use crate::function::{Entry, FunctionUrl, Settings};

pub(in crate::api) async fn create(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let owner = Owner::named(&platform, &name, query)?;
    platform.functions.get(&owner.name).ok_or_else(no_function)?;
    let request: UrlRequest = parse(body)?;
    let url = request.create(Uuid::new_v4().simple().to_string())?;
    let created = blocking(move || {
        let Owner { name, key } = &owner;
        platform.functions.configure(name, |entry: &Entry, settings: &mut Settings| {
            owner.is_there(entry)?;
            if settings.urls.contains_key(key) {
                let arn = platform.service.identity.function_arn(name);
                return Err(ApiError::conflict(format!(
                    "Failed to create function url config for [functionArn = {arn}]. Error message:  \
                     FunctionUrlConfig exists for this Lambda function"
                )));
            }
            let shown = changed(&platform, name, key, &url);
            settings.urls.insert(key.clone(), url);
            Ok(shown)
        })
    });
    Ok((StatusCode::CREATED, Json(created.await?)).into_response())
}

pub(in crate::api) async fn get(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let Owner { name, key } = Owner::named(&platform, &name, query)?;
    let entry = platform.functions.get(&name).ok_or_else(ApiError::no_resource)?;
    let url = entry.settings.urls.get(&key).ok_or_else(ApiError::no_resource)?;
    Ok(Json(show(&platform, &name, &key, url)).into_response())
}

pub(in crate::api) async fn update(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let owner = Owner::named(&platform, &name, query)?;
    owner.is_there(&*platform.functions.get(&owner.name).ok_or_else(no_function)?)?;
    let Owner { name, key } = owner;
    let request: UrlRequest = parse(body)?;
    let updated = blocking(move || {
        platform.functions.configure(&name, |_, settings: &mut Settings| {
            let url = settings.urls.get_mut(&key).ok_or_else(ApiError::no_resource)?;
            *url = request.change(url.clone())?;
            Ok(changed(&platform, &name, &key, url))
        })
    });
    Ok(Json(updated.await?).into_response())
}

pub(in crate::api) async fn delete(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(query): Query<Qualified>,
) -> Answer {
    let Owner { name, key } = Owner::named(&platform, &name, query)?;
    platform.functions.get(&name).ok_or_else(ApiError::no_resource)?;
    let deleted = blocking(move || {
        platform.functions.configure(&name, |_, settings: &mut Settings| {
            settings.urls.remove(&key).map(drop).ok_or_else(ApiError::no_resource)
        })
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(in crate::api) async fn list(
    State(platform): Shared,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let name = unqualified(&platform, &name)?;
    let entry = platform.functions.get(&name.name).ok_or_else(no_function)?;
    let count = page.count(page::LAYER_ITEMS)?;
    // A marker is the last qualifier of the page before, behind a colon: the function's own has none.
    let after = page.marker.as_deref().map(|marker| marker.strip_prefix(':'));
    let after = match after {
        Some(None) => return Err(ApiError::invalid("The Marker is not one of this list's.")),
        Some(after) => after,
        None => None,
    };
    let rest = entry.settings.urls.iter().filter(|(key, _)| after.is_none_or(|one| &***key > one));
    let found: Vec<(&String, &FunctionUrl)> = rest.take(count + 1).collect();
    let show = |(key, url): &(&String, &FunctionUrl)| show(&platform, &name.name, key, url);
    Ok(page::answer("FunctionUrlConfigs", found, count, show, |(key, _)| format!(":{key}")))
}

/// What a URL belongs to: a function, or an alias.
struct Owner {
    name: String,
    /// The alias, or nothing.
    key: String,
}

impl Owner {
    fn named(platform: &Platform, form: &str, query: Qualified) -> Result<Owner, ApiError> {
        let name = named(platform, form, query.qualifier)?;
        match name.qualifier {
            Some(qualifier) if !is_alias_name(&qualifier) => {
                let must = "satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)";
                Err(ApiError::constraint(&qualifier, "qualifier", must))
            }
            qualifier => Ok(Owner { name: name.name, key: qualifier.unwrap_or_default() }),
        }
    }

    /// Refuses an alias that there is not.
    fn is_there(&self, entry: &Entry) -> Result<(), ApiError> {
        let is_there = self.key.is_empty() || entry.settings.aliases.contains_key(&self.key);
        if is_there { Ok(()) } else { Err(no_function()) }
    }
}

/// There is nothing that could have a URL.
fn no_function() -> ApiError {
    ApiError::missing("Function does not exist")
}
