//! What goes on, for whoever watches.

use std::io::{self, IsTerminal, Write};

/// A line on stderr that says what goes on, where a person sees it, and goes away at the end.
pub struct Progress {
    is_seen: bool,
}

impl Progress {
    /// One on stderr, where that is a terminal.
    pub fn to_stderr() -> Progress {
        Progress { is_seen: io::stderr().is_terminal() }
    }

    /// One that says nothing.
    pub fn silent() -> Progress {
        Progress { is_seen: false }
    }

    /// Says what goes on now, in place of what was said before.
    pub fn says(&self, what: &str) {
        if self.is_seen {
            let _ = write!(io::stderr(), "\r\x1b[K{what} …");
        }
    }

    /// Takes the line away.
    pub fn ends(&self) {
        if self.is_seen {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ends();
    }
}
