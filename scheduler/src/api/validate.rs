//! From what a client sends to a [`Configuration`]: defaults filled in, limits checked
//! (Lambda developer guide, "Lambda quotas").

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::error::ApiError;
use super::name::FunctionName;
use super::shapes::{
    CreateFunction, Environment, TracingConfig, UpdateFunctionCode, UpdateFunctionConfiguration,
};
use crate::function::{Configuration, Tracing};
use crate::service::RESERVED_VARIABLES;

const MEMORY_MIB: RangeInclusive<i64> = 128..=10_240;
const TIMEOUT_S: RangeInclusive<i64> = 1..=900;
const TMP_MIB: RangeInclusive<i64> = 512..=10_240;
const DESCRIPTION_CHARS_MAX: usize = 256;
const HANDLER_CHARS_MAX: usize = 128;
const RUNTIME_CHARS_MAX: usize = 32;
const ROLE_CHARS_MAX: usize = 10_000;
/// All environment variables of a function, names and values.
const VARIABLES_BYTES_MAX: usize = 4096;

/// Checks everything but the code and the layers.
///
/// # Errors
/// InvalidParameterValueException, about the first thing that is wrong.
pub(super) fn configuration(request: &CreateFunction) -> Result<Configuration, ApiError> {
    let name = FunctionName::parse(&request.function_name)?;
    if name.qualifier.is_some() {
        return Err(ApiError::invalid("A function is created without a qualifier."));
    }
    what_is_not_there(request)?;
    Ok(Configuration {
        name: name.name,
        runtime: runtime(request.runtime.as_deref())?,
        role: role(&request.role)?,
        handler: handler(request.handler.as_deref())?,
        description: description(request.description.clone().unwrap_or_default())?,
        timeout_s: within(request.timeout.unwrap_or(3), "timeout", TIMEOUT_S)?,
        memory_mib: within(request.memory_size.unwrap_or(128), "memorySize", MEMORY_MIB)?,
        tmp_mib: within(
            request.ephemeral_storage.as_ref().map_or(512, |storage| storage.size),
            "ephemeralStorage.size",
            TMP_MIB,
        )?,
        variables: variables(request.environment.as_ref())?,
        has_environment: request.environment.is_some(),
        // Whoever can look them up does.
        layers: Vec::new(),
        dead_letter: None,
        tracing: tracing(request.tracing_config.as_ref())?.unwrap_or_default(),
    })
}

/// What an update makes of a configuration, but for its layers.
///
/// # Errors
/// As [`configuration`].
pub(super) fn configuration_update(
    request: &UpdateFunctionConfiguration,
    before: &Configuration,
) -> Result<Configuration, ApiError> {
    let mut after = before.clone();
    if let Some(name) = &request.runtime {
        after.runtime = runtime(Some(name))?;
    }
    if let Some(arn) = &request.role {
        after.role = role(arn)?;
    }
    if let Some(name) = &request.handler {
        after.handler = handler(Some(name))?;
    }
    if let Some(text) = &request.description {
        after.description = description(text.clone())?;
    }
    if let Some(seconds) = request.timeout {
        after.timeout_s = within(seconds, "timeout", TIMEOUT_S)?;
    }
    if let Some(mib) = request.memory_size {
        after.memory_mib = within(mib, "memorySize", MEMORY_MIB)?;
    }
    if let Some(storage) = &request.ephemeral_storage {
        after.tmp_mib = within(storage.size, "ephemeralStorage.size", TMP_MIB)?;
    }
    if let Some(mode) = tracing(request.tracing_config.as_ref())? {
        after.tracing = mode;
    }
    if request.environment.is_some() {
        after.variables = variables(request.environment.as_ref())?;
        after.has_environment = true;
    }
    Ok(after)
}

/// The zip, in base64, of an update of the code.
///
/// # Errors
/// InvalidParameterValueException: another source, or something that there is not.
pub(super) fn code_update(request: &UpdateFunctionCode) -> Result<&str, ApiError> {
    only_x86_64(request.architectures.as_deref())?;
    request.zip_file.as_deref().ok_or_else(no_zip)
}

/// The code is somewhere else.
pub(super) fn no_zip() -> ApiError {
    ApiError::invalid("Please provide the code as ZipFile: other sources are not supported.")
}

/// Refuses what would otherwise be ignored, to the client's harm.
fn what_is_not_there(request: &CreateFunction) -> Result<(), ApiError> {
    if request.package_type.as_deref().is_some_and(|kind| kind != "Zip") {
        return Err(ApiError::invalid("Only functions of PackageType Zip are supported."));
    }
    only_x86_64(request.architectures.as_deref())
}

