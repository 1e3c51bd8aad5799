//! Phases one below the other: how long each took, and where it lies in the whole.

/// Columns of the bars.
const COLUMNS: u64 = 48;

/// A line for each phase, from the moment at which each ends, CLOCK_MONOTONIC in ns. A phase that did not end (0) is
/// left out; its time is the next one's.
pub fn timeline(zero_ns: u64, phases: &[(&str, u64)]) -> String {
    let us = |moment: u64| moment.saturating_sub(zero_ns) / 1000;
    let total = phases.iter().map(|(_, moment)| us(*moment)).max().unwrap_or(0).max(1);
    let width = phases.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut before = 0;
    for (name, moment) in phases.iter().filter(|(_, moment)| *moment != 0) {
        let end = us(*moment).max(before);
        let (from, to) = (before * COLUMNS / total, (end * COLUMNS).div_ceil(total).min(COLUMNS));
        let bar = "█".repeat((to - from).max(1) as usize);
        let indent = " ".repeat(from.min(COLUMNS - 1) as usize);
        text += &format!("  {name:<width$} {:>7} µs  {indent}{bar}\n", end - before);
        before = end;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_adds_up_and_stays_in_its_columns() {
        let phases =
            [("a", 1_001_000), ("b", 0), ("ä", 1_003_000), ("back", 1_000_000), ("c", 1_010_000)];
        let text = timeline(1_000_000, &phases);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        let us: u64 = lines.iter().map(|line| number(line)).sum();
        assert_eq!(us, 10);
        let end = |line: &str| line.split_once("µs  ").unwrap().1.chars().count() as u64;
        assert!(lines.iter().all(|line| end(line) <= COLUMNS), "{text}");
        assert_eq!(timeline(0, &[]), "");
    }

    fn number(line: &str) -> u64 {
        line[..line.find(" µs").unwrap()].split_whitespace().last().unwrap().parse().unwrap()
    }
}
