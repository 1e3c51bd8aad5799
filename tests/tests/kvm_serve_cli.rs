//! The platform's command line, as a person uses it: deploy, invoke, logs, list, rm.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use mayfly_tests::platform::{Platform, bootstrap, zip_of};
use mayfly_tests::{Finished, finish, fixture, mayfly};
use serde_json::{Value, json};

/// Longest time until something is seen: generous, since the hardware lane is emulated.
const PATIENCE: Duration = Duration::from_secs(60);
/// For functions: the lane starts VMs slowly.
const TIMEOUT: [&str; 2] = ["--timeout", "60"];

fn command(platform: &Platform, words: &[&str]) -> Command {
    let mut command = Command::new(mayfly());
    command.args(words).env("MAYFLY_ENDPOINT", format!("http://{}", platform.address()));
    command
}

fn run(platform: &Platform, words: &[&str]) -> Finished {
    finish(command(platform, words), b"")
}

/// Insists on success; what it printed.
fn good(platform: &Platform, words: &[&str]) -> String {
    let finished = run(platform, words);
    assert_eq!(finished.code(), 0, "{words:?}: {}", finished.complaint());
    finished.text()
}

/// Insists on a failure of this status, said in one line that holds `part`.
fn bad(platform: &Platform, words: &[&str], code: i32, part: &str) {
    let finished = run(platform, words);
    let complaint = finished.complaint();
    assert_eq!((finished.code(), complaint.lines().count()), (code, 1), "{words:?}: {complaint}");
    assert!(
        complaint.starts_with("mayfly: ") && complaint.contains(part),
        "{words:?}: {complaint}"
    );
}

fn deploy(platform: &Platform, name: &str, program: &str) -> String {
    let path = fixture(program);
    good(platform, &[&["deploy", name, path.to_str().unwrap()], &TIMEOUT[..]].concat())
}

