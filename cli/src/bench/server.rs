//! The processes that are measured: each is told to listen on a free port, and ends with this one.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How long one may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// What one of ours says before its address.
const LISTENS: &str = "at http://";

/// A process that serves HTTP.
pub struct Server {
    child: Child,
    /// Where.
    pub address: SocketAddr,
}

impl Server {
    /// This program with these arguments, which make it serve and say where.
    ///
    /// # Errors
    /// It ends before it listens: its last words.
    pub fn of_ours<A: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Server, Failure> {
        let mut command = Command::new("/proc/self/exe");
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut words = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(address) = line.split_once(LISTENS).and_then(|(_, at)| at.parse().ok()) {
                // What it says later is nobody's concern, but it shall not wait for a reader.
                thread::spawn(move || lines.for_each(drop));
                return Ok(Server { child, address });
            }
            words = line;
        }
        child.wait()?;
        Err(Failure::new(format!("a server that was to be measured ended: {words}")))
    }

    /// AWS's Runtime Interface Emulator with `bootstrap`, on this host and in no virtual machine.
    ///
    /// # Errors
    /// It does not start, or does not listen in time.
    pub fn emulator(program: &Path, bootstrap: &Path) -> Result<Server, Failure> {
        let (address, api) = (free_address()?, free_address()?);
        let mut command = Command::new(program);
        command.arg("--runtime-interface-emulator-address").arg(address.to_string());
        command.arg("--runtime-api-address").arg(api.to_string()).arg(bootstrap);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| Failure::at(program, error))?;
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let _ = child.kill();
                return Err(Failure::at(program, "it does not listen"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Server { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whatever it still does, nobody waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listened at a moment ago.
fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
