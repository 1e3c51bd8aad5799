//! A cluster and its server.
//!
//! ```text
//!   test ── a pipe: stop, crash, start ──▶ sh ── kill, wait ──▶ postgres
//!     └ ends, however ── the pipe ends ──▶ └ ends the server and removes the directory
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::programs::Programs;

/// The cluster's superuser, and its password where a connection comes over TCP.
const USER: &str = "mayfly";
const PASSWORD: &str = "not a secret";
/// A hang guard: the first start takes a second, on a busy host some more.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a server that starts.
const LOOK: Duration = Duration::from_millis(10);
/// Ports that may be taken between their choice and their use.
const PORTS_MAX: usize = 5;

/// Runs the server "$@" in the directory $DIR, does what it is told, and cleans up when nobody is left to tell.
const KEEPER: &str = r#"
trap '' INT TERM HUP
run() { "$@" >>"$DIR/log" 2>&1 </dev/null & pid=$!; }
end() { kill "-$1" $pid 2>/dev/null; wait $pid; }
run "$@"
while read -r order; do
    case $order in
        start) run "$@" ;;
        stop) end INT ;;
        crash) end QUIT ;;
    esac
    echo done
done
# At once: what it holds goes, and one of its processes may hang.
end QUIT
[ ! -d "$DIR/small" ] || umount "$DIR/small"
rm -rf "$DIR"
"#;

/// Namespaces in which whoever runs the server may mount; what is mounted goes with the server.
pub(crate) const UNSHARE: [&str; 5] =
    ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"];
/// Mounts a small disk before anything else.
const MOUNT: &str =
    r#"mkdir "$DIR/small" && mount -t tmpfs -o size=MIBm tmpfs "$DIR/small" && exec "$@""#;

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    directory: PathBuf,
    port: u16,
    databases: AtomicU32,
    keeper: Child,
    orders: Option<Mutex<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Cluster {
    /// Makes one and starts its server.
    ///
    /// # Panics
    /// Where that fails: with what the server has said.
    pub fn start(programs: Programs) -> Cluster {
        Self::start_in(programs, &[])
    }

    /// The same, with a tablespace `small` of so many MiB, which is all that it has.
    ///
    /// # Panics
    /// Where that fails.
    pub fn with_small_disk(programs: Programs, mib: u32) -> Cluster {
        let mount = MOUNT.replace("MIB", &mib.to_string());
        let cluster =
            Self::start_in(programs, &[&UNSHARE[..], &["sh", "-c", &mount, "sh"]].concat());
        let directory = cluster.directory.join("small");
        cluster.sql(
            "postgres",
            &format!("CREATE TABLESPACE small LOCATION '{}'", directory.display()),
        );
        cluster
    }

    fn start_in(programs: Programs, wrapper: &[&str]) -> Cluster {
        let mut tries = (0..PORTS_MAX).map(|_| Self::make(&programs, wrapper));
        tries.find_map(|cluster| cluster).expect("a free port")
    }

    /// `None` where somebody else has got its port meanwhile.
    fn make(programs: &Programs, wrapper: &[&str]) -> Option<Cluster> {
        let directory = tempfile::Builder::new().prefix("mayfly-postgres-").tempdir();
        let directory = directory.expect("a temporary directory").keep();
        if let Some((user, group)) = programs.account {
            std::os::unix::fs::chown(&directory, Some(user), Some(group)).expect("root may");
        }
        let password = directory.join("password");
        fs::write(&password, PASSWORD).expect("it is ours");
        let mut initdb = programs.command(programs.path("initdb"));
        initdb.arg("--pgdata").arg(directory.join("data")).arg("--pwfile").arg(password);
        initdb.args(["--username", USER, "--encoding", "UTF8", "--locale", "C", "--no-sync"]);
        initdb.args(["--auth-local", "trust", "--auth-host", "scram-sha-256"]);
        said(initdb);
        let cluster = Self::run(programs.clone(), wrapper, directory, free_port());
        cluster.wait().then_some(cluster)
    }

    fn run(programs: Programs, wrapper: &[&str], directory: PathBuf, port: u16) -> Cluster {
        let mut keeper = programs.command("env");
        keeper.args(wrapper).args(["sh", "-c", KEEPER, "sh"]).env("DIR", &directory);
        keeper.arg(programs.path("postgres")).arg("-D").arg(directory.join("data"));
        for setting in [
            &format!("port={port}"),
            "listen_addresses=127.0.0.1",
            &format!("unix_socket_directories={}", directory.display()),
            "fsync=on",
            "shared_buffers=32MB",
        ] {
            keeper.args(["-c", setting]);
        }
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = keeper.spawn().expect("there is a sh");
        let orders = (
            keeper.stdin.take().expect("piped"),
            BufReader::new(keeper.stdout.take().expect("piped")),
        );
        let (databases, orders) = (AtomicU32::new(0), Some(Mutex::new(orders)));
        Cluster { programs, directory, port, databases, keeper, orders }
    }

    /// A new, empty database.
    ///
    /// # Panics
    /// Where the server refuses.
    pub fn database(&self) -> String {
        self.database_with("")
    }

    /// The same, with options of CREATE DATABASE.
    ///
    /// # Panics
    /// Where the server refuses.
    pub fn database_with(&self, options: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} {options}"));
        name
    }

    /// Has a superuser say something; the answer's rows, unadorned.
    ///
    /// # Panics
    /// Where the server refuses.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.programs.command(self.programs.path("psql"));
        psql.arg("--host").arg(&self.directory).args(["--port", &self.port.to_string()]);
        psql.args(["--username", USER, "--dbname", database, "--no-psqlrc", "--quiet"]);
        psql.args(["--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--command", sql]);
        said(psql)
    }

    /// A database's address, by the socket, which asks for no password.
    pub fn url(&self, database: &str) -> String {
        let (directory, port) = (self.directory.display(), self.port);
        format!("postgres:///{database}?host={directory}&port={port}&user={USER}")
    }

    /// A database's address on loopback, and the password that goes with it.
    pub fn tcp(&self, database: &str) -> (String, &'static str) {
        (format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port), PASSWORD)
    }

    /// Ends the server as an operator does: its clients lose their connections.
    pub fn stop(&self) {
        self.order("stop");
    }

    /// Ends the server at once, as if its processes were killed: the next start recovers from its log.
    pub fn crash(&self) {
        self.order("crash");
    }

    /// Starts the server again.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_again(&self) {
        self.order("start");
        assert!(self.wait(), "{}", log(&self.directory));
    }

    fn order(&self, order: &str) {
        let orders = self.orders.as_ref().expect("it is there while this is");
        let (to, from) = &mut *orders.lock().expect("nobody panics with it");
        writeln!(to, "{order}").expect("the keeper outlives us");
        from.read_line(&mut String::new()).expect("it answers");
    }

    /// Waits until the server takes connections (its pid file says so); `false` where it has given up for its port.
    fn wait(&self) -> bool {
        let start = Instant::now();
        let file = self.directory.join("data/postmaster.pid");
        while !fs::read_to_string(&file).is_ok_and(|pid| pid.lines().any(|it| it.trim() == "ready"))
        {
            let log = log(&self.directory);
            if log.contains("could not create any TCP/IP sockets") {
                return false;
            }
            assert!(start.elapsed() < PATIENCE, "it does not start: {log}");
            thread::sleep(LOOK);
        }
        true
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of the orders: the keeper ends the server, and then itself.
        self.orders = None;
        let _ = self.keeper.wait();
    }
}

