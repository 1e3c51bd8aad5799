//! `mayfly list` and `mayfly rm`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::api::{Api, Problem};
use super::output::{bytes, print};
use super::table::table;
use crate::args::{List, Remove};
use crate::failure::{FAILED, Failure, say};

const HEADS: [&str; 6] = ["NAME", "RUNTIME", "MEMORY", "TIMEOUT", "CODE", "MODIFIED"];

/// Lists all functions.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn list(options: List) -> Result<ExitCode, Failure> {
    let mut api = Api::at(&options.place)?;
    let functions = api.list()?;
    if options.place.json {
        print(format!("{:#}\n", json!({ "Functions": functions })).as_bytes())?.done();
    } else if functions.is_empty() {
        say("there are no functions yet: make one with `mayfly deploy NAME PATH`");
    } else {
        let rows: Vec<[String; 6]> = functions.iter().map(row).collect();
        print(table(HEADS, &rows).as_bytes())?.done();
    }
    Ok(ExitCode::SUCCESS)
}

fn row(function: &Value) -> [String; 6] {
    let text = |key: &str| function[key].as_str().unwrap_or("-").to_owned();
    let number = |key: &str| function[key].as_u64().unwrap_or_default();
    // 2025-01-31T12:34:56.789+0000: to the second, which is in UTC.
    let modified = text("LastModified").get(..19).unwrap_or("-").replace('T', " ");
    [
        text("FunctionName"),
        text("Runtime"),
        format!("{} MiB", number("MemorySize")),
        format!("{} s", number("Timeout")),
        bytes(number("CodeSize")),
        modified,
    ]
}

/// Removes functions, all that it can.
///
/// # Errors
/// Nobody's answer. What the platform refuses is said line by line, and makes the status 125.
pub fn remove(options: Remove) -> Result<ExitCode, Failure> {
    let mut api = Api::at(&options.place)?;
    let (mut removed, mut refused) = (Vec::new(), Vec::new());
    for name in &options.names {
        match api.delete(name) {
            Ok(()) => removed.push(name.as_str()),
            Err(Problem::Refused(refusal)) => {
                say(&format!("{name}: {refusal}"));
                refused.push(json!({
                    "FunctionName": name, "Code": refusal.kind, "Message": refusal.message,
                }));
            }
            Err(Problem::Failed(failure)) => return Err(failure),
        }
    }
    let has_failed = !refused.is_empty();
    let text = if options.place.json {
        format!("{:#}\n", json!({ "Removed": removed, "Refused": refused }))
    } else {
        removed.iter().map(|name| format!("{name}: removed\n")).collect()
    };
    print(text.as_bytes())?.done();
    Ok(if has_failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_what_people_ask_for() {
        let function = json!({
            "FunctionName": "f", "Runtime": "provided.al2023", "MemorySize": 128, "Timeout": 3,
            "CodeSize": 2048, "LastModified": "2025-01-31T12:34:56.789+0000",
        });
        let wanted = ["f", "provided.al2023", "128 MiB", "3 s", "2 KiB", "2025-01-31 12:34:56"];
        assert_eq!(row(&function), wanted);
        assert_eq!(row(&Value::Null)[0], "-");
    }
}
