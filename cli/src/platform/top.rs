//! `mayfly top`: the pool, live.
//!
//! On a terminal each look takes the place of the one before; elsewhere they follow each other.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::Api;
use super::output::{Reader, print};
use super::queue;
use super::table::table;
use crate::args::Top;
use crate::failure::Failure;
use crate::signals::Signals;

const HEADS: [&str; 7] = ["ENV", "STATE", "FUNCTION", "VERSION", "AGE", "MEMORY", "IN USE"];
/// Back to the first line, and what is below it goes (ECMA-48, CUP and ED).
const AGAIN: &str = "\x1b[H\x1b[J";
/// How soon Ctrl-C is heard.
const TURN: Duration = Duration::from_millis(50);

/// Shows it until Ctrl-C, or once.
///
/// # Errors
/// The platform's, or nobody's answer.
pub fn top(options: &Top) -> Result<ExitCode, Failure> {
    let mut api = Api::at(&options.place)?;
    if options.once {
        print(look(&mut api, options.place.json)?.as_bytes())?.done();
        return Ok(ExitCode::SUCCESS);
    }
    let signals = Signals::new()?;
    let clears = io::stdout().is_terminal() && !options.place.json;
    while !signals.have_come() {
        let look = look(&mut api, options.place.json)?;
        let text = if clears { format!("{AGAIN}{look}") } else { look };
        if print(text.as_bytes())? == Reader::Gone {
            break;
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(options.every) && !signals.have_come() {
            api.pause(TURN);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn look(api: &mut Api, as_json: bool) -> Result<String, Failure> {
    let mut told = api.environments()?;
    told["Queues"] = api.queues()?["Queues"].take();
    Ok(shown(&told, as_json))
}

fn shown(told: &Value, as_json: bool) -> String {
    if as_json {
        return format!("{told:#}\n");
    }
    let environments = told["Environments"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<[String; 7]> = environments.iter().map(row).collect();
    let rows = if rows.is_empty() { String::new() } else { format!("\n{}", table(HEADS, &rows)) };
    format!("{}{}{rows}", pool(&told["Pool"], environments), queue::sum(told))
}

fn pool(pool: &Value, environments: &[Value]) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let counts = &pool["Invocations"];
    let in_state = |state: &str| environments.iter().filter(|one| one["State"] == state).count();
    format!(
        "memory       {} of {} MiB\n\
         environments {} of {}: {} busy, {} idle, {} starting\n\
         invocations  {} cold, {} warm; {} throttled, {} over what is reserved\n\
         keep-alive   {}\n",
        number(&pool["MemoryMiB"]),
        number(&pool["MemoryMaxMiB"]),
        environments.len(),
        number(&pool["EnvironmentsMax"]),
        in_state("busy"),
        in_state("idle"),
        in_state("starting"),
        number(&counts["Cold"]),
        number(&counts["Warm"]),
        number(&counts["Throttled"]),
        number(&counts["OverReserved"]),
        pool["KeepAlive"].as_str().unwrap_or("-"),
    )
}

fn row(environment: &Value) -> [String; 7] {
    let text = |key: &str| environment[key].as_str().unwrap_or("-").to_owned();
    let number = |key: &str| environment[key].as_u64();
    [
        environment["Environment"].to_string(),
        text("State"),
        text("FunctionName"),
        text("Version"),
        age(number("AgeMs").unwrap_or_default()),
        format!("{} MiB", number("MemorySize").unwrap_or_default()),
        number("ResidentBytes").map_or("-".into(), super::output::bytes),
    ]
}

/// A time for people, in its two greatest units.
fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_look_has_the_pool_above_its_environments() {
        let told = json!({
            "Environments": [{
                "Environment": 3, "FunctionName": "f", "Version": "2", "State": "busy",
                "MemorySize": 256, "ResidentBytes": 5_242_880, "AgeMs": 61_000,
            }],
            "Queues": [{ "Name": "events/f", "Due": 3, "Retried": 1 }],
            "Pool": {
                "KeepAlive": "lru", "MemoryMiB": 256, "MemoryMaxMiB": 4096, "EnvironmentsMax": 1024,
                "Invocations": { "Cold": 1, "Warm": 5, "Throttled": 2, "OverReserved": 0 },
            },
        });
        let look = shown(&told, false);
        assert_eq!(
            look,
            "memory       256 of 4096 MiB\n\
             environments 1 of 1024: 1 busy, 0 idle, 0 starting\n\
             invocations  1 cold, 5 warm; 2 throttled, 0 over what is reserved\n\
             keep-alive   lru\n\
             queued       3 due, 0 in flight, 0 later; 1 retried, 0 dead\n\n\
             ENV  STATE  FUNCTION  VERSION  AGE        MEMORY   IN USE\n\
             3    busy   f         2        1 min 1 s  256 MiB  5.0 MiB\n"
        );
        assert!(!shown(&Value::Null, false).contains("ENV"));
    }

    #[test]
    fn ages_are_rounded_for_people() {
        assert_eq!([0, 999, 59_999].map(age), ["0 ms", "999 ms", "59 s"]);
        assert_eq!([3_599_000, 7_260_000].map(age), ["59 min 59 s", "2 h 1 min"]);
    }
}
