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

/// Host port of the Lambda runtime API (AWS_LAMBDA_RUNTIME_API).
pub const RUNTIME_API: u32 = 9001;
/// Host port of the platform's own API (AWS_ENDPOINT_URL).
pub const PLATFORM_API: u32 = 9002;

/// A TCP address in the guest that is a stream to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostService {
    /// The IPv4 address.
    pub address: [u8; 4],
    /// The TCP port.
    pub tcp_port: u16,
    /// The host's vsock port.
    pub port: u32,
}

/// The host's services. A program that listens at such an address itself hides the service.
pub const HOST_SERVICES: [HostService; 2] = [
    HostService { address: [127, 0, 0, 1], tcp_port: 9001, port: RUNTIME_API },
    HostService { address: [127, 0, 0, 1], tcp_port: 9002, port: PLATFORM_API },
];
