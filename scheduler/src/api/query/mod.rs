//! The query protocol: a call is a form, its answer XML. STS knows no other; SQS' clients from before November 2023,
//! Debian 12's among them, speak it too.
//!
//! ```text
//!   Action=SendMessage&MessageBody=hello&MessageAttribute.1.Name=… ──▶ form.rs ──▶ {"MessageBody": "hello", …}
//!                                                                                       │ the service
//!   <SendMessageResponse><SendMessageResult><MessageId>… ◀── xml.rs ◀── {"MessageId": …} ◀┘
//! ```
//!
//! Source: botocore's models of STS (2011-06-15) and, before version 1.31.81, of SQS (2012-11-05).

mod form;
mod xml;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::{Platform, sqs, sts};
use crate::service::Trace;
pub(super) use form::{BadForm, Form, Parameter};
pub(super) use xml::Element;

const CONTENT: &str = "text/xml";

/// What a client is told instead of a result.
pub(super) struct QueryError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl QueryError {
    pub(super) fn unknown(action: &str) -> QueryError {
        let message = match action {
            "" => {
                "A request to this path names its operation in X-Amz-Target, or as Action.".into()
            }
            action => format!("The action {action} is not one of Mayfly's."),
        };
        QueryError { status: StatusCode::BAD_REQUEST, code: "InvalidAction", message }
    }
}

impl From<BadForm> for QueryError {
    fn from(bad: BadForm) -> QueryError {
        let message = bad.to_string();
        QueryError { status: StatusCode::BAD_REQUEST, code: "MalformedQueryString", message }
    }
}

/// Answers the call that the parameters name. `path` may be a queue's, `id` is the request's.
pub(super) async fn call(
    platform: &Platform,
    pairs: Vec<(String, String)>,
    path: &str,
    trace: Trace,
    id: &str,
) -> Response {
    let mut space = sqs::query::NAMESPACE;
    let answer = async {
        let mut form = Form::new(pairs)?;
        let action = form.take("Action").unwrap_or_default();
        let result = if form.take("Version").is_some_and(|version| version == sts::VERSION) {
            space = sts::NAMESPACE;
            Some(sts::call(platform, &action)?)
        } else {
            sqs::query::call(platform, &action, form, path, &trace).await?
        };
        Ok((action, result))
    };
    match answer.await {
        Ok((action, result)) => answered(&action, space, result, id),
        Err(error) => failed(&error, space, id),
    }
}

/// The answer to a request whose body is larger than any call's.
pub(super) fn too_large(id: &str) -> Response {
    let message = "The request is too large.".to_owned();
    let error =
        QueryError { status: StatusCode::BAD_REQUEST, code: "InvalidParameterValue", message };
    failed(&error, sqs::query::NAMESPACE, id)
}

/// `result`: the elements of it, for a call that has one.
fn answered(action: &str, space: &str, result: Option<Vec<Element>>, id: &str) -> Response {
    let result = result.map(|elements| Element::of(format!("{action}Result"), elements));
    let mut parts = Vec::from_iter(result);
    parts.push(Element::of("ResponseMetadata", vec![Element::text("RequestId", id)]));
    let body = Element::of(format!("{action}Response"), parts).document(space);
    ([(CONTENT_TYPE, CONTENT)], body).into_response()
}

fn failed(error: &QueryError, space: &str, id: &str) -> Response {
    let fault = if error.status.is_client_error() { "Sender" } else { "Receiver" };
    let told = vec![
        Element::text("Type", fault),
        Element::text("Code", error.code),
        Element::text("Message", &error.message),
        Element::of("Detail", Vec::new()),
    ];
    let parts = vec![Element::of("Error", told), Element::text("RequestId", id)];
    let body = Element::of("ErrorResponse", parts).document(space);
    (error.status, [(CONTENT_TYPE, CONTENT)], body).into_response()
}

/// A scalar of an answer as XML has it.
pub(super) fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
