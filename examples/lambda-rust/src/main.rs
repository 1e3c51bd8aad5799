//! A function that does what its event asks for, so that each way in which a function can end is seen.
//!
//! | event | what comes of it |
//! | --- | --- |
//! | `{"name": "Ada"}` | `{"message": "Hello, Ada!", "call": 1}`, the call's number in this environment |
//! | `{"fail": "why"}` | a function error with this message |
//! | `{"panic": "why"}` | a panic, which the runtime reports as a function error |
//! | `{"exit": 3}` | the end of the environment |
//! | `{"sleep_ms": 20}` | an answer after so long |

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

/// Calls that this environment has seen.
static CALLS: AtomicU64 = AtomicU64::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(greet)).await
}

async fn greet(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let call = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    let event = event.payload;
    println!("call {call}");
    if let Some(why) = event["fail"].as_str() {
        return Err(why.into());
    }
    if let Some(why) = event["panic"].as_str() {
        panic!("{why}");
    }
    if let Some(status) = event["exit"].as_i64() {
        std::process::exit(status as i32);
    }
    if let Some(ms) = event["sleep_ms"].as_u64() {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    let name = event["name"].as_str().unwrap_or("world");
    Ok(json!({ "message": format!("Hello, {name}!"), "call": call }))
}
