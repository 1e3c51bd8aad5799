//! The house stands as it was drawn: no crate uses one that it must not, and every crate keeps the rules.
//!
//! ```text
//!   L4  tests  benches  xtask                   → anything
//!   L3  cli                                     → vmm scheduler image boot abi
//!   L2  vmm                                     → abi boot devices
//!   L1  boot  image  devices  scheduler         → abi
//!   L1  guest: kernel → drivers → hal, erofs    → abi
//!   L0  abi, tests/postgres                     → nothing
//! ```
//!
//! Everything here is read from the manifests and the sources; a crate that is not in the table fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What a crate may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// Values in, values out: no file descriptor, clock, thread or logger, and no `unsafe`.
    Pure,
    /// No `unsafe`.
    Safe,
    /// `unsafe` is denied, and allowed by name where a binary cannot do without (its entry point).
    NearlySafe,
    /// Holds `unsafe`, each block with its reason.
    Fenced,
}

struct Room {
    dir: &'static str,
    package: &'static str,
    layer: u8,
    /// The crates of this workspace that it may be built from.
    uses: &'static [&'static str],
    nature: Nature,
}

const fn room(
    layer: u8,
    dir: &'static str,
    package: &'static str,
    nature: Nature,
    uses: &'static [&'static str],
) -> Room {
    Room { dir, package, layer, uses, nature }
}

const ANYTHING: &[&str] = &["*"];

#[rustfmt::skip]
const HOUSE: [Room; 15] = [
    room(0, "abi",           "mayfly-abi",       Nature::Pure,       &[]),
    room(1, "boot",          "mayfly-boot",      Nature::Pure,       &["mayfly-abi"]),
    room(1, "image",         "mayfly-image",     Nature::Pure,       &["mayfly-abi"]),
    room(1, "devices",       "mayfly-devices",   Nature::Pure,       &["mayfly-abi"]),
    room(1, "scheduler",     "mayfly-scheduler", Nature::Safe,       &["mayfly-abi"]),
    room(1, "guest/hal",     "mayfly-hal",       Nature::Fenced,     &["mayfly-abi"]),
    room(1, "guest/drivers", "mayfly-drivers",   Nature::Safe,       &["mayfly-abi", "mayfly-hal"]),
    room(1, "guest/erofs",   "mayfly-erofs",     Nature::Pure,       &["mayfly-abi"]),
    room(1, "guest/kernel",  "mayfly-kernel",    Nature::NearlySafe, &["mayfly-abi", "mayfly-hal", "mayfly-drivers", "mayfly-erofs"]),
    room(2, "vmm",           "mayfly-vmm",       Nature::Fenced,     &["mayfly-abi", "mayfly-boot", "mayfly-devices"]),
    room(3, "cli",           "mayfly",           Nature::Fenced,     &["mayfly-abi", "mayfly-boot", "mayfly-image", "mayfly-scheduler", "mayfly-vmm"]),
    room(0, "tests/postgres", "mayfly-postgres", Nature::Safe,       &[]),
    room(4, "tests",         "mayfly-tests",     Nature::Fenced,     ANYTHING),
    room(4, "benches",       "mayfly-benches",   Nature::Fenced,     ANYTHING),
    room(4, "xtask",         "xtask",            Nature::Fenced,     ANYTHING),
];

/// Crates that reach out into the world: none of them has a place in a pure one.
const WORLDLY_CRATES: [&str; 12] = [
    "event-manager",
    "kvm-ioctls",
    "libc",
    "log",
    "mio",
    "nix",
    "rand",
    "rustix",
    "tokio",
    "tracing",
    "vmm-sys-util",
    "getrandom",
];

/// Words that do: of the standard library, and of crates that a pure part's own crate may use.
const WORLDLY_WORDS: [&str; 13] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "println!",
    "print!",
    "static mut",
    "rusqlite::",
    "tokio::",
];

