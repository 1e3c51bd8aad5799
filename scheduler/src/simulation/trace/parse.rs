//! The three kinds of files, from text that anybody may have written.

use std::io::Read;

use csv::{Reader, ReaderBuilder, StringRecord};
use thiserror::Error;

use super::bound::Bounded;
use super::{Function, MINUTES, QUANTILES, Trace};

/// Functions that one trace may have: four times those of the dataset.
const FUNCTIONS_MAX: usize = 400_000;
/// Entries that all minutes may have together, at 8 bytes each: a GiB.
const ENTRIES_MAX: usize = 1 << 27;
/// Longest trace, days: as long as the dataset is, twice.
const DAYS_MAX: usize = 28;
/// Largest memory that is believed, MiB: a TiB.
const MEMORY_MIB_MAX: f64 = 1_048_576.0;

/// Names of columns, as the dataset has them.
pub struct Columns;

impl Columns {
    pub(super) const FUNCTION: [&str; 3] = ["HashOwner", "HashApp", "HashFunction"];
    pub(super) const APP: [&str; 2] = ["HashOwner", "HashApp"];
    pub(super) const MEMORY: &str = "AverageAllocatedMb";
    pub(super) const DURATIONS: [&str; QUANTILES.len()] = [
        "percentile_Average_0",
        "percentile_Average_1",
        "percentile_Average_25",
        "percentile_Average_50",
        "percentile_Average_75",
        "percentile_Average_99",
        "percentile_Average_100",
    ];
}

/// Why a file is no part of a trace. Lines count from 1, which is the head.
#[derive(Debug, Error)]
pub enum TraceError {
    /// Not read, or no CSV.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// The head lacks a column.
    #[error("line 1: there is no column {0}")]
    Column(String),
    /// Something else where a number should be.
    #[error("line {line}, column {column}: {text:?} is no number that can be used")]
    Number {
        /// Where.
        line: u64,
        /// In which column.
        column: String,
        /// What is there.
        text: String,
    },
    /// More than is taken in.
    #[error("line {line}: {what}")]
    TooMuch {
        /// Where.
        line: u64,
        /// Of what.
        what: &'static str,
    },
}

