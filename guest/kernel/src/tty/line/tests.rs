use std::string::String;
use std::vec;
use std::vec::Vec;

use super::*;

/// Types all of this: the signals that it sends.
fn type_in(line: &mut Line, text: &str) -> Vec<u8> {
    text.bytes().filter_map(|byte| line.type_in(byte)).collect()
}

fn shown(line: &mut Line) -> String {
    let mut bytes = vec![0; 1 << 17];
    let count = line.screen().take(&mut bytes);
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

fn read(line: &mut Line, most: usize) -> Result<String> {
    let mut bytes = vec![0; most];
    let count = line.read(&mut bytes)?;
    Ok(String::from_utf8(bytes[..count].to_vec()).unwrap())
}

fn set(line: &mut Line, change: impl FnOnce(&mut Termios)) {
    let mut termios = *line.termios();
    change(&mut termios);
    line.set_termios(termios);
}

fn raw(termios: &mut Termios) {
    termios.local &= !(linux::ICANON | linux::ECHO | linux::ISIG | linux::IEXTEN);
    termios.input = 0;
    termios.output &= !linux::OPOST;
}

#[test]
fn a_line_is_read_when_it_is_whole_and_no_more_than_one() {
    let mut line = Line::default();
    type_in(&mut line, "one");
    assert_eq!((read(&mut line, 99), line.is_readable()), (Err(Errno::AGAIN), false));
    type_in(&mut line, "\rtwo\n");
    assert!(line.is_readable());
    assert_eq!(line.available(), 4);
    assert_eq!(read(&mut line, 2).unwrap(), "on");
    assert_eq!(read(&mut line, 99).unwrap(), "e\n");
    assert_eq!(read(&mut line, 99).unwrap(), "two\n");
    assert_eq!(read(&mut line, 99), Err(Errno::AGAIN));
    assert_eq!(shown(&mut line), "one\r\ntwo\r\n");
}

#[test]
fn the_end_of_the_file_is_a_line_without_an_end() {
    let mut line = Line::default();
    type_in(&mut line, "half\x04\x04rest\n");
    assert_eq!(read(&mut line, 99).unwrap(), "half");
    assert_eq!(read(&mut line, 99).unwrap(), "", "the end");
    assert_eq!(read(&mut line, 99).unwrap(), "rest\n");
    assert_eq!(shown(&mut line), "halfrest\r\n");
}

#[test]
fn lines_are_edited_and_the_screen_follows() {
    let mut line = Line::default();
    type_in(&mut line, "ab\x7fc\x01\x7f\n");
    assert_eq!(read(&mut line, 99).unwrap(), "ac\n");
    assert_eq!(shown(&mut line), "ab\x08 \x08c^A\x08 \x08\x08 \x08\r\n");
    type_in(&mut line, "two words \x17x\n");
    assert_eq!(read(&mut line, 99).unwrap(), "two x\n");
    shown(&mut line);
    type_in(&mut line, "gone\x15\x7fleft\n");
    assert_eq!(read(&mut line, 99).unwrap(), "left\n");
    shown(&mut line);
    type_in(&mut line, "\t\x7f");
    assert_eq!(shown(&mut line), format_tab());
    type_in(&mut line, "\x16\x03\x16\x7f\n");
    assert_eq!(read(&mut line, 99).unwrap(), "\x03\x7f\n", "after ^V, bytes mean themselves");
    set(&mut line, |termios| termios.input |= linux::IUTF8);
    type_in(&mut line, "é€ü\x7f\x7f\n");
    assert_eq!(read(&mut line, 99).unwrap(), "é\n");
}

fn format_tab() -> String {
    String::from("\t") + &"\x08 \x08".repeat(8)
}

#[test]
fn signals_take_what_was_typed_unless_they_must_not() {
    let mut line = Line::default();
    assert_eq!(type_in(&mut line, "lost\x03"), [linux::SIGINT as u8]);
    assert_eq!(shown(&mut line), "^C");
    assert_eq!(type_in(&mut line, "\x1c\x1a"), [linux::SIGQUIT as u8, linux::SIGTSTP as u8]);
    type_in(&mut line, "kept\n");
    assert_eq!(read(&mut line, 99).unwrap(), "kept\n");
    set(&mut line, |termios| termios.local |= linux::NOFLSH);
    type_in(&mut line, "a\x03b\n");
    assert_eq!(read(&mut line, 99).unwrap(), "ab\n");
    set(&mut line, |termios| termios.local &= !linux::ISIG);
    assert_eq!(type_in(&mut line, "\x03\n"), []);
    assert_eq!(read(&mut line, 99).unwrap(), "\x03\n");
}

#[test]
fn without_lines_bytes_come_as_many_as_are_wanted() {
    let mut line = Line::default();
    set(&mut line, raw);
    type_in(&mut line, "a\r");
    assert_eq!(read(&mut line, 99).unwrap(), "a\r");
    assert_eq!(shown(&mut line), "");
    let wants = |line: &mut Line, least, patience| {
        set(line, |termios| {
            termios.characters[linux::VMIN as usize] = least;
            termios.characters[linux::VTIME as usize] = patience;
        });
    };
    wants(&mut line, 3, 0);
    type_in(&mut line, "ab");
    assert_eq!((read(&mut line, 99), line.is_readable()), (Err(Errno::AGAIN), false));
    assert_eq!(read(&mut line, 2).unwrap(), "ab", "no more than there is room for");
    wants(&mut line, 0, 0);
    assert_eq!((read(&mut line, 9).unwrap(), line.patience_ns()), (String::new(), Some(0)));
    wants(&mut line, 0, 3);
    assert_eq!((read(&mut line, 9), line.patience_ns()), (Err(Errno::AGAIN), Some(300_000_000)));
    wants(&mut line, 2, 1);
    type_in(&mut line, "x");
    assert_eq!((read(&mut line, 9).unwrap(), line.patience_ns()), (String::from("x"), None));
}

#[test]
fn what_was_typed_survives_a_change_of_mode() {
    let mut line = Line::default();
    type_in(&mut line, "whole\nhalf");
    set(&mut line, raw);
    assert_eq!(read(&mut line, 99).unwrap(), "whole\nhalf");
    type_in(&mut line, "raw");
    set(&mut line, |termios| termios.local |= linux::ICANON);
    assert_eq!(read(&mut line, 99).unwrap(), "raw");
}

#[test]
fn output_is_what_a_screen_wants() {
    let mut line = Line::default();
    assert_eq!(line.write(b"a\nb\tc"), Ok(5));
    assert_eq!(shown(&mut line), "a\r\nb\tc");
    set(&mut line, |termios| termios.output |= linux::XTABS | linux::OLCUC);
    assert_eq!(line.write(b"\rab\tc"), Ok(5));
    assert_eq!(shown(&mut line), "\rAB      C");
    set(&mut line, raw);
    assert_eq!(line.write(b"\n\t\r"), Ok(3));
    assert_eq!(shown(&mut line), "\n\t\r");
}

#[test]
fn a_stopped_terminal_takes_nothing_until_it_goes_on() {
    let mut line = Line::default();
    type_in(&mut line, "\x13");
    assert_eq!((line.write(b"x"), line.is_writable()), (Err(Errno::AGAIN), false));
    type_in(&mut line, "\x11");
    assert_eq!(line.write(b"x"), Ok(1));
    assert_eq!(shown(&mut line), "x", "neither is shown");
}

#[test]
fn both_directions_are_bounded() {
    let mut line = Line::default();
    type_in(&mut line, &"x".repeat(2 * LINE_MAX));
    type_in(&mut line, "\n");
    assert_eq!(read(&mut line, 2 * LINE_MAX).unwrap().len(), LINE_MAX);
    shown(&mut line);
    let much = vec![b'\n'; 1 << 17];
    let taken = line.write(&much).unwrap();
    assert!(taken > 1000 && taken < much.len());
    assert_eq!((line.write(&much), line.is_writable()), (Err(Errno::AGAIN), false));
    type_in(&mut line, "lost");
    assert!(shown(&mut line).len() <= 1 << 16);
    set(&mut line, raw);
    while line.room() > 0 {
        line.type_in(b'y');
    }
    assert!(line.available() <= INPUT_MAX);
}

#[test]
fn ends_of_the_file_take_room_too() {
    let mut line = Line::default();
    let mut typed = 0;
    while line.room() > 0 {
        type_in(&mut line, "\x04");
        typed += 1;
    }
    assert_eq!(typed, INPUT_MAX);
    assert_eq!(read(&mut line, 9).unwrap(), "");
    assert_eq!(line.room(), 1);
}
