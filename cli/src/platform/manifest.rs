//! `mayfly.toml`: what a function is, next to its code.
//!
//! ```toml
//! name = "greet"
//! runtime = "python3.11"
//! handler = "app.handler"
//! memory = 256                 # MiB
//! timeout = 10                 # s
//! reserved-concurrency = 5
//! layers = ["arn:aws:lambda:us-east-1:000000000000:layer:tools:3"]
//! code = "build"               # below the directory of this file, which it is without this
//!
//! [environment]
//! LEVEL = "debug"
//! ```

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::Deploy;
use crate::failure::Failure;
use crate::files;

/// What the file is called.
pub const NAME: &str = "mayfly.toml";
/// Longest file that is read: far above what a function has to say.
const BYTES_MAX: u64 = 1 << 20;

/// A function as it is wanted: what the command line says, else its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its code: a directory, a zip or a program.
    pub path: PathBuf,
    /// What else is said of it.
    pub settings: Settings,
}

/// Settings of a function; what is `None` or empty is not named, and stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub memory: Option<u32>,
    pub timeout: Option<u32>,
    pub runtime: Option<String>,
    pub handler: Option<String>,
    pub description: Option<String>,
    pub layers: Option<Vec<String>>,
    pub reserved_concurrency: Option<u32>,
    pub environment: BTreeMap<String, String>,
}

/// The file.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Manifest {
    name: Option<String>,
    code: Option<PathBuf>,
    memory: Option<u32>,
    timeout: Option<u32>,
    runtime: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    layers: Option<Vec<String>>,
    reserved_concurrency: Option<u32>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

impl Wanted {
    /// What the command line and, where there is one, the manifest say; nothing where neither has a name.
    ///
    /// # Errors
    /// A manifest that is none, with its line.
    pub fn of(options: &Deploy) -> Result<Option<Wanted>, Failure> {
        let (name, path) = match &options.words[..] {
            [path] => (None, path),
            [name, path, ..] => (name.to_str(), path),
            [] => return Ok(None),
        };
        let (manifest, below) = match manifest_of(path, options.config.as_deref()) {
            Some(file) => {
                let below = file.parent().map(Path::to_owned).unwrap_or_default();
                (read(&file)?, below)
            }
            None => (Manifest::default(), PathBuf::new()),
        };
        let name = name.map(str::to_owned).or(manifest.name);
        let Some(name) = name else { return Ok(None) };
        let path = manifest.code.map_or_else(|| path.clone(), |code| below.join(code));
        let mut environment = manifest.environment;
        environment.extend(options.env.iter().cloned());
        let layers = (!options.layer.is_empty()).then(|| options.layer.clone());
        let settings = Settings {
            memory: options.memory.or(manifest.memory),
            timeout: options.timeout.or(manifest.timeout),
            runtime: options.runtime.clone().or(manifest.runtime),
            handler: options.handler.clone().or(manifest.handler),
            description: options.description.clone().or(manifest.description),
            layers: layers.or(manifest.layers),
            reserved_concurrency: options.reserved_concurrency.or(manifest.reserved_concurrency),
            environment,
        };
        Ok(Some(Wanted { name, path, settings }))
    }
}

/// The file that is named, else the one in the directory of the code.
fn manifest_of(path: &Path, named: Option<&Path>) -> Option<PathBuf> {
    let beside = || Some(path.join(NAME)).filter(|file| path.is_dir() && file.exists());
    named.map(Path::to_owned).or_else(beside)
}

fn read(path: &Path) -> Result<Manifest, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::at(path, error);
    let mut bytes = Vec::new();
    let file = files::open(path).map_err(|error| failed(&error))?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(failed(&"more than 1 MiB, which no function has to say"));
    }
    text(&bytes).and_then(parse).map_err(|what| failed(&what))
}

/// What is no text comes with its line, too.
fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n');
        format!("line {}: not UTF-8", 1 + before.count())
    })
}

/// What is wrong comes with the line where it is.
fn parse(text: &str) -> Result<Manifest, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {}: {}", 1 + before.matches('\n').count(), error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Place;

    fn options(words: &[&Path]) -> Deploy {
        Deploy {
            words: words.iter().map(|word| word.to_path_buf()).collect(),
            config: None,
            memory: None,
            timeout: None,
            env: Vec::new(),
            runtime: None,
            handler: None,
            description: None,
            layer: Vec::new(),
            reserved_concurrency: None,
            place: Place { endpoint: None, json: false },
        }
    }

    #[test]
    fn the_command_line_wins() {
        let dir = tempfile::tempdir().unwrap();
        let text = "name = \"f\"\nmemory = 256\ntimeout = 9\ncode = \"build\"\nlayers = []\n\
                    reserved-concurrency = 0\n[environment]\nA = \"1\"\nB = \"2\"\n";
        std::fs::write(dir.path().join(NAME), text).unwrap();
        let mut options = options(&[dir.path()]);
        options.memory = Some(512);
        options.env = vec![("B".into(), "3".into())];
        let wanted = Wanted::of(&options).unwrap().unwrap();
        let settings = &wanted.settings;
        assert_eq!((&*wanted.name, wanted.path), ("f", dir.path().join("build")));
        assert_eq!((settings.memory, settings.timeout), (Some(512), Some(9)));
        assert_eq!((&settings.layers, settings.reserved_concurrency), (&Some(vec![]), Some(0)));
        assert_eq!(
            settings.environment,
            [("A", "1"), ("B", "3")].map(|(k, v)| (k.into(), v.into())).into()
        );
        options.words.insert(0, "g".into());
        assert_eq!(Wanted::of(&options).unwrap().unwrap().name, "g");
    }

    #[test]
    fn a_function_needs_a_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Wanted::of(&options(&[dir.path()])).unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let line = |text: &str| parse(text).unwrap_err();
        let unknown = line("name = \"f\"\n\nmemroy = 1\n");
        assert!(unknown.starts_with("line 3: unknown field `memroy`"), "{unknown}");
        assert!(line("timeout = \"x\"").starts_with("line 1: invalid type"));
        assert!(line("memory = -1").starts_with("line 1: "));
        assert!(line("name = \"f\"\n= 3").starts_with("line 2: "));
        assert!(line("[environment]\nA = 1").starts_with("line 2: "));
        assert_eq!(text(b"name = 1\n\n\xff").unwrap_err(), "line 3: not UTF-8");
        let place = tempfile::tempdir().unwrap();
        let long = place.path().join(NAME);
        std::fs::write(&long, format!("name = \"f\"{}", " ".repeat(1 << 20))).unwrap();
        assert!(read(&long).unwrap_err().to_string().contains("1 MiB"));
    }
}
