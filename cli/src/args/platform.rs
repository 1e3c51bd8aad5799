//! The command line of the platform's clients.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub const DEPLOY_EXAMPLES: &str = "\
Examples:
  mayfly deploy hello ./bootstrap                a static program
  mayfly deploy hello target/lambda/hello/       a directory that holds `bootstrap`
  mayfly deploy hello hello.zip --memory 256 --timeout 10 --env LEVEL=debug
  mayfly deploy .                                what the mayfly.toml in this directory says

The program is a Lambda runtime: it asks AWS_LAMBDA_RUNTIME_API for events and answers them. Where a function of \
this name exists, its code is replaced, and of its settings those that are named here; --env replaces all of its \
variables. What runs finishes on the old code; the next invocation starts fresh.";
pub const PUBLISH_EXAMPLES: &str = "\
Examples:
  mayfly publish hello
  mayfly invoke hello:1

A version never changes. Where nothing has changed since the last one, that is the answer.";
pub const ALIAS_EXAMPLES: &str = "\
Examples:
  mayfly alias create hello live 1
  mayfly alias update hello live --also 2=0.1    one of ten invocations goes to version 2
  mayfly alias update hello live 2 --only        all of them do
  mayfly invoke hello:live";
pub const LAYER_EXAMPLES: &str = "\
Examples:
  mayfly layer publish tools ./opt --runtime python3.11
  mayfly deploy greet ./app --layer arn:aws:lambda:us-east-1:000000000000:layer:tools:1
  mayfly layer list tools";
pub const TOP_EXAMPLES: &str = "\
Examples:
  mayfly top                                     until Ctrl-C
  mayfly top --once --json | jq .Pool";
pub const INVOKE_EXAMPLES: &str = "\
Examples:
  mayfly invoke hello --payload '{\"name\":\"Ada\"}'
  mayfly invoke hello --payload @event.json --log
  echo '{}' | mayfly invoke hello --payload - | jq .

The answer goes to stdout, the log and a function's error to stderr. The exit status is 0, 1 where the function \
failed, 125 where Mayfly did.";
pub const LOGS_EXAMPLES: &str = "\
Examples:
  mayfly logs hello --tail 20
  mayfly logs hello -f                           and what comes, until Ctrl-C
  aws --endpoint-url http://127.0.0.1:9000 logs tail /aws/lambda/hello

Each line: when, the first digits of the environment's log stream, what was printed.";
pub const LIST_EXAMPLES: &str = "\
Examples:
  mayfly list
  mayfly list --json | jq -r '.Functions[].FunctionName'";
pub const HISTORY_EXAMPLES: &str = "\
Examples:
  mayfly history hello
  mayfly history hello --limit 1                 what the last call changed
  mayfly history hello --json | jq '.History[0].Changes'

The newest revision comes first, times are in UTC. The last 1,000 are kept; the code of old ones is not, but for that of \
versions.";
pub const REMOVE_EXAMPLES: &str = "\
Examples:
  mayfly rm hello greet

What runs of it finishes.";

pub const QUEUE_EXAMPLES: &str = "\
Examples:
  mayfly queue                              how many messages wait, and for how long
  mayfly queue peek events/hello            the first of a function's events
  mayfly queue redrive sqs/dead sqs/work    try dead letters again
  mayfly queue purge sqs/dead

A function's events are events/NAME, a queue of SQS is sqs/NAME.";

pub const SCHEDULE_EXAMPLES: &str = "\
Examples:
  mayfly schedule create tick 'rate(5 minutes)' --function hello
  mayfly schedule create report 'cron(30 8 ? * MON-FRI *)' --timezone Europe/Berlin --function hello:live
  mayfly schedule create once 'at(2030-01-01T00:00:00)' --function hello --input '{\"name\":\"Ada\"}'
  mayfly schedule list
  mayfly schedule delete tick

cron has six fields: minutes hours day-of-month month day-of-week year; one of the two days is ?. What else there is \
of EventBridge Scheduler has `aws scheduler`.";

/// Where the platform is, and how to show what it says.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Where the platform is [default: MAYFLY_ENDPOINT, else http://127.0.0.1:9000]
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// As JSON, in the words of Lambda's own API
    #[arg(long, global = true)]
    pub json: bool,
}

/// `mayfly deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The function, 1 to 64 letters, digits, - and _, unless its mayfly.toml names it; and its code: a directory, a
    /// zip, or one static ELF program, which becomes its `bootstrap`
    #[arg(required = true, num_args = 1..=2, value_names = ["[NAME] PATH"])]
    pub words: Vec<PathBuf>,
    /// What the function is, in a file [default: mayfly.toml in PATH, where it is a directory and has one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Its memory [default: 128]
    #[arg(long, value_name = "MIB")]
    pub memory: Option<u32>,
    /// How long an invocation may take [default: 3]
    #[arg(long, value_name = "S")]
    pub timeout: Option<u32>,
    /// A variable of its environment; may be repeated
    #[arg(long, value_name = "K=V", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Lambda's name of its runtime [default: provided.al2023]
    #[arg(long, value_name = "R")]
    pub runtime: Option<String>,
    /// What the runtime gets as _HANDLER [default: bootstrap]
    #[arg(long, value_name = "H")]
    pub handler: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A version of a layer; may be repeated, a later one's files replace an earlier one's
    #[arg(long, value_name = "ARN")]
    pub layer: Vec<String>,
    /// How many of its invocations may be under way at once
    #[arg(long, value_name = "N")]
    pub reserved_concurrency: Option<u32>,
    #[command(flatten)]
    pub place: Place,
}

