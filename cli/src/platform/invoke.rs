//! `mayfly invoke`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::api::Api;
use super::client::Answer;
use super::output::print;
use crate::args::Invoke;
use crate::failure::{Failure, say};

/// The exit status where the function failed.
const FUNCTION_FAILED: u8 = 1;
/// Largest payload (Lambda quotas: 6 MB): no more is read of what may never end.
const PAYLOAD_BYTES_MAX: u64 = 6 << 20;

/// Invokes a function once.
///
/// # Errors
/// The platform's, or nobody's answer. A function's own error is a status of 1.
pub fn invoke(options: Invoke) -> Result<ExitCode, Failure> {
    let payload = options.payload.as_deref().map(payload).transpose()?.unwrap_or_default();
    let mut headers = vec![("content-type", "application/json")];
    if options.log {
        headers.push(("x-amz-log-type", "Tail"));
    }
    if options.is_async {
        headers.push(("x-amz-invocation-type", "Event"));
    }
    let mut api = Api::at(&options.place)?;
    let answer = api.invoke(&options.name, &headers, payload)?;
    if options.place.json {
        print(format!("{:#}\n", as_json(&answer)).as_bytes())?.done();
    } else {
        show(&answer)?;
    }
    let has_failed = answer.header("x-amz-function-error").is_some();
    Ok(if has_failed { ExitCode::from(FUNCTION_FAILED) } else { ExitCode::SUCCESS })
}

/// The event: JSON in the word itself, in a file, or on stdin. Whether it is JSON is the platform's to say.
fn payload(word: &OsStr) -> Result<Bytes, Failure> {
    let bytes = word.as_bytes();
    if bytes == b"-" {
        return read(Path::new("standard input"), io::stdin().lock());
    }
    match bytes.strip_prefix(b"@") {
        Some(path) => {
            let path = Path::new(OsStr::from_bytes(path));
            read(path, File::open(path).map_err(|error| Failure::at(path, error))?)
        }
        None => Ok(Bytes::copy_from_slice(bytes)),
    }
}

fn read(path: &Path, from: impl Read) -> Result<Bytes, Failure> {
    let mut payload = Vec::new();
    let read = from.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut payload);
    let count = read.map_err(|error| Failure::at(path, error))?;
    if count as u64 > PAYLOAD_BYTES_MAX {
        return Err(Failure::at(path, "more than 6 MiB, the largest event that a function takes"));
    }
    Ok(payload.into())
}

/// For people: the answer to stdout, and what is about it to stderr.
fn show(answer: &Answer) -> Result<(), Failure> {
    if let Some(log) = answer.header("x-amz-log-result") {
        let log = STANDARD.decode(log)?;
        let end: &[u8] = if log.ends_with(b"\n") { b"" } else { b"\n" };
        // A stderr that is closed is nobody's failure.
        let _ = io::stderr().write_all(&[&log, end].concat());
    }
    // What a person sees begins on a line of its own; what a program reads is just the answer.
    let end = if io::stdout().is_terminal() && !answer.body.ends_with(b"\n") { "\n" } else { "" };
    print(&[&answer.body, end.as_bytes()].concat())?.done();
    if answer.header("x-amz-function-error").is_some() {
        say(&complaint(&answer.body));
    } else if answer.status == StatusCode::ACCEPTED {
        let id = answer.header("x-amzn-requestid").unwrap_or("?");
        say(&format!("accepted; its log will name it {id}"));
    }
    Ok(())
}

/// A function's error in one line, from the document that its runtime or the platform made of it.
fn complaint(document: &[u8]) -> String {
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let part = |key: &str| document[key].as_str().filter(|text| !text.is_empty());
    match (part("errorType"), part("errorMessage")) {
        (Some(kind), Some(message)) => format!("the function failed: {kind}: {message}"),
        (Some(text), None) | (None, Some(text)) => format!("the function failed: {text}"),
        (None, None) => "the function failed".into(),
    }
}

/// InvocationResponse, its payload as the JSON that it is, and the id by which logs name the request.
fn as_json(answer: &Answer) -> Value {
    let text = || Value::from(String::from_utf8_lossy(&answer.body));
    let payload = serde_json::from_slice(&answer.body).unwrap_or_else(|_| text());
    let mut value = json!({ "StatusCode": answer.status.as_u16(), "Payload": payload });
    for (member, header) in [
        ("FunctionError", "x-amz-function-error"),
        ("LogResult", "x-amz-log-result"),
        ("ExecutedVersion", "x-amz-executed-version"),
        ("RequestId", "x-amzn-requestid"),
    ] {
        if let Some(text) = answer.header(header) {
            value[member] = text.into();
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_word_or_a_file() {
        assert_eq!(payload("[1]".as_ref()).unwrap(), "[1]");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "{}").unwrap();
        let word = format!("@{}", file.path().display());
        assert_eq!(payload(word.as_ref()).unwrap(), "{}");
        assert!(payload("@/no/such/file".as_ref()).is_err());
        file.as_file().set_len(PAYLOAD_BYTES_MAX + 1).unwrap();
        assert!(payload(word.as_ref()).unwrap_err().to_string().contains("6 MiB"));
    }

    #[test]
    fn a_functions_error_is_one_line() {
        let both = br#"{"errorType":"T","errorMessage":"m"}"#;
        assert_eq!(complaint(both), "the function failed: T: m");
        assert_eq!(complaint(br#"{"errorMessage":"m"}"#), "the function failed: m");
        assert_eq!(complaint(b"no JSON"), "the function failed");
    }

    #[test]
    fn an_answer_becomes_lambdas_json() {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("x-amz-executed-version", "$LATEST".parse().unwrap());
        headers.insert("x-amzn-requestid", "id".parse().unwrap());
        let mut answer = Answer { status: StatusCode::OK, headers, body: "[1]".into() };
        let wanted = json!({
            "StatusCode": 200, "Payload": [1], "ExecutedVersion": "$LATEST", "RequestId": "id",
        });
        assert_eq!(as_json(&answer), wanted);
        answer.body = "no JSON".into();
        assert_eq!(as_json(&answer)["Payload"], "no JSON");
    }
}
