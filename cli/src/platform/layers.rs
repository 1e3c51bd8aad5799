//! `mayfly layer publish|list|rm`.

use std::path::Path;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::api::Api;
use super::bundle::Bundle;
use super::output::print;
use super::table::table;
use crate::args::LayerCommand;
use crate::failure::{Failure, say};
use crate::progress::Progress;

const HEADS: [&str; 4] = ["LAYER", "VERSION", "RUNTIMES", "ARN"];

/// Carries one out.
///
/// # Errors
/// A package that is none, the platform's refusal, or nobody's answer.
pub fn layer(command: &LayerCommand) -> Result<ExitCode, Failure> {
    let text = match command {
        LayerCommand::Publish { name, path, description, runtime, place } => {
            let request = request(path, description.as_deref(), runtime)?;
            let layer = Api::at(place)?.publish_layer(name, &request)?;
            match place.json {
                true => format!("{layer:#}\n"),
                false => format!("{}\n", layer["LayerVersionArn"].as_str().unwrap_or("?")),
            }
        }
        LayerCommand::List { name: None, place } => {
            list("Layers", &Api::at(place)?.layers()?, place.json)
        }
        LayerCommand::List { name: Some(name), place } => {
            list("LayerVersions", &Api::at(place)?.layer_versions(name)?, place.json)
        }
        LayerCommand::Remove { name, version, place } => {
            Api::at(place)?.delete_layer(name, *version)?;
            match place.json {
                true => format!(
                    "{:#}\n",
                    json!({ "Removed": { "LayerName": name, "Version": version } })
                ),
                false => format!("{name}: version {version} removed\n"),
            }
        }
    };
    if text.is_empty() {
        let of = match command {
            LayerCommand::List { name: Some(name), .. } => format!("versions of {name}"),
            _ => "layers".into(),
        };
        say(&format!("there are no {of} yet: make one with `mayfly layer publish NAME PATH`"));
    }
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

fn request(path: &Path, description: Option<&str>, runtimes: &[String]) -> Result<Value, Failure> {
    let progress = Progress::to_stderr();
    progress.says(&format!("packing {}", path.display()));
    let bundle = Bundle::of(path, false, None)?;
    let mut request = json!({
        "Content": { "ZipFile": STANDARD.encode(bundle.zip) },
        "CompatibleRuntimes": runtimes,
    });
    if let Some(description) = description {
        request["Description"] = description.into();
    }
    Ok(request)
}

fn list(member: &str, layers: &[Value], as_json: bool) -> String {
    if as_json {
        return format!("{:#}\n", json!({ member: layers }));
    }
    let rows: Vec<[String; 4]> = layers.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(HEADS, &rows) }
}

/// Of LayersListItem, which holds its latest version, or of LayerVersionsListItem.
fn row(layer: &Value) -> [String; 4] {
    let version = layer.get("LatestMatchingVersion").unwrap_or(layer);
    let arn = version["LayerVersionArn"].as_str().unwrap_or("-");
    let name = layer["LayerName"].as_str();
    // arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION
    let name = name.or_else(|| arn.split(':').nth(6)).unwrap_or("-");
    let runtimes = version["CompatibleRuntimes"].as_array().into_iter().flatten();
    let runtimes: Vec<&str> = runtimes.filter_map(Value::as_str).collect();
    let runtimes = if runtimes.is_empty() { "-".into() } else { runtimes.join(", ") };
    [name.into(), version["Version"].to_string(), runtimes, arn.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_and_its_version_have_the_same_row() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:tools:3";
        let version =
            json!({ "LayerVersionArn": arn, "Version": 3, "CompatibleRuntimes": ["python3.11"] });
        let layer = json!({ "LayerName": "tools", "LatestMatchingVersion": version });
        assert_eq!(row(&layer), ["tools", "3", "python3.11", arn]);
        assert_eq!(row(&version), row(&layer));
    }
}
