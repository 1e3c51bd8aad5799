//! The guest's virtio drivers.
#![no_std]
#![forbid(unsafe_code)]
