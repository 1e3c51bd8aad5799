//! The Runtime API as a runtime sees it: bytes on a socket, read and written by hand.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::super::session::Watcher;
use super::*;
use crate::runtime_api::stream::Sink;

#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>, Arc<Mutex<Option<Sink>>>);

impl Diary {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Watcher for Diary {
    fn ready(&self) {
        self.note("ready".into());
    }

    fn opened(&self, request_id: &str, content_type: Option<&str>) -> Option<Sink> {
        self.note(format!("{request_id} opened {content_type:?}"));
        self.1.lock().unwrap().take()
    }

    fn answered(&self, request_id: &str, answer: Answer) {
        self.note(match answer {
            Answer::Response(body) => format!("{request_id} response of {}", body.len()),
            Answer::Error(body) => format!("{request_id} error {}", String::from_utf8_lossy(&body)),
            Answer::Streamed => format!("{request_id} streamed"),
            Answer::TooLarge => format!("{request_id} too large"),
        });
    }

    fn init_failed(&self, fault: Fault) {
        self.note(format!("init {}", String::from_utf8_lossy(&fault.0)));
    }
}

/// A runtime on one connection.
struct Runtime(UnixStream);

impl Runtime {
    async fn send(&mut self, method: &str, path: &str, body: &[u8]) {
        let head = format!(
            "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all(head.as_bytes()).await.unwrap();
        self.0.write_all(body).await.unwrap();
    }

    /// Status, head and body; insists on a Content-Length.
    async fn receive(&mut self) -> (u16, String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(!head.contains("transfer-encoding"), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        (head[9..12].parse().unwrap(), head, body)
    }

    async fn post(&mut self, path: &str, body: &[u8]) -> u16 {
        self.send("POST", path, body).await;
        self.receive().await.0
    }
}

struct Bench {
    session: Arc<Session>,
    diary: Diary,
}

impl Bench {
    fn new() -> Bench {
        let diary = Diary::default();
        Bench { session: Arc::new(Session::new(Box::new(diary.clone()))), diary }
    }

    fn connect(&self) -> Runtime {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(serve(theirs, Arc::clone(&self.session)));
        Runtime(ours)
    }

    async fn until(&self, count: usize) {
        while self.diary.lines().len() < count {
            tokio::task::yield_now().await;
        }
    }

    fn deliver(&self, id: &str) {
        self.session.deliver(Arc::new(Work {
            request_id: id.into(),
            payload: Bytes::from_static(b"{\"a\":1}"),
            deadline_ms: 1234,
            function_arn: "arn:f".into(),
            trace_id: "Root=1".into(),
            client_context: Some("{\"c\":1}".into()),
        }));
    }
}

#[tokio::test]
async fn invocations_go_round_on_one_connection() {
    let bench = Bench::new();
    let mut runtime = bench.connect();
    for turn in 0..3 {
        runtime.send("GET", "invocation/next", b"").await;
        bench.until(2 * turn + 1).await;
        bench.deliver("id-1");
        let (status, head, body) = runtime.receive().await;
        assert_eq!((status, &body[..]), (200, &b"{\"a\":1}"[..]));
        for line in [
            "lambda-runtime-aws-request-id: id-1\r\n",
            "lambda-runtime-deadline-ms: 1234\r\n",
            "lambda-runtime-invoked-function-arn: arn:f\r\n",
            "lambda-runtime-trace-id: root=1\r\n",
            "lambda-runtime-client-context: {\"c\":1}\r\n",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert_eq!(runtime.post("invocation/id-1/response", b"done").await, 202);
    }
    assert_eq!(bench.diary.lines()[..2], ["ready", "id-1 response of 4"]);
    assert_eq!(bench.diary.lines().len(), 6);
}

#[tokio::test]
async fn what_comes_in_the_wrong_state_is_refused() {
    let bench = Bench::new();
    let mut runtime = bench.connect();
    assert_eq!(runtime.post("invocation/id-1/response", b"").await, 403);
    runtime.send("GET", "invocation/next", b"").await;
    bench.until(1).await;
    bench.deliver("id-1");
    assert_eq!(runtime.receive().await.0, 200);
    assert_eq!(runtime.post("init/error", b"{}").await, 403);
    assert_eq!(runtime.post("invocation/id-2/response", b"").await, 400);
    runtime.send("GET", "invocation/next", b"").await;
    assert_eq!(runtime.receive().await.0, 403);
    assert_eq!(runtime.post("invocation/id-1/error", b"{\"e\":1}").await, 202);
    assert_eq!(runtime.post("invocation/id-1/error", b"{}").await, 403, "answered already");
    assert_eq!(runtime.post("nothing", b"").await, 404);
    runtime.send("PUT", "invocation/id-1/response", b"").await;
    let (status, head, _) = runtime.receive().await;
    assert!(status == 405 && head.contains("allow: post\r\n"), "{head}");
    assert_eq!(bench.diary.lines(), ["ready", "id-1 error {\"e\":1}"]);
}

#[tokio::test]
async fn an_init_error_is_told_once() {
    let bench = Bench::new();
    let mut runtime = bench.connect();
    assert_eq!(runtime.post("init/error", b"{\"e\":1}").await, 202);
    assert_eq!(runtime.post("init/error", b"{\"e\":2}").await, 403);
    assert_eq!(bench.diary.lines(), ["init {\"e\":1}"]);
}

#[tokio::test]
async fn a_response_may_be_six_megabytes_and_no_more() {
    let bench = Bench::new();
    let mut runtime = bench.connect();
    for (len, status, told) in [
        (RESPONSE_BYTES_MAX, 202, format!("id response of {RESPONSE_BYTES_MAX}")),
        (RESPONSE_BYTES_MAX + 1, 413, "id too large".into()),
    ] {
        let told_before = bench.diary.lines().len();
        runtime.send("GET", "invocation/next", b"").await;
        bench.until(told_before + 1).await;
        bench.deliver("id");
        runtime.receive().await;
        assert_eq!(runtime.post("invocation/id/response", &vec![b'x'; len]).await, status);
        assert_eq!(bench.diary.lines().last(), Some(&told));
    }
}

#[tokio::test]
async fn an_invocation_is_not_lost_when_the_runtime_reconnects() {
    let bench = Bench::new();
    let mut first = bench.connect();
    first.send("GET", "invocation/next", b"").await;
    bench.until(1).await;
    drop(first);
    // The server needs a moment to see that; before, the invocation goes to the dead connection.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    bench.deliver("id-1");
    let mut second = bench.connect();
    second.send("GET", "invocation/next", b"").await;
    assert_eq!(second.receive().await.0, 200);
    assert_eq!(bench.diary.lines(), ["ready"]);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let bench = Bench::new();
    let mut bad = bench.connect();
    bad.0.write_all(&[0xff; 4096]).await.unwrap();
    let mut rest = Vec::new();
    let _ = bad.0.read_to_end(&mut rest).await;
    let mut endless = bench.connect();
    endless.0.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let _ = endless.0.write_all(&vec![b'y'; 2 * HEAD_BYTES_MAX]).await;
    let _ = endless.0.read_to_end(&mut rest).await;
    let mut good = bench.connect();
    assert_eq!(good.post("init/error", b"{}").await, 202);
}
