//! Filter patterns (Lambda developer guide, "Control which events Lambda sends to your function"): a pattern is JSON in the
//! shape of what it fits, with lists of rules for leaves.

use serde_json::{Map, Value};

/// Deepest pattern.
const DEPTH_MAX: usize = 16;

/// A pattern, checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern(Map<String, Value>);

impl Pattern {
    /// Reads one; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Pattern> {
        let Value::Object(pattern) = serde_json::from_str(text).ok()? else { return None };
        is_pattern(&pattern, 0).then_some(Pattern(pattern))
    }

    /// Whether it fits a record. What it says of `body` fits that as JSON, or, with rules alone, as text.
    pub(crate) fn fits(&self, record: &Value) -> bool {
        fits(&self.0, Some(record))
    }
}

fn is_pattern(pattern: &Map<String, Value>, depth: usize) -> bool {
    depth < DEPTH_MAX
        && !pattern.is_empty()
        && pattern.values().all(|value| match value {
            Value::Object(inner) => is_pattern(inner, depth + 1),
            Value::Array(rules) => !rules.is_empty() && rules.iter().all(is_rule),
            _ => false,
        })
}

fn is_rule(rule: &Value) -> bool {
    let Value::Object(rule) = rule else { return !rule.is_array() };
    let (Some((name, value)), 1) = (rule.iter().next(), rule.len()) else { return false };
    match name.as_str() {
        "exists" => value.is_boolean(),
        "prefix" | "suffix" | "equals-ignore-case" => value.is_string(),
        "anything-but" => match value {
            Value::Array(all) => all.iter().all(|one| one.is_string() || one.is_number()),
            one => one.is_string() || one.is_number(),
        },
        "numeric" => comparisons(value).is_some_and(|all| !all.is_empty()),
        _ => false,
    }
}

fn fits(pattern: &Map<String, Value>, found: Option<&Value>) -> bool {
    pattern.iter().all(|(name, wanted)| {
        let found = found.and_then(|found| found.get(name));
        match wanted {
            // A body is text that may be JSON.
            Value::Object(inner) => match found.and_then(Value::as_str) {
                Some(text) => {
                    let parsed: Option<Value> = serde_json::from_str(text).ok();
                    parsed.is_some_and(|parsed| fits(inner, Some(&parsed)))
                }
                None => fits(inner, found),
            },
            Value::Array(rules) => rules.iter().any(|rule| match found {
                Some(Value::Array(many)) => many.iter().any(|one| obeys(Some(one), rule)),
                found => obeys(found, rule),
            }),
            _ => false,
        }
    })
}

fn obeys(found: Option<&Value>, rule: &Value) -> bool {
    let Some((name, wanted)) = rule.as_object().and_then(|rule| rule.iter().next()) else {
        return found.is_some_and(|found| is_same(found, rule));
    };
    if name == "exists" {
        return wanted.as_bool() == Some(found.is_some());
    }
    let Some(found) = found else { return false };
    let text = found.as_str().zip(wanted.as_str());
    match name.as_str() {
        "prefix" => text.is_some_and(|(found, wanted)| found.starts_with(wanted)),
        "suffix" => text.is_some_and(|(found, wanted)| found.ends_with(wanted)),
        "equals-ignore-case" => {
            text.is_some_and(|(found, wanted)| found.to_lowercase() == wanted.to_lowercase())
        }
        "anything-but" => match wanted {
            Value::Array(all) => !all.iter().any(|one| is_same(found, one)),
            one => !is_same(found, one),
        },
        "numeric" => found.as_f64().is_some_and(|found| {
            let all = comparisons(wanted).unwrap_or_default();
            all.iter().all(|(sign, number)| match *sign {
                "=" => found == *number,
                "<" => found < *number,
                "<=" => found <= *number,
                ">" => found > *number,
                _ => found >= *number,
            })
        }),
        _ => false,
    }
}

/// `[">", 0, "<=", 5]`.
fn comparisons(rule: &Value) -> Option<Vec<(&str, f64)>> {
    let parts = rule.as_array()?.chunks(2);
    parts
        .map(|part| match part {
            [sign, number] => {
                let sign = sign.as_str().filter(|one| ["=", "<", "<=", ">", ">="].contains(one));
                Some((sign?, number.as_f64()?))
            }
            _ => None,
        })
        .collect()
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(pattern: Value, body: &str) -> bool {
        let record = json!({ "body": body, "awsRegion": "us-east-1" });
        Pattern::parse(&pattern.to_string()).expect("a pattern").fits(&record)
    }

    #[test]
    fn rules_fit_what_they_say() {
        let body = r#"{"a":5,"s":"Text","n":null,"l":["x","y"],"o":{"i":true}}"#;
        for (rule, good) in [
            (json!({ "a": [5] }), true),
            (json!({ "a": [6, 5.0] }), true),
            (json!({ "a": ["5"] }), false),
            (json!({ "a": [{ "numeric": [">", 4, "<=", 5] }] }), true),
            (json!({ "a": [{ "numeric": ["<", 5] }] }), false),
            (json!({ "s": [{ "prefix": "Te" }] }), true),
            (json!({ "s": [{ "suffix": "xt" }], "a": [6] }), false),
            (json!({ "s": [{ "equals-ignore-case": "tEXT" }] }), true),
            (json!({ "s": [{ "anything-but": ["Text"] }] }), false),
            (json!({ "s": [{ "anything-but": "other" }] }), true),
            (json!({ "n": [null] }), true),
            (json!({ "none": [{ "exists": false }] }), true),
            (json!({ "n": [{ "exists": true }] }), true),
            (json!({ "none": [null] }), false),
            (json!({ "l": ["y"] }), true),
            (json!({ "o": { "i": [true] } }), true),
            (json!({ "o": { "i": [false] } }), false),
        ] {
            assert_eq!(fits(json!({ "body": rule }), body), good, "{rule}");
        }
        assert!(fits(json!({ "awsRegion": ["us-east-1"] }), "x"));
        assert!(fits(json!({ "body": ["plain"] }), "plain"));
        assert!(!fits(json!({ "body": { "a": [1] } }), "plain"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            json!({}),
            json!([]),
            json!({ "a": 1 }),
            json!({ "a": [] }),
            json!({ "a": {} }),
            json!({ "a": [[1]] }),
            json!({ "a": [{ "near": 1 }] }),
            json!({ "a": [{ "prefix": 1 }] }),
            json!({ "a": [{ "numeric": [">"] }] }),
            json!({ "a": [{ "numeric": ["?", 1] }] }),
            json!({ "a": [{ "prefix": "a", "suffix": "b" }] }),
        ] {
            assert_eq!(Pattern::parse(&bad.to_string()), None, "{bad}");
        }
        let deep = format!("{}[1]{}", "{\"a\":".repeat(99), "}".repeat(99));
        assert_eq!(Pattern::parse(&deep), None);
    }
}
