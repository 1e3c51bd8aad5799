//! `mayfly alias create|update|delete|list`.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::api::Api;
use super::output::print;
use super::table::table;
use crate::args::{AliasCommand, AliasTarget};
use crate::failure::{Failure, say};

const HEADS: [&str; 4] = ["ALIAS", "VERSION", "ALSO", "DESCRIPTION"];

/// Carries one out.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn alias(command: &AliasCommand) -> Result<ExitCode, Failure> {
    let (place, text) = match command {
        AliasCommand::Create { name, alias, version, target, place } => {
            let mut request = request(target);
            request.insert("Name".into(), alias.as_str().into());
            request.insert("FunctionVersion".into(), version.as_str().into());
            let made = Api::at(place)?.create_alias(name, &request.into())?;
            (place, told(&made, place.json))
        }
        AliasCommand::Update { name, alias, version, target, place } => {
            let mut request = request(target);
            if let Some(version) = version {
                request.insert("FunctionVersion".into(), version.as_str().into());
            }
            let made = Api::at(place)?.update_alias(name, alias, &request.into())?;
            (place, told(&made, place.json))
        }
        AliasCommand::Delete { name, alias, place } => {
            Api::at(place)?.delete_alias(name, alias)?;
            let text = format!("{name}:{alias}: removed\n");
            (place, if place.json { format!("{:#}\n", json!({ "Removed": alias })) } else { text })
        }
        AliasCommand::List { name, place } => {
            let found = Api::at(place)?.aliases(name)?;
            (place, list(&found, place.json))
        }
    };
    if text.is_empty() && !place.json {
        say("there are no aliases yet: make one with `mayfly alias create FUNCTION ALIAS VERSION`");
    }
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// What the command line says about an alias; what it does not name stays as it is.
fn request(target: &AliasTarget) -> Map<String, Value> {
    let mut request = Map::new();
    if let Some(description) = &target.description {
        request.insert("Description".into(), description.as_str().into());
    }
    let weights = target.also.as_ref().map(|(version, weight)| json!({ version: weight }));
    let weights = weights.or_else(|| target.only.then(|| json!({})));
    if let Some(weights) = weights {
        let routing = json!({ "AdditionalVersionWeights": weights });
        request.insert("RoutingConfig".into(), routing);
    }
    request
}

fn told(alias: &Value, as_json: bool) -> String {
    if as_json {
        return format!("{alias:#}\n");
    }
    let [name, version, also, _] = row(alias);
    let also = if also == "-" { String::new() } else { format!(", {also}") };
    format!("{name}: version {version}{also}\n")
}

fn list(aliases: &[Value], as_json: bool) -> String {
    if as_json {
        return format!("{:#}\n", json!({ "Aliases": aliases }));
    }
    let rows: Vec<[String; 4]> = aliases.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(HEADS, &rows) }
}

fn row(alias: &Value) -> [String; 4] {
    let text = |key: &str| alias[key].as_str().filter(|text| !text.is_empty()).unwrap_or("-");
    let weights = alias["RoutingConfig"]["AdditionalVersionWeights"].as_object();
    let also: Vec<String> = weights
        .into_iter()
        .flatten()
        .map(|(version, weight)| {
            format!("{:.4} % to {version}", 100.0 * weight.as_f64().unwrap_or_default())
                .replace(".0000", "")
        })
        .collect();
    let also = if also.is_empty() { "-".into() } else { also.join(", ") };
    [text("Name").into(), text("FunctionVersion").into(), also, text("Description").into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_holds_what_is_named() {
        let mut target = AliasTarget { description: None, also: None, only: false };
        assert_eq!(Value::from(request(&target)), json!({}));
        target.only = true;
        let alone = json!({ "RoutingConfig": { "AdditionalVersionWeights": {} } });
        assert_eq!(Value::from(request(&target)), alone);
        target.also = Some(("2".into(), 0.1));
        let both = json!({ "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.1 } } });
        assert_eq!(Value::from(request(&target)), both);
    }

    #[test]
    fn weights_are_told_in_per_cent() {
        let alias = json!({
            "Name": "live", "FunctionVersion": "1", "Description": "",
            "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.05 } },
        });
        assert_eq!(row(&alias), ["live", "1", "5 % to 2", "-"]);
        assert_eq!(told(&alias, false), "live: version 1, 5 % to 2\n");
    }
}
