//! `mayfly serve`.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, value_parser};
use mayfly_scheduler::core::KeepAlivePolicy;
use mayfly_scheduler::function::UrlForm;

pub(super) const SERVE_EXAMPLES: &str = "\
Examples:
  mayfly serve                                   http://127.0.0.1:9000, data in ./mayfly-data
  mayfly serve --listen 127.0.0.1:0              any free port; the first line on stderr names it
  mayfly serve --queue postgres://mayfly@127.0.0.1/mayfly --queue-password-file secret
  aws --endpoint-url http://127.0.0.1:9000 lambda list-functions

SIGINT (Ctrl-C) and SIGTERM end it; running invocations have a few seconds. A second one ends it at once: what is
queued is kept either way.";

/// A part of something: more than nothing, and not more than all.
fn scale(text: &str) -> Result<f64, String> {
    let scale: Option<f64> = text.parse().ok();
    let scale = scale.filter(|scale| *scale > 0.0 && *scale <= 1.0);
    scale.ok_or_else(|| "it is a number above 0, and not above 1".into())
}

/// An address and a port. Names are not looked up, but for one that every host has.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let local =
        text.strip_prefix("localhost:").map(|port| format!("{}:{port}", Ipv4Addr::LOCALHOST));
    let address = local.as_deref().unwrap_or(text).parse();
    address.map_err(|_| format!("it is an address and a port, such as {ADDRESS}"))
}

/// Where the platform listens, and its clients look for it, where nothing else is said.
pub const ADDRESS: &str = "127.0.0.1:9000";

/// `mayfly serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; loopback only, since signatures are not checked
    #[arg(long, value_name = "ADDR", default_value = ADDRESS, value_parser = listen)]
    pub listen: SocketAddr,
    /// Where functions, their code and logs are kept
    #[arg(long, value_name = "DIR", default_value = "mayfly-data")]
    pub data: PathBuf,
    #[command(flatten)]
    pub queue: QueueServer,
    /// Memory for all environments together: at least what the smallest function has
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = value_parser!(u64).range(128..))]
    pub memory: u64,
    /// How long environments without work are kept: fixed:TIME (such as fixed:10m) for this time; lru until their
    /// memory is wanted; hybrid as each function's habits ask for, ended at once and started again before the next
    /// invocation is expected. Under each, an invocation that needs memory takes it from the idle environment that was
    /// used least recently
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub keep_alive: KeepAlivePolicy,
    /// Leave the functions' system calls traps, where they could be made jumps: to compare
    #[arg(long)]
    pub no_syscall_rewrite: bool,
    /// Try events again after this part of Lambda's times, and let them grow as old: 0.01 makes a minute 0.6 s
    #[arg(long, value_name = "PART", default_value_t = 1.0, value_parser = scale)]
    pub retry_scale: f64,
    /// What clients are told of function URLs: `host`, a name below localhost for each, or `path`, a path of the
    /// platform's address. Without it `host` where this host's programs know such names (nss-myhostname or
    /// nss-resolve in /etc/nsswitch.conf), `path` elsewhere. Both always lead to the function
    #[arg(long, value_name = "FORM")]
    pub function_urls: Option<UrlForm>,
    /// Who may call: `none` takes any signature
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = ["none"])]
    pub auth: String,
}

/// Where events and queues are kept.
#[derive(Debug, Args)]
pub struct QueueServer {
    /// Keep events and queues in a PostgreSQL database, and not in the data directory:
    /// postgres://USER@HOST:PORT/DATABASE, or postgres:///DATABASE?host=DIR where its socket is in DIR. Its password is
    /// taken from PGPASSWORD, or from --queue-password-file. One platform uses a database at a time
    #[arg(long, value_name = "URL")]
    pub queue: Option<String>,
    /// A file with the password and nothing else
    #[arg(long, value_name = "FILE", requires = "queue")]
    pub queue_password_file: Option<PathBuf>,
}

impl QueueServer {
    /// The same words again, for another `mayfly serve`.
    pub fn words(&self) -> impl Iterator<Item = OsString> {
        let url = self.queue.iter().flat_map(|url| ["--queue".into(), url.into()]);
        let file = self.queue_password_file.iter();
        url.chain(file.flat_map(|file| ["--queue-password-file".into(), file.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(listen("localhost:9000").unwrap(), ADDRESS.parse().unwrap());
        assert_eq!(listen("[::1]:0").unwrap().port(), 0);
        for wrong in ["", "9000", ":9000", "127.0.0.1", "example.org:80", "localhost:65536"] {
            assert!(listen(wrong).unwrap_err().contains(ADDRESS), "{wrong}");
        }
    }
}