/// The files of pure crates that may, each behind a feature: (file, who declares it, how).
const SHELLS: [(&str, &str, &str); 1] =
    [("image/src/walk.rs", "image/src/lib.rs", "#[cfg(feature = \"walk\")]\npub mod walk;")];

/// Parts of crates that are pure, where the rest is not.
const PURE_PARTS: [&str; 3] =
    ["scheduler/src/core/", "scheduler/src/schedules/expression/", "scheduler/src/simulation/"];

/// A file holds one idea; this is the most that one idea may take.
const CODE_LINES_MAX: usize = 500;

// ---- The rules, each against the whole workspace.

#[test]
fn the_table_names_every_member() {
    let workspace = manifest(&root());
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let mut members: Vec<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    let mut rooms: Vec<&str> = HOUSE.iter().map(|room| room.dir).collect();
    members.sort_unstable();
    rooms.sort_unstable();
    assert_eq!(members, rooms, "the workspace's members (left) and the table of this test (right)");
    for room in &HOUSE {
        let name = manifest(&root().join(room.dir))["package"]["name"].clone();
        assert_eq!(name.as_str(), Some(room.package), "{}/Cargo.toml", room.dir);
    }
}

#[test]
fn no_crate_uses_one_it_must_not() {
    holds(|room| forbidden_edges(room, &manifest(&root().join(room.dir)), &manifest(&root())));
}

#[test]
fn every_manifest_inherits_what_is_shared() {
    holds(|room| own_ways(&manifest(&root().join(room.dir))));
}

#[test]
fn crates_without_unsafe_say_so_to_the_compiler() {
    holds(|room| {
        let promise = match room.nature {
            Nature::Pure | Nature::Safe => "#![forbid(unsafe_code)]",
            Nature::NearlySafe => "#![deny(unsafe_code)]",
            Nature::Fenced => return Vec::new(),
        };
        let file = root().join(room.dir).join("src/lib.rs");
        let says = read(&file).lines().any(|line| {
            line == promise || (promise.contains("deny") && line == "#![forbid(unsafe_code)]")
        });
        if says { Vec::new() } else { vec![format!("{} lacks {promise}", shown(&file))] }
    });
}

#[test]
fn pure_crates_do_not_touch_the_world() {
    holds(|room| {
        let mut files = sources(room);
        files.retain(|file| is_pure(room.nature, &shown(file)));
        files.iter().flat_map(|file| worldly_lines(file)).collect()
    });
    for part in PURE_PARTS {
        assert!(root().join(part).is_dir(), "{part} has moved");
    }
    for (shell, parent, declaration) in SHELLS {
        let parent_text = read(&root().join(parent));
        assert!(
            parent_text.contains(declaration),
            "{shell} must be behind its feature in {parent}"
        );
    }
}

#[test]
fn a_file_holds_one_idea() {
    holds(|room| {
        let long = |file: &PathBuf| {
            let lines = code(&read(file)).count();
            (lines > CODE_LINES_MAX).then(|| {
                format!("{}: {lines} lines of code, of {CODE_LINES_MAX} at most", shown(file))
            })
        };
        sources(room).iter().filter_map(long).collect()
    });
}

/// Fails with everything that `rule` finds wrong, in all rooms.
fn holds(rule: impl Fn(&Room) -> Vec<String>) {
    let wrong: Vec<String> = HOUSE.iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

// ---- What the rules are made of.

/// A dependency as a manifest writes it, with its real package name.
struct Dependency<'a> {
    package: String,
    is_dev: bool,
    value: &'a Value,
}

