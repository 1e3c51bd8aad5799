//! `mayfly history`: what a function was, and what made it another.

mod revision;

use std::process::ExitCode;

use serde_json::{Value, json};

use super::api::Api;
use super::output::print;
use super::table::table;
use crate::args::History;
use crate::failure::Failure;
use revision::{Change, Revision, revisions};

const HEADS: [&str; 4] = ["WHEN", "VERSION", "CALL", "CHANGED"];
/// Longest that a value is in the table, characters: two of them and a name fit a wide terminal.
const VALUE_MAX: usize = 44;

/// Shows a function's revisions, the newest first.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn history(options: &History) -> Result<ExitCode, Failure> {
    let found = Api::at(&options.place)?.history(&options.name)?;
    let mut told = revisions(found);
    told.truncate(options.limit.map_or(usize::MAX, |limit| limit as usize));
    let text = if options.place.json {
        let all: Vec<Value> = told.into_iter().map(shown).collect();
        format!("{:#}\n", json!({ "History": all }))
    } else {
        let rows: Vec<[String; 4]> = told.iter().flat_map(rows).collect();
        table(HEADS, &rows)
    };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// The configuration as the API has it, and what was found out.
fn shown(revision: Revision) -> Value {
    let Revision { mut configuration, call, changes } = revision;
    let change = |Change { field, old, new }| json!({ "Field": field, "Old": old, "New": new });
    configuration["Call"] = call.map(|call| call.name()).into();
    configuration["Changes"] = changes.into_iter().map(change).collect();
    configuration
}

/// A line for each change, the first of them with everything else.
fn rows(revision: &Revision) -> Vec<[String; 4]> {
    let text = |key: &str| revision.configuration[key].as_str().unwrap_or("-");
    // 2025-01-31T12:34:56.789+0000: to the second, which is in UTC.
    let when = text("LastModified").get(..19).unwrap_or("-").replace('T', " ");
    let call = revision.call.map_or("-", |call| call.name());
    let mut first = Some([when, text("Version").to_owned(), call.to_owned()]);
    let changes = revision.changes.iter().map(|Change { field, old, new }| {
        format!("{field}: {} -> {}", value(old.as_ref()), value(new.as_ref()))
    });
    let lines = changes.collect::<Vec<_>>();
    let lines = if lines.is_empty() { vec!["-".to_owned()] } else { lines };
    let row = |line: String| {
        let [when, version, call] = first.take().unwrap_or_default();
        [when, version, call, line]
    };
    lines.into_iter().map(row).collect()
}

/// A value as JSON, in which nothing moves a terminal's cursor; cut where it is long.
fn value(value: Option<&Value>) -> String {
    let Some(value) = value else { return "-".into() };
    let text: String = value
        .to_string()
        .chars()
        .map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one })
        .collect();
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_line() {
        let configuration = |timeout: u32, level: &str| {
            json!({
                "LastModified": "2025-01-31T12:34:56.789+0000", "Version": "$LATEST",
                "CodeSha256": "A=", "Timeout": timeout, "Environment": { "Variables": { "L": level } },
            })
        };
        let told = revisions(vec![configuration(4, "\u{1b}[2J\u{9b}"), configuration(3, "b")]);
        let rows: Vec<[String; 4]> = told.iter().flat_map(rows).collect();
        let when = "2025-01-31 12:34:56";
        let (variable, timeout) =
            ("Environment.Variables.L: \"b\" -> \"\\u001b[2J\u{fffd}\"", "Timeout: 3 -> 4");
        let wanted = [
            [when, "$LATEST", "UpdateFunctionConfiguration", variable],
            ["", "", "", timeout],
            [when, "$LATEST", "CreateFunction", "-"],
        ];
        assert_eq!(rows, wanted);
    }

    #[test]
    fn long_values_are_cut_for_people_only() {
        let long = json!("ä".repeat(100));
        assert_eq!(value(Some(&long)).chars().count(), VALUE_MAX + 1);
        let (old, new) = (json!({ "Description": "" }), json!({ "Description": long }));
        let all: Vec<Value> = revisions(vec![new, old]).into_iter().map(shown).collect();
        assert_eq!(all[0]["Changes"][0]["New"], long);
        assert_eq!(all[1]["Call"], "CreateFunction");
    }
}