#[test]
fn a_functions_life() {
    let platform = Platform::start();
    assert_eq!(good(&platform, &["list"]), "");
    let created = deploy(&platform, "echo", "bootstrap");
    assert!(created.starts_with("echo: created (") && created.lines().count() == 1, "{created}");
    assert_eq!(good(&platform, &["invoke", "echo"]), "{}");
    let warm = run(&platform, &["invoke", "echo", "--payload", "[1, 2]", "--log"]);
    assert_eq!((warm.code(), &*warm.text()), (0, "[1, 2]"));
    let log = warm.complaint();
    assert!(log.starts_with("START RequestId: ") && log.contains("\nREPORT RequestId: "), "{log}");
    assert!(!log.contains("Init Duration"), "the environment was there: {log}");
    let piped = finish(command(&platform, &["invoke", "echo", "--payload", "-"]), b"\"piped\"");
    assert_eq!(piped.text(), "\"piped\"");

    let list = good(&platform, &["list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(
        lines[0].starts_with("NAME  RUNTIME") && lines[1].starts_with("echo  provided"),
        "{list}"
    );
    let json: Value = serde_json::from_str(&good(&platform, &["ls", "--json"])).unwrap();
    assert_eq!(
        (&json["Functions"][0]["FunctionName"], &json["Functions"][0]["Timeout"]),
        (&json!("echo"), &json!(60))
    );
    let logs = good(&platform, &["logs", "echo"]);
    assert_eq!(logs.matches("START RequestId: ").count(), 3, "{logs}");
    assert_eq!(good(&platform, &["rm", "echo"]), "echo: removed\n");
    bad(&platform, &["invoke", "echo"], 125, "Function not found: ");
    platform.stop();
}

#[test]
fn a_replaced_function_starts_fresh_and_keeps_what_is_not_named() {
    let platform = Platform::start();
    deploy(&platform, "f", "function");
    assert_eq!(good(&platform, &["invoke", "f", "--payload", "\"count\""]), "1");
    assert_eq!(good(&platform, &["invoke", "f", "--payload", "\"count\""]), "2");
    let slow = command(&platform, &["invoke", "f", "--payload", "\"sleep 2000\""]);
    let slow = thread::spawn(move || finish(slow, b""));
    until(|| good(&platform, &["logs", "f"]).matches("START ").count() == 3);
    let path = fixture("bootstrap");
    let replace = ["deploy", "f", path.to_str().unwrap(), "--memory", "256", "--json"];
    let replaced: Value = serde_json::from_str(&good(&platform, &replace)).unwrap();
    assert_eq!((&replaced["MemorySize"], &replaced["Timeout"]), (&json!(256), &json!(60)));
    assert_eq!(
        good(&platform, &["invoke", "f", "--payload", "\"count\""]),
        "\"count\"",
        "new code"
    );
    let slow = slow.join().unwrap();
    assert_eq!(slow.code(), 0, "what ran finished on the old code: {}", slow.complaint());
    let path = fixture("function");
    let refused = ["deploy", "f", path.to_str().unwrap(), "--memory", "1"];
    bad(&platform, &refused, 125, "greater than or equal to 128");
    assert_eq!(
        good(&platform, &["invoke", "f", "--payload", "\"count\""]),
        "\"count\"",
        "the code is what it was"
    );
    deploy(&platform, "f", "function");
    assert_eq!(good(&platform, &["invoke", "f", "--payload", "\"count\""]), "1");
    platform.stop();
}

#[test]
fn every_kind_of_package_runs() {
    let platform = Platform::start();
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("bootstrap");
    fs::copy(fixture("bootstrap"), &program).unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data/more"), "x").unwrap();
    good(&platform, &[&["deploy", "dir", dir.path().to_str().unwrap()], &TIMEOUT[..]].concat());
    let zip = dir.path().join("code.zip");
    fs::write(&zip, bootstrap(&program)).unwrap();
    good(&platform, &[&["deploy", "zip", zip.to_str().unwrap()], &TIMEOUT[..]].concat());
    for name in ["dir", "zip"] {
        assert_eq!(good(&platform, &["invoke", name, "--payload", "7"]), "7", "{name}");
    }
    platform.stop();
}

#[test]
fn what_a_manifest_says_is_deployed_and_flags_win() {
    let platform = Platform::start();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    fs::copy(fixture("function"), dir.path().join("bootstrap")).unwrap();
    let layer = tempfile::tempdir().unwrap();
    fs::write(layer.path().join("note"), "from a layer").unwrap();
    let arn = good(&platform, &["layer", "publish", "notes", layer.path().to_str().unwrap()]);
    let manifest = format!(
        "name = \"told\"\nmemory = 256\ntimeout = 60\nreserved-concurrency = 3\nlayers = [\"{}\"]\n\
         [environment]\nLEVEL = \"debug\"\n",
        arn.trim()
    );
    fs::write(dir.path().join("mayfly.toml"), &manifest).unwrap();
    let created = good(&platform, &["deploy", place, "--memory", "192", "--json"]);
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!((&created["MemorySize"], &created["Timeout"]), (&json!(192), &json!(60)));
    assert_eq!(created["Environment"]["Variables"], json!({ "LEVEL": "debug" }));
    assert_eq!(created["Layers"][0]["Arn"], arn.trim());
    let path = "/2019-09-30/functions/told/concurrency";
    let reserved = platform.request("GET", path, &[], b"").json();
    assert_eq!(reserved["ReservedConcurrentExecutions"], 3);
    assert_eq!(good(&platform, &["invoke", "told", "--payload", "\"count\""]), "1");

    fs::write(dir.path().join("mayfly.toml"), "name = \"told\"\n\nmemroy = 1\n").unwrap();
    bad(&platform, &["deploy", place], 125, "mayfly.toml: line 3: unknown field `memroy`");
    let layers = good(&platform, &["layer", "list"]);
    assert!(layers.contains("notes  1 "), "{layers}");
    assert_eq!(good(&platform, &["layer", "rm", "notes", "1"]), "notes: version 1 removed\n");
    assert_eq!(good(&platform, &["layer", "list"]), "");
    platform.stop();
}

#[test]
fn versions_have_names_and_the_pool_is_seen() {
    let platform = Platform::start_with(&["--keep-alive", "lru"]);
    deploy(&platform, "f", "function");
    assert_eq!(good(&platform, &["publish", "f"]), "f: version 1\n");
    let program = fixture("bootstrap");
    good(&platform, &["deploy", "f", program.to_str().unwrap()]);
    assert_eq!(good(&platform, &["publish", "f", "--description", "two"]), "f: version 2\n");
    assert_eq!(good(&platform, &["alias", "list", "f"]), "");
    assert_eq!(good(&platform, &["alias", "create", "f", "live", "1"]), "live: version 1\n");
    let invoke = ["invoke", "f:live", "--payload", "\"count\""];
    assert_eq!(good(&platform, &invoke), "1");
    let both = good(&platform, &["alias", "update", "f", "live", "--also", "2=0.25"]);
    assert_eq!(both, "live: version 1, 25 % to 2\n");
    good(&platform, &["alias", "update", "f", "live", "2", "--only"]);
    assert_eq!(good(&platform, &invoke), "\"count\"", "another version's code");
    let list = good(&platform, &["alias", "list", "f"]);
    assert!(
        list.lines().nth(1).is_some_and(|line| line.starts_with("live   2        -")),
        "{list}"
    );

    let top = good(&platform, &["top", "--once"]);
    assert!(
        top.contains("2 cold, 0 warm; 0 throttled") && top.contains("keep-alive   lru"),
        "{top}"
    );
    let seen: Value = serde_json::from_str(&good(&platform, &["top", "--once", "--json"])).unwrap();
    let versions: Vec<&Value> =
        seen["Environments"].as_array().unwrap().iter().map(|one| &one["Version"]).collect();
    assert_eq!(versions, ["1", "2"]);
    // It goes on until it is told to end.
    let follower = Follower::start(command(&platform, &["top", "--every", "100"]));
    let mut looks = 0;
    follower.until(|line| {
        looks += usize::from(line.starts_with("memory "));
        looks == 3
    });
    assert_eq!(good(&platform, &["alias", "delete", "f", "live"]), "f:live: removed\n");
    bad(&platform, &["invoke", "f:live"], 125, "Function not found");
    bad(&platform, &["alias", "create", "f", "x", "9"], 125, "9");
    platform.stop();
}

#[test]
fn what_fails_is_said_in_one_line_and_by_the_status() {
    let platform = Platform::start();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().to_str().unwrap();
    bad(&platform, &["deploy", "f", place], 125, "no `bootstrap` in it");
    write(&dir.path().join("bootstrap"), b"\x7fELF\x02\x01", 0o644);
    bad(&platform, &["deploy", "f", place], 125, "not executable");
    let mut foreign = fs::read(fixture("bootstrap")).unwrap();
    foreign[18] = 183;
    write(&dir.path().join("bootstrap"), &foreign, 0o755);
    bad(&platform, &["deploy", "f", place], 125, "arm64");
    let zip = dir.path().join("x.zip");
    fs::write(&zip, zip_of(&[("bin/bootstrap", 0o755, b"x")])).unwrap();
    bad(&platform, &["deploy", "f", zip.to_str().unwrap()], 125, "no `bootstrap` in it");
    bad(&platform, &["deploy", "f", "/no/such/file"], 125, "/no/such/file: No such file");
    bad(&platform, &["deploy", "f", "/dev/null"], 125, "neither a directory nor a file");
    let program = fixture("bootstrap");
    let program = program.to_str().unwrap();
    bad(&platform, &["deploy", "f/g", program], 125, "functionName");
    bad(&platform, &["deploy", "f", program, "--timeout", "5000"], 125, "timeout");

    deploy(&platform, "f", "function");
    bad(&platform, &["invoke", "f", "--payload", "{"], 125, "InvalidRequestContentException");
    bad(&platform, &["invoke", "f", "--payload", "@/no/such"], 125, "/no/such: ");
    bad(&platform, &["rm", "none"], 125, "none: Function not found");
    bad(&platform, &["logs", "none"], 125, "Function not found");
    for (event, part) in [("\"exit 3\"", "Runtime.ExitError"), ("\"error\"", "as asked")] {
        let failed = run(&platform, &["invoke", "f", "--payload", event]);
        assert_eq!(failed.code(), 1);
        assert!(failed.complaint().starts_with("mayfly: the function failed: "));
        assert!(failed.complaint().contains(part), "{}", failed.complaint());
        assert!(failed.text().contains("errorMessage"), "{}", failed.text());
    }
    let json = run(&platform, &["invoke", "f", "--payload", "\"error\"", "--json"]);
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.code(), &told["FunctionError"]), (1, &json!("Unhandled")));
    assert_eq!(told["Payload"]["errorMessage"], "as asked");

    for (words, help) in [
        (&["deploy", "f"][..], "mayfly deploy --help"),
        (&["deploy", "f", program, "--env", "A"], "mayfly deploy --help"),
        (&["invoke"], "mayfly invoke --help"),
        (&["rm"], "mayfly rm --help"),
        (&["logs", "f", "--tail", "x"], "mayfly logs --help"),
    ] {
        bad(&platform, words, 2, help);
    }
    let address = platform.address();
    platform.stop();
    let mut command = Command::new(mayfly());
    command.args(["list", "--endpoint", &format!("http://{address}")]);
    let nobody = finish(command, b"");
    assert_eq!((nobody.code(), nobody.complaint().lines().count()), (125, 1));
    let wanted = format!("`mayfly serve --listen {address}`");
    assert!(nobody.complaint().contains(&wanted), "{}", nobody.complaint());
}

