//! `mayfly deploy`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::api::{Api, Problem};
use super::bundle::Bundle;
use super::output::{bytes, print};
use crate::args::Deploy;
use crate::failure::{Failure, say};
use crate::progress::Progress;

const RUNTIME: &str = "provided.al2023";
const HANDLER: &str = "bootstrap";
/// Roles mean nothing yet, but every function has one.
const ROLE: &str = "arn:aws:iam::000000000000:role/mayfly";
/// Begins the names of runtimes whose program is the package's `bootstrap`.
const OWN_RUNTIME: &str = "provided";

/// Creates the function, or replaces it.
///
/// # Errors
/// A package that is none, the platform's refusal, or nobody's answer.
pub fn deploy(options: Deploy) -> Result<ExitCode, Failure> {
    let mut api = Api::at(&options.place)?;
    let Deployed { function, done, warning } = put(&mut api, &options, &Progress::to_stderr())?;
    if let Some(warning) = warning {
        say(&format!("warning: {warning}"));
    }
    let text =
        if options.place.json { format!("{function:#}\n") } else { summary(&function, done) };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

/// A function that is there now.
pub struct Deployed {
    /// FunctionConfiguration.
    function: Value,
    /// What was done: created, replaced.
    done: &'static str,
    /// What may keep it from running.
    warning: Option<String>,
}

/// As [`deploy`], by an open client, and without a word at the end. The line of `progress` is gone by then.
///
/// # Errors
/// As [`deploy`].
pub fn put(api: &mut Api, options: &Deploy, progress: &Progress) -> Result<Deployed, Failure> {
    progress.says("looking for the function");
    let existing = match api.configuration(&options.name) {
        Ok(function) => Some(function),
        Err(problem) if problem.is("ResourceNotFoundException") => None,
        Err(problem) => return Err(problem.into()),
    };
    let runtime = options.runtime.as_deref();
    let runtime = runtime.or_else(|| existing.as_ref()?["Runtime"].as_str()).unwrap_or(RUNTIME);
    progress.says(&format!("packing {}", options.path.display()));
    let bundle = Bundle::of(&options.path, runtime.starts_with(OWN_RUNTIME))?;
    progress.says(&format!("uploading {}", bytes(bundle.zip.len() as u64)));
    let (function, done) = match existing {
        Some(_) => (replace(api, options, &bundle)?, "replaced"),
        None => match create(api, options, &bundle) {
            // Somebody was faster.
            Err(problem) if problem.is("ResourceConflictException") => {
                (replace(api, options, &bundle)?, "replaced")
            }
            result => (result?, "created"),
        },
    };
    progress.ends();
    Ok(Deployed { function, done, warning: bundle.warning })
}

fn create(api: &mut Api, options: &Deploy, bundle: &Bundle) -> Result<Value, Problem> {
    let mut request = json!({
        "FunctionName": options.name,
        "Runtime": RUNTIME,
        "Handler": HANDLER,
        "Role": ROLE,
        "Code": { "ZipFile": STANDARD.encode(&bundle.zip) },
    });
    if let Some(request) = request.as_object_mut() {
        request.extend(settings(options));
    }
    api.create(&request)
}

/// Code first: a setting that is refused then leaves a function that works.
fn replace(api: &mut Api, options: &Deploy, bundle: &Bundle) -> Result<Value, Problem> {
    let code = json!({ "ZipFile": STANDARD.encode(&bundle.zip) });
    let function = api.update_code(&options.name, &code)?;
    let settings = settings(options);
    if settings.is_empty() {
        return Ok(function);
    }
    api.update_configuration(&options.name, &settings.into())
}

/// What the command line says about the function.
fn settings(options: &Deploy) -> Map<String, Value> {
    let variables: BTreeMap<&str, &str> =
        options.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let variables = (!variables.is_empty()).then(|| json!({ "Variables": variables }));
    let named = [
        ("MemorySize", options.memory.map(Value::from)),
        ("Timeout", options.timeout.map(Value::from)),
        ("Runtime", options.runtime.clone().map(Value::from)),
        ("Handler", options.handler.clone().map(Value::from)),
        ("Environment", variables),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn summary(function: &Value, done: &str) -> String {
    let text = |key: &str| function[key].as_str().unwrap_or("?");
    let number = |key: &str| function[key].as_u64().unwrap_or_default();
    format!(
        "{}: {done} ({} zipped, {}, {} MiB, {} s)\n",
        text("FunctionName"),
        bytes(number("CodeSize")),
        text("Runtime"),
        number("MemorySize"),
        number("Timeout"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Place;

    #[test]
    fn settings_are_those_that_are_named() {
        let mut options = Deploy {
            name: "f".into(),
            path: "x".into(),
            memory: None,
            timeout: Some(9),
            env: Vec::new(),
            runtime: None,
            handler: None,
            place: Place { endpoint: None, json: false },
        };
        assert_eq!(Value::from(settings(&options)), json!({ "Timeout": 9 }));
        options.env = [("A", "1"), ("A", "2"), ("B", "")].map(|(k, v)| (k.into(), v.into())).into();
        let wanted = json!({ "Variables": { "A": "2", "B": "" } });
        assert_eq!(settings(&options)["Environment"], wanted);
    }

    #[test]
    fn the_summary_is_one_line() {
        let function = json!({
            "FunctionName": "f", "CodeSize": 4096, "Runtime": "provided.al2023", "MemorySize": 128,
            "Timeout": 3,
        });
        let line = summary(&function, "created");
        assert_eq!(line, "f: created (4 KiB zipped, provided.al2023, 128 MiB, 3 s)\n");
    }
}
