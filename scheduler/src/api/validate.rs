//! From what a client sends to a [`Configuration`]: defaults filled in, limits checked
//! (Lambda developer guide, "Lambda quotas").

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::error::ApiError;
use super::name::{FunctionName, is_account};
use super::shapes::{
    CreateFunction, Environment, SnapStartConfig, TracingConfig, UpdateFunctionCode,
    UpdateFunctionConfiguration,
};
use super::violations::Violations;
use super::{logging, runtimes};
use crate::function::{Configuration, Logging, SnapStart, Tracing};
use crate::service::{Identity, RESERVED_VARIABLES};

const MEMORY_MIB: RangeInclusive<u32> = 128..=32_768;
const TIMEOUT_S: RangeInclusive<u32> = 1..=900;
const TMP_MIB: RangeInclusive<u32> = 512..=32_768;
const DESCRIPTION_CHARS: RangeInclusive<usize> = 0..=256;
const HANDLER_CHARS: RangeInclusive<usize> = 0..=128;
const ROLE_CHARS: RangeInclusive<usize> = 0..=10_000;
/// All environment variables of a function, as JSON.
const VARIABLES_BYTES_MAX: usize = 4096;

/// Checks everything but the code and the layers.
///
/// # Errors
/// ValidationException, about all that the model does not allow; else InvalidParameterValueException, about the
/// first thing that is wrong.
pub(super) fn configuration(
    request: &CreateFunction,
    identity: &Identity,
) -> Result<Configuration, ApiError> {
    let mut wrong = Violations::default();
    let name = FunctionName::parse_new(&request.function_name, &mut wrong)?;
    architectures(request.architectures.as_deref(), &mut wrong);
    role(&request.role, &mut wrong);
    handler_pattern(request.handler.as_deref().unwrap_or_default(), &mut wrong);
    let text = request.description.clone().unwrap_or_default();
    wrong.length(&text, "description", DESCRIPTION_CHARS);
    let timeout_s = wrong.within(request.timeout.unwrap_or(3), "timeout", TIMEOUT_S);
    let memory_mib = wrong.within(request.memory_size.unwrap_or(128), "memorySize", MEMORY_MIB);
    let tmp = request.ephemeral_storage.as_ref().map_or(512, |storage| storage.size);
    let tmp_mib = wrong.within(tmp, "ephemeralStorage.size", TMP_MIB);
    variable_names(request.environment.as_ref(), &mut wrong);
    let tracing = tracing(request.tracing_config.as_ref(), &mut wrong).unwrap_or_default();
    let snap_start = snap_start(request.snap_start.as_ref(), &mut wrong).unwrap_or_default();
    let logging =
        logging::logging(request.logging_config.as_ref(), &Logging::default(), &mut wrong);
    wrong.check()?;
    let name = name.here(identity)?.name;
    if request.package_type.as_deref().is_some_and(|kind| kind != "Zip") {
        return Err(ApiError::invalid("Only functions of PackageType Zip are supported."));
    }
    only_x86_64(request.architectures.as_deref())?;
    let runtime = runtime(request.runtime.as_deref())?;
    takes_snap_start(&runtime, snap_start)?;
    Ok(Configuration {
        name,
        runtime,
        role: request.role.clone(),
        handler: handler(request.handler.as_deref())?,
        description: text,
        timeout_s,
        memory_mib,
        tmp_mib,
        variables: variables(request.environment.as_ref())?,
        has_environment: request.environment.is_some(),
        // Whoever can look them up does.
        layers: Vec::new(),
        dead_letter: None,
        tracing,
        snap_start,
        logging: logging?,
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
    let mut wrong = Violations::default();
    if let Some(arn) = &request.role {
        role(arn, &mut wrong);
        after.role.clone_from(arn);
    }
    if let Some(name) = &request.handler {
        handler_pattern(name, &mut wrong);
    }
    if let Some(text) = &request.description {
        wrong.length(text, "description", DESCRIPTION_CHARS);
        after.description.clone_from(text);
    }
    if let Some(seconds) = request.timeout {
        after.timeout_s = wrong.within(seconds, "timeout", TIMEOUT_S);
    }
    if let Some(mib) = request.memory_size {
        after.memory_mib = wrong.within(mib, "memorySize", MEMORY_MIB);
    }
    if let Some(storage) = &request.ephemeral_storage {
        after.tmp_mib = wrong.within(storage.size, "ephemeralStorage.size", TMP_MIB);
    }
    if let Some(mode) = tracing(request.tracing_config.as_ref(), &mut wrong) {
        after.tracing = mode;
    }
    if let Some(apply_on) = snap_start(request.snap_start.as_ref(), &mut wrong) {
        after.snap_start = apply_on;
    }
    variable_names(request.environment.as_ref(), &mut wrong);
    let logging = logging::logging(request.logging_config.as_ref(), &before.logging, &mut wrong);
    wrong.check()?;
    after.logging = logging?;
    if let Some(name) = &request.runtime {
        after.runtime = runtime(Some(name))?;
    }
    takes_snap_start(&after.runtime, after.snap_start)?;
    if let Some(name) = &request.handler {
        after.handler = handler(Some(name))?;
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
    let mut wrong = Violations::default();
    architectures(request.architectures.as_deref(), &mut wrong);
    wrong.check()?;
    only_x86_64(request.architectures.as_deref())?;
    request.zip_file.as_deref().ok_or_else(no_zip)
}

/// The code is somewhere else.
pub(super) fn no_zip() -> ApiError {
    ApiError::invalid("Please provide the code as ZipFile: other sources are not supported.")
}

fn architectures(architectures: Option<&[String]>, wrong: &mut Violations) {
    let Some(list) = architectures else { return };
    let shown = format!("[{}]", list.join(", "));
    match list.len() {
        0 => wrong.add(&shown, "architectures", "have length greater than or equal to 1"),
        1 => {}
        _ => wrong.add(&shown, "architectures", "have length less than or equal to 1"),
    }
    architecture_names(list, "architectures", wrong);
}

/// Looks at the names of a list of architectures.
pub(super) fn architecture_names(list: &[String], member: &str, wrong: &mut Violations) {
    if list.iter().any(|one| !matches!(&**one, "x86_64" | "arm64")) {
        let must = "satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]";
        wrong.add(&format!("[{}]", list.join(", ")), member, must);
    }
}

/// Refuses what would otherwise be ignored, to the client's harm.
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
        Some(runtime) if runtimes::is_name(runtime) => Ok(runtime.into()),
        Some(runtime) => Err(ApiError::invalid(format!(
            "Value {runtime} at 'runtime' failed to satisfy constraint: Member must {} or be a valid ARN",
            runtimes::must()
        ))),
        None => {
            Err(ApiError::invalid("Runtime is mandatory for functions created with Zip packages."))
        }
    }
}

fn role(role: &str, wrong: &mut Violations) {
    wrong.length(role, "role", ROLE_CHARS);
    let parts: Vec<&str> = role.splitn(6, ':').collect();
    let is_role = match parts[..] {
        ["arn", partition, "iam", "", account, resource] => {
            let name = resource.strip_prefix("role").unwrap_or_default();
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&byte);
            partition.starts_with("aws")
                && is_account(account)
                && !name.trim_start_matches('/').is_empty()
                && name.bytes().all(is_part)
        }
        _ => false,
    };
    if !is_role {
        let must = "satisfy regular expression pattern: \
                    arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+";
        wrong.add(role, "role", must);
    }
}

