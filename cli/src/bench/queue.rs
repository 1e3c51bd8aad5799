//! `mayfly bench queue`: what it costs to accept events for good, and how soon they are run.
//!
//! ```text
//!   clients ── Event ─▶ serve ── 202: it is on the medium      accepted in a second, beside raw append + fdatasync
//!                         └─▶ poller ─▶ function               from 202 to its start, while nothing else is queued,
//!                                                              and in another function's flood
//!                                                              how fast a backlog goes
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use mayfly_vmm::time::monotonic_ns;
use serde_json::{Value, json};

use super::flood::Flood;
use super::function::{self, Code};
use super::load::{self, Client};
use super::server::Server;
use super::summary::latencies;
use crate::args::BenchQueue;
use crate::failure::Failure;
use crate::platform::print;

/// Bytes of an event's payload.
const EVENT_BYTES: usize = 1024;
/// How many clients there are at once.
const CROWDS: [usize; 3] = [1, 8, 64];
/// Appends to the bare file.
const APPENDS: u32 = 2000;
/// Events whose way to their function is measured, one after the other.
const SINGLE: usize = 200;
/// Clients of the flood in which that is measured again.
const FLOOD_CLIENTS: usize = 8;
/// Events that the flood has sent before.
const FLOOD_FIRST: u64 = 2000;
/// Between two looks at a queue that is drained.
const LOOK: Duration = Duration::from_millis(5);
/// How long a queue may take to drain.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures.
///
/// # Errors
/// A host that can't run it.
pub fn queue(options: &BenchQueue) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(options))?;
    let text = if options.json { format!("{report:#}\n") } else { table(&report) };
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}

async fn measure(options: &BenchQueue) -> Result<Value, Failure> {
    let data = tempfile::tempdir()?;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data"].map(OsString::from);
    let here = [data.path().as_os_str().to_owned()];
    let platform = Server::of_ours(serve.into_iter().chain(here).chain(options.server.words()))?;
    let address = platform.address;
    let code = Code::of(&options.bootstrap)?;
    let mut client = Client::connect(address).await?;
    code.create(&mut client, "f").await?;
    code.create_with(&mut client, "moments", &[("MOMENTS", "1")]).await?;
    let mut moments = Moments::prepare(address).await?;
    let start_us = moments.gaps_us().await?;
    let flood = Flood::start(address, FLOOD_CLIENTS, function::path("f"), payload());
    flood.has_risen(FLOOD_FIRST).await?;
    let queued = depth(&mut client).await?;
    let in_flood_us = moments.gaps_us().await?;
    let flood = json!({
        "clients": FLOOD_CLIENTS, "queued": queued, "accepted_per_s": flood.stop()?.round(),
    });
    drained(&mut client).await?;
    let mut accepted = Vec::new();
    for clients in CROWDS {
        let raw = raw(data.path())?;
        let mut seen = events(address, clients, options.events as usize).await?;
        drained(&mut client).await?;
        accepted.push(json!({
            "clients": clients,
            "per_s": seen.rate().round(),
            "us": latencies(&mut seen.latencies_ns),
            "append_fdatasync_per_s": raw.round(),
        }));
    }
    let seen = events(address, 64, options.backlog as usize).await?;
    let (start, backlog) = (Instant::now(), depth(&mut client).await?);
    drained(&mut client).await?;
    let (drain_s, accept_s) = (start.elapsed().as_secs_f64(), seen.elapsed.as_secs_f64());
    Ok(json!({
        "event_bytes": EVENT_BYTES,
        "accepted": accepted,
        "start_us": { "idle": start_us, "in_flood": in_flood_us, "flood": flood },
        "drain": {
            "events": options.backlog,
            "left_when_all_were_accepted": backlog,
            "accepted_and_drained_s": round(accept_s + drain_s),
            "per_s": (f64::from(options.backlog) / (accept_s + drain_s)).round(),
        },
    }))
}

/// Appends to a file, each of them flushed: how many in a second.
fn raw(dir: &Path) -> Result<f64, Failure> {
    let mut file = File::create(dir.join("raw"))?;
    let start = Instant::now();
    for _ in 0..APPENDS {
        file.write_all(&[b'x'; EVENT_BYTES])?;
        file.sync_data()?;
    }
    Ok(f64::from(APPENDS) / start.elapsed().as_secs_f64())
}

/// Has so many clients send so many events.
async fn events(address: SocketAddr, clients: usize, count: usize) -> Result<load::Seen, Failure> {
    let mut crowd = Vec::new();
    for _ in 0..clients {
        crowd.push(event_client(address).await?);
    }
    load::run(&mut crowd, &function::path("f"), &payload(), count).await
}

fn payload() -> Bytes {
    Bytes::from(format!("\"{}\"", "x".repeat(EVENT_BYTES - 2)))
}

