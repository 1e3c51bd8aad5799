//! SQS' calls in the older protocol: each name of a form beside its JSON name, and each of an answer beside its element.

use serde_json::{Map, Value};

use super::dispatch;
use super::error::SqsError;
use crate::api::Platform;
use crate::api::query::{BadForm, Element, Form, Parameter, QueryError, scalar};
use crate::service::Trace;

pub(in crate::api) const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// Calls whose answers have no result, not even an empty one.
const VOID: [&str; 7] = [
    "ChangeMessageVisibility",
    "DeleteMessage",
    "DeleteQueue",
    "PurgeQueue",
    "SetQueueAttributes",
    "TagQueue",
    "UntagQueue",
];

/// Answers a call; where no parameter names the queue, the path does.
pub(in crate::api) async fn call(
    platform: &Platform,
    action: &str,
    mut form: Form,
    path: &str,
    trace: &Trace,
) -> Result<Option<Vec<Element>>, QueryError> {
    let url = form.take("QueueUrl").or_else(|| (path != "/").then(|| path.to_owned()));
    let mut request = structure(form, action)?;
    request.extend(url.map(|url| ("QueueUrl".to_owned(), url.into())));
    let body = Value::from(request).to_string().into_bytes();
    let answer =
        dispatch(platform, action, trace, Ok(body.into())).await.map_err(SqsError::query)?;
    Ok((!VOID.contains(&action)).then(|| elements(answer, action)))
}

fn structure(form: Form, action: &str) -> Result<Map<String, Value>, BadForm> {
    let mut members = Map::new();
    for (name, parameter) in form {
        let (name, value) = match name.as_str() {
            "AttributeName" | "MessageAttributeName" | "MessageSystemAttributeName" | "TagKey" => {
                let texts = parameter.list(&name)?.into_iter().map(|one| one.text(&name));
                (format!("{name}s"), Value::from(texts.collect::<Result<Vec<_>, _>>()?))
            }
            // What clients name a batch without entries.
            "Entries"
            | "SendMessageBatchRequestEntry"
            | "DeleteMessageBatchRequestEntry"
            | "ChangeMessageVisibilityBatchRequestEntry" => {
                let entries = parameter.list(&name)?.into_iter();
                let entries = entries.map(|one| structure(one.parts(&name)?, action));
                ("Entries".to_owned(), Value::from(entries.collect::<Result<Vec<_>, _>>()?))
            }
            "Attribute" | "MessageAttribute" | "MessageSystemAttribute" | "Tag" => {
                let mut map = Map::new();
                for entry in pairs(parameter, &name)? {
                    let (key, value) = pair(entry, &name)?;
                    map.insert(key, value);
                }
                let plural = if action == "CreateQueue" && name == "Tag" {
                    "tags".to_owned()
                } else {
                    format!("{name}s")
                };
                (plural, Value::from(map))
            }
            "DelaySeconds"
            | "MaxNumberOfMessages"
            | "MaxResults"
            | "VisibilityTimeout"
            | "WaitTimeSeconds" => {
                let number = parameter.number(&name)?;
                (name, number.into())
            }
            _ => {
                let text = parameter.text(&name)?;
                (name, text.into())
            }
        };
        members.insert(name, value);
    }
    Ok(members)
}

/// A map's entries, numbered; the oldest clients give one without a number.
fn pairs(map: Parameter, name: &str) -> Result<Vec<Form>, BadForm> {
    match map {
        Parameter::Parts(one) if one.contains("Value") => Ok(vec![one]),
        many => many.list(name)?.into_iter().map(|one| one.parts(name)).collect(),
    }
}

/// An entry's key and its value, which is a text or a message attribute.
fn pair(entry: Form, name: &str) -> Result<(String, Value), BadForm> {
    let (mut key, mut value) = (String::new(), Value::from(""));
    for (part, parameter) in entry {
        match (part.as_str(), parameter) {
            ("Name" | "Key", parameter) => key = parameter.text(name)?,
            ("Value", Parameter::Text(text)) => value = text.into(),
            ("Value", Parameter::Parts(attribute)) => {
                let texts = attribute
                    .into_iter()
                    .map(|(member, parameter)| Ok((member, Value::from(parameter.text(name)?))));
                value = texts.collect::<Result<Map<_, _>, BadForm>>()?.into();
            }
            _ => {}
        }
    }
    Ok((key, value))
}

/// The elements of an answer, or of a structure in it. Lists and maps are flat: an element for each of their members.
fn elements(answer: Value, action: &str) -> Vec<Element> {
    let Value::Object(members) = answer else { return Vec::new() };
    let mut elements = Vec::new();
    for (name, value) in members {
        let element = match name.as_str() {
            "QueueUrls" | "queueUrls" => "QueueUrl".to_owned(),
            "Messages" => "Message".to_owned(),
            "Successful" => format!("{action}ResultEntry"),
            "Failed" => "BatchResultErrorEntry".to_owned(),
            "Attributes" => "Attribute".to_owned(),
            "MessageAttributes" => "MessageAttribute".to_owned(),
            "Tags" => "Tag".to_owned(),
            _ => name,
        };
        match value {
            Value::Array(list) => {
                elements.extend(list.into_iter().map(|one| member(element.clone(), one, action)));
            }
            Value::Object(map) => elements.extend(map.into_iter().map(|(key, value)| {
                let key = Element::text(if element == "Tag" { "Key" } else { "Name" }, key);
                Element::of(element.clone(), vec![key, member("Value".to_owned(), value, action)])
            })),
            text => elements.push(member(element, text, action)),
        }
    }
    elements
}

fn member(name: String, value: Value, action: &str) -> Element {
    match value {
        Value::Object(_) => Element::of(name, elements(value, action)),
        text => Element::text(name, scalar(&text)),
    }
}