/// Every dependency of a manifest, those for one platform included.
fn dependencies<'a>(manifest: &'a Table, workspace: &Table) -> Vec<Dependency<'a>> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let platforms = targets.filter_map(|(_, platform)| platform.as_table());
    let mut found = Vec::new();
    for table in std::iter::once(manifest).chain(platforms) {
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let section_table = table.get(section).and_then(Value::as_table);
            for (name, value) in section_table.into_iter().flatten() {
                let package = renamed(value)
                    .or_else(|| {
                        renamed(workspace.get("workspace")?.get("dependencies")?.get(name)?)
                    })
                    .unwrap_or_else(|| name.clone());
                found.push(Dependency { package, is_dev: section == "dev-dependencies", value });
            }
        }
    }
    found
}

/// The `package` of `alias = { package = "…" }`.
fn renamed(dependency: &Value) -> Option<String> {
    Some(dependency.get("package")?.as_str()?.to_owned())
}

fn forbidden_edges(from: &Room, manifest: &Table, workspace: &Table) -> Vec<String> {
    let mut wrong = Vec::new();
    for Dependency { package, is_dev, .. } in dependencies(manifest, workspace) {
        let to = HOUSE.iter().find(|room| room.package == package);
        let is_allowed = match (to, is_dev) {
            _ if from.uses == ANYTHING => true,
            (Some(to), true) => to.layer <= from.layer,
            (Some(_), false) => from.uses.contains(&&*package),
            (None, true) => true,
            (None, false) => from.nature != Nature::Pure || !WORLDLY_CRATES.contains(&&*package),
        };
        if !is_allowed {
            let how = if is_dev { " (even in tests)" } else { "" };
            wrong.push(format!("{} must not use {package}{how}", from.package));
        }
    }
    wrong
}

/// Where a manifest goes its own way.
fn own_ways(manifest: &Table) -> Vec<String> {
    let inherits = |value: Option<&Value>| {
        value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
    };
    let package = &manifest["package"];
    let name = package["name"].as_str().unwrap();
    let mut wrong = Vec::new();
    for key in ["edition", "license", "publish", "rust-version", "version"] {
        if !inherits(package.get(key)) {
            wrong.push(format!("{name}: write {key}.workspace = true"));
        }
    }
    if !inherits(manifest.get("lints")) {
        wrong.push(format!("{name}: write [lints] workspace = true"));
    }
    for dependency in dependencies(manifest, &Table::new()) {
        if !inherits(Some(dependency.value)) {
            wrong.push(format!("{name}: name {} in the workspace's table", dependency.package));
        }
    }
    wrong
}

fn is_pure(nature: Nature, file: &str) -> bool {
    match nature {
        Nature::Pure => SHELLS.iter().all(|(shell, ..)| *shell != file),
        _ => PURE_PARTS.iter().any(|part| file.starts_with(part)),
    }
}

fn worldly_lines(file: &Path) -> Vec<String> {
    let text = read(file);
    let found = code(&text).filter(|line| WORLDLY_WORDS.iter().any(|word| line.contains(word)));
    found.map(|line| format!("{}: {}", shown(file), line.trim())).collect()
}

/// The lines of code: neither blank nor comment nor inside a `#[cfg(test)] mod … { … }`.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let mut is_marked = false;
    let mut end_of_tests: Option<String> = None;
    text.lines().filter(move |line| {
        let word = line.trim();
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(end) = &end_of_tests {
            // The formatter puts the closing brace right below the module's first letter.
            if *line == end {
                end_of_tests = None;
            }
            return false;
        }
        if is_marked && word.starts_with("mod ") && word.ends_with('{') {
            end_of_tests = Some(format!("{indent}}}"));
            is_marked = false;
            return false;
        }
        is_marked = word == "#[cfg(test)]";
        !word.is_empty() && !word.starts_with("//")
    })
}

/// The Rust files of a room, without its tests.
fn sources(room: &Room) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(room.dir).join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if is_source(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_source(path: &Path) -> bool {
    let is_tests = path.file_stem().is_some_and(|stem| stem == "tests")
        || path.parent().is_some_and(|dir| dir.ends_with("tests"));
    path.extension().is_some_and(|extension| extension == "rs") && !is_tests
}

fn root() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).parent().unwrap().to_owned()
}

