//! The directory of a trace: the dataset's names, one file of each kind for each day.

use std::fs::File;
use std::path::{Path, PathBuf};

use mayfly_scheduler::simulation::trace::{Trace, TraceError};

use crate::failure::Failure;

/// What the names of the three kinds begin with; a day follows, such as `d01`.
const KINDS: [&str; 3] = [
    "invocations_per_function_md.anon.",
    "function_durations_percentiles.anon.",
    "app_memory_percentiles.anon.",
];

/// The names of a day's files: invocations, durations, memory.
pub fn names(day: &str) -> [String; 3] {
    KINDS.map(|kind| format!("{kind}{day}.csv"))
}

/// Reads all days of a directory, in the order of their names.
///
/// # Errors
/// No day, or a file that is no part of a trace, with its line.
pub fn read(directory: &Path, mut says: impl FnMut(&str)) -> Result<Trace, Failure> {
    let mut trace = Trace::default();
    for day in days(directory)? {
        says(&format!("reading {day}"));
        let [invocations, durations, memory] = names(&day).map(|name| directory.join(name));
        take(&invocations, |file| trace.add_day(file))?;
        // The dataset has memory for its first twelve days only.
        if durations.exists() {
            take(&durations, |file| trace.add_durations(file))?;
        }
        if memory.exists() {
            take(&memory, |file| trace.add_memory(file))?;
        }
    }
    Ok(trace)
}

fn days(directory: &Path) -> Result<Vec<String>, Failure> {
    let entries = std::fs::read_dir(directory).map_err(|error| Failure::at(directory, error))?;
    let mut days = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let day = name.to_str().and_then(|name| name.strip_prefix(KINDS[0])?.strip_suffix(".csv"));
        days.extend(day.map(str::to_owned));
    }
    days.sort_unstable();
    if days.is_empty() {
        let names = format!("no file of it is named {}", names("d01")[0]);
        return Err(Failure::at(directory, names));
    }
    Ok(days)
}

fn take(path: &PathBuf, add: impl FnOnce(File) -> Result<(), TraceError>) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::at(path, error))?;
    add(file).map_err(|error| Failure::at(path, error))
}