#[test]
fn a_log_is_followed_and_survives_the_platform() {
    let platform = Platform::start();
    deploy(&platform, "f", "function");
    assert_eq!(good(&platform, &["logs", "f"]), "", "it has not run yet");
    let follower = Follower::start(command(&platform, &["logs", "f", "-f"]));
    for _ in 0..2 {
        good(&platform, &["invoke", "f", "--payload", "\"print 3\""]);
    }
    let mut reports = 0;
    let followed = follower.until(|line| {
        reports += usize::from(line.contains("  REPORT RequestId: "));
        reports == 2
    });
    let kept = good(&platform, &["logs", "f"]);
    assert_eq!(followed, kept.lines().collect::<Vec<_>>(), "each line once, in order");
    assert_eq!(kept.lines().count(), 2 * (3 + 3), "{kept}");
    let last: Vec<&str> = kept.lines().rev().take(4).collect();
    let tail = good(&platform, &["logs", "f", "--tail", "4"]);
    assert_eq!(tail.lines().rev().collect::<Vec<_>>(), last);
    let json = good(&platform, &["logs", "f", "--json"]);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert!(first["message"].as_str().unwrap().starts_with("START RequestId: "));
    assert!(first["timestamp"].as_u64().unwrap() > 0 && first["eventId"].is_string());

    let platform = Platform::start_in(platform.kill(), &[]);
    assert_eq!(good(&platform, &["logs", "f"]), kept);
    platform.stop();
}

