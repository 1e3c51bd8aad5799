//! Messages between the process that starts a VM and the VM's own process (`mayfly vmm`).
//!
//! ```text
//!  starter                                    mayfly vmm
//!     │  Start(VmSpec) + descriptors  ──────────▶ │
//!     │                                           │ … the guest runs …
//!     │ ◀──────────── Connect { request, port }   │ it connects to a service of `VmSpec::services`
//!     │  Accept { request } + descriptor ───────▶ │ … or Refuse { request }
//!     │ ◀────────────────────── Begun { report }  │ its program waits for the first time
//!     │ ◀────────────── Ended { outcome, report } │ exits
//! ```
//!
//! A message is a frame on a Unix stream socket: its length (u32, little-endian), then the value in
//! postcard's encoding. Descriptors travel beside the frame's first byte (SCM_RIGHTS), in the order
//! that the message names them.

use alloc::{boxed::Box, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// Most bytes in one frame: a whole command line and environment, with room to spare.
pub const FRAME_MAX: usize = 1 << 20;
/// Most descriptors that travel with one frame (Linux's SCM_MAX_FD is 253).
pub const DESCRIPTORS_MAX: usize = 64;
/// Most connection requests that await an answer, so that neither side ever waits for room in the socket
/// while the other does. The VM refuses what goes beyond it.
pub const REQUESTS_MAX: usize = 32;

/// What a VM is. Descriptor fields are indices into the descriptors that travel with the message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VmSpec {
    /// RAM, MiB.
    pub memory_mib: u64,
    /// The kernel: `None` is the embedded one, else an ELF file.
    pub kernel: Option<u8>,
    /// The root image, and the images of `mounts` behind it.
    pub root: Disk,
    /// Images to mount, in this order; at most [`crate::MOUNTS_MAX`].
    pub mounts: Vec<Mount>,
    /// The file to run in the image; without a slash, it is looked for in the environment's PATH.
    pub program: Vec<u8>,
    /// Arguments, the program's name for itself first.
    pub argv: Vec<Vec<u8>>,
    /// Environment, each `NAME=value`.
    pub env: Vec<Vec<u8>>,
    /// Absolute working directory in the image.
    pub cwd: Vec<u8>,
    /// Most bytes of files in /tmp.
    pub tmp_bytes_max: u64,
    /// Host descriptors that the guest may connect to: (vsock port, descriptor, what may be done).
    pub streams: Vec<Stream>,
    /// vsock ports of which each further connection is the starter's to grant (see [`FromVmm::Connect`]).
    /// A port that is neither here nor in `streams` is refused.
    pub services: Vec<u32>,
    /// Whether the program's system calls stay traps, where they could be made jumps.
    pub keeps_calls: bool,
    /// Whether the starter wants to hear [`FromVmm::Begun`].
    pub tells_start: bool,
    /// Bit n: standard stream n is a terminal.
    pub terminals: u32,
    /// What KVM_GET_SUPPORTED_CPUID said, where the starter has asked already.
    pub cpuid: Vec<CpuidEntry>,
}

/// One host descriptor that a guest may connect to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Stream {
    /// The vsock port on the host's side.
    pub port: u32,
    /// Index of the descriptor.
    pub descriptor: u8,
    /// Which way bytes flow.
    pub direction: Direction,
}

/// Which way bytes flow between a guest and a host descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The guest reads what the descriptor gives.
    ToGuest,
    /// The descriptor takes what the guest writes.
    FromGuest,
    /// Both.
    Both,
}

/// An image on the root disk that is mounted somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path; what it lacks in the root is shown as empty directories.
    pub path: Vec<u8>,
    /// First byte on the disk, a multiple of 4096.
    pub offset: u64,
    /// Bytes, a multiple of 4096.
    pub len: u64,
}

/// A block device's content: segments in ascending order without gaps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Disk {
    /// The pieces that make up the disk.
    pub segments: Vec<Segment>,
    /// Whether the guest may write; then there is one segment, of a file.
    pub writable: bool,
}

