//! The command that the host wants run, out of the boot information.

use alloc::vec::Vec;

#[cfg(feature = "bare-metal")]
use mayfly_hal::boot::Boot;

use crate::errno::{Errno, Result};

/// Where programs are looked for without PATH (execvp(3)).
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest name of a process, without its NUL (TASK_COMM_LEN).
const NAME_MAX: usize = 15;

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The file to run.
    pub program: Vec<u8>,
    /// Arguments.
    pub argv: Vec<Vec<u8>>,
    /// Environment.
    pub env: Vec<Vec<u8>>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Bit n: standard stream n is a terminal.
    pub terminals: u32,
    /// Where the images of the boot information's mounts belong.
    pub mounts: Vec<Vec<u8>>,
}

/// Reads the boot information's block of strings.
#[cfg(feature = "bare-metal")]
pub fn parse(boot: &Boot) -> Command {
    let info = &boot.info.command;
    let counts = (info.argc as usize, info.envc as usize);
    Command { terminals: info.terminals, ..Command::from_strings(boot.strings, counts) }
}

impl Command {
    /// Splits a block of strings: the program's file, `argc` arguments, `envc` variables, the working directory,
    /// and the paths of mounts.
    fn from_strings(strings: &[u8], (argc, envc): (usize, usize)) -> Command {
        let strings = strings.strip_suffix(b"\0").unwrap_or(strings);
        let mut strings = strings.split(|byte| *byte == 0).map(<[u8]>::to_vec);
        Command {
            program: strings.next().unwrap_or_default(),
            argv: strings.by_ref().take(argc).collect(),
            env: strings.by_ref().take(envc).collect(),
            cwd: strings.next().filter(|cwd| !cwd.is_empty()).unwrap_or_else(|| b"/".to_vec()),
            terminals: 0,
            mounts: strings.collect(),
        }
    }

    /// The path of the program: as it is where it has a slash, else the first in PATH for which `check`
    /// finds no fault. ENOENT where there is none; EACCES where one is found that cannot be run.
    pub fn find(&self, check: impl Fn(&[u8]) -> Result<()>) -> Result<Vec<u8>> {
        let name = &self.program;
        if name.is_empty() {
            return Err(Errno::NOENT);
        }
        if name.contains(&b'/') {
            return check(name).map(|()| name.clone());
        }
        let path = self.env.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
        let mut failure = Errno::NOENT;
        for directory in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
            let directory: &[u8] = if directory.is_empty() { b"." } else { directory };
            let candidate = [directory, b"/", name].concat();
            match check(&candidate) {
                Ok(()) => return Ok(candidate),
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }
}

/// Strings in a row, each ended by NUL.
#[cfg(feature = "bare-metal")]
pub fn joined(strings: &[Vec<u8>]) -> Vec<u8> {
    strings.iter().flat_map(|string| string.iter().copied().chain([0])).collect()
}

/// The last part of a path, as the name of a process.
pub fn short_name(path: &[u8]) -> Vec<u8> {
    let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    last[..last.len().min(NAME_MAX)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_told_apart() {
        let command = Command::from_strings(b"/bin/sh\0sh\0\0A=1\0/tmp\0", (2, 1));
        assert_eq!(command.program, b"/bin/sh");
        assert_eq!(command.argv, [b"sh".to_vec(), b"".to_vec()]);
        assert_eq!(command.env, [b"A=1".to_vec()]);
        assert_eq!(command.cwd, b"/tmp");
        assert!(command.mounts.is_empty());
        assert_eq!(Command::from_strings(b"/bin/sh\0sh\0\0", (1, 0)).cwd, b"/");
        let mounting = Command::from_strings(b"sh\0/\0/opt\0/var/task\0", (0, 0));
        assert_eq!(mounting.mounts, [b"/opt".to_vec(), b"/var/task".to_vec()]);
    }

    #[test]
    fn the_path_is_searched_in_order() {
        let command = Command::from_strings(b"ls\0ls\0PATH=/a:/b:/c\0/\0", (1, 1));
        let found = command.find(|path| match path {
            b"/b/ls" | b"/c/ls" => Ok(()),
            _ => Err(Errno::NOENT),
        });
        assert_eq!(found, Ok(b"/b/ls".to_vec()));
        assert_eq!(command.find(|_| Err(Errno::ACCES)), Err(Errno::ACCES));
        assert_eq!(command.find(|_| Err(Errno::NOENT)), Err(Errno::NOENT));
        let absolute = Command::from_strings(b"/x/ls\0ls\0/\0", (1, 0));
        assert_eq!(absolute.find(|_| Ok(())), Ok(b"/x/ls".to_vec()));
        assert_eq!(short_name(b"/usr/bin/a-very-long-program"), b"a-very-long-pro");
    }
}
