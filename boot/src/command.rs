//! The program's arguments and environment as the block of strings that the kernel reads.

use mayfly_abi::CommandInfo;
use mayfly_abi::layout::{COMMAND, COMMAND_MAX};
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
}

/// A command that cannot be passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// There is no program.
    #[error("the command is empty")]
    Empty,
    /// A string has a NUL inside.
    #[error("an argument or environment variable contains a NUL byte")]
    Nul,
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
        for string in strings.chain([&self.cwd]) {
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
        }
    }

    #[test]
    fn strings_follow_each_other() {
        let (block, info) = command(&[b"echo", b""]).encode().unwrap();
        assert_eq!(block, b"/bin/echo\0echo\0\0A=1\0/\0");
        assert_eq!((info.argc, info.envc, info.len), (2, 1, block.len() as u32));
    }

    #[test]
    fn bad_commands_are_refused() {
        assert_eq!(Command::default().encode().unwrap_err(), CommandError::Empty);
        assert_eq!(command(&[b"a\0b"]).encode().unwrap_err(), CommandError::Nul);
        let long = vec![b'x'; COMMAND_MAX as usize];
        assert!(matches!(command(&[&long]).encode(), Err(CommandError::TooLong(_))));
    }
}
