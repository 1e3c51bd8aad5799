//! System calls: the dispatch, and what every handler has at hand.
//!
//! ```text
//!   Trap::SystemCall ─▶ dispatch(number) ─▶ handler(&mut Call) ─▶ Ok(value)       into RAX
//!                                                               ─▶ Stop::Errno     −errno into RAX
//!                                                               ─▶ Stop::Wait, Sleep   parked; made again later
//!                                                               ─▶ Stop::Exit …    the scheduler's
//! ```
//!
//! A handler never blocks. One that would have to wait says so and is called again, from its start, when
//! something has happened; [`crate::thread::Pending`] remembers what it must not do twice.

#[cfg(feature = "bare-metal")]
mod call;
#[cfg(feature = "bare-metal")]
mod capabilities;
#[cfg(feature = "bare-metal")]
mod clock_id;
#[cfg(feature = "bare-metal")]
pub mod clone;
#[cfg(feature = "bare-metal")]
mod control;
#[cfg(feature = "bare-metal")]
mod control_message;
#[cfg(feature = "bare-metal")]
mod copy;
#[cfg(feature = "bare-metal")]
mod credentials;
#[cfg(feature = "bare-metal")]
mod directory;
#[cfg(feature = "bare-metal")]
mod epoll;
#[cfg(feature = "bare-metal")]
mod event;
#[cfg(feature = "bare-metal")]
mod file;
#[cfg(feature = "bare-metal")]
mod file_size;
#[cfg(feature = "bare-metal")]
mod fork;
#[cfg(feature = "bare-metal")]
mod futex;
#[cfg(feature = "bare-metal")]
mod futex_pi;
#[cfg(feature = "bare-metal")]
pub mod identity;
#[cfg(feature = "bare-metal")]
mod inotify;
#[cfg(feature = "bare-metal")]
mod interface;
#[cfg(feature = "bare-metal")]
mod locks;
#[cfg(feature = "bare-metal")]
mod memory;
#[cfg(feature = "bare-metal")]
mod message;
#[cfg(feature = "bare-metal")]
mod metadata;
#[cfg(feature = "bare-metal")]
mod openat2;
#[cfg(feature = "bare-metal")]
mod owner;
#[cfg(feature = "bare-metal")]
mod pidfd;
#[cfg(feature = "bare-metal")]
mod poll;
#[cfg(feature = "bare-metal")]
mod prctl;
#[cfg(feature = "bare-metal")]
mod priority;
#[cfg(feature = "bare-metal")]
mod process;
#[cfg(feature = "bare-metal")]
mod process_vm;
#[cfg(feature = "bare-metal")]
mod sched;
#[cfg(feature = "bare-metal")]
mod shm;
#[cfg(feature = "bare-metal")]
mod signalfd;
#[cfg(feature = "bare-metal")]
mod signals;
#[cfg(feature = "bare-metal")]
mod socket;
#[cfg(feature = "bare-metal")]
mod sockopt;
#[cfg(feature = "bare-metal")]
mod splice;
#[cfg(feature = "bare-metal")]
mod stat;
#[cfg(feature = "bare-metal")]
mod storage;
#[cfg(feature = "bare-metal")]
mod system;
pub mod table;
#[cfg(feature = "bare-metal")]
mod target;
#[cfg(feature = "bare-metal")]
mod terminal;
#[cfg(feature = "bare-metal")]
mod time;
#[cfg(feature = "bare-metal")]
mod timer;
#[cfg(feature = "bare-metal")]
mod transfer;
#[cfg(feature = "bare-metal")]
mod wait;
#[cfg(feature = "bare-metal")]
mod xattr;

#[cfg(feature = "bare-metal")]
pub use call::{Call, CallResult, Stop, dispatch};
