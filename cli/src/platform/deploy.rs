//! `mayfly deploy`.

use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::api::{Api, Problem};
use super::bundle::Bundle;
use super::manifest::{self, Settings, Wanted};
use super::output::{bytes, print};
use crate::args::Deploy;
use crate::failure::{Failure, MISUSED, say};
use crate::progress::Progress;

const RUNTIME: &str = "provided.al2023";
const HANDLER: &str = "bootstrap";
/// Roles mean nothing yet, but every function and every schedule has one.
pub(super) const ROLE: &str = "arn:aws:iam::000000000000:role/mayfly";
const UNNAMED: &str = "the function has no name: mayfly deploy NAME PATH, or `name` in a mayfly.toml \
(see mayfly deploy --help)";
/// Begins the names of runtimes whose program is the package's `bootstrap`.
const OWN_RUNTIME: &str = "provided";

/// Creates the function, or replaces it.
///
/// # Errors
/// A package that is none, the platform's refusal, or nobody's answer.
pub fn deploy(options: Deploy) -> Result<ExitCode, Failure> {
    let Some(wanted) = Wanted::of(&options)? else {
        say(UNNAMED);
        return Ok(ExitCode::from(MISUSED));
    };
    let mut api = Api::at(&options.place)?;
    let Deployed { function, done, warning } = put(&mut api, &wanted, &Progress::to_stderr())?;
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
pub fn put(api: &mut Api, wanted: &Wanted, progress: &Progress) -> Result<Deployed, Failure> {
    progress.says("looking for the function");
    let existing = match api.configuration(&wanted.name) {
        Ok(function) => Some(function),
        Err(problem) if problem.is("ResourceNotFoundException") => None,
        Err(problem) => return Err(problem.into()),
    };
    let runtime = wanted.settings.runtime.as_deref();
    let runtime = runtime.or_else(|| existing.as_ref()?["Runtime"].as_str()).unwrap_or(RUNTIME);
    progress.says(&format!("packing {}", wanted.path.display()));
    let needs_program = runtime.starts_with(OWN_RUNTIME);
    let bundle = Bundle::of(&wanted.path, needs_program, Some(manifest::NAME))?;
    progress.says(&format!("uploading {}", bytes(bundle.zip.len() as u64)));
    let (function, done) = match existing {
        Some(_) => (replace(api, wanted, &bundle)?, "replaced"),
        None => match create(api, wanted, &bundle) {
            // Somebody was faster.
            Err(problem) if problem.is("ResourceConflictException") => {
                (replace(api, wanted, &bundle)?, "replaced")
            }
            result => (result?, "created"),
        },
    };
    if let Some(concurrency) = wanted.settings.reserved_concurrency {
        api.reserve(&wanted.name, concurrency)?;
    }
    progress.ends();
    Ok(Deployed { function, done, warning: bundle.warning })
}

fn create(api: &mut Api, wanted: &Wanted, bundle: &Bundle) -> Result<Value, Problem> {
    let mut request = json!({
        "FunctionName": wanted.name,
        "Runtime": RUNTIME,
        "Handler": HANDLER,
        "Role": ROLE,
        "Code": { "ZipFile": STANDARD.encode(&bundle.zip) },
    });
    if let Some(request) = request.as_object_mut() {
        request.extend(named(&wanted.settings));
    }
    api.create(&request)
}

/// Settings, then code, which was tried before: what is refused leaves the function as it was.
fn replace(api: &mut Api, wanted: &Wanted, bundle: &Bundle) -> Result<Value, Problem> {
    let mut code = json!({ "ZipFile": STANDARD.encode(&bundle.zip) });
    let settings = named(&wanted.settings);
    if !settings.is_empty() {
        code["DryRun"] = true.into();
        api.update_code(&wanted.name, &code)?;
        api.update_configuration(&wanted.name, &settings.into())?;
        code["DryRun"] = false.into();
    }
    api.update_code(&wanted.name, &code)
}

/// What is said about the function, in the API's words.
fn named(settings: &Settings) -> Map<String, Value> {
    let Settings { memory, timeout, runtime, handler, description, layers, environment, .. } =
        settings;
    let variables = (!environment.is_empty()).then(|| json!({ "Variables": environment }));
    let named = [
        ("MemorySize", memory.map(Value::from)),
        ("Timeout", timeout.map(Value::from)),
        ("Runtime", runtime.clone().map(Value::from)),
        ("Handler", handler.clone().map(Value::from)),
        ("Description", description.clone().map(Value::from)),
        ("Layers", layers.clone().map(Value::from)),
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

    #[test]
    fn settings_are_those_that_are_named() {
        let mut settings = Settings { timeout: Some(9), ..Settings::default() };
        assert_eq!(Value::from(named(&settings)), json!({ "Timeout": 9 }));
        settings.environment = [("A", "2"), ("B", "")].map(|(k, v)| (k.into(), v.into())).into();
        let wanted = json!({ "Variables": { "A": "2", "B": "" } });
        assert_eq!(named(&settings)["Environment"], wanted);
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
