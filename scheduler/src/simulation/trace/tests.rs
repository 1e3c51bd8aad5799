//! Files as the dataset has them, and as nobody should have them.

use super::*;

/// A file of invocations: names, and what some minutes have.
fn day(rows: &[(&str, &[(usize, &str)])]) -> String {
    let minutes: Vec<String> = (1..=MINUTES).map(|minute| minute.to_string()).collect();
    let mut text = format!("HashOwner,HashApp,HashFunction,Trigger,{}\n", minutes.join(","));
    for (name, counts) in rows {
        let mut cells = vec!["0"; MINUTES];
        counts.iter().for_each(|(minute, count)| cells[*minute] = count);
        text += &format!("{name},http,{}\n", cells.join(","));
    }
    text
}

fn failure(result: Result<(), TraceError>) -> String {
    result.unwrap_err().to_string()
}

const DURATIONS: &str = "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,\
percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,percentile_Average_99,\
percentile_Average_100\n";
const MEMORY: &str = "HashOwner,HashApp,SampleCount,AverageAllocatedMb\n";

#[test]
fn two_days_of_two_functions() {
    let mut trace = Trace::default();
    trace.add_day(day(&[("o,a,f", &[(0, "3"), (1439, "1")]), ("o,a,g", &[])]).as_bytes()).unwrap();
    trace.add_day(day(&[("o,a,g", &[(1, "7")])]).as_bytes()).unwrap();
    assert_eq!((trace.minutes(), trace.invocations(), trace.functions().len()), (2880, 11, 2));
    assert_eq!(trace.minute(0), [(0, 3)]);
    assert_eq!(trace.minute(1441), [(1, 7)]);
    assert_eq!(trace.minute(9999), []);

    let durations =
        format!("{DURATIONS}o,a,f,1,1,1,1,0,10,20,30,40,50,1e9\nx,x,x,1,1,1,1,1,1,1,1,1,1,1\n");
    trace.add_durations(durations.as_bytes()).unwrap();
    let [f, g] = trace.functions() else { panic!("two functions") };
    let ms = |place| f.duration(place).as_millis();
    assert_eq!([ms(0.0), ms(0.005), ms(0.5), ms(0.625), ms(1.0)], [0, 5, 30, 35, 900_000]);
    assert_eq!(g.duration(0.3), Duration::from_secs(1));
    trace.add_memory(format!("{MEMORY}o,a,9,99.5\no,b,9,1\n").as_bytes()).unwrap();
    assert!(trace.functions().iter().all(|function| function.memory_mib == 100));
}

/// Line ends of Windows, a byte order mark, quotes, more columns than are read, in another order; cells that nobody
/// filled; a function that comes twice.
#[test]
fn files_may_be_written_in_other_ways() {
    let rows =
        [("\"o\",\"a\",\"f\"", &[(0, "\"3\""), (1, "")][..]), ("o,a,f", &[(0, "2"), (7, "1")])];
    let text = format!("\u{feff}{}", day(&rows)).replace('\n', "\r\n");
    let mut trace = Trace::default();
    trace.add_day(text.as_bytes()).unwrap();
    assert_eq!((trace.functions().len(), trace.invocations()), (1, 6));
    let calls: u32 = trace.minute(0).iter().map(|(_, count)| count).sum();
    assert_eq!((calls, trace.minute(1), trace.minute(7)), (5, &[][..], &[(0, 1)][..]));

    // Minimum and Maximum are not always recorded; a line without quantiles says nothing.
    let text = format!(
        "{DURATIONS}o,a,f,9,1,,,5,5,5,5,5,5,5\no,a,f,9,1,1,1,6,6,6,6,6,6,6.5\no,a,f,,,,,,,,,,,\n"
    );
    trace.add_durations(text.as_bytes()).unwrap();
    assert_eq!(trace.functions()[0].duration(0.5), Duration::from_millis(6));
    let head = "AverageAllocatedMb_pct1,AverageAllocatedMb,SampleCount,HashApp,HashOwner";
    let text = format!("{head}\n1,107.0,9.0,a,o\n1,,0,a,o\n");
    trace.add_memory(text.as_bytes()).unwrap();
    assert_eq!(trace.functions()[0].memory_mib, 107);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let mut trace = Trace::default();
    assert_eq!(failure(trace.add_day(&b""[..])), "line 1: there is no column HashOwner");
    let no_minute = failure(trace.add_day(&b"HashOwner,HashApp,HashFunction,1\n"[..]));
    assert_eq!(no_minute, "line 1: there is no column 2");
    for bad in ["-1", "1.5", "x", "4294967296"] {
        let text = day(&[("o,a,f", &[]), ("o,a,g", &[(4, bad)])]);
        let wanted = format!("line 3, column 5: {bad:?} is no number that can be used");
        assert_eq!(failure(Trace::default().add_day(text.as_bytes())), wanted);
    }
    let short = format!("{}o,a,f,http,1\n", day(&[]));
    assert!(failure(trace.add_day(short.as_bytes())).contains("line: 2"));
    let no_text = [day(&[]).as_bytes(), b"o,a,\xff,http,1\n"].concat();
    assert!(failure(trace.add_day(&no_text[..])).contains("line: 2"));
    let endless = failure(trace.add_day(std::io::repeat(b'x')));
    assert!(endless.contains("a line of more than 65536 bytes"), "{endless}");
    for bad in ["NaN", "-1", "inf"] {
        let text = format!("{MEMORY}o,a,9,{bad}\n");
        assert!(failure(trace.add_memory(text.as_bytes())).starts_with("line 2, column Average"));
    }
}

