//! What browsers are told about callers from other origins (Fetch standard, "CORS protocol"). A URL that has rules
//! answers preflights itself, and its rules stand in the place of what its function says.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::function::Cors;

/// The answer to a preflight, where the request is one.
pub(super) fn preflight(cors: &Cors, method: &Method, headers: &HeaderMap) -> Option<Response> {
    let is_preflight = method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight {
        return None;
    }
    let mut response = StatusCode::OK.into_response();
    let theirs = response.headers_mut();
    if allow(cors, headers, theirs) {
        set(theirs, ACCESS_CONTROL_ALLOW_METHODS, &joined(&cors.allow_methods));
        set(theirs, ACCESS_CONTROL_ALLOW_HEADERS, &joined(&cors.allow_headers));
        let age = cors.max_age.map(|age| age.to_string());
        set(theirs, ACCESS_CONTROL_MAX_AGE, &age.unwrap_or_default());
    }
    Some(response)
}

/// Puts the rules on a response.
pub(super) fn apply(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap) {
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        response.remove(name);
    }
    if allow(cors, request, response) {
        set(response, ACCESS_CONTROL_EXPOSE_HEADERS, &joined(&cors.expose_headers));
    }
}

/// Names the origin of a request, if it may call.
fn allow(cors: &Cors, request: &HeaderMap, response: &mut HeaderMap) -> bool {
    let Some(origin) = request.get(ORIGIN) else { return false };
    response.append(VARY, HeaderValue::from_static("Origin"));
    let mut allowed = cors.allow_origins.iter().flatten();
    let Some(rule) = allowed.find(|rule| *rule == "*" || rule.as_bytes() == origin.as_bytes())
    else {
        return false;
    };
    let with_credentials = cors.allow_credentials == Some(true);
    // Credentials don't go with an asterisk.
    let is_everybody = rule == "*" && !with_credentials;
    let named = if is_everybody { HeaderValue::from_static("*") } else { origin.clone() };
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, named);
    if with_credentials {
        set(response, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    true
}

fn joined(list: &Option<Vec<String>>) -> String {
    list.as_deref().unwrap_or_default().join(",")
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // The rules were checked when they were made.
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}
