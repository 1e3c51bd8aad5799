//! Device registers misused (virtio 1.2 §4.2.2): odd sizes, odd places, resets and queues set up anew.

use core::arch::asm;

use mayfly_abi::layout::{DIRECT_MAP, LARGE_PAGE_SIZE, MMIO_HOLE, MMIO_STRIDE, PAGE_TABLES};
use mayfly_hal::boot::Boot;
use mayfly_hal::channel::kick;

use crate::memory::{SCRATCH, end};
use crate::unknown;

/// Offsets of the registers that scenarios write.
mod register {
    pub const DRIVER_FEATURES: u64 = 0x20;
    pub const DRIVER_FEATURES_SELECT: u64 = 0x24;
    pub const QUEUE_SELECT: u64 = 0x30;
    pub const QUEUE_SIZE: u64 = 0x38;
    pub const QUEUE_READY: u64 = 0x44;
    pub const QUEUE_NOTIFY: u64 = 0x50;
    pub const STATUS: u64 = 0x70;
    pub const QUEUE_DESCRIPTORS: u64 = 0x80;
    pub const QUEUE_AVAILABLE: u64 = 0x90;
    pub const QUEUE_USED: u64 = 0xa0;
}

/// ACKNOWLEDGE, DRIVER, FEATURES_OK, and DRIVER_OK on top.
const FEATURES_OK: u32 = 0xb;
const DRIVER_OK: u32 = 0xf;

/// The devices: the root disk and the streams.
const DEVICES: [u64; 2] = [MMIO_HOLE, MMIO_HOLE + MMIO_STRIDE];

/// Misuses both devices' registers as `how` says.
pub fn run(boot: &Boot, how: &str) {
    let (ram, good) = (end(boot), [SCRATCH, SCRATCH + 0x4000, SCRATCH + 0x8000]);
    match how {
        "odd" => DEVICES.into_iter().for_each(odd_accesses),
        "nowhere" => nowhere(),
        "reset" => {
            DEVICES.into_iter().for_each(|device| write(device, register::STATUS, 0));
            kick();
        }
        "reset-notify" => {
            write(DEVICES[0], register::STATUS, 0);
            write(DEVICES[0], register::QUEUE_NOTIFY, 0);
        }
        "notify-nobody" => write(DEVICES[1], register::QUEUE_NOTIFY, 7),
        "notify-absurd" => write(DEVICES[0], register::QUEUE_NOTIFY, u32::MAX),
        "half-reset" => {
            for device in DEVICES {
                write(device, register::STATUS, 0);
                write(device, register::STATUS, DRIVER_OK);
                write(device, register::QUEUE_READY, 1);
            }
            kick();
        }
        "again" => set_up(256, good),
        "size-0" => set_up(0, good),
        "size-odd" => set_up(3, good),
        "size-absurd" => set_up(1 << 31, good),
        "misaligned" => set_up(64, [SCRATCH + 1, SCRATCH + 0x4001, SCRATCH + 0x8001]),
        "outside" => set_up(64, [ram, ram + 0x1000, ram + 0x2000]),
        "beyond" => set_up(64, [u64::MAX - 0xf; 3]),
        "hole" => set_up(64, [MMIO_HOLE; 3]),
        "one-place" => set_up(64, [SCRATCH; 3]),
        "page-tables" => set_up(64, [SCRATCH, SCRATCH + 0x4000, PAGE_TABLES]),
        "null" => set_up(64, [0; 3]),
        _ => unknown(how),
    }
}

/// Loads and stores of every width at every offset, aligned or not, but for what a whole word would mean.
fn odd_accesses(device: u64) {
    for offset in 0..0x120 {
        for width in [1, 2, 4, 8] {
            load(device + offset, width);
        }
        for width in [1, 2, 8] {
            store(device + offset, width, u64::MAX);
        }
    }
}

/// Words where no device is, and accesses across the windows' borders.
fn nowhere() {
    for gpa in [
        MMIO_HOLE + MMIO_STRIDE - 4,
        MMIO_HOLE + MMIO_STRIDE - 3,
        MMIO_HOLE + 2 * MMIO_STRIDE - 1,
        MMIO_HOLE + 2 * MMIO_STRIDE,
        MMIO_HOLE + 7 * MMIO_STRIDE + 0x70,
        MMIO_HOLE + LARGE_PAGE_SIZE - 8,
    ] {
        load(gpa, 4);
        load(gpa, 8);
        store(gpa, 4, u64::MAX);
        store(gpa, 8, u64::MAX);
    }
}

/// Resets the disk and gives it a queue of this size at these places: table, available ring, used ring.
fn set_up(size: u32, places: [u64; 3]) {
    let device = DEVICES[0];
    write(device, register::STATUS, 0);
    // VERSION_1 is bit 32.
    write(device, register::DRIVER_FEATURES_SELECT, 1);
    write(device, register::DRIVER_FEATURES, 1);
    write(device, register::STATUS, FEATURES_OK);
    write(device, register::QUEUE_SELECT, 0);
    write(device, register::QUEUE_SIZE, size);
    let registers = [register::QUEUE_DESCRIPTORS, register::QUEUE_AVAILABLE, register::QUEUE_USED];
    for (at, place) in registers.into_iter().zip(places) {
        write(device, at, place as u32);
        write(device, at + 4, (place >> 32) as u32);
    }
    write(device, register::QUEUE_READY, 1);
    write(device, register::STATUS, DRIVER_OK);
    write(device, register::QUEUE_NOTIFY, 0);
    kick();
}

fn write(device: u64, register: u64, value: u32) {
    store(device + register, 4, value.into());
}

fn load(gpa: u64, width: u8) {
    let at = DIRECT_MAP + gpa;
    // SAFETY: the address is in the direct map; what is loaded is dropped.
    unsafe {
        match width {
            1 => asm!("mov al, [{}]", in(reg) at, out("al") _),
            2 => asm!("mov ax, [{}]", in(reg) at, out("ax") _),
            4 => asm!("mov eax, [{}]", in(reg) at, out("eax") _),
            _ => asm!("mov rax, [{}]", in(reg) at, out("rax") _),
        }
    }
}

fn store(gpa: u64, width: u8, value: u64) {
    let at = DIRECT_MAP + gpa;
    // SAFETY: the address is in the direct map, past all RAM.
    unsafe {
        match width {
            1 => asm!("mov [{}], al", in(reg) at, in("rax") value),
            2 => asm!("mov [{}], ax", in(reg) at, in("rax") value),
            4 => asm!("mov [{}], eax", in(reg) at, in("rax") value),
            _ => asm!("mov [{}], rax", in(reg) at, in("rax") value),
        }
    }
}
