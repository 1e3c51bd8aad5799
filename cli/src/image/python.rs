//! CPython of this host: what to take along with the interpreter.
//!
//! The interpreter is asked where its things are. Taken are its standard library with the compiled .pyc
//! files (the image is read-only, so what is not compiled is compiled at every start), the extension
//! modules' libraries, time zones and certificates. Left are tests, what wants a screen, what installs
//! packages, and installed packages.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::libraries::Program;
use super::mirror::Mirror;
use crate::failure::{Failure, say};

/// Prints where things are, as JSON. A module that was not built leaves its answer out.
const QUESTIONS: &str = r"
import json, os, sys, sysconfig
answer = {
    'executable': getattr(sys, '_base_executable', None) or sys.executable,
    'version': '%d.%d.%d' % sys.version_info[:3],
    'libraries': [sysconfig.get_path('stdlib'), sysconfig.get_path('platstdlib')],
    'zones': [], 'certificates': None,
}
try:
    import zoneinfo
    answer['zones'] = list(zoneinfo.TZPATH)
except ImportError:
    pass
try:
    import ssl
    answer['certificates'] = ssl.get_default_verify_paths().openssl_cafile
except ImportError:
    pass
print(json.dumps(answer))
";

/// Directories of the standard library that a function does not need.
const DIRECTORIES_LEFT: [&str; 8] = [
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "site-packages",
    "dist-packages",
];
/// What begins so is left too: the build's own files, modules of tests and of the screen.
const PREFIXES_LEFT: [&str; 7] =
    ["config-", "_test", "_tkinter.", "_ctypes_test.", "_xxtestfuzz.", "xxlimited", "turtle.py"];
/// Compiled for `python -O`.
const SUFFIXES_LEFT: [&str; 2] = [".opt-1.pyc", ".opt-2.pyc"];
/// Copies of the time zones: by another clock, or once more.
const ZONES_LEFT: [&str; 2] = ["right", "posix"];

/// What is opened later: by CPython itself (pthread_exit(3) wants libgcc_s, without a DT_NEEDED), and by the
/// extension modules of packages, which may count on what the manylinux policies allow (PEP 599).
const OPENED_LATER: [&str; 8] = [
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libm.so.6",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libpthread.so.0",
    "libresolv.so.2",
];
/// Our runtime for functions: what an environment of `python3.x` runs.
const BOOTSTRAP: &str = include_str!("../../../guest/runtimes/python/bootstrap.py");
/// Where distributions keep all certificates in one file: Debian, Fedora, Alpine.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What an interpreter says of itself.
pub struct Python {
    /// Its file.
    pub executable: PathBuf,
    /// Its version, as `3.11.2`.
    pub version: String,
    libraries: Vec<PathBuf>,
    zones: Vec<PathBuf>,
    certificates: Option<PathBuf>,
}

/// Whether a program's name is that of an interpreter: `python3`, `python3.11`, a path to one.
pub fn is_python(program: &Path) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix("python")
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

impl Python {
    /// Asks the interpreter called `program`, which may be a script that finds another.
    ///
    /// # Errors
    /// An interpreter that does not start, or does not answer.
    pub fn ask(program: &Path) -> Result<Python, Failure> {
        let mut command = Command::new(program);
        command.args(["-I", "-S", "-c", QUESTIONS]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().map_err(|error| Failure::at(program, error))?;
        if !output.status.success() {
            return Err(Failure::at(program, format!("it ended with {}", output.status)));
        }
        let answer: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::at(program, format!("it is no python3: {error}")))?;
        let path =
            |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(PathBuf::from);
        let paths = |key: &str| answer[key].as_array().into_iter().flatten().filter_map(path);
        let executable = path(&answer["executable"])
            .ok_or_else(|| Failure::at(program, "it does not know where it is"))?;
        Ok(Python {
            executable,
            version: answer["version"].as_str().unwrap_or_default().to_owned(),
            libraries: {
                let mut libraries: Vec<PathBuf> = paths("libraries").collect();
                libraries.dedup();
                libraries
            },
            zones: paths("zones").collect(),
            certificates: path(&answer["certificates"]),
        })
    }

    /// Takes all that belongs to the interpreter into `mirror`; gives the interpreter, unless it is static.
    ///
    /// # Errors
    /// What the host says.
    pub fn take(&self, mirror: &mut Mirror) -> Result<Option<Program>, Failure> {
        say(&format!("python {}: {}", self.version, self.executable.display()));
        let mut program = Program::take(&self.executable, mirror)?;
        let mut modules = Vec::new();
        for library in self.libraries.iter().filter(|path| path.is_dir()) {
            say(&format!("standard library: {}", library.display()));
            mirror.take_tree(library, &is_left)?;
            modules.extend(extension_modules(&library.join("lib-dynload"))?);
        }
        if let Some(program) = &mut program {
            say(&format!("libraries of {} extension modules", modules.len()));
            for module in modules.iter().filter(|module| !is_left(module)) {
                program.take_plugin(module, mirror)?;
            }
            for name in OPENED_LATER {
                program.take_named(name, mirror)?;
            }
        }
        self.take_data(mirror)?;
        mirror.put_program(Path::new(crate::runtimes::BOOTSTRAP), BOOTSTRAP)?;
        // So that a guest's PATH leads to it, whatever this host's does.
        mirror.link(Path::new("/usr/bin/python3"), &self.executable)?;
        Ok(program)
    }

    /// Time zones, certificates: what there is of them.
    fn take_data(&self, mirror: &mut Mirror) -> Result<(), Failure> {
        if let Some(zones) = self.zones.iter().find(|path| path.is_dir()) {
            say(&format!("time zones: {}", zones.display()));
            let leave = |path: &Path| ZONES_LEFT.iter().any(|name| path == zones.join(name));
            mirror.take_tree(zones, &leave)?;
        }
        let bundle = CERTIFICATES.iter().map(Path::new).find(|path| path.is_file());
        let own = self.certificates.as_deref().filter(|path| path.is_file());
        if let Some(certificates) = own.or(bundle) {
            say(&format!("certificates: {}", certificates.display()));
            mirror.take(certificates)?;
            if let Some(wanted) = &self.certificates {
                mirror.link(wanted, certificates)?;
            }
        }
        Ok(())
    }
}

fn is_left(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_left_directory = DIRECTORIES_LEFT.contains(&&*name) && path.is_dir();
    is_left_directory
        || PREFIXES_LEFT.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES_LEFT.iter().any(|suffix| name.ends_with(suffix))
}

/// The extension modules in a directory, in order; none where there is no directory.
fn extension_modules(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(Vec::new()) };
    let mut modules = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::at(directory, error))?.path();
        if path.extension() == Some(OsStr::new("so")) {
            modules.push(path);
        }
    }
    modules.sort_unstable();
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_is_known_by_its_name() {
        for name in ["python3", "python", "/usr/bin/python3.11"] {
            assert!(is_python(Path::new(name)), "{name}");
        }
        for name in ["python3-config", "pythonista", "perl", "/"] {
            assert!(!is_python(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn tests_are_left_and_modules_are_not() {
        for name in ["x/_testcapi.so", "x/a.cpython-311.opt-1.pyc", "x/config-3.11-linux"] {
            assert!(is_left(Path::new(name)), "{name}");
        }
        for name in
            ["x/json", "x/_json.so", "x/a.cpython-311.pyc", "x/unittest", "x/configparser.py"]
        {
            assert!(!is_left(Path::new(name)), "{name}");
        }
    }
}
