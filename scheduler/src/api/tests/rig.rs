//! A whole platform on a loopback socket. Everything is real but the virtual machine: in its place a task
//! speaks the Runtime API over the stream that the guest would have, as its bootstrap's one word says.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::bundle::zip_of;
use crate::core::{Ending, Limits};
use crate::function::UrlForm;
use crate::launcher::{
    self, EnvironmentSpec, GuestStream, ImageBuilder, LaunchEvent, Launched, Launcher, RootImage,
};
use crate::queue::retry::Delays;
use crate::{Config, Identity, ServeError, Server};

pub(super) fn config(data: &Path, memory_mib: u64, listen: &str) -> Config {
    Config {
        listen: listen.parse().unwrap(),
        data: data.to_owned(),
        queue: None,
        limits: Limits { memory_mib, ..Limits::default() },
        identity: Identity::default(),
        url_form: UrlForm::Host,
        delays: Delays::scaled(0.0005),
        launcher: Arc::new(TaskLauncher),
        images: Arc::new(BootstrapImages),
    }
}

pub(super) struct Rig {
    pub(super) address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Rig {
    pub(super) async fn start(data: &Path) -> Rig {
        Self::with_memory(data, 4096).await
    }

    pub(super) async fn with_memory(data: &Path, memory_mib: u64) -> Rig {
        Self::with(config(data, memory_mib, "127.0.0.1:0")).await
    }

    pub(super) async fn with(config: Config) -> Rig {
        let server = Server::bind(config).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Rig { address, stop: Some(stop), served }
    }

    pub(super) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if headers.iter().all(|(name, _)| *name != "host") {
            head += "host: x\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        // A body that is refused may not be read to its end.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer") + 4;
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        Answer::new(head, &answer[end..])
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// Creates a function whose bootstrap does this.
    pub(super) async fn create(&self, name: &str, word: &str) -> Answer {
        self.create_with(name, word, json!({})).await
    }

    pub(super) async fn create_with(&self, name: &str, word: &str, more: Value) -> Answer {
        self.create_from(name, &zip_of(&[("bootstrap", 0o755, word.as_bytes())]), more).await
    }

    pub(super) async fn create_from(&self, name: &str, zip: &[u8], more: Value) -> Answer {
        let mut request = json!({
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Role": "arn:aws:iam::000000000000:role/r",
            "Handler": "h",
            "Code": { "ZipFile": STANDARD.encode(zip) },
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = request.to_string();
        self.send("POST", "/2015-03-31/functions", &[], body.as_bytes()).await
    }

    /// The FunctionConfiguration of what a path names.
    pub(super) async fn configuration(&self, name: &str) -> Value {
        self.get(&format!("/2015-03-31/functions/{name}/configuration")).await.json()
    }

    /// A call of CloudWatch Logs.
    pub(super) async fn logs(&self, call: &str, request: Value) -> Answer {
        let target = format!("Logs_20140328.{call}");
        let headers = [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.1")];
        self.send("POST", "/", &headers, request.to_string().as_bytes()).await
    }

    /// All that a function has printed; nothing, where it has not run.
    pub(super) async fn messages(&self, name: &str) -> Vec<Value> {
        let request = json!({ "logGroupName": format!("/aws/lambda/{name}") });
        let events = self.logs("FilterLogEvents", request).await.json()["events"].take();
        events.as_array().into_iter().flatten().map(|event| event["message"].clone()).collect()
    }

    pub(super) async fn invoke(&self, name: &str, payload: &str) -> Answer {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        self.send("POST", &path, &[("x-amz-log-type", "Tail")], payload.as_bytes()).await
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
    is_whole: bool,
}

impl Answer {
    /// An answer from its head, up to the empty line, and what follows.
    pub(super) fn new(head: String, body: &[u8]) -> Answer {
        let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        // The last chunk is empty (RFC 9112 section 7.1).
        let is_whole = !is_chunked || body.ends_with(b"\r\n0\r\n\r\n") || body == b"0\r\n\r\n";
        let body = if is_chunked { joined(body) } else { body.to_vec() };
        Answer { status: head[9..12].parse().unwrap(), head, body, is_whole }
    }

    /// Whether the body came to its end.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn log(&self) -> String {
        let log = STANDARD.decode(self.header("x-amz-log-result").expect("a log")).unwrap();
        String::from_utf8(log).unwrap()
    }

    /// Insists on an error of this type, as clients find it.
    pub(super) fn assert_error(&self, status: u16, kind: &str) {
        let found = (self.status, self.header("x-amzn-errortype"));
        assert_eq!(found, (status, Some(kind)), "{}", self.text());
        assert!(self.header("x-amzn-requestid").is_some());
    }

    /// Insists on a 400 for a value: by the front, which has words of its own, or by what is behind it.
    pub(super) fn assert_refused(&self) {
        let told = self.json();
        let is_fronts = self.header("x-amzn-errortype") == Some("ValidationException");
        let kind = if is_fronts { "ValidationException" } else { "InvalidParameterValueException" };
        self.assert_error(400, kind);
        let message = told["message"].as_str().expect("a message");
        assert!(!is_fronts || message.contains(" detected: Value "), "{message}");
        assert!(!is_fronts || told.get("Type").is_none(), "the front tells a message alone");
    }

    /// Insists on a function's error of this type.
    pub(super) fn assert_function_error(&self, kind: &str) {
        let found = (self.status, self.header("x-amz-function-error"));
        assert_eq!(found, (200, Some("Unhandled")), "{}", self.text());
        assert_eq!(self.json()["errorType"], kind);
    }
}

/// A body without its chunks' framing (RFC 9112 section 7.1), as far as it came.
fn joined(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunked.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(str::from_utf8(&chunked[..end]).unwrap(), 16).unwrap();
        let (piece, rest) = chunked[end + 2..].split_at(length);
        body.extend_from_slice(piece);
        chunked = &rest[2..];
    }
    body
}

/// An image that is the bootstrap alone.
struct BootstrapImages;

impl ImageBuilder for BootstrapImages {
    fn prepare(&self, runtime: &str) -> Result<(), String> {
        let is_there = runtime.starts_with("provided.") || ["java21", "own"].contains(&runtime);
        if is_there { Ok(()) } else { Err("there is no other".into()) }
    }

    fn build(&self, code: launcher::Code<'_>) -> io::Result<Option<RootImage>> {
        let mut places = [code.task].into_iter().chain(code.layers.iter().rev().map(|dir| &**dir));
        let found = places.find_map(|dir| File::open(dir.join("bootstrap")).ok());
        let Some(bootstrap) = found else { return Ok(None) };
        let files = vec![bootstrap];
        let disk = mayfly_abi::control::Disk::default();
        let program = "/var/task/bootstrap".into();
        Ok(Some(RootImage { disk, files, mounts: Vec::new(), program }))
    }
}

struct TaskLauncher;

impl Launcher for TaskLauncher {
    fn launch(&self, spec: EnvironmentSpec) -> Launched {
        let (sender, events) = mpsc::channel(4);
        let killed = Arc::new(Notify::new());
        let kill = Arc::clone(&killed);
        tokio::spawn(async move {
            let (guest, host) = StdStream::pair().unwrap();
            guest.set_nonblocking(true).unwrap();
            let guest = UnixStream::from_std(guest).unwrap();
            let host = GuestStream::new(host).unwrap();
            sender.send(LaunchEvent::Connected(launcher::Api::Runtime, host)).await.unwrap();
            let ending = tokio::select! {
                ending = bootstrap(guest, spec) => ending,
                () = killed.notified() => Ending::Killed,
            };
            let _ = sender.send(LaunchEvent::Ended(launcher::Ended::new(ending))).await;
        });
        Launched { events, kill: Box::new(move || kill.notify_one()) }
    }
}

/// The program in the environment.
async fn bootstrap(stream: UnixStream, spec: EnvironmentSpec) -> Ending {
    let mut word = String::new();
    let mut file = &spec.image.files[0];
    file.rewind().unwrap();
    file.read_to_string(&mut word).unwrap();
    let mut output = File::from(spec.output);
    let mut api = Api { stream, trace: String::new() };
    if word == "init-error" {
        api.send("POST", "init/error", br#"{"errorType":"Init","errorMessage":"no"}"#).await;
        return Ending::Exited(1);
    }
    if word == "exit-early" {
        return Ending::Exited(7);
    }
    let mut count = 0;
    loop {
        let (id, payload) = api.send("GET", "invocation/next", b"").await;
        count += 1;
        let answer = format!("invocation/{id}/response");
        match word.as_str() {
            "respond" => {
                let event: Value = serde_json::from_slice(&payload).unwrap();
                let body = event["body"].as_str().unwrap_or_default();
                api.send("POST", &answer, body.as_bytes()).await
            }
            "echo" => api.send("POST", &answer, &payload).await,
            "count" => api.send("POST", &answer, count.to_string().as_bytes()).await,
            "variables" => {
                let variables = serde_json::to_vec(&spec.variables).unwrap();
                api.send("POST", &answer, &variables).await
            }
            "print" => {
                output.write_all(b"hello from the function\n").unwrap();
                api.send("POST", &answer, b"null").await
            }
            "say" => {
                output.write_all(&payload).unwrap();
                api.send("POST", &answer, b"null").await
            }
            // What an SDK inside passes on.
            "trace" => {
                let trace = json!({ "Trace": api.trace }).to_string();
                output.write_all(format!("{trace}\n").as_bytes()).unwrap();
                api.send("POST", &answer, trace.as_bytes()).await
            }
            "error" => {
                let path = format!("invocation/{id}/error");
                api.send("POST", &path, br#"{"errorType":"Mine","errorMessage":"m"}"#).await
            }
            "big" => api.send("POST", &answer, &vec![b' '; 6 * 1024 * 1024 + 101]).await,
            "exit" if payload == b"1" => return Ending::Exited(1),
            "crash" => return Ending::Signaled(11),
            "stream" => {
                if api.stream(&answer, &payload).await.is_break() {
                    return Ending::Exited(3);
                }
                continue;
            }
            "hang" => std::future::pending().await,
            "slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                api.send("POST", &answer, &payload).await
            }
            _ => api.send("POST", &answer, &payload).await,
        };
    }
}

/// A runtime's side of the Runtime API.
struct Api {
    stream: UnixStream,
    /// X-Amzn-Trace-Id of the last event.
    trace: String,
}

impl Api {
    /// The request id of the answer, where it has one, and its body.
    async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> (String, Vec<u8>) {
        let length = body.len();
        let head = format!(
            "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
        );
        self.write(&[head.as_bytes(), body].concat()).await;
        self.receive().await
    }

    /// Answers bit by bit, as the event says; whether the program is to end.
    async fn stream(&mut self, path: &str, event: &[u8]) -> ControlFlow<()> {
        let event: Value = serde_json::from_slice(event).unwrap();
        // Of a request to a function URL.
        let body = event["body"].as_str().map(|body| serde_json::from_str(body).unwrap());
        let event: Value = body.unwrap_or(event);
        let head = format!(
            "POST /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\
             lambda-runtime-function-response-mode: streaming\r\ntrailer: lambda-runtime-function-error-type\r\n\
             content-type: {}\r\n\r\n",
            event["type"].as_str().unwrap_or("text/plain")
        );
        self.write(head.as_bytes()).await;
        for step in event["steps"].as_array().unwrap() {
            if let Some(text) = step["say"].as_str() {
                self.write(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await;
            } else if let Some(count) = step["bytes"].as_u64() {
                for piece in vec![b'.'; count as usize].chunks(1 << 20) {
                    let framed =
                        [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
                    self.write(&framed).await;
                }
            } else if let Some(path) = step["wait for"].as_str() {
                while !Path::new(path).exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            } else if let Some(kind) = step["fail"].as_str() {
                let document = STANDARD.encode(step["document"].as_str().unwrap());
                let end = format!(
                    "0\r\nlambda-runtime-function-error-type: {kind}\r\n\
                     lambda-runtime-function-error-body: {document}\r\n\r\n"
                );
                self.write(end.as_bytes()).await;
                self.receive().await;
                return ControlFlow::Continue(());
            } else {
                return ControlFlow::Break(());
            }
        }
        self.write(b"0\r\n\r\n").await;
        self.receive().await;
        ControlFlow::Continue(())
    }

    async fn write(&mut self, bytes: &[u8]) {
        // At the environment's end nobody answers; then it is killed, here.
        if self.stream.write_all(bytes).await.is_err() {
            std::future::pending().await
        }
    }

    async fn receive(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => std::future::pending().await,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        let mut body = vec![0; header("content-length").unwrap().parse().unwrap()];
        self.stream.read_exact(&mut body).await.unwrap();
        self.trace = header("lambda-runtime-trace-id").unwrap_or_default();
        (header("lambda-runtime-aws-request-id").unwrap_or_default(), body)
    }
}
