//! Reads the serial console: which of its bytes are the lane's own words, and which a job's output.
//!
//! ```text
//!   SeaBIOS, the kernel's messages …                  ignored (kept in the log)
//!   <nonce> ready 6.1.0-50-cloud-amd64                Ready
//!   <nonce> begin kvm_api                             Begin
//!   test boots ... ok                                 Output
//!   <nonce> end kvm_api 0                             End
//!   <nonce> done                                      Done
//! ```
//!
//! A kernel message may cut into any line but the lane's own, which stand between two newlines.

/// A line longer than this is cut: a job's output must not fill the host's memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What the console said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The lane's user space is up, under this kernel version.
    Ready(String),
    /// The job of this name starts.
    Begin(String),
    /// A line of the running job's output, without control characters.
    Output(String),
    /// The job of this name ended, with this exit status.
    End(String, u8),
    /// Every job has run.
    Done,
}

/// The console's reader: bytes in, events out.
pub struct Console {
    nonce: String,
    line: Vec<u8>,
    is_in_job: bool,
}

impl Console {
    /// A reader that believes only lines with this nonce.
    pub fn new(nonce: &str) -> Self {
        Self { nonce: nonce.to_owned(), line: Vec::new(), is_in_job: false }
    }

    /// Takes the next bytes of the console.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte == b'\n' || self.line.len() == LINE_BYTES_MAX {
                events.extend(self.end_of_line());
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        events
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let line = clean(&self.line);
        self.line.clear();
        if let Some(words) = line.strip_prefix(&self.nonce) {
            let event = parse(words.trim())?;
            self.is_in_job = matches!(event, Event::Begin(_));
            return Some(event);
        }
        (self.is_in_job && !line.is_empty()).then_some(Event::Output(line))
    }
}

fn parse(words: &str) -> Option<Event> {
    let mut words = words.split_ascii_whitespace();
    let event = match words.next()? {
        "ready" => Event::Ready(words.next()?.to_owned()),
        "begin" => Event::Begin(words.next()?.to_owned()),
        "end" => Event::End(words.next()?.to_owned(), words.next()?.parse().ok()?),
        "done" => Event::Done,
        _ => return None,
    };
    words.next().is_none().then_some(event)
}

/// A line without what would move the cursor of the terminal it is shown on.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123abcd";

    fn read(chunks: &[&str]) -> Vec<Event> {
        let mut console = Console::new(NONCE);
        chunks.iter().flat_map(|chunk| console.feed(chunk.as_bytes())).collect()
    }

    #[test]
    fn a_whole_run_in_odd_pieces() {
        let events = read(&[
            "SeaBIOS\x1b[2J\r\n[    0.1] Linux\r\n\r\n0123ab",
            "cd ready 6.1.0\r\n\r\n0123abcd begin kvm_api\r\ntest boots",
            " ... ok\r\n\r\n0123abcd end kvm_api 0\r\n[ 3.0] noise\r\n0123abcd done\r\n",
        ]);
        assert_eq!(
            events,
            [
                Event::Ready("6.1.0".into()),
                Event::Begin("kvm_api".into()),
                Event::Output("test boots ... ok".into()),
                Event::End("kvm_api".into(), 0),
                Event::Done,
            ]
        );
    }

    #[test]
    fn a_job_cannot_speak_for_the_lane() {
        let events = read(&["0123abcd begin a\nend a 0\nfeedface end a 0\n 0123abcd done\n"]);
        assert_eq!(events.len(), 4);
        assert!(events[1..].iter().all(|event| matches!(event, Event::Output(_))), "{events:?}");
    }

    #[test]
    fn a_malformed_word_of_the_lane_is_no_event() {
        assert_eq!(read(&["0123abcd end a 256\n0123abcd end a\n0123abcd x\n0123abcd\n"]), []);
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let mut console = Console::new(NONCE);
        console.feed(b"0123abcd begin a\n");
        let events = console.feed(&vec![b'x'; 3 * LINE_BYTES_MAX]);
        assert_eq!(events.len(), 2);
        assert!(console.line.len() <= LINE_BYTES_MAX);
    }
}
