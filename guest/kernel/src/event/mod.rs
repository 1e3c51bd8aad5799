//! Descriptors that tell of events: epoll, eventfd, timerfd, signalfd; and the timers that end a sleep.
//!
//! ```text
//!   epoll_wait ─► Epoll ─► each file's poll() and pulse()       files keep no lists of waiters
//!   a kernel entry, a wake-up ─► Timers::expire(now) ─► Timer::expired ─► timerfd is readable, SIGALRM
//!   a thread waits ─► until a device, its own deadline, or Timers::deadline
//! ```

pub mod epoll;
pub mod eventfd;
pub mod pidfd;
pub mod signalfd;
pub mod timer;
pub mod timerfd;
pub mod timers;

pub use epoll::Epoll;
pub use eventfd::EventFd;
pub use pidfd::PidFd;
pub use signalfd::SignalFd;
pub use timer::{Clock, Now, Setting, Subject, Timer};
pub use timerfd::TimerFd;
pub use timers::{Alarm, Due, Notice, Timers};
