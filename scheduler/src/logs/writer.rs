//! The thread that writes the logs: each function's turn is one buffer long, however much it prints.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::log::Log;

/// How long lines are gathered: a burst becomes one write. A platform that is killed loses as much.
const GATHERING: Duration = Duration::from_millis(10);

/// Starts it. Each log that comes is written once; the thread ends with the last sender.
pub(super) fn start() -> io::Result<mpsc::Sender<Arc<Log>>> {
    let (sender, queue) = mpsc::channel::<Arc<Log>>();
    thread::Builder::new().name("log writer".into()).spawn(move || {
        while let Ok(first) = queue.recv() {
            thread::sleep(GATHERING);
            first.write_out();
            for log in queue.try_iter() {
                log.write_out();
            }
        }
    })?;
    Ok(sender)
}