#[test]
fn a_flood_is_bounded_and_another_function_keeps_its_log() {
    let platform = Platform::start();
    deploy(&platform, "flood", "function");
    deploy(&platform, "calm", "function");
    for _ in 0..3 {
        good(&platform, &["invoke", "flood", "--payload", "\"flood 8192\""]);
        good(&platform, &["invoke", "calm", "--payload", "\"print 2\""]);
    }
    let calm = good(&platform, &["logs", "calm"]);
    assert_eq!(calm.lines().count(), 3 * (2 + 3), "{calm}");
    let segments = fs::read_dir(platform.data().join("logs/flood")).unwrap();
    let bytes: u64 = segments.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 8 * (3 << 20), "{bytes}");
    platform.stop();
}

#[test]
fn a_schedules_life() {
    let platform = Platform::start();
    deploy(&platform, "echo", "bootstrap");
    assert_eq!(good(&platform, &["schedule", "list"]), "");
    let words =
        ["schedule", "create", "tick", "rate(1 day)", "--function", "echo", "--input", "[42]"];
    assert_eq!(good(&platform, &words), "tick: rate(1 day) invokes echo\n");
    // It begins at once.
    until(|| good(&platform, &["logs", "echo"]).contains("END RequestId"));
    let weekly = ["schedule", "create", "weekly", "cron(0 8 ? * MON *)", "--function", "echo"];
    good(&platform, &[&weekly[..], &["--timezone", "Europe/Berlin"]].concat());
    let listed = good(&platform, &["schedule", "list"]);
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows[0], ["SCHEDULE", "WHEN", "ZONE", "STATE", "TARGET"]);
    assert_eq!(rows[1], ["tick", "rate(1 day)", "UTC", "enabled", "function:echo"]);
    assert_eq!(rows[2][..3], ["weekly", "cron(0 8 ? * MON *)", "Europe/Berlin"]);
    let listed: Value =
        serde_json::from_str(&good(&platform, &["schedule", "list", "--json"])).unwrap();
    assert_eq!(listed["Schedules"][0]["Name"], "tick");
    bad(&platform, &words, 125, "Schedule tick already exists");
    let nowhere = ["schedule", "create", "other", "rate(1 day)", "--function", "nowhere"];
    bad(&platform, &nowhere, 125, "Function not found");
    let never = ["schedule", "create", "other", "cron(0 0 30 2 ? *)", "--function", "echo"];
    bad(&platform, &never, 125, "no time to come");
    assert_eq!(good(&platform, &["schedule", "delete", "tick"]), "tick: removed\n");
    bad(&platform, &["schedule", "delete", "tick"], 125, "does not exist");
    platform.stop();
}

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it does not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A command that goes on, and its lines.
struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    fn start(mut command: Command) -> Follower {
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Follower { child, lines }
    }

    /// The lines up to one that is the last.
    fn until(&self, mut is_last: impl FnMut(&str) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{error} after {seen:#?}"));
            let is_end = is_last(&line);
            seen.push(line);
            if is_end {
                return seen;
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_history_says_which_call_changed_what() {
    let platform = Platform::start();
    let program = fixture("bootstrap");
    let program = program.to_str().unwrap();
    deploy(&platform, "f", "bootstrap");
    good(&platform, &["deploy", "f", program, "--memory", "256", "--env", "LEVEL=debug"]);
    good(&platform, &["publish", "f"]);
    // More than the platform gives in one page.
    for timeout in 100..150 {
        let (path, body) =
            ("/2015-03-31/functions/f/configuration", json!({ "Timeout": timeout }).to_string());
        assert_eq!(platform.request("PUT", path, &[], body.as_bytes()).status, 200);
    }
    let lines = good(&platform, &["history", "f"]);
    let lines: Vec<&str> = lines.lines().collect();
    let has = |line: &str, parts: &[&str]| parts.iter().all(|part| line.contains(part));
    assert!(has(lines[0], &["WHEN", "VERSION", "CALL", "CHANGED"]), "{lines:?}");
    assert!(has(lines[1], &["UpdateFunctionConfiguration", "Timeout: 148 -> 149"]), "{lines:?}");
    let last = &lines[51..];
    let wanted: [&[&str]; 5] = [
        &["  1 ", "PublishVersion  ", "  -"],
        &["$LATEST", "  Update ", "  -"],
        &["$LATEST", "Environment.Variables.LEVEL: - -> \"debug\""],
        &["MemorySize: 128 -> 256"],
        &["$LATEST", "CreateFunction  ", "  -"],
    ];
    assert_eq!(last.len(), wanted.len(), "{last:?}");
    assert!(last.iter().zip(wanted).all(|(line, parts)| has(line, parts)), "{last:?}");

    let told = good(&platform, &["history", "f", "--limit", "2", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let changes = json!([{ "Field": "Timeout", "Old": 147, "New": 148 }]);
    assert_eq!(told["History"].as_array().unwrap().len(), 2);
    assert_eq!(told["History"][1]["Changes"], changes);
    bad(&platform, &["history", "g"], 125, "ResourceNotFoundException");
    bad(&platform, &["history", "f:1"], 125, "InvalidParameterValueException");
    bad(&platform, &["history", "f", "--limit", "0"], 2, "mayfly history --help");
    platform.stop();
}