/// `mayfly publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// The function
    pub name: String,
    /// What the version is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

/// `mayfly alias`.
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Make an alias of a version
    Create {
        /// The function
        name: String,
        /// The alias
        alias: String,
        /// The version that it names
        version: String,
        #[command(flatten)]
        target: AliasTarget,
        #[command(flatten)]
        place: Place,
    },
    /// Have an alias name another version
    Update {
        /// The function
        name: String,
        /// The alias
        alias: String,
        /// The version that it names [default: as before]
        version: Option<String>,
        #[command(flatten)]
        target: AliasTarget,
        #[command(flatten)]
        place: Place,
    },
    /// Remove an alias
    Delete {
        /// The function
        name: String,
        /// The alias
        alias: String,
        #[command(flatten)]
        place: Place,
    },
    /// List a function's aliases
    List {
        /// The function
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What an alias leads to, beside its version.
#[derive(Debug, Args)]
pub struct AliasTarget {
    /// What the alias is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A second version, and its part of the invocations, from 0 to 1
    #[arg(long, value_name = "VERSION=PART", value_parser = share)]
    pub also: Option<(String, f64)>,
    /// No second version any more
    #[arg(long, conflicts_with = "also")]
    pub only: bool,
}

/// `mayfly layer`.
#[derive(Debug, Subcommand)]
pub enum LayerCommand {
    /// Publish a directory or a zip as a layer's next version
    Publish {
        /// The layer
        name: String,
        /// What functions find in /opt: a directory or a zip
        path: PathBuf,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A runtime that it works with; may be repeated
        #[arg(long, value_name = "R")]
        runtime: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the layers, each with its latest version, or all versions of one
    #[command(visible_alias = "ls")]
    List {
        /// The layer
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a version; functions that have it keep it
    #[command(name = "rm")]
    Remove {
        /// The layer
        name: String,
        /// Its version
        version: u64,
        #[command(flatten)]
        place: Place,
    },
}

/// `mayfly top`.
#[derive(Debug, Args)]
pub struct Top {
    /// Show it once, and end
    #[arg(long)]
    pub once: bool,
    /// How often to look
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub every: u64,
    #[command(flatten)]
    pub place: Place,
}

/// `mayfly invoke`.
#[derive(Debug, Args)]
pub struct Invoke {
    /// The function
    pub name: String,
    /// The event: JSON, a file of it, or - for standard input [default: {}]
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub payload: Option<OsString>,
    /// Show the end of what the invocation printed
    #[arg(long)]
    pub log: bool,
    /// Do not wait for the answer
    #[arg(long = "async")]
    pub is_async: bool,
    #[command(flatten)]
    pub place: Place,
}

/// `mayfly logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The function
    pub name: String,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Begin with the last N lines only
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
    #[command(flatten)]
    pub place: Place,
}

/// `mayfly list`.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub place: Place,
}

/// `mayfly history`.
#[derive(Debug, Args)]
pub struct History {
    /// The function
    pub name: String,
    /// The newest N revisions only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    #[command(flatten)]
    pub place: Place,
}

/// `mayfly queue`.
#[derive(Debug, Args)]
pub struct Queue {
    #[command(subcommand)]
    pub command: Option<QueueCommand>,
    #[command(flatten)]
    pub place: Place,
}

/// What to do with a queue.
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Show the first messages, and leave them where they are
    Peek {
        /// The queue
        queue: String,
    },
    /// Move all messages to another queue
    Redrive {
        /// The queue
        queue: String,
        /// Where they go
        to: String,
    },
    /// Remove all messages
    Purge {
        /// The queue
        queue: String,
    },
}

/// `mayfly schedule`.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Make a schedule
    Create {
        /// The schedule
        name: String,
        /// When: at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)
        expression: String,
        #[command(flatten)]
        target: ScheduleTarget,
        #[command(flatten)]
        place: Place,
    },
    /// List the schedules
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Remove a schedule
    Delete {
        /// The schedule
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What a schedule does.
#[derive(Debug, Args)]
pub struct ScheduleTarget {
    /// The function that it invokes, with a version or an alias where wanted
    #[arg(long, value_name = "F")]
    pub function: String,
    /// What the function gets: JSON [default: a notification that says which schedule it is]
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// Whose wall clock at and cron are read on
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub timezone: String,
}

/// `mayfly rm`.
#[derive(Debug, Args)]
pub struct Remove {
    /// The functions
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub place: Place,
}

/// `NAME=value`.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("not of the form NAME=value".into()),
    }
}

/// `VERSION=PART`.
fn share(text: &str) -> Result<(String, f64), String> {
    let parts = text.split_once('=');
    let parts = parts.and_then(|(version, part)| Some((version.to_owned(), part.parse().ok()?)));
    parts.filter(|(_, part)| (0.0..=1.0).contains(part)).ok_or_else(|| {
        "not of the form VERSION=PART, with a part from 0 to 1, such as 2=0.1".into()
    })
}
