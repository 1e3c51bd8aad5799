//! A real `mayfly serve` of a test's own: a free port, a temporary data directory, and the calls that
//! tests make.
//!
//! ```no_run
//! # use mayfly_tests::{fixture, platform::{Platform, bootstrap}};
//! let platform = Platform::start();
//! platform.create("echo", &bootstrap(&fixture("bootstrap")), serde_json::json!({ "Timeout": 5 }));
//! assert_eq!(platform.invoke("echo", b"[1]").text(), "[1]");
//! let complaints = platform.stop();
//! ```

use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::http::{Answer, Connection};
use crate::{mayfly, wait};

/// Longest time until it listens, or has ended: generous, since the hardware lane is emulated.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the server says once it listens; its address follows.
const LISTENS: &str = "at http://";

/// A running platform. Where a test does not stop it, it is killed, and its VMs with it.
#[derive(Debug)]
pub struct Platform {
    server: Child,
    address: SocketAddr,
    data: PathBuf,
    /// That directory, where it goes with this; taken by whoever goes on with it.
    temporary: Option<TempDir>,
    complaints: Option<JoinHandle<String>>,
}

impl Platform {
    /// Starts one.
    ///
    /// # Panics
    /// Where it does not come to listen.
    pub fn start() -> Platform {
        Self::start_with(&[])
    }

    /// Starts one with more options of `mayfly serve`.
    ///
    /// # Panics
    /// Where it does not come to listen.
    pub fn start_with(options: &[&str]) -> Platform {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"), options)
    }

    /// Starts one on a data directory that another may have left.
    ///
    /// # Panics
    /// Where it does not come to listen.
    pub fn start_in(data: TempDir, options: &[&str]) -> Platform {
        let mut platform = Self::start_on(data.path(), options);
        platform.temporary = Some(data);
        platform
    }

    /// Starts one on a data directory that stays.
    ///
    /// # Panics
    /// Where it does not come to listen.
    pub fn start_on(data: &Path, options: &[&str]) -> Platform {
        let mut command = Command::new(mayfly());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(options);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut server = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = BufReader::new(server.stderr.take().expect("piped"));
        let (listens, address) = mpsc::channel();
        let complaints = thread::spawn(move || collect(stderr, &listens));
        let Ok(address) = address.recv_timeout(PATIENCE) else {
            let _ = server.kill();
            panic!("{command:?}: {}", complaints.join().unwrap_or_default());
        };
        let (data, complaints) = (data.to_owned(), Some(complaints));
        Platform { server, address, data, temporary: None, complaints }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The server's process.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// One request over a connection of its own.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        Connection::open(self.address).request(method, path, headers, body)
    }

    /// CreateFunction with the code in `zip`. `settings` holds members of the request that are to be other
    /// than usual.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn create(&self, name: &str, zip: &[u8], settings: Value) -> Value {
        let mut request = json!({
            "FunctionName": name,
            "Runtime": "provided.al2023",
            "Role": "arn:aws:iam::000000000000:role/test",
            "Handler": "bootstrap",
            "Code": { "ZipFile": STANDARD.encode(zip) },
        });
        for (member, value) in settings.as_object().into_iter().flatten() {
            request[member] = value.clone();
        }
        let body = request.to_string();
        let answer = self.request("POST", "/2015-03-31/functions", &[], body.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    }

    /// Invoke, over a connection of its own.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn invoke(&self, name: &str, payload: &[u8]) -> Answer {
        self.request("POST", &invocations(name), &[], payload)
    }

    /// A call of SQS, over a connection of its own.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn sqs(&self, call: &str, request: &Value) -> Answer {
        let target = format!("AmazonSQS.{call}");
        let headers = [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.0")];
        self.request("POST", "/", &headers, request.to_string().as_bytes())
    }

    /// Kills it without a word; its data directory, as it was at that moment.
    ///
    /// # Panics
    /// Where that is not a temporary one.
    pub fn kill(mut self) -> TempDir {
        let _ = self.server.kill();
        let _ = self.server.wait();
        self.temporary.take().expect("a data directory of its own")
    }

    /// The processes of its VMs.
    pub fn machines(&self) -> Vec<u32> {
        machines_of(self.id())
    }

    /// Asks it to end and waits until it has; what it wrote to its standard error.
    ///
    /// # Panics
    /// Where it does not end well.
    pub fn stop(self) -> String {
        self.terminate();
        let (status, complaints) = self.end();
        assert!(status.success(), "{status}: {complaints}");
        complaints
    }

    /// Asks it to end, and does not wait for that.
    pub fn terminate(&self) {
        // SAFETY: the process is ours and has not been waited for.
        unsafe { libc::kill(self.server.id() as libc::pid_t, libc::SIGTERM) };
    }

    /// Waits until it has ended: how, and what it wrote to its standard error.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.server, PATIENCE).expect("the platform does not end");
        let complaints = self.complaints.take().map(JoinHandle::join);
        (status, complaints.and_then(Result::ok).unwrap_or_default())
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The processes of the VMs that the process `parent` has started.
pub fn machines_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

/// Whether a process runs.
pub fn is_alive(id: u32) -> bool {
    parent_of(id).is_some()
}

/// The parent of a process that runs; a zombie does not.
fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // "id (name) state parent …": the name may hold anything, but nothing after it does.
    let mut after = stat.rsplit(')').next()?.split_whitespace();
    let is_zombie = after.next()? == "Z";
    after.next()?.parse().ok().filter(|_| !is_zombie)
}

/// The path at which a function is invoked.
pub fn invocations(name: &str) -> String {
    format!("/2015-03-31/functions/{name}/invocations")
}

/// A zip of files: name, mode, content.
///
/// # Panics
/// Where a zip can't hold them.
pub fn zip_of(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in files {
        // Packing takes an unoptimised build longer than all the rest.
        let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let options = stored.unix_permissions(*mode);
        zip.start_file(*name, options).expect("a name that a zip can hold");
        zip.write_all(content).expect("memory takes it");
    }
    zip.finish().expect("memory takes it").into_inner()
}

/// A zip with the program at `path` as its `bootstrap`.
///
/// # Panics
/// Where there is no such file.
pub fn bootstrap(path: &Path) -> Vec<u8> {
    let program = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    zip_of(&[("bootstrap", 0o755, &program)])
}

/// All that the server says; its address, as soon as it says it.
fn collect(stderr: impl BufRead, listens: &mpsc::Sender<SocketAddr>) -> String {
    let mut said = String::new();
    for line in stderr.lines().map_while(Result::ok) {
        if let Some((_, address)) = line.split_once(LISTENS)
            && let Ok(address) = address.trim().parse()
        {
            // Whoever waited may have given up.
            let _ = listens.send(address);
        }
        said += &line;
        said.push('\n');
    }
    said
}
