//! The guest's drivers and the host's devices, joined: they must agree about every byte of virtio.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

#[path = "virtio_pair/disk.rs"]
mod disk;
#[path = "virtio_pair/rig.rs"]
mod rig;
#[path = "virtio_pair/schedules.rs"]
mod schedules;
#[path = "virtio_pair/streams.rs"]
mod streams;
#[path = "virtio_pair/wild_device.rs"]
mod wild_device;
