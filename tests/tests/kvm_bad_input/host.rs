//! Hosts that lack something, for one command each: between fork and exec, in namespaces of its own.
//!
//! Only async-signal-safe system calls run there. Each function that needs privileges says by its result
//! whether it has them.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The user and group that own nothing.
const NOBODY: u32 = 65_534;

/// Starts the command with these descriptors closed.
pub fn close(command: &mut Command, descriptors: &[i32]) {
    let descriptors = descriptors.to_vec();
    before_exec(command, move || {
        for &descriptor in &descriptors {
            // SAFETY: nothing between fork and exec uses the standard streams.
            check(unsafe { libc::close(descriptor) })?;
        }
        Ok(())
    });
}

/// Starts the command with a limit (setrlimit(2)).
pub fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, limit: u64) {
    before_exec(command, move || {
        let limits = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: the structure lives through the call.
        check(unsafe { libc::setrlimit(resource, &limits) })
    });
}

/// Starts the command where /dev holds nothing but null; `false` where this is not root.
pub fn without_kvm(command: &mut Command) -> bool {
    if !is_root() {
        return false;
    }
    before_exec(command, || {
        own_mounts()?;
        mount(c"tmpfs", c"/dev", Some(c"tmpfs"), 0, None)?;
        let null = libc::makedev(1, 3);
        // SAFETY: the path is a C string.
        check(unsafe { libc::mknod(c"/dev/null".as_ptr(), libc::S_IFCHR | 0o666, null) })
    });
    true
}

/// Starts the command where /dev/kvm is /dev/zero. For root.
pub fn with_something_else_for_kvm(command: &mut Command) {
    before_exec(command, || {
        own_mounts()?;
        mount(c"/dev/zero", c"/dev/kvm", None, libc::MS_BIND, None)
    });
}

/// Starts the command as nobody; `false` where this is not root, or nobody may use KVM.
pub fn as_nobody(command: &mut Command) -> bool {
    let mode = fs::metadata("/dev/kvm").expect("there is a /dev/kvm").permissions().mode();
    if !is_root() || mode & 0o006 == 0o006 {
        return false;
    }
    command.uid(NOBODY).gid(NOBODY);
    true
}

/// Starts the command with a directory for temporary files that holds next to nothing; `false` where this is
/// not root.
pub fn small_tmp(command: &mut Command, place: &Path) -> bool {
    if !is_root() {
        return false;
    }
    fs::create_dir(place).expect("a directory");
    let path = CString::new(place.as_os_str().as_bytes()).expect("no NUL");
    command.env("TMPDIR", place);
    before_exec(command, move || {
        own_mounts()?;
        mount(c"tmpfs", &path, Some(c"tmpfs"), 0, Some(c"size=64k"))
    });
    true
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

fn before_exec(
    command: &mut Command,
    work: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: what runs there makes system calls and nothing else: no lock, no allocation.
    unsafe { command.pre_exec(work) };
}

/// A mount namespace from which nothing spreads.
fn own_mounts() -> io::Result<()> {
    // SAFETY: unshare takes an integer.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)
}

fn mount(
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    data: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    let (kind, data) = (pointer(kind), pointer(data).cast());
    // SAFETY: all pointers are C strings that live through the call, or null.
    check(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind, flags, data) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
