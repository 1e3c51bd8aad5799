//! Where Debian has PostgreSQL's programs, and as whom to run them: not as root, which they refuse.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::cluster::UNSHARE;

/// Each version has a directory here.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom Debian's package makes.
const ACCOUNT: &str = "postgres";

/// PostgreSQL's programs, of the latest version that this host has.
#[derive(Clone, Debug)]
pub struct Programs {
    bin: PathBuf,
    /// User and group, where this process is root's.
    pub(crate) account: Option<(u32, u32)>,
}

impl Programs {
    /// Looks for them.
    ///
    /// # Errors
    /// Why there are none.
    pub fn find() -> Result<Programs, String> {
        let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
        let bins = versions.map(|version| (version.file_name(), version.path().join("bin")));
        let mut bins: Vec<_> = bins.filter(|(_, bin)| bin.join("initdb").is_file()).collect();
        bins.sort_by_key(|(version, _)| version.to_str().and_then(|it| it.parse::<u32>().ok()));
        let Some((_, bin)) = bins.pop() else {
            return Err(format!("{VERSIONS} has none: Debian's package is called postgresql"));
        };
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let account = is_root.then(account).transpose()?;
        Ok(Programs { bin, account })
    }

    /// Whether whoever runs them may mount, in namespaces of its own.
    pub(crate) fn can_mount(&self) -> Result<(), String> {
        let [unshare, options @ ..] = UNSHARE;
        let mount = ["mount", "-t", "tmpfs", "tmpfs", "/mnt"];
        let done = self.command(unshare).args(options).args(mount).output();
        let done = done.map_err(|error| error.to_string())?;
        let complaint = String::from_utf8_lossy(&done.stderr);
        done.status
            .success()
            .then_some(())
            .ok_or_else(|| format!("no disk can be made small: {complaint}"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// A command that runs as whoever may run them.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        // Where this process is may be closed to that user.
        command.current_dir("/").env("LC_ALL", "C");
        command
    }
}

fn account() -> Result<(u32, u32), String> {
    let accounts = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.into_iter().find(|fields| fields.first() == Some(&ACCOUNT));
    let number = |fields: &[&str], at: usize| fields.get(at)?.parse().ok();
    found
        .and_then(|fields| Some((number(&fields, 2)?, number(&fields, 3)?)))
        .ok_or_else(|| format!("this host has no user {ACCOUNT}, and root may not run PostgreSQL"))
}
