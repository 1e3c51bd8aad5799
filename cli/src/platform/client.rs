//! HTTP to the platform: one connection, kept alive, one request after the other.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::endpoint::Endpoint;
use crate::failure::Failure;

/// Longest answer that is taken in: above all that the platform's APIs send.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long a host may take to accept a connection.
const CONNECTING_MAX: Duration = Duration::from_secs(10);

/// A client of one platform.
pub struct Client {
    endpoint: Endpoint,
    /// Runs in this thread alone, and only inside of calls.
    runtime: Runtime,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// What to ask.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub method: Method,
    /// Path and query, encoded.
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Client {
    /// A client, not connected yet.
    ///
    /// # Errors
    /// What the host says.
    pub fn new(endpoint: Endpoint) -> Result<Client, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Client { endpoint, runtime, connection: None })
    }

    /// Where it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Waits, while the connection notices its end.
    pub fn pause(&mut self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }

    /// Asks, and waits for the whole answer for as long as it takes.
    ///
    /// # Errors
    /// Nobody answers there, or not in HTTP.
    pub fn ask(&mut self, question: &Question<'_>) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(&question.method)
            .uri(question.path)
            .header(HOST, self.endpoint.authority());
        for (name, value) in question.headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(question.body.clone()))?;
        let Client { endpoint, runtime, connection } = self;
        runtime.block_on(async {
            let sender = match connection.take() {
                // The platform closes connections that are silent for long, and when it goes down.
                Some(mut sender) => match sender.ready().await {
                    Ok(()) => sender,
                    Err(_) => connect(endpoint).await?,
                },
                None => connect(endpoint).await?,
            };
            let sender = connection.insert(sender);
            let lost = |error: &dyn std::fmt::Display| {
                Failure::new(format!("{endpoint} gave no answer that can be read: {error}"))
            };
            let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| lost(&error))?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        })
    }
}

async fn connect(endpoint: &Endpoint) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = match timeout(CONNECTING_MAX, open(endpoint)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(Failure::new(format!(
                "no platform is running at {endpoint}: start one with `{}`, or say where it is with --endpoint",
                endpoint.serve_command()
            )));
        }
        Ok(Err(error)) => return Err(Failure::new(format!("{endpoint}: {error}"))),
        Err(_) => return Err(Failure::new(format!("{endpoint} does not accept a connection"))),
    };
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors are the requests', too.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

async fn open(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in &endpoint.addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A request is one write: nothing is gained by waiting for more.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
