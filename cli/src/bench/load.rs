//! Clients that keep their connection: each sends its next request when it has its answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::http::request::Builder;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::failure::Failure;

/// Where Lambda's Invoke says that the function failed.
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// One connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    /// What each request says besides.
    says: Vec<(&'static str, &'static str)>,
}

/// What clients saw.
#[derive(Default)]
pub struct Seen {
    /// From each request to the last byte of its answer, ns.
    pub latencies_ns: Vec<u64>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
}

impl Seen {
    /// Adds what has been seen later.
    pub fn extend(&mut self, later: Seen) {
        self.latencies_ns.extend(later.latencies_ns);
        self.elapsed += later.elapsed;
    }

    /// Answers in a second.
    pub fn rate(&self) -> f64 {
        self.latencies_ns.len() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(address: SocketAddr) -> Result<Client, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end shows in the next request.
        tokio::spawn(connection);
        Ok(Client { sender, address, says: Vec::new() })
    }

    /// Has each request say this in its head.
    pub fn saying(mut self, name: &'static str, value: &'static str) -> Client {
        self.says.push((name, value));
        self
    }

    /// Sends a request and takes its whole answer.
    ///
    /// # Errors
    /// The connection breaks, or the answer is an error of the server's or the function's.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", self.address.to_string());
        let add = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
        let request = self.says.iter().fold(request, add).body(Full::new(body))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let is_good = head.status.is_success() && !head.headers.contains_key(FUNCTION_ERROR);
        if !is_good {
            let text = String::from_utf8_lossy(&body);
            return Err(Failure::new(format!("{path}: {} {text}", head.status)));
        }
        Ok(body)
    }
}

/// Has each of `clients` post `body` to `path`, `calls` times altogether.
///
/// # Errors
/// The first that failed.
pub async fn run(
    clients: &mut Vec<Client>,
    path: &str,
    body: &Bytes,
    calls: usize,
) -> Result<Seen, Failure> {
    let start = Instant::now();
    let mut at_work = JoinSet::new();
    let share = calls.div_ceil(clients.len().max(1));
    for mut client in clients.drain(..) {
        let (path, body) = (path.to_owned(), body.clone());
        at_work.spawn(async move {
            let mut latencies_ns = Vec::with_capacity(share);
            for _ in 0..share {
                let start = Instant::now();
                client.send(Method::POST, &path, body.clone()).await?;
                latencies_ns.push(start.elapsed().as_nanos() as u64);
            }
            Ok::<_, Failure>((client, latencies_ns))
        });
    }
    let mut seen = Seen::default();
    while let Some(done) = at_work.join_next().await {
        let (client, latencies_ns) = done??;
        clients.push(client);
        seen.latencies_ns.extend(latencies_ns);
    }
    seen.elapsed = start.elapsed();
    Ok(seen)
}