/// What the server has said.
fn log(directory: &std::path::Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// What a program prints that does what it shall.
fn said(mut command: Command) -> String {
    let done = command.stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {complaint}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A port that nobody listened at a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
    listener.local_addr().expect("it is bound").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_outlives_its_stops_and_ends_with_its_owner() {
        let Some(cluster) = crate::own() else { return };
        let name = cluster.database();
        cluster.sql(&name, "CREATE TABLE t (x INT); INSERT INTO t VALUES (7)");
        for end in [Cluster::stop, Cluster::crash] {
            end(&cluster);
            assert!(!cluster.directory.join("data/postmaster.pid").exists());
            cluster.start_again();
            assert_eq!(cluster.sql(&name, "SELECT x FROM t"), "7");
        }
        assert_eq!(cluster.sql(&name, "SHOW fsync"), "on");
        let (pid, directory) = (pid(&cluster), cluster.directory.clone());
        drop(cluster);
        assert!(!directory.exists());
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_small_disk_goes_with_its_cluster() {
        let Some(cluster) = crate::own_with_small_disk(16) else { return };
        cluster.sql("postgres", "CREATE TABLE t (x INT) TABLESPACE small");
        let directory = cluster.directory.clone();
        drop(cluster);
        assert!(!directory.exists());
    }

    #[test]
    fn a_host_that_lets_nobody_mount_goes_without_a_small_disk() {
        if Programs::find().is_err() {
            return;
        }
        // The test above, where no program can be found that would mount.
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "cluster::tests::a_small_disk_goes_with_its_cluster"]);
        let done = test.env("PATH", "/nowhere").env(crate::REQUIRED, "1").output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("are skipped: "), "{said}");
    }

    fn pid(cluster: &Cluster) -> u32 {
        let file = cluster.directory.join("data/postmaster.pid");
        fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
    }
}
