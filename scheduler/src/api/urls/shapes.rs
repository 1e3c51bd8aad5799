//! What clients say of a function URL, checked, and what they are told of it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::address;
use crate::api::Platform;
use crate::api::error::ApiError;
use crate::clock;
use crate::function::{AuthType, Cors, FunctionUrl, InvokeMode};

/// Bounds of the model's Cors: HeadersList, AllowOriginsList, AllowMethodsList, MaxAge.
const LIST_MAX: usize = 100;
const HEADER_CHARS_MAX: usize = 1024;
const ORIGIN_CHARS_MAX: usize = 253;
const METHODS_MAX: usize = 6;
const AGE_MAX_S: i64 = 86_400;
/// What AllowMethods may name.
const METHODS: [&str; 7] = ["GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"];

/// CreateFunctionUrlConfigRequest; UpdateFunctionUrlConfigRequest, where what is absent stays as it is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UrlRequest {
    auth_type: Option<String>,
    cors: Option<Cors>,
    invoke_mode: Option<String>,
}

impl UrlRequest {
    /// A URL as asked for.
    pub(super) fn create(self, id: String) -> Result<FunctionUrl, ApiError> {
        if self.auth_type.is_none() {
            return Err(ApiError::null("authType"));
        }
        let now = clock::unix_ms();
        self.change(FunctionUrl {
            id,
            auth_type: AuthType::Iam,
            cors: None,
            invoke_mode: None,
            created_ms: now,
            modified_ms: now,
        })
    }

    /// What it makes of a URL.
    pub(super) fn change(self, mut url: FunctionUrl) -> Result<FunctionUrl, ApiError> {
        if let Some(kind) = &self.auth_type {
            url.auth_type = match kind.as_str() {
                "NONE" => AuthType::None,
                "AWS_IAM" => AuthType::Iam,
                other => return Err(no_such(other, "authType", "NONE, AWS_IAM")),
            };
        }
        if let Some(mode) = &self.invoke_mode {
            url.invoke_mode = match mode.as_str() {
                "BUFFERED" => Some(InvokeMode::Buffered),
                "RESPONSE_STREAM" => Some(InvokeMode::ResponseStream),
                other => return Err(no_such(other, "invokeMode", "RESPONSE_STREAM, BUFFERED")),
            };
        }
        if let Some(cors) = self.cors {
            check(&cors)?;
            // An empty one takes away what there was.
            url.cors = Some(cors).filter(|cors| *cors != Cors::default());
        }
        url.modified_ms = clock::unix_ms();
        Ok(url)
    }
}

fn no_such(value: &str, member: &str, all: &str) -> ApiError {
    ApiError::constraint(value, member, &format!("satisfy enum value set: [{all}]"))
}

fn check(cors: &Cors) -> Result<(), ApiError> {
    list(&cors.allow_headers, "cors.allowHeaders", LIST_MAX, 0..=HEADER_CHARS_MAX)?;
    list(&cors.expose_headers, "cors.exposeHeaders", LIST_MAX, 0..=HEADER_CHARS_MAX)?;
    list(&cors.allow_origins, "cors.allowOrigins", LIST_MAX, 1..=ORIGIN_CHARS_MAX)?;
    list(&cors.allow_methods, "cors.allowMethods", METHODS_MAX, 1..=ORIGIN_CHARS_MAX)?;
    let mut methods = cors.allow_methods.iter().flatten();
    if let Some(odd) = methods.find(|method| !METHODS.contains(&method.as_str())) {
        return Err(no_such(odd, "cors.allowMethods", &METHODS.join(", ")));
    }
    match cors.max_age {
        Some(age) if !(0..=AGE_MAX_S).contains(&age) => {
            let must = "have value between 0 and 86400";
            Err(ApiError::constraint(&age.to_string(), "cors.maxAge", must))
        }
        _ => Ok(()),
    }
}

fn list(
    list: &Option<Vec<String>>,
    member: &str,
    count_max: usize,
    chars: std::ops::RangeInclusive<usize>,
) -> Result<(), ApiError> {
    let list = list.as_deref().unwrap_or_default();
    if list.len() > count_max {
        let must = format!("have length less than or equal to {count_max}");
        return Err(ApiError::constraint(&format!("{} members", list.len()), member, &must));
    }
    // They become parts of headers.
    let fits = |text: &String| {
        chars.contains(&text.chars().count()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match list.iter().find(|text| !fits(text)) {
        None => Ok(()),
        Some(text) => {
            let must = format!("have from {} to {} visible characters", chars.start(), chars.end());
            Err(ApiError::constraint(text, member, &must))
        }
    }
}

/// FunctionUrlConfig, as who changes it is told: without an InvokeMode that nobody has said.
pub(super) fn changed(
    platform: &Platform,
    function: &str,
    qualifier: &str,
    url: &FunctionUrl,
) -> Value {
    let mut value = show(platform, function, qualifier, url);
    if let (None, Some(members)) = (url.invoke_mode, value.as_object_mut()) {
        members.remove("InvokeMode");
    }
    value
}

/// FunctionUrlConfig.
pub(super) fn show(
    platform: &Platform,
    function: &str,
    qualifier: &str,
    url: &FunctionUrl,
) -> Value {
    let identity = &platform.service.identity;
    let qualifier = Some(qualifier).filter(|qualifier| !qualifier.is_empty());
    let mut value = json!({
        "FunctionUrl": address::url(platform.url_form, identity, &url.id, platform.address),
        "FunctionArn": identity.qualified_arn(function, qualifier),
        "AuthType": url.auth_type,
        "CreationTime": clock::lambda_time(url.created_ms),
        "LastModifiedTime": clock::lambda_time(url.modified_ms),
        "InvokeMode": url.invoke_mode.unwrap_or_default(),
    });
    if let Some(cors) = &url.cors {
        value["Cors"] = json!(cors);
    }
    value
}
