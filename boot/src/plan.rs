//! The plan itself.

use core::mem::offset_of;

use mayfly_abi::layout::{
    BOOT_INFO, CHANNEL, COMMAND, MEMORY_MIB_MAX, MEMORY_MIB_MIN, PAGE_SIZE, VCPU_PAGE, ram_ranges,
};
use mayfly_abi::{
    BOOT_MAGIC, BootInfo, CpuInfo, DEVICES_MAX, DeviceInfo, KernelHeader, SEED_BYTES, VERSION,
    channel::{Channel, Clock, NO_DEADLINE},
};
use thiserror::Error;
use zerocopy::{FromZeros, IntoBytes};

use crate::command::{Command, CommandError};
use crate::cpu_state::CpuState;
use crate::queues::{DeviceRequest, QueueError};
use crate::upcall::Upcall;
use crate::{page_tables, queues, vcpu_page};

/// Bytes to write at a guest-physical address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub gpa: u64,
    /// What.
    pub bytes: Vec<u8>,
}

/// What the guest is to find.
#[derive(Clone, Debug)]
pub struct Machine {
    /// RAM, bytes.
    pub memory_bytes: u64,
    /// The loaded kernel's header, checked.
    pub kernel: KernelHeader,
    /// Guest-physical address past the kernel image.
    pub kernel_end: u64,
    /// The processor.
    pub cpu: CpuInfo,
    /// Randomness, fresh for each VM.
    pub seed: [u8; SEED_BYTES],
    /// The clock at this moment.
    pub clock: Clock,
    /// Most bytes of files in /tmp.
    pub tmp_bytes_max: u64,
    /// Whether the program's system calls stay traps.
    pub keeps_calls: bool,
    /// The devices, the root disk first.
    pub devices: Vec<DeviceRequest>,
}

/// What to do to boot.
#[derive(Clone, Debug)]
pub struct BootPlan {
    /// Writes into zeroed guest memory, none overlapping.
    pub writes: Vec<Write>,
    /// The vCPU's state.
    pub cpu: CpuState,
    /// How the kernel is called up while a program runs.
    pub upcall: Upcall,
    /// Where the devices' registers and queues are.
    pub devices: [DeviceInfo; DEVICES_MAX],
}

/// Why a machine cannot be booted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BootError {
    /// Memory out of range.
    #[error("{0} MiB of memory: a guest has between {MEMORY_MIB_MIN} and {MEMORY_MIB_MAX} MiB")]
    Memory(u64),
    /// The kernel leaves no room.
    #[error(
        "the kernel ends at {kernel_end:#x}, and the guest's memory at {memory_end:#x}: nothing is left"
    )]
    NoRoom {
        /// Past the kernel.
        kernel_end: u64,
        /// Past the RAM.
        memory_end: u64,
    },
    /// See [`CommandError`].
    #[error(transparent)]
    Command(#[from] CommandError),
    /// See [`QueueError`].
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Plans a boot.
pub fn plan(machine: &Machine, command: &Command) -> Result<BootPlan, BootError> {
    let mib = machine.memory_bytes >> 20;
    if !(MEMORY_MIB_MIN..=MEMORY_MIB_MAX).contains(&mib) {
        return Err(BootError::Memory(mib));
    }
    let free_start = machine.kernel_end.next_multiple_of(PAGE_SIZE);
    let memory_end = ram_ranges(machine.memory_bytes)[0].1;
    if free_start >= memory_end {
        return Err(BootError::NoRoom { kernel_end: free_start, memory_end });
    }
    let mounts = command.places()?;
    let (strings, command) = command.encode()?;
    let devices = queues::place(&machine.devices)?;
    let info = BootInfo {
        magic: BOOT_MAGIC,
        version: VERSION,
        size: size_of::<BootInfo>() as u32,
        memory_bytes: machine.memory_bytes,
        free_start,
        tmp_bytes_max: machine.tmp_bytes_max,
        switches: if machine.keeps_calls { BootInfo::KEEP_CALLS } else { 0 },
        seed: machine.seed,
        cpu: machine.cpu,
        command,
        mounts,
        devices,
    };
    let mut writes = vec![
        Write { gpa: VCPU_PAGE, bytes: vcpu_page::build(&machine.kernel) },
        Write { gpa: BOOT_INFO, bytes: info.as_bytes().to_vec() },
        Write { gpa: CHANNEL, bytes: channel(machine.clock) },
        Write { gpa: COMMAND, bytes: strings },
    ];
    writes.extend(page_tables::build(machine.memory_bytes));
    let upcall = Upcall::new(&machine.kernel);
    Ok(BootPlan { writes, cpu: CpuState::at(machine.kernel.entry), upcall, devices })
}

/// The channel's first bytes; the rest is zero.
fn channel(clock: Clock) -> Vec<u8> {
    let start = Channel {
        clock,
        deadline_ns: NO_DEADLINE,
        upcall_ns: NO_DEADLINE,
        armed_ns: NO_DEADLINE,
        ..Channel::new_zeroed()
    };
    start.as_bytes()[..offset_of!(Channel, marks)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn machine(mib: u64) -> Machine {
        Machine {
            memory_bytes: mib << 20,
            kernel: KernelHeader::new_zeroed(),
            kernel_end: 0x30_0001,
            cpu: CpuInfo::default(),
            seed: [7; SEED_BYTES],
            clock: Clock::default(),
            tmp_bytes_max: 0,
            keeps_calls: false,
            devices: vec![],
        }
    }

    fn command() -> Command {
        Command { program: b"/bin/true".to_vec(), ..Command::default() }
    }

    #[test]
    fn writes_do_not_overlap_and_stay_below_the_kernel() {
        let plan = plan(&machine(MEMORY_MIB_MAX), &command()).unwrap();
        let mut ranges: Vec<(u64, u64)> =
            plan.writes.iter().map(|w| (w.gpa, w.gpa + w.bytes.len() as u64)).collect();
        ranges.sort_unstable();
        for pair in ranges.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:x?}");
        }
        assert!(ranges.last().unwrap().1 <= mayfly_abi::layout::KERNEL_LOAD);
    }

    #[test]
    fn memory_has_bounds() {
        assert_eq!(plan(&machine(0), &command()).unwrap_err(), BootError::Memory(0));
        assert_eq!(plan(&machine(1 << 40), &command()).unwrap_err(), BootError::Memory(1 << 40));
        let mut fat = machine(16);
        fat.kernel_end = 16 << 20;
        assert!(matches!(plan(&fat, &command()), Err(BootError::NoRoom { .. })));
    }
}
