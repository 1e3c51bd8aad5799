//! From what a function returns to a response (payload format 2.0).

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Headers about one connection or one message's length, which are the server's own (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The function's answer makes no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadAnswer;

impl IntoResponse for BadAnswer {
    fn into_response(self) -> Response {
        (StatusCode::BAD_GATEWAY, "Internal Server Error").into_response()
    }
}

/// What a function may say of its response besides the body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    status_code: Option<StatusNumber>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
}

/// A number, or a text that is one.
#[derive(Deserialize)]
#[serde(untagged)]
enum StatusNumber {
    Number(u16),
    Text(String),
}

impl StatusNumber {
    fn read(&self) -> Option<u16> {
        match self {
            StatusNumber::Number(number) => Some(*number),
            StatusNumber::Text(text) => text.parse().ok(),
        }
    }
}

/// A body beside it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole {
    #[serde(flatten)]
    head: Head,
    body: Option<Value>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// JSON without the white space between its tokens.
fn compact(json: &[u8]) -> Bytes {
    let (mut is_text, mut is_escaped) = (false, false);
    let keeps = |byte: &&u8| {
        let is_quote = **byte == b'"' && !is_escaped;
        is_escaped = is_text && **byte == b'\\' && !is_escaped;
        is_text ^= is_quote;
        is_text || !byte.is_ascii_whitespace()
    };
    json.iter().filter(keeps).copied().collect()
}

/// The response to a payload that came whole: JSON with a `statusCode` describes one, a text is its body, and any other
/// JSON is, compact.
pub(super) fn response(payload: Bytes) -> Result<Response, BadAnswer> {
    let value: Value = serde_json::from_slice(&payload).map_err(|_| BadAnswer)?;
    if value.get("statusCode").is_none() {
        let kind = HeaderValue::from_static("application/json");
        let body = match value {
            Value::String(text) => text.into(),
            _ => compact(&payload),
        };
        return Ok(([(CONTENT_TYPE, kind)], body).into_response());
    }
    let whole: Whole = serde_json::from_value(value).map_err(|_| BadAnswer)?;
    let body: Bytes = match whole.body {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if whole.is_base64_encoded => {
            STANDARD.decode(text).map_err(|_| BadAnswer)?.into()
        }
        Some(Value::String(text)) => text.into(),
        Some(other) => other.to_string().into(),
    };
    whole.head.response(Body::from(body), "application/json")
}

impl Head {
    /// The response with this body, whose type is `kind` where the function does not say.
    pub(super) fn response(self, body: Body, kind: &'static str) -> Result<Response, BadAnswer> {
        let status = self.status_code.map_or(Some(200), |status| status.read()).ok_or(BadAnswer)?;
        // Informational ones are the server's matter: nothing would follow.
        let status = StatusCode::from_u16(status).ok().filter(|_| (200..600).contains(&status));
        let status = status.ok_or(BadAnswer)?;
        let is_bare = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let mut response = if is_bare { Body::empty() } else { body }.into_response();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        add(headers, &self.headers)?;
        for cookie in &self.cookies {
            headers.append(SET_COOKIE, HeaderValue::from_str(cookie).map_err(|_| BadAnswer)?);
        }
        Ok(response)
    }
}

fn add(headers: &mut HeaderMap, theirs: &Map<String, Value>) -> Result<(), BadAnswer> {
    for (name, value) in theirs {
        let name = HeaderName::try_from(name).map_err(|_| BadAnswer)?;
        if HOP_BY_HOP.contains(&name.as_str()) {
            continue;
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(BadAnswer),
        };
        headers.insert(name, HeaderValue::from_str(&text).map_err(|_| BadAnswer)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(payload: &str) -> Result<(u16, HeaderMap), BadAnswer> {
        let response = response(payload.to_owned().into())?;
        Ok((response.status().as_u16(), response.headers().clone()))
    }

    #[test]
    fn an_answer_describes_a_response() {
        let (status, headers) = parts(
            r#"{"statusCode":201,"headers":{"X-A":"1","x-n":2,"Content-Length":"9"},"cookies":["a=1","b=2"]}"#,
        )
        .unwrap();
        assert_eq!(
            (status, &headers["x-a"], &headers["x-n"]),
            (201, &"1".parse().unwrap(), &"2".parse().unwrap())
        );
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert!(!headers.contains_key("content-length"));
        for plain in ["1", "\"x\"", "{\"a\":1}", "null", "[]"] {
            assert_eq!(parts(plain).unwrap().0, 200, "{plain}");
        }
    }

    #[tokio::test]
    async fn any_other_json_is_the_body() {
        for (payload, body) in [
            ("{\"b\": \"x \\\" y\",\n \"a\" : [1, true]}", "{\"b\":\"x \\\" y\",\"a\":[1,true]}"),
            ("[ \"\\\\\", 2 ]", "[\"\\\\\",2]"),
            ("\"a \\u00e9\"", "a é"),
            ("3.1 ", "3.1"),
        ] {
            let response = response(payload.into()).unwrap();
            let got = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(str::from_utf8(&got).unwrap(), body);
        }
        assert_eq!(parts(r#"{"statusCode":"418"}"#).unwrap().0, 418);
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for bad in [
            "no JSON",
            r#"{"statusCode":"x"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":101}"#,
            r#"{"statusCode":600}"#,
            r#"{"statusCode":-1}"#,
            r#"{"statusCode":200,"headers":{"a b":"1"}}"#,
            r#"{"statusCode":200,"headers":{"a":"1\n2"}}"#,
            r#"{"statusCode":200,"headers":{"a":{}}}"#,
            r#"{"statusCode":200,"headers":[]}"#,
            r#"{"statusCode":200,"cookies":["\n"]}"#,
            r#"{"statusCode":200,"body":"%%","isBase64Encoded":true}"#,
        ] {
            assert_eq!(parts(bad).unwrap_err(), BadAnswer, "{bad}");
        }
    }
}
