//! Every byte that two sides must agree on: the VMM and the guest kernel, the VMM and the process
//! that started it, the writer of an image and its reader.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "control")]
extern crate alloc;

mod boot_info;
pub mod channel;
#[cfg(feature = "control")]
pub mod control;
pub mod erofs;
mod kernel_header;
pub mod layout;
pub mod ports;
pub mod vcpu_page;

pub use boot_info::*;
pub use channel::Channel;
pub use kernel_header::*;
