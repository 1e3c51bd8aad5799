//! `mayfly publish`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::api::Api;
use super::output::print;
use crate::args::Publish;
use crate::failure::Failure;

/// Publishes what a function is now as a version.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn publish(options: &Publish) -> Result<ExitCode, Failure> {
    let mut api = Api::at(&options.place)?;
    let mut request = json!({});
    if let Some(description) = &options.description {
        request["Description"] = description.as_str().into();
    }
    let version = api.publish_version(&options.name, &request)?;
    let text = if options.place.json {
        format!("{version:#}\n")
    } else {
        summary(&options.name, &version)
    };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

fn summary(name: &str, version: &Value) -> String {
    format!("{name}: version {}\n", version["Version"].as_str().unwrap_or("?"))
}
