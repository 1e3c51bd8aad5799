//! The program's arguments and environment as the block of strings that the kernel reads.

use mayfly_abi::{CommandInfo, MOUNTS_MAX, MountInfo};
use std::ops::Range;

use mayfly_abi::layout::{COMMAND, COMMAND_MAX, PAGE_SIZE};
use thiserror::Error;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The file to run.
    pub program: Vec<u8>,
    /// Arguments, the program's name for itself first.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value` each.
    pub env: Vec<Vec<u8>>,
    /// Absolute working directory.
    pub cwd: Vec<u8>,
    /// Bit n: standard stream n is a terminal.
    pub terminals: u32,
    /// File systems to mount first, in this order.
    pub mounts: Vec<Mount>,
}

/// An image on the root disk, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path.
    pub path: Vec<u8>,
    /// Place on the disk, bytes.
    pub place: Range<u64>,
}

/// A command that cannot be passed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// There is no program.
    #[error("the command is empty")]
    Empty,
    /// A string has a NUL inside.
    #[error("an argument or environment variable contains a NUL byte")]
    Nul,
    /// More than [`MOUNTS_MAX`].
    #[error("{0} file systems to mount; a guest has at most {MOUNTS_MAX} besides its root")]
    Mounts(usize),
    /// An image that is empty, or not in whole pages.
    #[error("the image for {0} has a place on the disk that can't be")]
    Place(String),
    /// Too long.
    #[error("arguments and environment take {0} bytes; at most {COMMAND_MAX} fit")]
    TooLong(usize),
}

impl Command {
    /// The block of strings, and its description.
    pub(crate) fn encode(&self) -> Result<(Vec<u8>, CommandInfo), CommandError> {
        if self.program.is_empty() {
            return Err(CommandError::Empty);
        }
        let mut block = Vec::new();
        let strings = [&self.program].into_iter().chain(&self.argv).chain(&self.env);
        let mounts = self.mounts.iter().map(|mount| &mount.path);
        for string in strings.chain([&self.cwd]).chain(mounts) {
            if string.contains(&0) {
                return Err(CommandError::Nul);
            }
            block.extend_from_slice(string);
            block.push(0);
        }
        if block.len() as u64 > COMMAND_MAX {
            return Err(CommandError::TooLong(block.len()));
        }
        let info = CommandInfo {
            gpa: COMMAND,
            len: block.len() as u32,
            argc: self.argv.len() as u32,
            envc: self.env.len() as u32,
            terminals: self.terminals,
        };
        Ok((block, info))
    }

    /// Where the images of `mounts` are.
    pub(crate) fn places(&self) -> Result<[MountInfo; MOUNTS_MAX], CommandError> {
        if self.mounts.len() > MOUNTS_MAX {
            return Err(CommandError::Mounts(self.mounts.len()));
        }
        let mut places = [MountInfo::default(); MOUNTS_MAX];
        for (info, Mount { path, place }) in places.iter_mut().zip(&self.mounts) {
            let is_whole = [place.start, place.end].iter().all(|at| at % PAGE_SIZE == 0);
            if place.is_empty() || !is_whole {
                return Err(CommandError::Place(String::from_utf8_lossy(path).into_owned()));
            }
            *info = MountInfo { offset: place.start, len: place.end - place.start };
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&[u8]]) -> Command {
        let argv = argv.iter().map(|arg| arg.to_vec()).collect();
        Command {
            program: b"/bin/echo".to_vec(),
            argv,
            env: vec![b"A=1".to_vec()],
            cwd: b"/".to_vec(),
            terminals: 0,
            mounts: vec![],
        }
    }

    #[test]
    fn strings_follow_each_other() {
        let (block, info) = command(&[b"echo", b""]).encode().unwrap();
        assert_eq!(block, b"/bin/echo\0echo\0\0A=1\0/\0");
        assert_eq!((info.argc, info.envc, info.len), (2, 1, block.len() as u32));
    }

    #[test]
    fn mounts_are_whole_pages_and_few() {
        let at = |place| Mount { path: b"/opt".to_vec(), place };
        let mounting = |mounts| Command { mounts, ..command(&[]) };
        let good = mounting(vec![at(4096..12288)]);
        assert_eq!(good.encode().unwrap().0, b"/bin/echo\0A=1\0/\0/opt\0");
        let [first, second, ..] = good.places().unwrap();
        assert_eq!((first.offset, first.len, second.len), (4096, 8192, 0));
        for (start, end) in [(0, 0), (8192, 4096), (4096, 4097), (1, 4096)] {
            let bad = start..end;
            assert!(matches!(mounting(vec![at(bad)]).places(), Err(CommandError::Place(_))));
        }
        let many = mounting(vec![at(0..4096); MOUNTS_MAX + 1]);
        assert_eq!(many.places().unwrap_err(), CommandError::Mounts(MOUNTS_MAX + 1));
    }

    #[test]
    fn bad_commands_are_refused() {
        assert_eq!(Command::default().encode().unwrap_err(), CommandError::Empty);
        assert_eq!(command(&[b"a\0b"]).encode().unwrap_err(), CommandError::Nul);
        let long = vec![b'x'; COMMAND_MAX as usize];
        assert!(matches!(command(&[&long]).encode(), Err(CommandError::TooLong(_))));
    }
}
