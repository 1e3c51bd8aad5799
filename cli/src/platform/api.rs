//! The calls of Lambda's API, of the logs' and of the scheduler's, as JSON in and JSON out, and their errors.

use std::fmt::{self, Display};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Answer, Client, Question};
use super::endpoint::Endpoint;
use crate::args::Place;
use crate::failure::Failure;

const FUNCTIONS: &str = "/2015-03-31/functions";
const CONCURRENCY: &str = "/2017-10-31/functions";
const LAYERS: &str = "/2018-10-31/layers";
const SCHEDULES: &str = "/schedules";
const JSON: (&str, &str) = ("content-type", "application/json");
/// What names the calls of CloudWatch Logs (AWS JSON 1.1).
const LOGS: &str = "Logs_20140328";

/// The platform, as its API shows it.
pub struct Api(Client);

/// Why a call has no result.
#[derive(Debug)]
pub enum Problem {
    /// The platform refuses it.
    Refused(Refusal),
    /// There is no answer.
    Failed(Failure),
}

/// An error of the API's.
#[derive(Debug)]
pub struct Refusal {
    /// Its name: `ResourceNotFoundException`.
    pub kind: String,
    /// What a person should read.
    pub message: String,
}

impl Problem {
    /// Whether it is a refusal of this name.
    pub fn is(&self, kind: &str) -> bool {
        matches!(self, Problem::Refused(refusal) if refusal.kind == kind)
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.message {
            "" => f.write_str(&self.kind),
            message => write!(f, "{} ({})", message.trim_end_matches('.'), self.kind),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        match problem {
            Problem::Refused(refusal) => Failure::new(refusal),
            Problem::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        Problem::Failed(failure)
    }
}

impl Api {
    /// The platform that the command line names.
    ///
    /// # Errors
    /// An endpoint that is none.
    pub fn at(place: &Place) -> Result<Api, Failure> {
        Ok(Api(Client::new(Endpoint::find(place.endpoint.as_deref())?)?))
    }

    /// CreateFunction.
    pub fn create(&mut self, request: &Value) -> Result<Value, Problem> {
        self.json(Method::POST, FUNCTIONS, request.to_string().into())
    }

    /// UpdateFunctionCode.
    pub fn update_code(&mut self, name: &str, request: &Value) -> Result<Value, Problem> {
        self.json(Method::PUT, &path(name, "/code"), request.to_string().into())
    }

    /// UpdateFunctionConfiguration.
    pub fn update_configuration(&mut self, name: &str, request: &Value) -> Result<Value, Problem> {
        self.json(Method::PUT, &path(name, "/configuration"), request.to_string().into())
    }

    /// GetFunctionConfiguration.
    pub fn configuration(&mut self, name: &str) -> Result<Value, Problem> {
        self.json(Method::GET, &path(name, "/configuration"), Bytes::new())
    }

    /// ListFunctions, all of them.
    pub fn list(&mut self) -> Result<Vec<Value>, Problem> {
        self.pages(FUNCTIONS, "Functions")
    }

    /// DeleteFunction.
    pub fn delete(&mut self, name: &str) -> Result<(), Problem> {
        self.ask(Method::DELETE, &path(name, ""), &[], Bytes::new()).map(drop)
    }

    /// PublishVersion.
    pub fn publish_version(&mut self, name: &str, request: &Value) -> Result<Value, Problem> {
        self.json(Method::POST, &path(name, "/versions"), request.to_string().into())
    }

    /// PutFunctionConcurrency.
    pub fn reserve(&mut self, name: &str, concurrency: u32) -> Result<Value, Problem> {
        let request = json!({ "ReservedConcurrentExecutions": concurrency });
        let path = format!("{CONCURRENCY}/{}/concurrency", encoded(name));
        self.json(Method::PUT, &path, request.to_string().into())
    }

    /// CreateAlias.
    pub fn create_alias(&mut self, name: &str, request: &Value) -> Result<Value, Problem> {
        self.json(Method::POST, &path(name, "/aliases"), request.to_string().into())
    }

    /// UpdateAlias.
    pub fn update_alias(
        &mut self,
        name: &str,
        alias: &str,
        request: &Value,
    ) -> Result<Value, Problem> {
        let path = path(name, &format!("/aliases/{}", encoded(alias)));
        self.json(Method::PUT, &path, request.to_string().into())
    }

    /// DeleteAlias.
    pub fn delete_alias(&mut self, name: &str, alias: &str) -> Result<(), Problem> {
        let path = path(name, &format!("/aliases/{}", encoded(alias)));
        self.ask(Method::DELETE, &path, &[], Bytes::new()).map(drop)
    }

    /// ListAliases, all of them.
    pub fn aliases(&mut self, name: &str) -> Result<Vec<Value>, Problem> {
        self.pages(&path(name, "/aliases"), "Aliases")
    }

    /// PublishLayerVersion.
    pub fn publish_layer(&mut self, name: &str, request: &Value) -> Result<Value, Problem> {
        let path = format!("{LAYERS}/{}/versions", encoded(name));
        self.json(Method::POST, &path, request.to_string().into())
    }

    /// ListLayers, all of them.
    pub fn layers(&mut self) -> Result<Vec<Value>, Problem> {
        self.pages(LAYERS, "Layers")
    }

    /// ListLayerVersions, all of them.
    pub fn layer_versions(&mut self, name: &str) -> Result<Vec<Value>, Problem> {
        self.pages(&format!("{LAYERS}/{}/versions", encoded(name)), "LayerVersions")
    }

    /// DeleteLayerVersion.
    pub fn delete_layer(&mut self, name: &str, version: u64) -> Result<(), Problem> {
        let path = format!("{LAYERS}/{}/versions/{version}", encoded(name));
        self.ask(Method::DELETE, &path, &[], Bytes::new()).map(drop)
    }

    /// Invoke, with these headers.
    pub fn invoke(
        &mut self,
        name: &str,
        headers: &[(&str, &str)],
        payload: Bytes,
    ) -> Result<Answer, Problem> {
        self.ask(Method::POST, &path(name, "/invocations"), headers, payload)
    }

    /// A call of CloudWatch Logs.
    pub fn logs(&mut self, operation: &str, request: &Value) -> Result<Value, Problem> {
        let target = format!("{LOGS}.{operation}");
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let answer = self.ask(Method::POST, "/", &headers, request.to_string().into())?;
        self.parsed(&answer)
    }

    /// CreateSchedule.
    pub fn create_schedule(&mut self, name: &str, request: &Value) -> Result<Value, Problem> {
        let path = format!("{SCHEDULES}/{}", encoded(name));
        self.json(Method::POST, &path, request.to_string().into())
    }

    /// GetSchedule.
    pub fn schedule(&mut self, group: &str, name: &str) -> Result<Value, Problem> {
        let path = format!("{SCHEDULES}/{}?groupName={}", encoded(name), encoded(group));
        self.json(Method::GET, &path, Bytes::new())
    }

    /// ListSchedules, all of them.
    pub fn schedules(&mut self) -> Result<Vec<Value>, Problem> {
        self.pages_by(SCHEDULES, "Schedules", ["NextToken", "NextToken"])
    }

    /// DeleteSchedule.
    pub fn delete_schedule(&mut self, name: &str) -> Result<(), Problem> {
        let path = format!("{SCHEDULES}/{}", encoded(name));
        self.ask(Method::DELETE, &path, &[], Bytes::new()).map(drop)
    }

    /// Mayfly's own: every configuration that a function has had, the newest first.
    pub fn history(&mut self, name: &str) -> Result<Vec<Value>, Problem> {
        self.pages(&format!("/mayfly/functions/{}/history", encoded(name)), "History")
    }

    /// Mayfly's own: the environments that are alive.
    pub fn environments(&mut self) -> Result<Value, Problem> {
        self.json(Method::GET, "/mayfly/environments", Bytes::new())
    }

    /// Mayfly's own: the queues, and how full they are.
    pub fn queues(&mut self) -> Result<Value, Problem> {
        self.json(Method::GET, "/mayfly/queues", Bytes::new())
    }

    /// Mayfly's own: a queue's first messages.
    pub fn queued(&mut self, queue: &str) -> Result<Value, Problem> {
        let path = format!("/mayfly/queues/messages?Queue={}", encoded(queue));
        self.json(Method::GET, &path, Bytes::new())
    }

    /// Mayfly's own: redrives or purges a queue.
    pub fn change_queue(&mut self, how: &str, request: &Value) -> Result<Value, Problem> {
        self.json(Method::POST, &format!("/mayfly/queues/{how}"), request.to_string().into())
    }

    /// Waits, with an open ear for the platform's going away.
    pub fn pause(&mut self, duration: Duration) {
        self.0.pause(duration);
    }

    /// A whole list: its pages, one after the other.
    fn pages(&mut self, path: &str, member: &str) -> Result<Vec<Value>, Problem> {
        self.pages_by(path, member, ["Marker", "NextMarker"])
    }

    /// A whole list, where the marker is called so in a request and in an answer.
    fn pages_by(
        &mut self,
        path: &str,
        member: &str,
        [parameter, next]: [&str; 2],
    ) -> Result<Vec<Value>, Problem> {
        let mut items = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let query = marker.as_deref().map(|marker| format!("?{parameter}={}", encoded(marker)));
            let path = format!("{path}{}", query.unwrap_or_default());
            let mut page = self.json(Method::GET, &path, Bytes::new())?;
            if let Value::Array(found) = page[member].take() {
                items.extend(found);
            }
            match page[next].take() {
                Value::String(next) if marker.as_ref() != Some(&next) => marker = Some(next),
                _ => return Ok(items),
            }
        }
    }

    fn json(&mut self, method: Method, path: &str, body: Bytes) -> Result<Value, Problem> {
        let answer = self.ask(method, path, &[JSON], body)?;
        self.parsed(&answer)
    }

    fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Problem> {
        let answer = self.0.ask(&Question { method, path, headers, body })?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.problem(&answer)) }
    }

    fn parsed(&self, answer: &Answer) -> Result<Value, Problem> {
        serde_json::from_slice(&answer.body)
            .map_err(|_| Problem::Failed(self.stranger(answer.status)))
    }

    /// An answer's error: Lambda's API names it in a header, the logs' API in the body.
    fn problem(&self, answer: &Answer) -> Problem {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let kind = answer.header("x-amzn-errortype").or_else(|| body["__type"].as_str());
        let Some(kind) = kind else { return Problem::Failed(self.stranger(answer.status)) };
        // A name may come with its namespace in front, or an URL behind it.
        let kind =
            kind.rsplit('#').next().unwrap_or(kind).split(':').next().unwrap_or(kind).to_owned();
        let message = body["message"].as_str().or_else(|| body["Message"].as_str());
        Problem::Refused(Refusal { kind, message: message.unwrap_or_default().into() })
    }

    fn stranger(&self, status: StatusCode) -> Failure {
        let endpoint = self.0.endpoint();
        Failure::new(format!("{endpoint} answers {status}, and not as Mayfly does: is it one?"))
    }
}

fn path(name: &str, rest: &str) -> String {
    format!("{FUNCTIONS}/{}{rest}", encoded(name))
}

/// Text as a part of a path or a query (RFC 3986 §2.1).
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).into()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_part_of_a_path_whatever_they_hold() {
        assert_eq!(path("f-1_A", "/code"), "/2015-03-31/functions/f-1_A/code");
        assert_eq!(encoded("../a b?ä"), "..%2Fa%20b%3F%C3%A4");
    }

    #[test]
    fn a_refusal_is_a_sentence_and_its_name() {
        let refusal = |message: &str| Refusal { kind: "K".into(), message: message.into() };
        assert_eq!(refusal("No such thing.").to_string(), "No such thing (K)");
        assert_eq!(refusal("").to_string(), "K");
    }
}