fn handler_pattern(handler: &str, wrong: &mut Violations) {
    wrong.length(handler, "handler", HANDLER_CHARS);
    if handler.contains(|char: char| char.is_whitespace() || char == '\0') {
        wrong.add(handler, "handler", "satisfy regular expression pattern: [^\\s]+");
    }
}

fn handler(handler: Option<&str>) -> Result<String, ApiError> {
    match handler {
        None | Some("") => {
            Err(ApiError::invalid("Handler is mandatory for functions created with Zip packages."))
        }
        Some(handler) => Ok(handler.into()),
    }
}

fn tracing(config: Option<&TracingConfig>, wrong: &mut Violations) -> Option<Tracing> {
    match config.and_then(|config| config.mode.as_deref())? {
        "PassThrough" => Some(Tracing::PassThrough),
        "Active" => Some(Tracing::Active),
        other => {
            let must = "satisfy enum value set: [Active, PassThrough]";
            wrong.add(other, "tracingConfig.mode", must);
            None
        }
    }
}

fn snap_start(config: Option<&SnapStartConfig>, wrong: &mut Violations) -> Option<SnapStart> {
    match config.and_then(|config| config.apply_on.as_deref())? {
        "PublishedVersions" => Some(SnapStart::PublishedVersions),
        "None" => Some(SnapStart::None),
        other => {
            let must = "satisfy enum value set: [PublishedVersions, None]";
            wrong.add(other, "snapStart.applyOn", must);
            None
        }
    }
}

fn takes_snap_start(runtime: &str, snap_start: SnapStart) -> Result<(), ApiError> {
    if snap_start == SnapStart::None || runtimes::has_snap_start(runtime) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("{runtime} is not supported for SnapStart enabled functions.")))
}

pub(super) fn description(text: String) -> Result<String, ApiError> {
    let mut wrong = Violations::default();
    wrong.length(&text, "description", DESCRIPTION_CHARS);
    wrong.check().map(|()| text)
}

/// A number in a range.
pub(super) fn within(
    value: i64,
    member: &str,
    range: RangeInclusive<u32>,
) -> Result<u32, ApiError> {
    let mut wrong = Violations::default();
    let value = wrong.within(value, member, range);
    wrong.check().map(|()| value)
}

fn variable_names(environment: Option<&Environment>, wrong: &mut Violations) {
    for (name, value) in environment.iter().filter_map(|one| one.variables.as_ref()).flatten() {
        let mut bytes = name.bytes();
        let is_name = name.len() > 1
            && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name && !RESERVED_VARIABLES.contains(&name.as_str()) {
            let must = "keys must satisfy constraint: [Member must satisfy regular expression pattern: \
                        [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]";
            wrong.add_map(name, "environment.variables", must);
        }
        // The program's environment can't hold one.
        if value.contains('\0') {
            wrong.add("", "environment.variables", "not contain NUL");
        }
    }
}

fn variables(environment: Option<&Environment>) -> Result<BTreeMap<String, String>, ApiError> {
    let variables = environment.and_then(|one| one.variables.clone()).unwrap_or_default();
    let reserved = variables.keys().filter(|name| RESERVED_VARIABLES.contains(&name.as_str()));
    let reserved: Vec<&str> = reserved.map(String::as_str).collect();
    if !reserved.is_empty() {
        return Err(ApiError::invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    let measured = serde_json::json!(variables).to_string();
    if measured.len() > VARIABLES_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit. String measured: {measured}"
        )));
    }
    Ok(variables)
}
