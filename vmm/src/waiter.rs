//! Sleeps until a descriptor is ready or a moment has come: epoll, by way of event-manager.
//!
//! Most guests end before they ever sleep, so the descriptors that this takes are made at the first use.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use event_manager::{
    EventManager, EventOps, Events, MutEventSubscriber, SubscriberId, SubscriberOps,
};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::timerfd::TimerFd;

/// What may end a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// The control socket.
    Control,
    /// The moment.
    Deadline,
    /// The host's end of a stream, by its index.
    Stream(usize),
}

/// Something that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What.
    pub token: Token,
    /// It has data, has ended, or has failed.
    pub read: bool,
    /// It has room, or has failed.
    pub write: bool,
}

/// What to watch.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// To be told when it is ready.
    pub token: Token,
    /// The descriptor.
    pub descriptor: BorrowedFd<'a>,
    /// Wait for data.
    pub read: bool,
    /// Wait for room.
    pub write: bool,
}

/// The event loop and its timer.
pub struct Waiter {
    manager: EventManager<Collector>,
    collector: SubscriberId,
    timer: TimerFd,
    /// The timer is set, or has rung.
    is_set: bool,
    watched: HashMap<RawFd, (Token, EventSet)>,
}

/// Events handled in one go; the rest come next time.
const EVENTS_MAX: usize = 64;

impl Waiter {
    /// An event loop that watches nothing.
    ///
    /// # Errors
    /// What the host says.
    pub fn new() -> io::Result<Waiter> {
        let mut manager = EventManager::new_with_capacity(EVENTS_MAX).map_err(io::Error::other)?;
        let collector = manager.add_subscriber(Collector::default());
        let timer = TimerFd::new().map_err(|error| io::Error::from_raw_os_error(error.errno()))?;
        let mut waiter =
            Waiter { manager, collector, timer, is_set: false, watched: HashMap::new() };
        waiter.set(waiter.timer.as_raw_fd(), Token::Deadline, EventSet::IN)?;
        Ok(waiter)
    }

    /// Sleeps until something in `watches` is ready or `after` has passed, and says what.
    ///
    /// # Errors
    /// What the host says.
    pub fn wait(
        &mut self,
        watches: &[Watch<'_>],
        after: Option<Duration>,
    ) -> io::Result<Vec<Ready>> {
        self.watch_only(watches)?;
        if after.is_some_and(|after| after.is_zero()) {
            self.manager.run_with_timeout(0).map_err(io::Error::other)?;
        } else {
            self.set_timer(after)?;
            self.manager.run().map_err(io::Error::other)?;
        }
        let collector = self.manager.subscriber_mut(self.collector).map_err(io::Error::other)?;
        let ready = std::mem::take(&mut collector.ready);
        let known = |(fd, set): (RawFd, EventSet)| {
            let (token, _) = *self.watched.get(&fd)?;
            let failed = set.intersects(EventSet::ERROR | EventSet::HANG_UP);
            let read = failed || set.intersects(EventSet::IN | EventSet::READ_HANG_UP);
            Some(Ready { token, read, write: failed || set.contains(EventSet::OUT) })
        };
        Ok(ready.into_iter().filter_map(known).collect())
    }

    /// Sets the timer, or sees that it does not ring.
    fn set_timer(&mut self, after: Option<Duration>) -> io::Result<()> {
        let done = match after {
            Some(after) => self.timer.reset(after, None),
            None if self.is_set => self.timer.clear(),
            None => Ok(()),
        };
        self.is_set = after.is_some();
        done.map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    /// Registers what is in `watches` and nothing else: interests are level-triggered, so one that nobody
    /// serves would turn the sleep into a spin.
    fn watch_only(&mut self, watches: &[Watch<'_>]) -> io::Result<()> {
        let timer = self.timer.as_raw_fd();
        let is_wanted = |fd| watches.iter().any(|watch| watch.descriptor.as_raw_fd() == fd);
        let idle: Vec<RawFd> =
            self.watched.keys().copied().filter(|&fd| fd != timer && !is_wanted(fd)).collect();
        for fd in idle {
            self.ops()?.remove(Events::empty_raw(fd)).map_err(io::Error::other)?;
            self.watched.remove(&fd);
        }
        for watch in watches {
            let mut set = EventSet::empty();
            set.set(EventSet::IN, watch.read);
            set.set(EventSet::OUT, watch.write);
            self.set(watch.descriptor.as_raw_fd(), watch.token, set)?;
        }
        Ok(())
    }

    fn set(&mut self, fd: RawFd, token: Token, set: EventSet) -> io::Result<()> {
        let events = Events::new_raw(fd, set);
        match self.watched.insert(fd, (token, set)) {
            Some((_, before)) if before == set => Ok(()),
            Some(_) => self.ops()?.modify(events).map_err(io::Error::other),
            None => self.ops()?.add(events).map_err(io::Error::other),
        }
    }

    fn ops(&mut self) -> io::Result<EventOps<'_>> {
        self.manager.event_ops(self.collector).map_err(io::Error::other)
    }
}

/// Notes what is ready, and leaves the work to whoever asked.
#[derive(Default)]
struct Collector {
    ready: Vec<(RawFd, EventSet)>,
}

impl MutEventSubscriber for Collector {
    fn process(&mut self, events: Events, _: &mut EventOps<'_>) {
        self.ready.push((events.fd(), events.event_set()));
    }

    fn init(&mut self, _: &mut EventOps<'_>) {}
}
