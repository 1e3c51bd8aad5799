//! A PostgreSQL of a test's own, from Debian's package: a cluster in a temporary directory, for nobody else, on
//! loopback and a socket in that directory, with fsync as in earnest. It ends with the test, whatever ends that.
//!
//! ```no_run
//! if let Some(cluster) = mayfly_postgres::shared() {
//!     println!("{}", cluster.url(&cluster.database()));
//! }
//! ```
#![forbid(unsafe_code)]

mod cluster;
mod programs;

use std::io::Write;
use std::sync::OnceLock;

pub use cluster::Cluster;
pub use programs::Programs;

/// Set to anything where the tests must not go without PostgreSQL.
pub const REQUIRED: &str = "MAYFLY_POSTGRES_REQUIRED";

/// The cluster that this process's tests share; each makes a database of its own. `None` where this host has no
/// PostgreSQL, and that is said once.
///
/// # Panics
/// Where it must be there, or does not start.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(|| programs().map(Cluster::start)).as_ref()
}

/// A cluster to stop and start. `None` where this host has no PostgreSQL.
///
/// # Panics
/// Where it must be there, or does not start.
pub fn own() -> Option<Cluster> {
    programs().map(Cluster::start)
}

/// One whose tablespace `small` has so many MiB. `None` where this host has no PostgreSQL, or lets nobody mount, as in a
/// plain container: the package can be required, that can't.
///
/// # Panics
/// Where it must be there, or does not start.
pub fn own_with_small_disk(mib: u32) -> Option<Cluster> {
    let programs = programs()?;
    let able = programs.can_mount();
    able.map_err(say).ok().map(|()| Cluster::with_small_disk(programs, mib))
}

/// Debian's programs, or the reason why there is no test with them.
fn programs() -> Option<Programs> {
    let missing = |why| {
        assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {why}");
        say(why);
    };
    Programs::find().map_err(missing).ok()
}

/// Says, once, why tests are skipped.
fn say(why: String) {
    static SAID: OnceLock<()> = OnceLock::new();
    // Past the harness, which keeps to itself what a test that passes prints.
    SAID.get_or_init(|| {
        drop(writeln!(std::io::stderr(), "Tests with PostgreSQL are skipped: {why}"))
    });
}