#[test]
fn a_trace_that_is_too_long_is_refused() {
    let mut trace = Trace::default();
    let empty = day(&[]);
    (0..28).for_each(|_| trace.add_day(empty.as_bytes()).unwrap());
    assert!(failure(trace.add_day(empty.as_bytes())).contains("four weeks"));
}

fn made(seed: u64, days: u64, functions: u64) -> Trace {
    let mut trace = Trace::default();
    for day in 0..days {
        let mut files = [Vec::new(), Vec::new(), Vec::new()];
        let [invocations, durations, memory] = &mut files;
        generate(seed, day, functions, Mix::default(), [invocations, durations, memory]).unwrap();
        trace.add_day(&files[0][..]).unwrap();
        trace.add_durations(&files[1][..]).unwrap();
        trace.add_memory(&files[2][..]).unwrap();
    }
    trace
}

#[test]
fn what_is_made_up_can_be_read_and_follows_from_its_seed() {
    let trace = made(1, 2, 50);
    assert_eq!((trace.functions().len(), trace.minutes()), (50, 2 * MINUTES));
    assert!(trace.invocations() > 1000);
    assert!(trace.functions().iter().any(|function| function.memory_mib != MEMORY_MIB));
    assert_eq!(trace, made(1, 2, 50));
    assert_ne!(trace, made(2, 2, 50));
}

#[test]
fn the_mix_has_as_many_seldom_called_functions_as_the_dataset() {
    let trace = made(3, 1, 400);
    let mut calls = vec![0; trace.functions().len()];
    for (function, count) in (0..MINUTES).flat_map(|minute| trace.minute(minute)) {
        calls[*function as usize] += *count as usize;
    }
    let at_most = |count: usize| calls.iter().filter(|calls| **calls <= count).count();
    // 45 % of the dataset's applications.
    assert!((140..=220).contains(&at_most(24)), "{} of 400", at_most(24));
    assert!(at_most(MINUTES) < 400, "nobody is called often");
}

#[test]
fn a_sample_keeps_what_its_functions_did() {
    let whole = made(1, 1, 50);
    let mut sample = whole.clone();
    sample.sample(10, &mut Random::new(7));
    assert_eq!((sample.functions().len(), sample.by_name.len()), (10, 10));
    let calls = |trace: &Trace, index: usize| -> Vec<(usize, u32)> {
        let of_it = |minute: usize| {
            let found = trace.minute(minute).iter().find(|(function, _)| *function == index as u32);
            found.map(|(_, count)| (minute, *count))
        };
        (0..MINUTES).filter_map(of_it).collect()
    };
    for (name, index) in &sample.by_name {
        assert_eq!(calls(&sample, *index), calls(&whole, whole.by_name[name]));
    }
    let mut all = whole.clone();
    all.sample(50, &mut Random::new(7));
    assert_eq!(all, whole);
}