impl Disk {
    /// The same disk, for whoever puts `first` other descriptors before those of its files.
    pub fn behind(&self, first: u8) -> Disk {
        let mut disk = self.clone();
        for segment in &mut disk.segments {
            if let Source::File { descriptor, .. } = &mut segment.source {
                *descriptor = descriptor.saturating_add(first);
            }
        }
        disk
    }

    /// Bytes of all segments.
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// Whether there is nothing on it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A piece of a disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Bytes.
    pub len: u64,
    /// Where they come from.
    pub source: Source,
}

/// Where a disk's bytes come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Source {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file, from `offset`.
    File {
        /// Index of the descriptor.
        descriptor: u8,
        /// Offset in the file, bytes.
        offset: u64,
    },
    /// Zeros.
    Zero,
}

/// One entry of KVM_GET_SUPPORTED_CPUID (`struct kvm_cpuid_entry2`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the processor manuals' own names
pub struct CpuidEntry {
    pub function: u32,
    pub index: u32,
    pub flags: u32,
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// From the starter to the VM's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToVmm {
    /// Build this VM and run it.
    Start(Box<VmSpec>),
    /// The connection is granted: the one descriptor that comes along, a stream socket, is the host's end.
    Accept {
        /// The number that [`FromVmm::Connect`] gave it.
        request: u64,
    },
    /// There is no such connection.
    Refuse {
        /// The number that [`FromVmm::Connect`] gave it.
        request: u64,
    },
}

/// From the VM's process to the starter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromVmm {
    /// The guest connects to a service; it waits for [`ToVmm::Accept`] or [`ToVmm::Refuse`].
    Connect {
        /// A number for the answer, never used twice by one VM.
        request: u64,
        /// The service's vsock port.
        port: u32,
    },
    /// The program has begun, and the guest waits for the first time since: how the boot went. Said once, where
    /// [`VmSpec::tells_start`] asks for it.
    Begun {
        /// As far as it has come.
        report: Report,
    },
    /// The VM is gone.
    Ended {
        /// How.
        outcome: Outcome,
        /// When, and how many exits.
        report: Report,
    },
}

/// How a VM ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The program exited with this status.
    Exited(u8),
    /// This signal killed the program; the message says where.
    Signaled(u8, String),
    /// There is nothing that can be run: no such program, or no program at all; the message is one line.
    NotStarted(String),
    /// Mayfly or the guest's kernel failed; the message is one line.
    Failed(String),
}

/// Moments of a VM's life as CLOCK_MONOTONIC of the host, ns (0: it did not come to that), and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The VM's process reached main.
    pub process_started: u64,
    /// VM and vCPU exist.
    pub kvm_ready: u64,
    /// The first KVM_RUN.
    pub guest_entered: u64,
    /// The guest kernel is set up.
    pub kernel_ready: u64,
    /// The program's first instruction.
    pub user_entered: u64,
    /// The guest said that it is done.
    pub exited: u64,
    /// Resident memory of the VM's process at the end, bytes.
    pub resident_bytes: u64,
    /// Exits to the VMM, by cause.
    pub exits: Exits,
    /// What the guest counted.
    pub guest: GuestCounters,
}

/// Exits to the VMM, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits {
    /// "Serve every queue."
    pub kick: u64,
    /// "Serve every queue, then sleep."
    pub wait: u64,
    /// A device register was read or written.
    pub mmio: u64,
    /// Something outside wanted the VMM's attention.
    pub interrupted: u64,
    /// Anything else, the end among them.
    pub other: u64,
}

impl Exits {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.kick + self.wait + self.mmio + self.interrupted + self.other
    }
}

/// The guest's own counts (see [`crate::channel::Counters`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct GuestCounters {
    pub system_calls: u64,
    pub unknown_calls: u64,
    pub page_faults: u64,
    pub frames: u64,
    pub block_requests: u64,
    pub jumped_calls: u64,
    pub rewritten_sites: u64,
    pub trapping_sites: u64,
}
