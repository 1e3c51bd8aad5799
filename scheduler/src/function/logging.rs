//! How a function's log is written, and where (Lambda developer guide, "Configuring advanced logging controls").

use serde::{Deserialize, Serialize};

/// LoggingConfig.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Logging {
    /// Text: what follows of levels has no meaning.
    pub format: LogFormat,
    /// What the function's runtime is to leave out; the runtime is told.
    pub application_level: LogLevel,
    /// What the platform leaves out of its own records.
    pub system_level: LogLevel,
    /// The group that it is told, where it is not the function's own.
    pub group: Option<String>,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// As people read them.
    #[default]
    Text,
    /// As JSON objects, one a line.
    #[serde(rename = "JSON")]
    Json,
}

/// How grave something is, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What happens as it should.
    #[default]
    Info,
    /// What should not happen.
    Warn,
    /// What went wrong.
    Error,
    /// What ends the program.
    Fatal,
}

impl LogLevel {
    /// By its name, such as `WARN`.
    pub fn named(name: &str) -> Option<LogLevel> {
        let all = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];
        all.into_iter().find(|level| level.name() == name)
    }

    /// `WARN`, and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}
