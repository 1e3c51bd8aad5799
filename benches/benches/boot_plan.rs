//! The boot plan: what it takes to decide what a guest finds, beside copying as many bytes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mayfly_abi::channel::Clock;
use mayfly_abi::layout::{DIRECT_MAP, KERNEL_LOAD};
use mayfly_abi::{CpuInfo, KERNEL_MAGIC, KernelHeader, SEED_BYTES, VERSION};
use mayfly_boot::{Command, DeviceRequest, Machine, plan};

fn machine(mib: u64) -> Machine {
    let inside = DIRECT_MAP + KERNEL_LOAD + 0x100;
    Machine {
        memory_bytes: mib << 20,
        kernel: KernelHeader {
            magic: KERNEL_MAGIC,
            version: VERSION.into(),
            entry: inside,
            syscall: inside,
            page_fault: inside,
            exception: inside,
            privileged_step: inside,
            end: inside,
        },
        kernel_end: KERNEL_LOAD + 0x8_0000,
        cpu: CpuInfo::default(),
        seed: [7; SEED_BYTES],
        clock: Clock::default(),
        tmp_bytes_max: 64 << 20,
        keeps_calls: false,
        devices: vec![
            DeviceRequest { kind: 2, features: 0, config: 4096, queue_sizes: vec![32] },
            DeviceRequest { kind: 19, features: 0, config: 3, queue_sizes: vec![64, 32, 4] },
        ],
    }
}

fn command() -> Command {
    Command {
        program: b"/bin/hello".to_vec(),
        argv: vec![b"hello".to_vec()],
        env: vec![b"PATH=/bin".to_vec()],
        cwd: b"/".to_vec(),
        terminals: 0,
        mounts: vec![],
    }
}

fn boot_plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("boot_plan");
    for mib in [128, 4096] {
        let machine = machine(mib);
        let command = command();
        let writes = plan(&machine, &command).expect("a valid machine").writes;
        let bytes: usize = writes.iter().map(|write| write.bytes.len()).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("plan, {mib} MiB guest"), |bencher| {
            bencher.iter(|| plan(black_box(&machine), black_box(&command)));
        });
        let mut memory = vec![0u8; bytes];
        group.bench_function(
            format!("floor: copying its {bytes} bytes, {mib} MiB guest"),
            |bencher| {
                bencher.iter(|| {
                    let mut at = 0;
                    for write in black_box(&writes) {
                        memory[at..at + write.bytes.len()].copy_from_slice(&write.bytes);
                        at += write.bytes.len();
                    }
                    black_box(&mut memory);
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, boot_plan);
criterion_main!(benches);
