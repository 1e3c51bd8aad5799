//! What the VMM tells the kernel about the machine, at [`crate::layout::BOOT_INFO`].
//!
//! The kernel probes nothing: devices are already negotiated and their queues placed, the processor's
//! features are listed (on a software KVM the bare `cpuid` shows the host's), and the clock is in the
//! channel. All fields are little-endian, as the processor is.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// "MayflyBI", read as a little-endian number.
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"MayflyBI");
/// Version of everything in this crate that guest and VMM share. Both sides refuse any other.
pub const VERSION: u32 = 3;
/// Most devices that one guest has.
pub const DEVICES_MAX: usize = 8;
/// Most file systems that are mounted besides the root: a function's code, its layers, and room.
pub const MOUNTS_MAX: usize = 8;
/// Most queues of a device: virtio-vsock's three.
pub const DEVICE_QUEUES_MAX: usize = 3;
/// Bytes of randomness that a guest gets at boot.
pub const SEED_BYTES: usize = 64;

/// A queue that the boot plan has placed (virtio 1.2 §2.7). Size 0: there is none.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QueueInfo {
    /// Entries in the queue, a power of two.
    pub size: u64,
    /// Guest-physical address of the descriptor table.
    pub descriptors: u64,
    /// … of the available ring (the driver area).
    pub available: u64,
    /// … of the used ring (the device area).
    pub used: u64,
}

/// A device that is ready for use (DRIVER_OK is set).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeviceInfo {
    /// Virtio device type (virtio 1.2 §5): 2 is block, 19 is vsock. 0: an unused entry.
    pub kind: u64,
    /// Guest-physical address of the register window (virtio 1.2 §4.2.2).
    pub registers: u64,
    /// The negotiated feature bits.
    pub features: u64,
    /// The first words of the device's configuration space: a block device's capacity in sectors of
    /// 512 bytes; a vsock device's guest CID.
    pub config: u64,
    /// The queues, in the order of the device's specification.
    pub queues: [QueueInfo; DEVICE_QUEUES_MAX],
}

/// What the processor can do, as the VMM found it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CpuInfo {
    /// XCR0 as the VMM set it: which state components XSAVE covers (AMD APM vol 2 §11.5.2).
    pub xcr0: u64,
    /// Bytes of an XSAVE area for that XCR0, standard format.
    pub xsave_bytes: u32,
    /// CPUID 1 EDX: a program finds it in AT_HWCAP.
    pub hwcap: u32,
    /// AT_HWCAP2: bit 1 says that FSGSBASE may be used (Linux asm/hwcap2.h).
    pub hwcap2: u32,
    /// Bit set of [`CpuInfo::RDRAND`] and its like.
    pub features: u32,
    /// Frequency of the time-stamp counter, kHz.
    pub tsc_khz: u64,
    /// The processor's brand, padded with NUL (CPUID 8000_0002h to 4), for /proc/cpuinfo.
    pub brand: [[u8; 16]; 3],
}

impl CpuInfo {
    /// [`CpuInfo::features`]: RDRAND exists.
    pub const RDRAND: u32 = 1;
    /// [`CpuInfo::features`]: XSAVEOPT exists.
    pub const XSAVEOPT: u32 = 2;
}

/// The program to run: a block of strings at `gpa`, each ended by NUL: first the program's file, then
/// `argc` arguments, `envc` variables, the working directory, and the path of each of
/// [`BootInfo::mounts`]. A file without a slash is looked for in the environment's PATH.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CommandInfo {
    /// Guest-physical address of the strings.
    pub gpa: u64,
    /// Bytes of all strings, NULs included.
    pub len: u32,
    /// Number of arguments, the program's name for itself (argv[0]) among them.
    pub argc: u32,
    /// Number of environment variables.
    pub envc: u32,
    /// Bit n: standard stream n is a terminal.
    pub terminals: u32,
}

/// A file system image on the root disk, behind the root image. Length 0: an unused entry.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MountInfo {
    /// First byte on the disk, a multiple of [`crate::layout::PAGE_SIZE`].
    pub offset: u64,
    /// Bytes, a multiple of the same.
    pub len: u64,
}

/// Everything the kernel needs to know at its first instruction. RDI holds its address then.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BootInfo {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// Bytes in this structure.
    pub size: u32,
    /// Bytes of RAM, placed as [`crate::layout::ram_ranges`] says.
    pub memory_bytes: u64,
    /// First guest-physical address past the kernel image: RAM from here on is zero and unused.
    pub free_start: u64,
    /// Most bytes that files in /tmp may take.
    pub tmp_bytes_max: u64,
    /// Bit set of [`BootInfo::KEEP_CALLS`] and its like.
    pub switches: u64,
    /// Randomness from the host, different for each VM.
    pub seed: [u8; SEED_BYTES],
    /// The processor.
    pub cpu: CpuInfo,
    /// The program.
    pub command: CommandInfo,
    /// What to mount, in this order, where the command's strings say.
    pub mounts: [MountInfo; MOUNTS_MAX],
    /// The devices; the block device of the root image comes first.
    pub devices: [DeviceInfo; DEVICES_MAX],
}

impl BootInfo {
    /// [`BootInfo::switches`]: leave the program's system calls as they are; do not make them jumps.
    pub const KEEP_CALLS: u64 = 1;
}

const _: () = assert!(size_of::<BootInfo>() <= crate::layout::PAGE_SIZE as usize);
