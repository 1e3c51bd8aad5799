//! vsock ports and context identifiers (virtio 1.2 §5.10).

/// The host's context identifier.
pub const HOST_CID: u64 = 2;
/// Every guest's context identifier: a VM has a device of its own, so they need not differ.
pub const GUEST_CID: u64 = 3;

/// Host port of a program's standard input: the guest connects to it and reads to its end.
pub const STDIN: u32 = 1;
/// Host port of standard output.
pub const STDOUT: u32 = 2;
/// Host port of standard error.
pub const STDERR: u32 = 3;
