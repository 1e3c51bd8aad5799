//! `mayfly simulate generate`: a trace that is made up, as files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use mayfly_scheduler::simulation::trace::{self, Mix};

use super::files;
use crate::args::Generate;
use crate::failure::{Failure, MISUSED, say};
use crate::platform::print;
use crate::progress::Progress;

/// Writes the files.
///
/// # Errors
/// What the host says.
pub fn generate(options: &Generate) -> Result<ExitCode, Failure> {
    let [periodic, poisson, bursty, rare] = options.mix[..] else {
        say("--mix is four numbers (see mayfly simulate generate --help)");
        return Ok(ExitCode::from(MISUSED));
    };
    let mix = Mix { periodic, poisson, bursty, rare };
    let directory = &options.directory;
    std::fs::create_dir_all(directory).map_err(|error| Failure::at(directory, error))?;
    let progress = Progress::to_stderr();
    for day in 0..options.days {
        progress.says(&format!("day {} of {}", day + 1, options.days));
        let paths = files::names(&format!("d{:02}", day + 1)).map(|name| directory.join(name));
        let mut files = Vec::new();
        for path in &paths {
            let file = File::create(path).map_err(|error| Failure::at(path, error))?;
            files.push(BufWriter::new(file));
        }
        if let [invocations, durations, memory] = &mut files[..] {
            let files: [&mut dyn Write; 3] = [invocations, durations, memory];
            trace::generate(options.seed, day, options.functions, mix, files)?;
        }
        for mut file in files {
            file.flush()?;
        }
    }
    progress.ends();
    let text = format!(
        "{}: {} days of {} functions, seed {}\n",
        directory.display(),
        options.days,
        options.functions,
        options.seed
    );
    print(text.as_bytes())?.done();
    Ok(ExitCode::SUCCESS)
}
