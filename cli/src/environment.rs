//! The environment of a program in a guest. The host's own is none of its business.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::failure::Failure;

/// Where a guest looks for programs: Debian's default for root.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const HOME: &str = "HOME=/root";

/// Bit n: the n-th of a program's standard streams is a terminal.
pub fn terminals(standard: &[BorrowedFd<'_>]) -> u32 {
    standard.iter().enumerate().map(|(n, stream)| u32::from(stream.is_terminal()) << n).sum()
}

/// What every program gets, and what `--env` adds or replaces.
///
/// # Errors
/// Something that is no `NAME=value`.
pub fn build(extra: Vec<OsString>, terminals: u32) -> Result<Vec<Vec<u8>>, Failure> {
    let mut variables = vec![PATH.as_bytes().to_vec(), HOME.as_bytes().to_vec()];
    if terminals != 0
        && let Some(kind) = std::env::var_os("TERM")
    {
        variables.push([b"TERM=", kind.as_bytes()].concat());
    }
    for variable in extra {
        let Some(name) = name_of(&variable) else {
            let text = variable.to_string_lossy();
            return Err(Failure::new(format!("--env {text}: not of the form NAME=value")));
        };
        variables.retain(|other| name_of(OsStr::from_bytes(other)) != Some(name));
        variables.push(variable.into_vec());
    }
    Ok(variables)
}

/// The name, with its `=`.
fn name_of(variable: &OsStr) -> Option<&[u8]> {
    let bytes = variable.as_bytes();
    let equals = bytes.iter().position(|&byte| byte == b'=').filter(|&at| at > 0)?;
    Some(&bytes[..=equals])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one() {
        let extra = ["A=1", "PATH=/x", "A=2=3", "E="].map(OsString::from).to_vec();
        let built = build(extra, 0).unwrap();
        assert_eq!(built, [&b"HOME=/root"[..], b"PATH=/x", b"A=2=3", b"E="]);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for bad in ["A", "=1", ""] {
            assert!(build(vec![bad.into()], 0).is_err(), "{bad:?}");
        }
    }
}
