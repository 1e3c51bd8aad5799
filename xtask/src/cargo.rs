//! What cargo knows about this workspace, and the cargo commands that the chores share.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::command;
use crate::failure::{Failure, Result};

/// The only target this project is built for.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Test targets whose names start so need /dev/kvm.
const KVM_PREFIX: &str = "kvm_";

/// Where the workspace is, and what it has to test.
pub struct Workspace {
    /// The directory of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target directory; everything that the chores write is under it.
    pub target: PathBuf,
    /// Flags that select every target with tests of its own, those for KVM left out.
    pub plain_targets: Vec<String>,
    /// The names of the test targets that need /dev/kvm.
    pub kvm_targets: Vec<String>,
}

impl Workspace {
    /// Asks `cargo metadata`, from the directory of this package where cargo runs it.
    pub fn find() -> Result<Self> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
        let text = command::capture(
            cargo().args(["metadata", "--no-deps", "--format-version=1"]).current_dir(here),
        )?;
        let metadata: Value = serde_json::from_slice(&text)
            .map_err(|error| Failure::Output { tool: "cargo metadata", what: error.to_string() })?;
        Self::parse(&metadata).ok_or(Failure::Output {
            tool: "cargo metadata",
            what: "no workspace_root, target_directory or packages".into(),
        })
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let path = |key| Some(PathBuf::from(metadata.get(key)?.as_str()?));
        let (root, target) = (path("workspace_root")?, path("target_directory")?);
        let (mut plain, mut kvm_targets) = (vec!["--lib".to_owned()], Vec::new());
        for package in metadata.get("packages")?.as_array()? {
            for target in package.get("targets")?.as_array()? {
                let name = target.get("name")?.as_str()?.to_owned();
                let kind = target.get("kind")?.get(0)?.as_str()?;
                // `--bin NAME` takes a target whatever its `test` flag says: leave out what has it off,
                // such as a kernel without the standard library.
                let tested = target.get("test")?.as_bool()?;
                match kind {
                    "test" if name.starts_with(KVM_PREFIX) => kvm_targets.push(name),
                    "test" | "bin" if tested => plain.extend([format!("--{kind}"), name]),
                    _ => {}
                }
            }
        }
        Some(Self { root, target, plain_targets: plain, kvm_targets })
    }

    /// The release binary.
    pub fn mayfly(&self) -> PathBuf {
        self.target.join("release/mayfly")
    }

    /// Where the programs that guests run are built.
    pub fn fixtures(&self) -> PathBuf {
        self.target.join("fixtures")
    }

    /// `cargo build --release` of the one binary.
    pub fn build_release(&self) -> Result<()> {
        command::run(cargo().current_dir(&self.root).args(["build", "--release"]))
    }
}

/// Makes cargo report executables, for [`executables`], and still print what the compiler says.
pub const JSON: &str = "--message-format=json-render-diagnostics";

/// A cargo command, of the toolchain that built this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The executables that a cargo command with [`JSON`] reported, as (target, path),
/// where `wanted` accepts the target's kind.
pub fn executables(messages: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    String::from_utf8_lossy(messages)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let target = message.get("target")?;
            let kind = target.get("kind")?.get(0)?.as_str()?;
            let executable = message.get("executable")?.as_str()?;
            wanted(kind)
                .then(|| Some((target.get("name")?.as_str()?.to_owned(), executable.into())))?
        })
        .collect()
}

/// Builds the package in `dir`, with `args` on top, and returns its binaries.
///
/// `rustflags` replaces what the environment says, so that the result is the same everywhere.
pub fn build_package(
    dir: &Path,
    target_dir: &Path,
    rustflags: &str,
    args: &[&str],
) -> Result<Vec<(String, PathBuf)>> {
    let messages = command::capture_stdout(
        cargo()
            .current_dir(dir)
            .env("RUSTFLAGS", rustflags)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .args(["build", "--quiet", "--release", "--target", TARGET, JSON])
            .args(args)
            .arg("--target-dir")
            .arg(target_dir),
    )?;
    Ok(executables(&messages, |kind| kind == "bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_workspace() {
        let workspace = Workspace::find().unwrap();
        assert!(workspace.root.join("xtask/Cargo.toml").is_file());
        assert!(workspace.kvm_targets.contains(&"kvm_api".to_owned()));
        assert!(workspace.plain_targets.windows(2).any(|pair| pair == ["--test", "layering"]));
        assert!(!workspace.plain_targets.contains(&"kvm_api".to_owned()));
    }

    #[test]
    fn a_binary_with_its_tests_off_is_left_out() {
        let metadata = serde_json::json!({
            "workspace_root": "/w", "target_directory": "/w/target",
            "packages": [{ "targets": [
                { "name": "kernel", "kind": ["bin"], "test": false },
                { "name": "mayfly", "kind": ["bin"], "test": true },
            ]}],
        });
        let workspace = Workspace::parse(&metadata).unwrap();
        assert_eq!(workspace.plain_targets, ["--lib", "--bin", "mayfly"]);
    }

    #[test]
    fn executables_of_the_wanted_kind() {
        let messages = br#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"kvm_api"},"executable":"/t/kvm_api-1"}
            {"reason":"compiler-artifact","target":{"kind":["lib"],"name":"abi"},"executable":null}
            not json
            {"reason":"build-finished","success":true}"#;
        let found = executables(messages, |kind| kind == "test");
        assert_eq!(found, [("kvm_api".to_owned(), PathBuf::from("/t/kvm_api-1"))]);
    }
}
