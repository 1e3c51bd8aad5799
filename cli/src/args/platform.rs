//! The command line of the platform's clients.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

pub const DEPLOY_EXAMPLES: &str = "\
Examples:
  mayfly deploy hello ./bootstrap                a static program
  mayfly deploy hello target/lambda/hello/       a directory that holds `bootstrap`
  mayfly deploy hello hello.zip --memory 256 --timeout 10 --env LEVEL=debug

The program is a Lambda runtime: it asks AWS_LAMBDA_RUNTIME_API for events and answers them. Where a function of \
this name exists, its code is replaced, and of its settings those that are named here; --env replaces all of its \
variables. What runs finishes on the old code; the next invocation starts fresh.";
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
pub const REMOVE_EXAMPLES: &str = "\
Examples:
  mayfly rm hello greet

What runs of it finishes.";

/// Where the platform is, and how to show what it says.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Where the platform is [default: MAYFLY_ENDPOINT, else http://127.0.0.1:9000]
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// As JSON, in the words of Lambda's own API
    #[arg(long)]
    pub json: bool,
}

/// `mayfly deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The function: 1 to 64 letters, digits, - and _
    pub name: String,
    /// Its code: a directory, a zip, or one static ELF program, which becomes its `bootstrap`
    pub path: PathBuf,
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
