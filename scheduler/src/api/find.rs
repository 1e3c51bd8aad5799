//! From what a client calls a function to the version that it means.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::Platform;
use super::error::ApiError;
use super::name::FunctionName;
use super::shapes;
use crate::function::{Entry, Function, LATEST, Settings};
use crate::service::Identity;

/// A version, and how it was called.
pub(super) struct Target {
    pub(super) function: Arc<Function>,
    pub(super) qualifier: Option<String>,
    /// Its own, or its alias's.
    pub(super) revision_id: String,
    /// Those of the function as a whole.
    pub(super) settings: Settings,
}

impl Target {
    /// Its FunctionConfiguration.
    pub(super) fn configuration(&self, identity: &Identity) -> Value {
        shapes::configuration(identity, &self.function, self.qualifier.as_deref())
    }

    /// The ARN that it was called by.
    pub(super) fn arn(&self, identity: &Identity) -> String {
        identity.qualified_arn(&self.function.configuration.name, self.qualifier.as_deref())
    }
}

/// What a path and a query name.
///
/// # Errors
/// A name that is none, or of what is elsewhere.
pub(super) fn named(
    platform: &Platform,
    form: &str,
    qualifier: Option<String>,
) -> Result<FunctionName, ApiError> {
    FunctionName::parse(form, qualifier)?.here(&platform.service.identity)
}

/// The version that a path and a query name.
///
/// # Errors
/// A name that is none, or of nothing.
pub(super) fn find(
    platform: &Platform,
    form: &str,
    qualifier: Option<String>,
) -> Result<Target, ApiError> {
    let name = named(platform, form, qualifier)?;
    target(platform, name, |entry, qualifier| entry.find(qualifier))
}

/// The version that is to run an invocation of what a path and a query name: an alias may have it drawn.
///
/// # Errors
/// As [`find`].
pub(super) fn route(
    platform: &Platform,
    form: &str,
    qualifier: Option<String>,
) -> Result<Target, ApiError> {
    let name = named(platform, form, qualifier)?;
    let is_there = platform.functions.get(&name.name).is_some();
    if !is_there && name.qualifier.is_none() {
        // What is missed is what would run.
        let latest = name.at(Some(LATEST.into()));
        return Err(ApiError::not_found(&platform.service.identity, &latest));
    }
    target(platform, name, |entry, qualifier| entry.route(qualifier, random_bits()))
}

/// The low bits of a random UUID are random, all 62 of them.
fn random_bits() -> u32 {
    Uuid::new_v4().as_u128() as u32
}

/// The version that `choose` takes for the name's qualifier.
///
/// # Errors
/// There is no such function, or no such version.
pub(super) fn target(
    platform: &Platform,
    name: FunctionName,
    choose: impl for<'a> FnOnce(&'a Entry, &str) -> Option<&'a Arc<Function>>,
) -> Result<Target, ApiError> {
    let entry = entry(platform, &name)?;
    let function = match name.qualifier.as_deref() {
        None => Some(&entry.latest),
        Some(qualifier) => choose(&entry, qualifier),
    };
    let function =
        function.ok_or_else(|| ApiError::not_found(&platform.service.identity, &name))?;
    let revision_id = entry.revision_id(name.qualifier.as_deref()).unwrap_or_default().to_owned();
    let (function, settings) = (Arc::clone(function), entry.settings.clone());
    Ok(Target { function, qualifier: name.qualifier, revision_id, settings })
}

/// The function that goes by this name, whatever its qualifier.
///
/// # Errors
/// There is none.
pub(super) fn entry(platform: &Platform, name: &FunctionName) -> Result<Arc<Entry>, ApiError> {
    let missing = || ApiError::not_found(&platform.service.identity, name);
    platform.functions.get(&name.name).ok_or_else(missing)
}

/// The name of a function as a whole.
///
/// # Errors
/// One that is none, or has a qualifier.
pub(super) fn unqualified(platform: &Platform, form: &str) -> Result<FunctionName, ApiError> {
    let name = named(platform, form, None)?;
    match name.qualifier {
        None => Ok(name),
        Some(_) => Err(ApiError::invalid(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this \
                 operation. Please specify either a function name or an unqualified function ARN.",
        )),
    }
}
