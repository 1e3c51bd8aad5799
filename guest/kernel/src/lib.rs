//! The unikernel: Linux's system calls at CPL 3, for the one program it runs.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod errno;
pub mod fs;
