//! Whole expressions: what is none, when the next run is, and that it is the one that a walk finds, minute by minute.

use jiff::Timestamp;
use jiff::civil::Date;
use proptest::prelude::*;

use super::*;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn timetable(text: &str, zone: &str) -> Timetable {
    let (expression, zone) = (Expression::parse(text).unwrap(), Zone::find(zone).unwrap());
    Timetable { expression, zone, anchor_ms: 0, start_ms: None, end_ms: None }
}

/// The first runs behind a time.
fn runs(timetable: &Timetable, after: &str, count: usize) -> Vec<String> {
    std::iter::successors(timetable.next(ms(after)), |run| timetable.next(*run))
        .take(count)
        .map(|run| Timestamp::from_millisecond(run).unwrap().to_string())
        .collect()
}

#[test]
fn only_the_three_are_expressions() {
    for form in ["", "at", "cron", "rate(5 minutes", "Rate(5 minutes)", "every(1)", "rate()x", "()"]
    {
        assert_eq!(Expression::parse(form), Err(ExpressionError::Form), "{form}");
    }
    assert!(Expression::parse("at(2024-01-01T00:00:00)").unwrap().is_once());
    assert!(!Expression::parse("rate(1 day)").unwrap().is_once());
    assert!(!Expression::parse("cron(0 0 * * ? *)").unwrap().is_once());
    for bad in ["at()", "rate()", "cron()", "cron(0 0 * * * *)", "at(cron(0))"] {
        assert!(Expression::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_rate_keeps_its_steps_whatever_is_missed() {
    let table =
        Timetable { anchor_ms: ms("2024-01-01T00:00:30Z"), ..timetable("rate(36 hours)", "UTC") };
    assert_eq!(
        runs(&table, "2023-12-31T00:00:00Z", 3),
        ["2024-01-01T00:00:30Z", "2024-01-02T12:00:30Z", "2024-01-04T00:00:30Z"]
    );
    assert_eq!(runs(&table, "2024-01-02T12:00:29.999Z", 1), ["2024-01-02T12:00:30Z"]);
    assert_eq!(runs(&table, "2024-01-02T12:00:30Z", 1), ["2024-01-04T00:00:30Z"]);
    assert_eq!(runs(&table, "2199-12-31T23:59:59Z", 1), [""; 0]);
    assert_eq!(table.next(i64::MAX), None);
    // A day of a rate has 24 hours, also where clocks go forward.
    let daily = Timetable {
        anchor_ms: ms("2026-03-28T12:00:00Z"),
        ..timetable("rate(1 day)", "Europe/Berlin")
    };
    assert_eq!(runs(&daily, "2026-03-28T12:00:00Z", 1), ["2026-03-29T12:00:00Z"]);
}

#[test]
fn once_is_once() {
    let table = timetable("at(2026-07-01T12:00:00)", "America/New_York");
    assert_eq!(runs(&table, "2026-01-01T00:00:00Z", 2), ["2026-07-01T16:00:00Z"]);
    assert_eq!(runs(&table, "2026-07-01T16:00:00Z", 1), [""; 0]);
    // Its dates are nothing to it.
    let (start_ms, end_ms) = (Some(ms("2027-01-01T00:00:00Z")), Some(ms("2025-01-01T00:00:00Z")));
    let dated = Timetable { start_ms, end_ms, ..table };
    assert_eq!(runs(&dated, "2026-01-01T00:00:00Z", 1), ["2026-07-01T16:00:00Z"]);
    let never = timetable("at(2026-03-29T02:30:00)", "Europe/Berlin");
    assert_eq!(runs(&never, "2026-01-01T00:00:00Z", 1), [""; 0]);
    let twice = timetable("at(2026-10-25T02:30:00)", "Europe/Berlin");
    assert_eq!(runs(&twice, "2026-01-01T00:00:00Z", 2), ["2026-10-25T00:30:00Z"]);
}

#[test]
fn what_falls_on_no_time_is_left_out_and_what_falls_on_two_is_done_once() {
    let daily = timetable("cron(30 2 * * ? *)", "Europe/Berlin");
    assert_eq!(
        runs(&daily, "2026-03-28T00:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
    );
    assert_eq!(
        runs(&daily, "2026-10-24T00:30:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    // From the middle of the hour that comes again: what was done in it is not done again.
    let often = timetable("cron(0/20 * * * ? *)", "Europe/Berlin");
    assert_eq!(
        runs(&often, "2026-10-25T00:20:00Z", 3),
        ["2026-10-25T00:40:00Z", "2026-10-25T02:00:00Z", "2026-10-25T02:20:00Z"]
    );
    assert_eq!(runs(&often, "2026-10-25T01:10:00Z", 1), ["2026-10-25T02:00:00Z"]);
    assert_eq!(
        runs(&often, "2026-03-29T00:40:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z"]
    );
    let lost_day = timetable("cron(0 12 30 12 ? 2011)", "Pacific/Apia");
    assert_eq!(runs(&lost_day, "2011-01-01T00:00:00Z", 1), [""; 0]);
}

#[test]
fn dates_bound_what_is_repeated_and_belong_to_it() {
    let (start_ms, end_ms) = (Some(ms("2026-01-02T08:00:00Z")), Some(ms("2026-01-04T08:00:00Z")));
    let daily = Timetable { start_ms, end_ms, ..timetable("cron(0 8 * * ? *)", "UTC") };
    assert_eq!(
        runs(&daily, "2025-01-01T00:00:00Z", 9),
        ["2026-01-02T08:00:00Z", "2026-01-03T08:00:00Z", "2026-01-04T08:00:00Z"]
    );
    let anchor_ms = ms("2026-01-02T08:00:00Z");
    let rate =
        Timetable { expression: Expression::parse("rate(1 day)").unwrap(), anchor_ms, ..daily };
    assert_eq!(runs(&rate, "2025-01-01T00:00:00Z", 9).len(), 3);
    let shut = Timetable { end_ms: Some(anchor_ms - 1), ..rate };
    assert_eq!(runs(&shut, "2025-01-01T00:00:00Z", 1), [""; 0]);
}

#[test]
fn the_edges_of_time_are_no_trouble() {
    for text in ["rate(1 minute)", "cron(* * * * ? *)", "at(2199-12-31T23:59:59)"] {
        for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Niue"] {
            let table = timetable(text, zone);
            for after_ms in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
                let next_ms = table.next(after_ms);
                assert!(next_ms.is_none_or(|next_ms| next_ms > after_ms), "{text} {after_ms}");
            }
        }
    }
    let (start_ms, end_ms) = (Some(i64::MIN), Some(i64::MAX));
    let open = Timetable { start_ms, end_ms, ..timetable("cron(0 0 1 1 ? *)", "UTC") };
    assert_eq!(runs(&open, "1999-06-01T00:00:00Z", 1), ["2000-01-01T00:00:00Z"]);
}

/// Some ways to write a field, from what its numbers may be.
fn field(min: u16, max: u16) -> impl Strategy<Value = (String, Vec<u16>)> {
    let part = (min..=max, min..=max, 1..=(max - min), 0..4u8).prop_map(
        move |(one, other, step, form)| -> (String, Vec<u16>) {
            let (from, to) = (one.min(other), one.max(other));
            match form {
                0 => ("*".into(), (min..=max).collect()),
                1 => (one.to_string(), vec![one]),
                2 => (
                    format!("{from}-{to}"),
                    (min..=max).filter(|n| (from..=to).contains(n)).collect(),
                ),
                _ => {
                    let fits = |n: &u16| *n >= one && (n - one).is_multiple_of(step);
                    (format!("{one}/{step}"), (min..=max).filter(fits).collect())
                }
            }
        },
    );
    proptest::collection::vec(part, 1..3).prop_map(|parts| {
        let text = parts.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(",");
        (text, parts.into_iter().flat_map(|(_, numbers)| numbers).collect())
    })
}

/// Which dates a text of the days' fields means: said of the date alone, where the parser's rules go by month.
#[derive(Clone, Debug)]
enum Rule {
    OfMonth(Vec<u16>),
    OfWeek(i8, i8),
    Nth(i8, i8),
    Last(i8),
    Nearest(i8),
}

impl Rule {
    fn fits(&self, date: Date) -> bool {
        let weekday = |date: Date| date.weekday().to_sunday_one_offset();
        match self {
            Rule::OfMonth(days) => days.contains(&(date.day() as u16)),
            Rule::OfWeek(from, to) => (*from..=*to).contains(&weekday(date)),
            Rule::Nth(day, nth) => weekday(date) == *day && (date.day() - 1) / 7 + 1 == *nth,
            Rule::Last(day) => {
                let next_week = date.checked_add(jiff::Span::new().days(7)).unwrap();
                weekday(date) == *day && next_week.month() != date.month()
            }
            Rule::Nearest(day) => {
                // The one, of the month's working days, that is least far away.
                let of_month = |day| Date::new(date.year(), date.month(), day).ok();
                let works = |one: &Date| (2..=6).contains(&weekday(*one));
                let far = |one: &Date| (one.day() - day).abs();
                let nearest = (1..=31).filter_map(of_month).filter(works).min_by_key(far);
                of_month(*day).is_some() && nearest == Some(date)
            }
        }
    }
}

/// Some ways to write the days: both fields, and what they mean.
fn days() -> impl Strategy<Value = (String, String, Rule)> {
    let of_month =
        field(1, 31).prop_map(|(text, days)| (text, "?".to_owned(), Rule::OfMonth(days)));
    let of_week = (1..=7i8, 1..=7i8).prop_map(|(one, other)| {
        let (from, to) = (one.min(other), one.max(other));
        ("?".to_owned(), format!("{from}-{to}"), Rule::OfWeek(from, to))
    });
    let nth = (1..=7i8, 1..=5i8)
        .prop_map(|(day, nth)| ("?".to_owned(), format!("{day}#{nth}"), Rule::Nth(day, nth)));
    let last = (1..=7i8).prop_map(|day| ("?".to_owned(), format!("{day}L"), Rule::Last(day)));
    let nearest =
        (1..=31i8).prop_map(|day| (format!("{day}W"), "?".to_owned(), Rule::Nearest(day)));
    prop_oneof![of_month, of_week, nth, last, nearest]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The next run is the first minute that the wall clock shows, and shows for the first time, of all those that
    /// the expression names.
    #[test]
    fn the_next_run_is_the_one_that_a_walk_finds(
        minutes in field(0, 59),
        hours in field(0, 23),
        days in days(),
        months in field(1, 12),
        start in 1_767_225_600_000i64..1_798_761_600_000,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
        is_near_a_change in any::<bool>(),
    ) {
        const MINUTE_MS: i64 = 60_000;
        // As far as the walk goes.
        const MINUTES_MAX: i64 = 4 * 24 * 60;
        // Half of the time around the hours when Berlin's clocks are changed, in 2026.
        let changes = [1_774_746_000_000, 1_792_890_000_000];
        let start = match is_near_a_change {
            true => changes[(start % 2) as usize] - start % (36 * 60 * MINUTE_MS),
            false => start,
        };
        let (of_month, of_week, rule) = &days;
        let text = format!("cron({} {} {of_month} {} {of_week} *)", minutes.0, hours.0, months.0);
        let table = timetable(&text, zone);
        let fits = |at: DateTime| {
            minutes.1.contains(&(at.minute() as u16))
                && hours.1.contains(&(at.hour() as u16))
                && months.1.contains(&(at.month() as u16))
                && rule.fits(at.date())
        };
        let zone = Zone::find(zone).unwrap();
        let first = start - start.rem_euclid(MINUTE_MS) + MINUTE_MS;
        let walk = (0..MINUTES_MAX).map(|step| first + step * MINUTE_MS);
        let found = walk.into_iter().find(|ms| {
            let at = zone.wall_clock(*ms).unwrap();
            let was = |back: i64| zone.wall_clock(ms - back * MINUTE_MS) == Some(at);
            fits(at) && !(1..=180).any(was)
        });
        let next = table.next(start);
        match found {
            Some(found) => prop_assert_eq!(next, Some(found), "{}", text),
            None => prop_assert!(
                next.is_none_or(|next| next >= first + MINUTES_MAX * MINUTE_MS), "{} {:?}", text, next
            ),
        }
    }

    /// No text, however strange, is more than an error.
    #[test]
    fn no_text_is_trouble(text in "(at|rate|cron)?\\(?[0-9A-Z*?/#, LW:T-]{0,40}\\)?") {
        if let Ok(expression) = Expression::parse(&text) {
            let zone = Zone::find("Europe/Berlin").unwrap();
            let table = Timetable { expression, zone, anchor_ms: 0, start_ms: None, end_ms: None };
            prop_assert!(table.next(0).is_none_or(|next| next > 0));
        }
    }
}
