//! The environment variables of an execution environment (Lambda developer guide, "Defined runtime
//! environment variables").

use mayfly_abi::ports;

use super::Identity;
use crate::clock;
use crate::function::{Function, LogFormat, Version};

/// Names that a function can't set.
pub(crate) const RESERVED: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// Everything that the program sees, each `NAME=value`; `stream` names this environment's log.
pub(super) fn all(
    identity: &Identity,
    function: &Function,
    stream: &str,
    is_provisioned: bool,
) -> Vec<String> {
    let initialization = if is_provisioned { "provisioned-concurrency" } else { "on-demand" };
    let configuration = &function.configuration;
    let name = &configuration.name;
    let logging = &configuration.logging;
    let logs_json = (logging.format == LogFormat::Json).then(|| {
        let level = logging.application_level.name();
        ["AWS_LAMBDA_LOG_FORMAT=JSON".into(), format!("AWS_LAMBDA_LOG_LEVEL={level}")]
    });
    let ours = [
        ("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{}", ports::RUNTIME_API)),
        ("_HANDLER", configuration.handler.clone()),
        ("LAMBDA_TASK_ROOT", "/var/task".into()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".into()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", function.version.to_string()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", configuration.memory_mib.to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", configuration.log_group()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", stream.into()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization.into()),
        ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", configuration.runtime)),
        ("AWS_REGION", identity.region.clone()),
        ("AWS_DEFAULT_REGION", identity.region.clone()),
        // Credentials that any SDK accepts and nobody else does, until roles are real.
        ("AWS_ACCESS_KEY_ID", "mayfly".into()),
        ("AWS_SECRET_ACCESS_KEY", "mayfly".into()),
        ("AWS_SESSION_TOKEN", "mayfly".into()),
    ];
    let platform = format!("http://127.0.0.1:{}", ports::PLATFORM_API);
    let defaults = [
        ("AWS_ENDPOINT_URL", &*platform),
        ("TZ", ":UTC"),
        ("LANG", "en_US.UTF-8"),
        ("PWD", "/var/task"),
        ("SHLVL", "0"),
        // Nobody listens there, and segments that nobody asked for are no errors.
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"),
        ("PATH", "/opt/bin:/usr/local/bin:/usr/bin:/bin"),
        ("LD_LIBRARY_PATH", "/opt/lib:/var/task:/var/task/lib:/lib64:/usr/lib64"),
    ];
    let theirs = &configuration.variables;
    let defaults = defaults.iter().filter(|(name, _)| !theirs.contains_key(*name));
    let theirs = theirs.iter().map(|(name, value)| format!("{name}={value}"));
    let ours = ours.iter().map(|(name, value)| format!("{name}={value}"));
    let ours = ours.chain(logs_json.into_iter().flatten());
    ours.chain(defaults.map(|(name, value)| format!("{name}={value}"))).chain(theirs).collect()
}

/// A name for the log of a new environment: `2025/01/31/[$LATEST]…`.
pub(super) fn log_stream(version: Version) -> String {
    let day = clock::day(clock::unix_ms());
    format!("{day}/[{version}]{}", uuid::Uuid::new_v4().simple())
}