impl Trace {
    /// Adds a day: a file of invocations. A function that comes twice, as one does that was deleted and made anew, has
    /// those of both lines.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn add_day(&mut self, file: impl Read) -> Result<(), TraceError> {
        let mut file = Table::open(file)?;
        let names = file.columns(Columns::FUNCTION)?;
        let first = self.minutes.len();
        if first >= DAYS_MAX * MINUTES {
            return Err(TraceError::TooMuch { line: 1, what: "a trace has four weeks at most" });
        }
        let mut columns = Vec::with_capacity(MINUTES);
        for minute in 1..=MINUTES {
            columns.push(file.column(&minute.to_string())?);
        }
        self.minutes.resize(first + MINUTES, Vec::new());
        let mut entries: usize = self.minutes.iter().map(Vec::len).sum();
        while let Some(row) = file.next()? {
            let index = self.function(names.map(|column| row.text(column)));
            if index >= FUNCTIONS_MAX || entries >= ENTRIES_MAX {
                return Err(TraceError::TooMuch {
                    line: row.line(),
                    what: "a trace has 400,000 functions and 134,217,728 busy minutes at most",
                });
            }
            for (minute, column) in columns.iter().enumerate() {
                // Most are zero, and many; an empty cell has none, either.
                let is_none = matches!(row.text(*column), "0" | "");
                let count = if is_none { 0 } else { row.count(*column)? };
                if count > 0 {
                    self.minutes[first + minute].push((index as u32, count));
                    entries += 1;
                }
            }
        }
        Ok(())
    }

    /// Takes in a file of durations. What it says of functions that are not in the trace is passed over, and so is a
    /// line in which a duration was not recorded. Where a function comes twice, the last line counts.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn add_durations(&mut self, file: impl Read) -> Result<(), TraceError> {
        let mut file = Table::open(file)?;
        let names = file.columns(Columns::FUNCTION)?;
        let columns = file.columns(Columns::DURATIONS)?;
        while let Some(row) = file.next()? {
            if columns.iter().any(|column| row.text(*column).is_empty()) {
                continue;
            }
            let mut durations_ms = [0.0; QUANTILES.len()];
            for (duration, column) in durations_ms.iter_mut().zip(columns) {
                *duration = row.number(column, f64::MAX)?;
            }
            // The dataset's own quantiles are of averages, and some fall.
            durations_ms.sort_unstable_by(f64::total_cmp);
            let name = names.map(|column| row.text(column).to_owned());
            if let Some(index) = self.by_name.get(&name.into()) {
                self.functions[*index].durations_ms = durations_ms;
            }
        }
        Ok(())
    }

    /// Takes in a file of memory, which is known of applications: each of its functions gets all of it. A line in which
    /// it was not recorded is passed over.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn add_memory(&mut self, file: impl Read) -> Result<(), TraceError> {
        let mut file = Table::open(file)?;
        let names = file.columns(Columns::APP)?;
        let [column] = file.columns([Columns::MEMORY])?;
        let mut memory_mib = vec![None; self.apps.len()];
        while let Some(row) = file.next()? {
            if row.text(column).is_empty() {
                continue;
            }
            let mib = row.number(column, MEMORY_MIB_MAX)?;
            let name = names.map(|column| row.text(column).to_owned());
            if let Some(app) = self.apps.get(&name.into()) {
                memory_mib[*app] = Some((mib.ceil() as u64).max(1));
            }
        }
        for function in &mut self.functions {
            function.memory_mib = memory_mib[function.app].unwrap_or(function.memory_mib);
        }
        Ok(())
    }

    /// A function's place, which it gets when it is first seen.
    fn function(&mut self, name: [&str; 3]) -> usize {
        let name = name.map(str::to_owned);
        let [owner, app, _] = name.clone();
        let next_app = self.apps.len();
        let app = *self.apps.entry((owner, app)).or_insert(next_app);
        let functions = &mut self.functions;
        *self.by_name.entry(name.into()).or_insert_with(|| {
            functions.push(Function::new(app));
            functions.len() - 1
        })
    }
}

/// A file with a head.
struct Table<R> {
    reader: Reader<Bounded<R>>,
    head: StringRecord,
    record: StringRecord,
}

/// One of its lines.
struct Row<'a> {
    head: &'a StringRecord,
    record: &'a StringRecord,
}

impl<R: Read> Table<R> {
    fn open(file: R) -> Result<Table<R>, TraceError> {
        let mut reader = ReaderBuilder::new().from_reader(Bounded::new(file));
        let head = reader.headers()?.clone();
        Ok(Table { reader, head, record: StringRecord::new() })
    }

    fn column(&self, name: &str) -> Result<usize, TraceError> {
        let found = self.head.iter().position(|column| column == name);
        found.ok_or_else(|| TraceError::Column(name.to_owned()))
    }

    fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], TraceError> {
        let mut columns = [0; N];
        for (column, name) in columns.iter_mut().zip(names) {
            *column = self.column(name)?;
        }
        Ok(columns)
    }

    fn next(&mut self) -> Result<Option<Row<'_>>, TraceError> {
        let is_there = self.reader.read_record(&mut self.record)?;
        Ok(is_there.then_some(Row { head: &self.head, record: &self.record }))
    }
}

impl Row<'_> {
    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// A field; all lines have as many as the head.
    fn text(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or_default()
    }

    fn count(&self, column: usize) -> Result<u32, TraceError> {
        self.text(column).parse().map_err(|_| self.no_number(column))
    }

    /// A number from 0 to `max`.
    fn number(&self, column: usize, max: f64) -> Result<f64, TraceError> {
        let number = self.text(column).parse().ok();
        number.filter(|number| (0.0..=max).contains(number)).ok_or_else(|| self.no_number(column))
    }

    fn no_number(&self, column: usize) -> TraceError {
        let shown = self.text(column).chars().take(40).collect();
        let column = self.head.get(column).unwrap_or_default().to_owned();
        TraceError::Number { line: self.line(), column, text: shown }
    }
}
