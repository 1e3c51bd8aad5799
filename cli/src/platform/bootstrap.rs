//! Whether a `bootstrap` can be what an environment starts.

use super::bundle::BOOTSTRAP;
use crate::elf::Kind;
use crate::failure::Failure;

/// How a program is made that needs nothing else.
const STATIC: &str =
    "link it statically (Rust: --target x86_64-unknown-linux-musl; Go: CGO_ENABLED=0; C: -static)";

/// What a platform brings of its host: a dynamic linker, and who runs scripts.
const BROUGHT: [&str; 4] = ["/lib64/ld-linux-x86-64.so.2", "/bin/sh", "/bin/bash", "/usr/bin/env"];

/// What is found where the program should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its permissions, as chmod(1) has them.
    pub mode: u32,
    /// Whether it is a file and not a directory.
    pub is_file: bool,
}

/// There is no program at `place`.
pub fn missing(place: &str) -> Failure {
    Failure::new(format!(
        "{place}: no `{BOOTSTRAP}` in it: the function's program must have this name, at the top"
    ))
}

/// Refuses what was found where the program should be and can't be started.
///
/// # Errors
/// In one line, what is wrong with `place` and how to mend it.
pub fn check(place: &str, found: Found) -> Result<(), Failure> {
    let what = match found {
        Found { is_file: false, .. } => "is no file",
        Found { mode, .. } if mode & 0o111 == 0 => {
            "is not executable: chmod +x it, and pack it again where it is packed"
        }
        _ => return Ok(()),
    };
    Err(Failure::new(format!("{place}: its `{BOOTSTRAP}` {what}")))
}

/// Refuses what no environment can run. `has` knows the files beside it; what is missing there is said as a
/// warning, since a runtime's image may bring it.
///
/// # Errors
/// As [`check`].
pub fn judge(
    place: &str,
    kind: &Kind,
    has: impl Fn(&str) -> bool,
) -> Result<Option<String>, Failure> {
    let wrong = |what: &str| Err(Failure::new(format!("{place}: {what}")));
    let warning = |needs: &str, advice: &str| {
        let is_there =
            BROUGHT.contains(&needs) || needs.strip_prefix("/var/task/").is_some_and(&has);
        (!is_there).then(|| {
            format!(
                "{place} needs {needs}, which is not in the package: it starts only where the runtime has it{advice}"
            )
        })
    };
    match kind {
        Kind::Static => Ok(None),
        Kind::Dynamic(needs) => Ok(warning(needs, &format!("; or {STATIC}"))),
        Kind::Script(needs) => Ok(warning(needs, "")),
        kind => wrong(&unfit(kind)),
    }
}

/// The same of a program that comes alone.
///
/// # Errors
/// As [`check`].
pub fn judge_alone(place: &str, kind: &Kind) -> Result<Option<String>, Failure> {
    match kind {
        Kind::Other => {
            let why = "neither a directory, nor a zip, nor a program";
            Err(Failure::new(format!("{place}: {why}")))
        }
        kind => judge(place, kind, |_| false),
    }
}

fn unfit(kind: &Kind) -> String {
    match kind {
        Kind::Foreign(_, machine) => {
            let machine = match machine {
                3 => "32-bit x86".into(),
                40 => "32-bit Arm".into(),
                183 => "arm64".into(),
                243 => "RISC-V".into(),
                other => format!("another machine (ELF number {other})"),
            };
            format!("it is for {machine}; environments are x86-64")
        }
        Kind::NotExecutable => "it is an ELF file, but not an executable".into(),
        Kind::CutShort => "it is an ELF file that is cut short".into(),
        _ => "it is no program: neither ELF nor a script".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_start_is_refused_with_advice() {
        let says = |found| check("x.zip", found).unwrap_err().to_string();
        assert!(says(Found { mode: 0o755, is_file: false }).contains("no file"));
        assert!(says(Found { mode: 0o644, is_file: true }).contains("chmod +x"));
        assert!(check("x.zip", Found { mode: 0o700, is_file: true }).is_ok());
    }

    #[test]
    fn foreign_machines_are_named() {
        let says = |kind| judge("b", &kind, |_| false).unwrap_err().to_string();
        assert_eq!(says(Kind::Foreign(2, 183)), "b: it is for arm64; environments are x86-64");
        assert!(says(Kind::Other).contains("no program"));
    }

    #[test]
    fn what_a_program_needs_may_be_beside_it() {
        let linked = |path: &str| Kind::Dynamic(path.into());
        let beside = |path: &str| path == "lib/ld.so";
        assert_eq!(judge("b", &linked("/var/task/lib/ld.so"), beside).unwrap(), None);
        let warning = judge("b", &linked("/lib64/ld.so"), beside).unwrap().unwrap();
        assert!(warning.contains("/lib64/ld.so") && warning.contains("-static"), "{warning}");
        assert!(judge_alone("b", &linked("/lib64/ld.so")).unwrap().is_some());
        for brought in [Kind::Static, linked(BROUGHT[0]), Kind::Script("/bin/sh".into())] {
            assert_eq!(judge_alone("b", &brought).unwrap(), None);
        }
        assert!(judge_alone("b", &Kind::Other).is_err());
    }
}