async fn event_client(address: SocketAddr) -> Result<Client, Failure> {
    Ok(Client::connect(address).await?.saying("x-amz-invocation-type", "Event"))
}

/// A function that tells when it was started, and the queue that its answers go to.
struct Moments {
    sender: Client,
    receiver: Client,
}

impl Moments {
    async fn prepare(address: SocketAddr) -> Result<Moments, Failure> {
        let to = async |target| {
            Ok::<_, Failure>(Client::connect(address).await?.saying("x-amz-target", target))
        };
        let mut client = Client::connect(address).await?;
        let queue = json!({ "QueueName": "ends", "Attributes": { "VisibilityTimeout": "43200" } });
        let mut creator = to("AmazonSQS.CreateQueue").await?;
        creator.send(Method::POST, "/", queue.to_string().into()).await?;
        let arn = "arn:aws:sqs:us-east-1:000000000000:ends";
        let config = json!({ "DestinationConfig": { "OnSuccess": { "Destination": arn } } });
        let path = "/2019-09-25/functions/moments/event-invoke-config";
        client.send(Method::PUT, path, config.to_string().into()).await?;
        let (sender, receiver) =
            (event_client(address).await?, to("AmazonSQS.ReceiveMessage").await?);
        let mut moments = Moments { sender, receiver };
        // The first one starts an environment.
        moments.gap_us().await?;
        Ok(moments)
    }

    /// From an event's 202 to its function's start; less than nothing where the function was sooner.
    async fn gap_us(&mut self) -> Result<i64, Failure> {
        let path = function::path("moments");
        self.sender.send(Method::POST, &path, Bytes::from_static(b"{}")).await?;
        let accepted_ns = monotonic_ns();
        let receive = json!({ "QueueUrl": "ends", "WaitTimeSeconds": 20 }).to_string();
        let received = self.receiver.send(Method::POST, "/", receive.into()).await?;
        let received: Value = serde_json::from_slice(&received)?;
        let record = received["Messages"][0]["Body"].as_str().unwrap_or_default();
        let record: Value = serde_json::from_str(record)?;
        let started_ns = record["responsePayload"]["received_ns"].as_u64();
        let started_ns = started_ns.ok_or_else(|| Failure::new("the program tells no moments"))?;
        Ok((started_ns as i64 - accepted_ns as i64) / 1000)
    }

    /// The same for many, one after the other.
    async fn gaps_us(&mut self) -> Result<Value, Failure> {
        let mut gaps_us = Vec::new();
        for _ in 0..SINGLE {
            gaps_us.push(self.gap_us().await?);
        }
        gaps_us.sort_unstable();
        let at = |part: f64| gaps_us[(gaps_us.len() as f64 * part) as usize];
        Ok(json!({ "min": at(0.0), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99) }))
    }
}

async fn depth(client: &mut Client) -> Result<u64, Failure> {
    let queues = client.send(Method::GET, "/mayfly/queues", Bytes::new()).await?;
    let queues: Value = serde_json::from_slice(&queues)?;
    let events = queues["Queues"].as_array().into_iter().flatten();
    let events =
        events.filter(|one| one["Name"].as_str().is_some_and(|name| name.starts_with("events/")));
    let count =
        |one: &Value| ["Due", "InFlight", "Later"].map(|key| one[key].as_u64().unwrap_or(0));
    Ok(events.flat_map(count).sum())
}

/// Waits until no events are left.
async fn drained(client: &mut Client) -> Result<(), Failure> {
    let start = Instant::now();
    while depth(client).await? > 0 {
        if start.elapsed() > PATIENCE {
            return Err(Failure::new("the queue does not drain"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn table(report: &Value) -> String {
    let mut text = format!(
        "{:<10} {:>12} {:>10} {:>18}\n",
        "clients", "accepted/s", "p50, µs", "append+fdatasync/s"
    );
    for one in report["accepted"].as_array().into_iter().flatten() {
        text += &format!(
            "{:<10} {:>12} {:>10} {:>18}\n",
            one["clients"].to_string(),
            one["per_s"].to_string(),
            one["us"]["p50"].to_string(),
            one["append_fdatasync_per_s"].to_string(),
        );
    }
    let (start, drain) = (&report["start_us"], &report["drain"]);
    text += "\n202 to the function's start\n";
    for (name, gaps_us) in [("idle", &start["idle"]), ("in a flood", &start["in_flood"])] {
        text += &format!("{name:<10} p50 {} µs, p99 {} µs\n", gaps_us["p50"], gaps_us["p99"]);
    }
    let flood = &start["flood"];
    text += &format!(
        "the flood: {} events of another function accepted/s, {} queued before\n\n",
        flood["accepted_per_s"], flood["queued"]
    );
    text + &format!(
        "{} events accepted and drained in {} s: {}/s\n",
        drain["events"], drain["accepted_and_drained_s"], drain["per_s"]
    )
}