/// A path as the reader of a failure wants it.
fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

fn manifest(dir: &Path) -> Table {
    read(&dir.join("Cargo.toml")).parse().unwrap()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

// ---- The rules can fail.

fn edges(package: &str, manifest: &str, workspace: &str) -> Vec<String> {
    let from = HOUSE.iter().find(|room| room.package == package).unwrap();
    forbidden_edges(from, &manifest.parse().unwrap(), &workspace.parse().unwrap())
}

#[test]
fn an_edge_up_or_sideways_is_found() {
    let up = "[dependencies]\nmayfly-abi.workspace = true\nmayfly-vmm.workspace = true";
    assert_eq!(edges("mayfly-boot", up, ""), ["mayfly-boot must not use mayfly-vmm"]);
    let sideways = "[build-dependencies]\nmayfly-scheduler = { path = \"x\" }";
    assert_eq!(edges("mayfly-vmm", sideways, ""), ["mayfly-vmm must not use mayfly-scheduler"]);
    assert!(edges("mayfly-tests", up, "").is_empty());
}

#[test]
fn an_edge_behind_another_name_or_a_platform_is_found() {
    let alias = "[dependencies]\nharmless.workspace = true";
    let workspace = "[workspace.dependencies]\nharmless = { path = \"cli\", package = \"mayfly\" }";
    assert_eq!(edges("mayfly-abi", alias, workspace), ["mayfly-abi must not use mayfly"]);
    let platform = "[target.'cfg(unix)'.dependencies]\nmayfly-vmm.workspace = true";
    assert_eq!(edges("mayfly-devices", platform, ""), ["mayfly-devices must not use mayfly-vmm"]);
}

#[test]
fn tests_may_use_neighbours_but_nothing_above() {
    let dev = |name: &str| format!("[dev-dependencies]\n{name}.workspace = true");
    assert!(edges("mayfly-erofs", &dev("mayfly-image"), "").is_empty());
    assert_eq!(
        edges("mayfly-devices", &dev("mayfly-vmm"), ""),
        ["mayfly-devices must not use mayfly-vmm (even in tests)"]
    );
}

#[test]
fn a_pure_crate_with_a_worldly_one_is_found() {
    let libc = "[dependencies]\nlibc.workspace = true";
    assert_eq!(edges("mayfly-devices", libc, ""), ["mayfly-devices must not use libc"]);
    assert!(edges("mayfly-vmm", libc, "").is_empty());
}

#[test]
fn a_part_of_a_crate_may_be_pure() {
    assert!(is_pure(Nature::Safe, "scheduler/src/core/pool.rs"));
    assert!(!is_pure(Nature::Safe, "scheduler/src/serve.rs"));
    assert!(is_pure(Nature::Pure, "image/src/lib.rs"));
    assert!(!is_pure(Nature::Pure, SHELLS[0].0));
}

#[test]
fn a_manifest_that_goes_its_own_way_is_found() {
    let manifest = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
                    publish.workspace = true\nrust-version = \"1.0\"\nlicense.workspace = true\n\
                    [dependencies]\nlibc = \"0.2\"";
    assert_eq!(
        own_ways(&manifest.parse().unwrap()),
        [
            "x: write rust-version.workspace = true",
            "x: write [lints] workspace = true",
            "x: name libc in the workspace's table",
        ]
    );
}

#[test]
fn only_code_counts_as_code() {
    let text = "//! Duty.\n\nfn f() {\n    g(); // why\n}\n\n#[cfg(test)]\nmod tests {\n    fn t() {\n    }\n}\n\
                #[cfg(test)]\nuse x;\nfn h() {}\n";
    let lines: Vec<&str> = code(text).collect();
    assert_eq!(
        lines,
        ["fn f() {", "    g(); // why", "}", "#[cfg(test)]", "#[cfg(test)]", "use x;", "fn h() {}"]
    );
}
