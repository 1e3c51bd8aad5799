//! What made a configuration out of the one before.
//!
//! ```text
//!   newest first      compared with       so it was
//!   $LATEST  c ────▶  $LATEST  b          UpdateFunctionConfiguration, or -Code
//!   3        b ────▶  $LATEST  b          PublishVersion
//!   $LATEST  b ────▶  $LATEST  a
//!   $LATEST  a        nothing             CreateFunction
//! ```
//!
//! The platform keeps configurations, not calls. Each call changes what no other does, so that they tell it; but for an
//! update that changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use mayfly_scheduler::store::HISTORY_MAX;
use serde_json::Value;

const LATEST: &str = "$LATEST";
/// The code's digest: a change of code alone changes it.
const CODE: &str = "CodeSha256";
/// Members that tell which revision it is, or how it fares; not what it is.
const PASSING: [&str; 8] = [
    "Deployment",
    "FunctionArn",
    "FunctionName",
    "LastModified",
    "LastUpdateStatus",
    "RevisionId",
    "State",
    "Version",
];

/// A configuration, and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Revision {
    /// FunctionConfiguration.
    pub(super) configuration: Value,
    /// What made it; `None` where what was before is forgotten.
    pub(super) call: Option<Call>,
    /// What it made different, by the field's name.
    pub(super) changes: Vec<Change>,
}

/// What makes a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    UpdateCode,
    UpdateConfiguration,
    /// One of the two, which changed nothing.
    Update,
    Publish,
}

impl Call {
    /// The API's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Call::Create => "CreateFunction",
            Call::UpdateCode => "UpdateFunctionCode",
            Call::UpdateConfiguration => "UpdateFunctionConfiguration",
            Call::Update => "Update",
            Call::Publish => "PublishVersion",
        }
    }
}

/// A member that is not what it was; `None` where it is not there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// Where it is: `Environment.Variables.LEVEL`.
    pub(super) field: String,
    pub(super) old: Option<Value>,
    pub(super) new: Option<Value>,
}

/// Revisions out of a whole history, the newest first.
pub(super) fn revisions(history: Vec<Value>) -> Vec<Revision> {
    let is_cut = history.len() >= HISTORY_MAX;
    let mut told: Vec<Revision> = Vec::with_capacity(history.len());
    let mut latest: Option<BTreeMap<String, Value>> = None;
    for configuration in history.into_iter().rev() {
        let is_published = configuration["Version"].as_str().is_some_and(|one| one != LATEST);
        let now = members(&configuration);
        let changes = latest.as_ref().map(|before| changes(before, &now));
        let call = match &changes {
            _ if is_published => Some(Call::Publish),
            None if is_cut => None,
            None => Some(Call::Create),
            Some(changes) if changes.is_empty() => Some(Call::Update),
            Some(changes) if changes.iter().any(|one| one.field == CODE) => Some(Call::UpdateCode),
            Some(_) => Some(Call::UpdateConfiguration),
        };
        if !is_published {
            latest = Some(now);
        }
        told.push(Revision { configuration, call, changes: changes.unwrap_or_default() });
    }
    told.reverse();
    told
}

fn changes(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Change> {
    let fields: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = fields.into_iter().filter(|field| old.get(*field) != new.get(*field));
    let change = |field: &String| Change {
        field: field.clone(),
        old: old.get(field).cloned(),
        new: new.get(field).cloned(),
    };
    changed.map(change).collect()
}

/// What a configuration says, each member by its path.
fn members(configuration: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let members = configuration.as_object().into_iter().flatten();
    for (name, value) in members.filter(|(name, _)| !PASSING.contains(&name.as_str())) {
        flatten(name, value, &mut found);
    }
    found
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        // As deep as serde_json lets a document be.
        Value::Object(members) => {
            for (name, value) in members {
                flatten(&format!("{path}.{name}"), value, into);
            }
        }
        _ => drop(into.insert(path.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configuration(version: &str, code: &str, timeout: u32) -> Value {
        json!({ "Version": version, "RevisionId": timeout, "CodeSha256": code, "Timeout": timeout })
    }

    #[test]
    fn a_revision_tells_the_call_that_made_it() {
        let history = vec![
            configuration(LATEST, "b", 5),
            configuration(LATEST, "b", 4),
            configuration("1", "a", 4),
            configuration(LATEST, "a", 4),
            configuration(LATEST, "a", 4),
            configuration(LATEST, "a", 3),
        ];
        let told = revisions(history);
        let calls: Vec<Option<Call>> = told.iter().map(|one| one.call).collect();
        let wanted = [
            Call::UpdateConfiguration,
            Call::UpdateCode,
            Call::Publish,
            Call::Update,
            Call::UpdateConfiguration,
            Call::Create,
        ];
        assert_eq!(calls, wanted.map(Some));
        let change = |field: &str, old: Value, new: Value| Change {
            field: field.into(),
            old: Some(old),
            new: Some(new),
        };
        assert_eq!(told[0].changes, [change("Timeout", json!(4), json!(5))]);
        assert_eq!(told[1].changes, [change("CodeSha256", json!("a"), json!("b"))]);
        assert_eq!((&told[2].changes[..], &told[3].changes[..]), (&[][..], &[][..]));
    }

    #[test]
    fn what_comes_and_what_goes_is_a_change() {
        let with = |variables: Value| json!({ "Version": LATEST, "Environment": variables });
        let told =
            revisions(vec![with(json!({ "A": 1, "C": [2] })), with(json!({ "A": 1, "B": 2 }))]);
        let change = |field: &str, old, new| Change { field: field.into(), old, new };
        let wanted = [
            change("Environment.B", Some(json!(2)), None),
            change("Environment.C", None, Some(json!([2]))),
        ];
        assert_eq!(told[0].changes, wanted);
    }

    #[test]
    fn nobody_knows_what_made_the_first_of_a_history_that_was_cut() {
        let history = vec![configuration(LATEST, "a", 3); HISTORY_MAX];
        assert_eq!(revisions(history).last().unwrap().call, None);
        assert_eq!(revisions(vec![Value::Null]).len(), 1, "whatever a platform answers");
        assert!(revisions(Vec::new()).is_empty());
    }
}
