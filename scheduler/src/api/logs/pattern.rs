//! Filter patterns for lines of text (CloudWatch Logs user guide, "Filter pattern syntax").
//!
//! `one "two words"`: both must be there; `?a ?b`: one of them; `-c`: this one must not. Letters' case counts.
//! Patterns for JSON (`{…}`), for columns (`[…]`) and regular expressions (`%…%`) are not known.

use super::error::LogsError;

/// Longest pattern.
const CHARS_MAX: usize = 1024;

/// What a line must be like.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern {
    all: Vec<Vec<u8>>,
    any: Vec<Vec<u8>>,
    none: Vec<Vec<u8>>,
}

impl Pattern {
    /// Reads a pattern; an empty one is met by every line.
    ///
    /// # Errors
    /// One that is not known here, or broken.
    pub(super) fn parse(text: &str) -> Result<Pattern, LogsError> {
        if text.chars().count() > CHARS_MAX {
            return Err(LogsError::invalid(format!(
                "filterPattern has more than {CHARS_MAX} characters."
            )));
        }
        let mut rest = text.trim();
        if rest.starts_with(['{', '[', '%']) {
            let message = "Patterns for JSON, for columns and of regular expressions are not supported: \
                           give terms.";
            return Err(LogsError::invalid(message));
        }
        let mut pattern = Pattern::default();
        while !rest.is_empty() {
            let terms = match rest.as_bytes()[0] {
                b'?' => &mut pattern.any,
                b'-' => &mut pattern.none,
                _ => &mut pattern.all,
            };
            let word = rest.strip_prefix(['?', '-']).unwrap_or(rest);
            let (term, after) = match word.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or_else(|| {
                    LogsError::invalid("Invalid filterPattern: a quote is not closed.")
                })?,
                None => word.split_once(char::is_whitespace).unwrap_or((word, "")),
            };
            if term.is_empty() && !word.starts_with('"') {
                return Err(LogsError::invalid("Invalid filterPattern: a term is empty."));
            }
            terms.push(term.into());
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    /// Whether a line is like that.
    pub(super) fn is_met_by(&self, line: &[u8]) -> bool {
        let has = |term: &Vec<u8>| contains(line, term);
        self.all.iter().all(has)
            && (self.any.is_empty() || self.any.iter().any(has))
            && !self.none.iter().any(has)
    }
}

fn contains(line: &[u8], term: &[u8]) -> bool {
    let Some(&first) = term.first() else { return true };
    let mut rest = line;
    // Most bytes of most lines are not the first of the term.
    while let Some(at) = rest.iter().position(|&byte| byte == first) {
        if rest[at..].starts_with(term) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_looked_for() {
        let is_met =
            |pattern: &str| Pattern::parse(pattern).unwrap().is_met_by(b"an ERROR: two words, 3");
        for pattern in
            ["", "  ", "ERROR", "ERROR 3", "\"two words\"", "?no ?ERROR", "ERROR -no", "\"\""]
        {
            assert!(is_met(pattern), "{pattern}");
        }
        for pattern in
            ["error", "ERROR no", "\"two  words\"", "?no ?nor", "-ERROR", "ERROR -\"two words\""]
        {
            assert!(!is_met(pattern), "{pattern}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pattern in ["{ $.a = 1 }", "[a, b]", "%x%", "\"open", "a ?", "-"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::parse(&"x".repeat(CHARS_MAX + 1)).is_err());
    }
}
