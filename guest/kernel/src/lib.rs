//! The unikernel: Linux's system calls at CPL 3.
#![no_std]
#![forbid(unsafe_code)]
