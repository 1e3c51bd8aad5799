//! Virtio devices as pure state machines.
#![forbid(unsafe_code)]