fn only_x86_64(architectures: Option<&[String]>) -> Result<(), ApiError> {
    match architectures {
        Some(list) if list.iter().any(|one| one != "x86_64") => {
            Err(ApiError::invalid("Only the architecture x86_64 is supported."))
        }
        _ => Ok(()),
    }
}

fn runtime(runtime: Option<&str>) -> Result<String, ApiError> {
    match runtime {
        Some(runtime) if is_runtime_name(runtime) => Ok(runtime.into()),
        Some(runtime) => Err(ApiError::invalid(format!(
            "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy regular \
             expression pattern: [a-z][a-z0-9.]{{0,31}}"
        ))),
        None => {
            Err(ApiError::invalid("Runtime is mandatory for functions created with Zip packages."))
        }
    }
}

/// Whether a runtime may be called so: the name is part of file names.
pub(super) fn is_runtime_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.';
    name.len() <= RUNTIME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(allowed)
}

fn role(role: &str) -> Result<String, ApiError> {
    let parts: Vec<&str> = role.splitn(6, ':').collect();
    match parts[..] {
        ["arn", partition, "iam", "", account, resource]
            if partition.starts_with("aws")
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && resource.len() > "role/".len()
                && resource.starts_with("role/")
                && role.len() <= ROLE_CHARS_MAX =>
        {
            Ok(role.into())
        }
        _ => Err(ApiError::constraint(
            role,
            "role",
            "satisfy regular expression pattern: \
             arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
        )),
    }
}

fn handler(handler: Option<&str>) -> Result<String, ApiError> {
    match handler {
        None | Some("") => {
            Err(ApiError::invalid("Handler is mandatory for functions created with Zip packages."))
        }
        Some(handler)
            if handler.len() > HANDLER_CHARS_MAX || handler.contains(char::is_whitespace) =>
        {
            Err(ApiError::constraint(
                handler,
                "handler",
                "satisfy regular expression pattern: [^\\s]+",
            ))
        }
        Some(handler) => no_nul(handler, "handler").map(|()| handler.into()),
    }
}

fn tracing(config: Option<&TracingConfig>) -> Result<Option<Tracing>, ApiError> {
    match config.and_then(|config| config.mode.as_deref()) {
        None => Ok(None),
        Some("PassThrough") => Ok(Some(Tracing::PassThrough)),
        Some("Active") => Ok(Some(Tracing::Active)),
        Some(other) => {
            let must = "satisfy enum value set: [Active, PassThrough]";
            Err(ApiError::constraint(other, "tracingConfig.mode", must))
        }
    }
}

pub(super) fn description(text: String) -> Result<String, ApiError> {
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        let must = "have length less than or equal to 256";
        return Err(ApiError::constraint(&text, "description", must));
    }
    Ok(text)
}

pub(super) fn within(
    value: i64,
    member: &str,
    range: RangeInclusive<i64>,
) -> Result<u32, ApiError> {
    let must = if value < *range.start() {
        format!("have value greater than or equal to {}", range.start())
    } else if value > *range.end() {
        format!("have value less than or equal to {}", range.end())
    } else {
        return u32::try_from(value).map_err(|error| ApiError::invalid(error.to_string()));
    };
    Err(ApiError::constraint(&value.to_string(), member, &must))
}

fn variables(environment: Option<&Environment>) -> Result<BTreeMap<String, String>, ApiError> {
    let variables = environment.and_then(|one| one.variables.clone()).unwrap_or_default();
    for (name, value) in &variables {
        let mut bytes = name.bytes();
        let is_name = name.len() > 1
            && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            return Err(ApiError::invalid(format!(
                "Lambda was unable to configure your environment variables because the environment \
                 variables you have provided contains reserved keys that are currently not supported \
                 for modification. Reserved keys used in this request: {name}"
            )));
        }
        if !is_name {
            let must = "satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+";
            return Err(ApiError::constraint(name, "environment.variables", must));
        }
        no_nul(value, "environment.variables")?;
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > VARIABLES_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "Lambda was unable to configure your environment variables because the environment \
             variables you have provided exceeded the 4KB limit. ({bytes} bytes)"
        )));
    }
    Ok(variables)
}

/// The program's environment can't hold one.
fn no_nul(text: &str, member: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(ApiError::constraint("", member, "not contain NUL"));
    }
    Ok(())
}
