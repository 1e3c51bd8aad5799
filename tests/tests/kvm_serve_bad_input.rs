//! Clients that ask for too much, break off, or send what nobody should: the platform answers, loses
//! nothing and goes on.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mayfly_tests::disk::SmallDisk;
use mayfly_tests::http::Connection;
use mayfly_tests::platform::{Platform, bootstrap, invocations, zip_of};
use mayfly_tests::{fixture, in_lane};
use serde_json::{Value, json};

const FUNCTIONS: &str = "/2015-03-31/functions";

fn platform(options: &[&str]) -> Platform {
    let platform = Platform::start_with(options);
    platform.create("f", &bootstrap(&fixture("function")), json!({ "Timeout": 120 }));
    platform
}

fn assert_works(platform: &Platform) {
    assert_eq!(platform.invoke("f", b"\"count\"").header("x-amz-function-error"), None);
}

/// CreateFunction with this zip; status and type of the error.
fn create(platform: &Platform, zip: &[u8]) -> (u16, String) {
    let request = json!({
        "FunctionName": "bad", "Runtime": "provided.al2023", "Handler": "h",
        "Role": "arn:aws:iam::000000000000:role/test", "Code": { "ZipFile": STANDARD.encode(zip) },
    });
    let answer = platform.request("POST", FUNCTIONS, &[], request.to_string().as_bytes());
    (answer.status, answer.header("x-amzn-errortype").unwrap_or_default().to_owned())
}

#[test]
fn a_crowd_gets_answers_or_throttles_within_the_budget() {
    let (clients, environments) = if in_lane() { (40, 3) } else { (500, 20) };
    let budget = (environments * 128).to_string();
    let platform = platform(&["--memory", &budget]);
    let is_over = AtomicBool::new(false);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(platform.machines().len());
                thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let call = || {
            let answer = platform.invoke("f", b"\"sleep 100\"");
            if answer.status == 429 {
                assert_eq!(answer.json()["Reason"], "ConcurrentInvocationLimitExceeded");
                assert_eq!(answer.header("x-amzn-errortype"), Some("TooManyRequestsException"));
                assert!(answer.header("retry-after").is_some());
            }
            answer.status
        };
        let calls: Vec<_> = (0..clients).map(|_| scope.spawn(call)).collect();
        let statuses = calls.into_iter().map(|call| call.join().unwrap()).collect();
        is_over.store(true, Ordering::Relaxed);
        let most = watch.join().unwrap();
        assert!(most <= environments, "{most} machines on a budget for {environments}");
        statuses
    });
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
    assert!(answered >= environments, "{answered} answers");
    assert_works(&platform);
    platform.stop();
}

#[test]
fn bodies_that_stop_half_way_cost_nobody_else() {
    let platform = platform(&[]);
    let mut silent = Vec::new();
    for (path, is_closed) in [
        (invocations("f"), true),
        (invocations("f"), false),
        (FUNCTIONS.to_owned(), true),
        (FUNCTIONS.to_owned(), false),
    ] {
        for _ in 0..10 {
            let mut stream = TcpStream::connect(platform.address()).unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{");
            stream.write_all(head.as_bytes()).unwrap();
            if is_closed {
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                // Whether it says something or hangs up: it must not wait for more.
                let _ = stream.read_to_end(&mut answer);
                assert!(!answer.starts_with(b"HTTP/1.1 2"), "{path}");
            } else {
                silent.push(stream);
            }
        }
    }
    assert_works(&platform);
    let listed = platform.request("GET", FUNCTIONS, &[], b"").json()["Functions"].take();
    let f = platform.request("GET", &format!("{FUNCTIONS}/f/configuration"), &[], b"").json();
    let revision = |function: &Value| function["RevisionId"].as_str().map(str::to_owned);
    assert_eq!(listed.as_array().unwrap().iter().map(revision).collect::<Vec<_>>(), [revision(&f)]);
    platform.stop();
}

#[test]
fn what_is_no_http_is_answered_or_hung_up_on() {
    let platform = platform(&[]);
    for bytes in [&b"\0\xff\x16\x03\x01"[..], b"GET\r\n\r\n", &[b'A'; 200_000], b"\r\n\r\n\r\n"] {
        let mut stream = TcpStream::connect(platform.address()).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"));
    }
    assert_works(&platform);
}

#[test]
fn zips_that_are_corrupt_escape_or_are_too_large_are_refused() {
    let platform = platform(&[]);
    let good = zip_of(&[("bootstrap", 0o755, &[b'x'; 4096])]);
    let refused = (400, "InvalidParameterValueException".to_owned());
    assert_eq!(create(&platform, b"no zip at all"), refused);
    assert_eq!(create(&platform, b""), refused);
    assert_eq!(create(&platform, &good[..good.len() / 2]), refused);
    assert_eq!(create(&platform, &zip_of(&[("../escape", 0o644, b"x")])), refused);
    assert_eq!(create(&platform, &zip_of(&[("/etc/escape", 0o644, b"x")])), refused);
    // More than a request may have: it takes the lane's processor minutes to send.
    if !in_lane() {
        let large = zip_of(&[("a", 0o644, &vec![0; 300 << 20])]);
        assert_eq!(create(&platform, &large), (413, "RequestEntityTooLargeException".to_owned()));
    }
    assert!(!platform.data().join("escape").exists());
    assert!(std::fs::read_dir(platform.data().join("code")).unwrap().count() <= 1, "no leftovers");
    assert_works(&platform);
}

#[test]
fn payloads_past_the_limit_are_refused_at_once() {
    let platform = platform(&[]);
    let large = vec![b'1'; (6 << 20) + 1];
    let answer = platform.invoke("f", &large);
    assert_eq!(
        (answer.status, answer.header("x-amzn-errortype")),
        (413, Some("RequestTooLargeException"))
    );
    let mut connection = Connection::open(platform.address());
    let wide = [("x-amz-client-context", "?")];
    let answer = connection.request("POST", &invocations("f"), &wide, b"{}");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_works(&platform);
}

#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_serves_the_rest() {
    let Some(disk) = SmallDisk::new(3) else { return };
    let data = tempfile::tempdir_in(disk.path()).unwrap();
    let platform = Platform::start_in(data, &[]);
    let function = bootstrap(&fixture("function"));
    platform.create("f", &function, json!({ "Timeout": 120 }));
    assert_works(&platform);
    // Bytes that no compression makes fewer.
    let noise: Vec<u8> =
        (0..4u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (status, kind) = create(&platform, &zip_of(&[("bootstrap", 0o755, &noise)]));
    assert_eq!((status, &*kind), (500, "ServiceException"));
    assert_works(&platform);
    // Logs that find no room are lost, calls are not.
    for _ in 0..3 {
        assert_eq!(platform.invoke("f", b"\"flood 2000\"").header("x-amz-function-error"), None);
    }
    let listed = platform.request("GET", FUNCTIONS, &[], b"").json();
    assert_eq!(listed["Functions"].as_array().unwrap().len(), 1);
    // A new start on the full disk still works.
    let data = platform.kill();
    let platform = Platform::start_in(data, &[]);
    assert_works(&platform);
    drop(platform);
    drop(disk);
}
