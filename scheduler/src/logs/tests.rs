//! Logs from what is printed to what is read.

use super::*;

/// Messages of a function's log.
fn read(logs: &Logs, function: &str) -> Vec<String> {
    let mut found = Vec::new();
    let seen = logs.scan(function, Position::default(), |event| {
        found.push(String::from_utf8_lossy(event.message).into_owned());
        ControlFlow::Continue(())
    });
    assert!(seen.unwrap().is_some(), "there is a log");
    found
}

#[test]
fn lines_are_whole_however_they_come() {
    let data = tempfile::tempdir().unwrap();
    let logs = Logs::open(data.path()).unwrap();
    let mut stream = logs.stream("f", "s".into());
    for piece in ["a", "b\nc\n", "\n", "d", "", "e\nf"] {
        stream.print(piece.as_bytes());
    }
    assert_eq!(read(&logs, "f"), ["ab", "c", "", "de"]);
    stream.say("END\nREPORT\n");
    assert_eq!(read(&logs, "f"), ["ab", "c", "", "de", "f", "END", "REPORT"]);
    assert_eq!(stream.take_tail(), b"ab\nc\n\nde\nf\nEND\nREPORT\n");
    assert!(stream.take_tail().is_empty());
    stream.print(b"last words");
    drop(stream);
    assert_eq!(read(&logs, "f").last().unwrap(), "last words");
}

#[test]
fn a_line_without_an_end_is_cut() {
    let data = tempfile::tempdir().unwrap();
    let logs = Logs::open(data.path()).unwrap();
    let mut stream = logs.stream("f", "s".into());
    for _ in 0..5 {
        stream.print(&vec![b'x'; LINE_BYTES_MAX / 2]);
    }
    stream.print(b"\n");
    let lens: Vec<usize> = read(&logs, "f").iter().map(String::len).collect();
    assert_eq!(lens, [LINE_BYTES_MAX, LINE_BYTES_MAX, LINE_BYTES_MAX / 2]);
}

#[test]
fn a_tail_is_the_end() {
    let data = tempfile::tempdir().unwrap();
    let logs = Logs::open(data.path()).unwrap();
    let mut stream = logs.stream("f", "s".into());
    stream.print(b"first");
    stream.print(&[b'y'; 5000]);
    stream.print(b"last");
    let tail = stream.take_tail();
    assert_eq!(tail.len(), TAIL_BYTES_MAX);
    assert!(tail.ends_with(b"ylast"));
}

#[test]
fn a_log_survives_a_restart_and_damage() {
    let data = tempfile::tempdir().unwrap();
    {
        let logs = Logs::open(data.path()).unwrap();
        logs.stream("f", "s".into()).print(b"one\ntwo\n");
        logs.flush();
    }
    let file = segments::list(&data.path().join("logs/f")).unwrap().remove(0).1;
    let mut content = fs::read(&file).unwrap();
    content.extend(b"\0\0\0\0\n17 no-message\n18 torn by a loss of po");
    fs::write(&file, content).unwrap();
    let logs = Logs::open(data.path()).unwrap();
    assert_eq!(read(&logs, "f"), ["one", "two"]);
    logs.stream("f", "s".into()).print(b"three\n");
    assert_eq!(read(&logs, "f"), ["one", "two", "three"]);
}

#[test]
fn a_scan_goes_on_where_another_ended_also_in_a_later_segment() {
    let data = tempfile::tempdir().unwrap();
    let logs = Logs::open(data.path()).unwrap();
    let mut stream = logs.stream("f", "s".into());
    let (mut position, mut seen) = (Position::default(), 0u64);
    for turn in 0..5 {
        for _ in 0..12 {
            stream.print(&[&[b'x'; 100_000][..], b"\n"].concat());
            logs.flush();
        }
        let mut count = 0;
        let end = logs.scan("f", position, |event| {
            assert!(event.position >= position && event.next > event.position);
            count += 1;
            ControlFlow::Continue(())
        });
        position = end.unwrap().unwrap();
        seen += count;
        assert_eq!(count, 12, "turn {turn}");
    }
    assert_eq!(seen, 60);
    assert!(position.segment > 1, "{position:?}");
    let end = logs.scan("f", position, |_| panic!("nothing is left"));
    assert_eq!(end.unwrap(), Some(position));
    let mut first = None;
    let next = logs.scan("f", Position::default(), |event| {
        first = Some(event.next);
        ControlFlow::Break(())
    });
    assert_eq!(next.unwrap(), first);
}

#[test]
fn logs_are_listed_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let logs = Logs::open(data.path()).unwrap();
    assert_eq!(logs.scan("f", Position::default(), |_| ControlFlow::Break(())).unwrap(), None);
    assert!(!logs.delete("f").unwrap());
    let mut streams = ["g", "f"].map(|name| logs.stream(name, "s".into()));
    for stream in &mut streams {
        stream.print(b"x\n");
    }
    let names: Vec<String> = logs.list().unwrap().into_iter().map(|one| one.group).collect();
    assert_eq!(names, ["/aws/lambda/f", "/aws/lambda/g"]);
    assert!(logs.list().unwrap()[0].bytes > 0 && logs.list().unwrap()[0].created_ms > 0);
    assert!(logs.delete("f").unwrap());
    assert_eq!(logs.list().unwrap().len(), 1);
    streams[1].print(b"again\n");
    assert_eq!(read(&logs, "f"), ["again"]);
}
