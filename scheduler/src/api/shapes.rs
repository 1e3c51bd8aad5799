//! The JSON that goes over the wire. Members that are not known here are passed over, as AWS does.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::function::{Function, LogFormat};
use crate::layer::LayerUse;
use crate::service::Identity;
use crate::store::sha256_hex;

/// CreateFunctionRequest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateFunction {
    pub(super) function_name: String,
    pub(super) runtime: Option<String>,
    pub(super) role: String,
    pub(super) handler: Option<String>,
    pub(super) code: FunctionCode,
    pub(super) description: Option<String>,
    pub(super) timeout: Option<i64>,
    pub(super) memory_size: Option<i64>,
    pub(super) package_type: Option<String>,
    pub(super) environment: Option<Environment>,
    pub(super) architectures: Option<Vec<String>>,
    pub(super) ephemeral_storage: Option<EphemeralStorage>,
    pub(super) layers: Option<Vec<String>>,
    pub(super) dead_letter_config: Option<DeadLetterConfig>,
    pub(super) tracing_config: Option<TracingConfig>,
    pub(super) snap_start: Option<SnapStartConfig>,
    pub(super) logging_config: Option<LoggingConfig>,
    #[serde(default)]
    pub(super) publish: bool,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FunctionCode {
    /// Base64.
    pub(super) zip_file: Option<String>,
}

/// UpdateFunctionCodeRequest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateFunctionCode {
    /// Base64.
    pub(super) zip_file: Option<String>,
    #[serde(default)]
    pub(super) publish: bool,
    #[serde(default)]
    pub(super) dry_run: bool,
    pub(super) revision_id: Option<String>,
    pub(super) architectures: Option<Vec<String>>,
}

/// UpdateFunctionConfigurationRequest: what is absent stays as it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateFunctionConfiguration {
    pub(super) runtime: Option<String>,
    pub(super) role: Option<String>,
    pub(super) handler: Option<String>,
    pub(super) description: Option<String>,
    pub(super) timeout: Option<i64>,
    pub(super) memory_size: Option<i64>,
    pub(super) environment: Option<Environment>,
    pub(super) ephemeral_storage: Option<EphemeralStorage>,
    pub(super) layers: Option<Vec<String>>,
    pub(super) dead_letter_config: Option<DeadLetterConfig>,
    pub(super) tracing_config: Option<TracingConfig>,
    pub(super) snap_start: Option<SnapStartConfig>,
    pub(super) logging_config: Option<LoggingConfig>,
    pub(super) revision_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Environment {
    pub(super) variables: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EphemeralStorage {
    pub(super) size: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TracingConfig {
    pub(super) mode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SnapStartConfig {
    pub(super) apply_on: Option<String>,
}

/// How a log is written, and where: what is absent stays as it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LoggingConfig {
    pub(super) log_format: Option<String>,
    pub(super) application_log_level: Option<String>,
    pub(super) system_log_level: Option<String>,
    pub(super) log_group: Option<String>,
}

/// Where events go that have failed for good; nowhere, where the ARN is empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeadLetterConfig {
    pub(super) target_arn: Option<String>,
}

/// FunctionConfiguration, as of what the qualifier names.
pub(super) fn configuration(
    identity: &Identity,
    function: &Function,
    qualifier: Option<&str>,
) -> Value {
    let mut value = listed(identity, function, qualifier);
    let version = runtime_version_arn(identity, &function.configuration.runtime);
    value["State"] = "Active".into();
    value["LastUpdateStatus"] = "Successful".into();
    value["RuntimeVersionConfig"] = json!({ "RuntimeVersionArn": version });
    value
}

/// The same as CreateFunction answers it: [`under_way`], and the function is pending.
pub(super) fn created(identity: &Identity, function: &Function, qualifier: Option<&str>) -> Value {
    let mut value = configuration(identity, function, qualifier);
    if let Some(members) = value.as_object_mut() {
        members.remove("LastUpdateStatus");
    }
    value["State"] = "Pending".into();
    under_way(value, "State")
}

/// The same as an update answers it: [`under_way`], and the function goes on as it was.
pub(super) fn updated(identity: &Identity, function: &Function) -> Value {
    let mut value = configuration(identity, function, None);
    value["LastUpdateStatus"] = "InProgress".into();
    under_way(value, "LastUpdateStatus")
}

/// What a change answers: it is being made, and has a revision of its own, which is gone when the change is
/// done. On AWS clients wait for that (FunctionActiveV2, FunctionUpdatedV2); here it is done with the answer, so
/// that nobody has to, and who waits or asks for the revision sees what AWS shows.
fn under_way(mut value: Value, status: &str) -> Value {
    value[format!("{status}Reason")] = "The function is being created.".into();
    value[format!("{status}ReasonCode")] = "Creating".into();
    value["RevisionId"] = Uuid::new_v4().to_string().into();
    value
}

/// The same in a list, which tells no state and no version of the runtime, as on AWS: waiters ask for one
/// function at a time.
pub(super) fn listed(identity: &Identity, function: &Function, qualifier: Option<&str>) -> Value {
    let configuration = &function.configuration;
    let name = &configuration.name;
    let mut value = json!({
        "FunctionName": name,
        "FunctionArn": identity.qualified_arn(name, qualifier),
        "Runtime": configuration.runtime,
        "Role": configuration.role,
        "Handler": configuration.handler,
        "CodeSize": function.code_size,
        "Description": configuration.description,
        "Timeout": configuration.timeout_s,
        "MemorySize": configuration.memory_mib,
        "LastModified": clock::lambda_time(function.modified_ms),
        "CodeSha256": base64_of_hex(&function.code_sha256),
        "Version": function.version.to_string(),
        "TracingConfig": { "Mode": configuration.tracing },
        "RevisionId": function.revision_id,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": { "Size": configuration.tmp_mib },
        "SnapStart": { "ApplyOn": configuration.snap_start, "OptimizationStatus": "Off" },
        "LoggingConfig": { "LogFormat": configuration.logging.format, "LogGroup": configuration.log_group() },
    });
    if configuration.logging.format == LogFormat::Json {
        let logging = &configuration.logging;
        value["LoggingConfig"]["ApplicationLogLevel"] = logging.application_level.name().into();
        value["LoggingConfig"]["SystemLogLevel"] = logging.system_level.name().into();
    }
    if configuration.has_environment || !configuration.variables.is_empty() {
        value["Environment"] = json!({ "Variables": configuration.variables });
    }
    if let Some(arn) = &configuration.dead_letter {
        value["DeadLetterConfig"] = json!({ "TargetArn": arn });
    }
    if !configuration.layers.is_empty() {
        let show = |layer: &LayerUse| json!({ "Arn": layer.arn, "CodeSize": layer.code_size });
        value["Layers"] = configuration.layers.iter().map(show).collect();
    }
    value
}

/// A runtime's version: there is one of each, so its name says which.
fn runtime_version_arn(identity: &Identity, runtime: &str) -> String {
    format!("arn:aws:lambda:{}::runtime:{}", identity.region, sha256_hex(runtime.as_bytes()))
}

/// A digest in the encoding that clients compare.
pub(super) fn base64_of_hex(hex: &str) -> String {
    use base64::Engine;
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    let pairs = hex.as_bytes().chunks_exact(2);
    let bytes: Vec<u8> = pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
