//! Which of a function URL's two forms clients are told.

use std::fmt;
use std::str::FromStr;

/// Both lead to the function, whichever is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlForm {
    /// A host of its own below localhost, as on AWS: pages find what they link to.
    Host,
    /// A path of the platform's address, which needs nobody who knows names.
    Path,
}

impl FromStr for UrlForm {
    type Err = String;

    fn from_str(text: &str) -> Result<UrlForm, String> {
        match text {
            "host" => Ok(UrlForm::Host),
            "path" => Ok(UrlForm::Path),
            _ => Err("it is host or path".into()),
        }
    }
}

impl fmt::Display for UrlForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlForm::Host => "host",
            UrlForm::Path => "path",
        })
    }
}
