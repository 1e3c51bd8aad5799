//! From a request to an event: payload format 2.0 (Lambda developer guide, "Request and response payloads").

use std::collections::BTreeMap;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::clock;

/// What is known of a request besides itself.
pub(super) struct Context<'a> {
    pub(super) request_id: &'a str,
    /// Of the URL.
    pub(super) id: &'a str,
    pub(super) domain: &'a str,
    /// Below the URL, as it came.
    pub(super) path: &'a str,
    /// The account of a caller who signed, else `anonymous`.
    pub(super) account: &'a str,
    /// Where the request came from.
    pub(super) source_ip: String,
    /// Where it came to.
    pub(super) port: u16,
}

/// The event.
pub(super) fn event(context: &Context<'_>, parts: &Parts, body: &[u8]) -> Value {
    let query = parts.uri.query().unwrap_or_default();
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let now_ms = clock::unix_ms();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": context.path,
        "rawQueryString": query,
        "headers": headers(context, &parts.headers),
        "requestContext": {
            "accountId": context.account,
            "apiId": context.id,
            "domainName": context.domain,
            "domainPrefix": context.id,
            "http": {
                "method": parts.method.as_str(),
                // A plus sign is itself in a path.
                "path": decoded(&context.path.replace('+', "%2B")),
                "protocol": "HTTP/1.1",
                "sourceIp": context.source_ip,
                "userAgent": agent.unwrap_or_default(),
            },
            "requestId": context.request_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": clock::common_log_time(now_ms),
            "timeEpoch": now_ms,
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let parameters = parameters(query);
    if !parameters.is_empty() {
        event["queryStringParameters"] = Value::Object(parameters);
    }
    if !body.is_empty() {
        let text = str::from_utf8(body).ok().filter(|_| is_text(&parts.headers));
        event["isBase64Encoded"] = text.is_none().into();
        event["body"] = text.map_or_else(|| STANDARD.encode(body), str::to_owned).into();
    }
    event
}

/// Headers by their lower-case names, several of one name joined by commas, and what a proxy adds. Cookies are told apart,
/// and what is about the connection is not told.
fn headers<'a>(context: &Context<'_>, headers: &'a HeaderMap) -> BTreeMap<&'a str, String> {
    let mut all: BTreeMap<&str, String> = BTreeMap::new();
    let is_told = |name: &HeaderName| *name != header::COOKIE && *name != header::CONNECTION;
    for (name, value) in headers.iter().filter(|(name, _)| is_told(name)) {
        add(&mut all, name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    add(&mut all, "x-forwarded-for", context.source_ip.clone());
    all.insert("x-forwarded-port", context.port.to_string());
    all.insert("x-forwarded-proto", "http".to_owned());
    all
}

fn add<'a>(all: &mut BTreeMap<&'a str, String>, name: &'a str, value: String) {
    match all.get_mut(name) {
        Some(before) => *before = format!("{before},{value}"),
        None => drop(all.insert(name, value)),
    }
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::COOKIE).iter();
    let texts = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
    let all =
        texts.flat_map(|text| text.split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>());
    all.filter(|cookie| !cookie.is_empty()).collect()
}

/// Parameters by their decoded names, several of one name joined by commas.
fn parameters(query: &str) -> Map<String, Value> {
    let mut all = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        let joined = match all.get(&name).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value,
        };
        all.insert(name, joined.into());
    }
    all
}

/// Text without its percent-encoding (application/x-www-form-urlencoded: a plus sign is a space).
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|two| str::from_utf8(two).ok());
        let code = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, code.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
                continue;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a body of this type is passed on as text.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind.starts_with("text/")
        || matches!(&*kind, "application/json" | "application/javascript" | "application/xml")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn context() -> Context<'static> {
        let (request_id, id, domain) = ("r", "i", "i.lambda-url.x");
        let source_ip = "127.0.0.1".into();
        Context {
            request_id,
            id,
            domain,
            path: "/a%20b+c",
            account: "anonymous",
            source_ip,
            port: 80,
        }
    }

    #[test]
    fn a_request_becomes_an_event() {
        let request = Request::builder()
            .method("POST")
            .uri("/a%20b?x=1&x=%32&y=a+b&z&%zz=%f")
            .header("X-One", "1")
            .header("x-one", "2")
            .header("cookie", "a=1; b=2")
            .header("cookie", "c=3")
            .header("connection", "close")
            .header("x-forwarded-for", "10.0.0.1")
            .header("user-agent", "me")
            .header("content-type", "text/plain; charset=utf-8");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let event = event(&context(), &parts, "é".as_bytes());
        assert_eq!((&event["version"], &event["rawPath"]), (&json!("2.0"), &json!("/a%20b+c")));
        assert_eq!(event["rawQueryString"], "x=1&x=%32&y=a+b&z&%zz=%f");
        assert_eq!(
            event["queryStringParameters"],
            json!({ "x": "1,2", "y": "a b", "z": "", "%zz": "%f" })
        );
        assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
        assert_eq!(event["headers"]["x-one"], "1,2");
        for name in ["cookie", "connection"] {
            assert_eq!(event["headers"].get(name), None);
        }
        assert_eq!(event["headers"]["x-forwarded-for"], "10.0.0.1,127.0.0.1");
        assert_eq!(event["headers"]["x-forwarded-proto"], "http");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("é"), &json!(false)));
        let http = &event["requestContext"]["http"];
        assert_eq!((&http["method"], &http["userAgent"]), (&json!("POST"), &json!("me")));
        assert_eq!(http["path"], "/a b+c");
    }

    #[test]
    fn what_is_no_text_is_in_base64() {
        let tell = |kind: &str, body: &[u8]| {
            let request = Request::builder().uri("/").header("content-type", kind).body(());
            let event = event(&context(), &request.unwrap().into_parts().0, body);
            (event["body"].as_str().map(str::to_owned), event["isBase64Encoded"].clone())
        };
        assert_eq!(tell("application/json", b"{}"), (Some("{}".into()), json!(false)));
        assert_eq!(tell("application/vnd.x+json", b"{}"), (Some("{}".into()), json!(false)));
        assert_eq!(tell("image/png", b"ab"), (Some("YWI=".into()), json!(true)));
        assert_eq!(tell("text/plain", b"\xff"), (Some("/w==".into()), json!(true)));
        assert_eq!(tell("text/plain", b""), (None, json!(false)));
    }
}
