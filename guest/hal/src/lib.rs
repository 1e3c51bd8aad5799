//! The guest kernel's unsafe: CPU, memory, ports.
#![no_std]
