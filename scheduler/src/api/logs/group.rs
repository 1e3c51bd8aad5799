//! The ways to name a log group, and what a function's is called.

use serde::Deserialize;

use super::error::LogsError;
use crate::api::name::is_function_name;
use crate::service::Identity;

const PREFIX: &str = "/aws/lambda/";

/// A group, named by its name or by its ARN; a call takes either.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupName {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
}

impl GroupName {
    /// The function whose group is meant, a checked name.
    ///
    /// # Errors
    /// Neither or both are given, or no function could have this group.
    pub(super) fn function(&self) -> Result<&str, LogsError> {
        let name = match (&self.log_group_name, &self.log_group_identifier) {
            (Some(name), None) => name,
            (None, Some(identifier)) => match identifier.split_once(":log-group:") {
                Some((_, name)) => name.strip_suffix(":*").unwrap_or(name),
                None => identifier,
            },
            _ => {
                let message = "Give either logGroupName or logGroupIdentifier.";
                return Err(LogsError::invalid(message));
            }
        };
        function_of(name).ok_or_else(LogsError::no_group)
    }
}

/// The name of a function's group.
pub(super) fn name_of(function: &str) -> String {
    format!("{PREFIX}{function}")
}

/// Its ARN, without the `:*` behind it.
pub(super) fn arn_of(identity: &Identity, function: &str) -> String {
    let Identity { region, account } = identity;
    format!("arn:aws:logs:{region}:{account}:log-group:{PREFIX}{function}")
}

fn function_of(group: &str) -> Option<&str> {
    group.strip_prefix(PREFIX).filter(|function| is_function_name(function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_in_either_way() {
        let name = |name: Option<&str>, identifier: Option<&str>| GroupName {
            log_group_name: name.map(Into::into),
            log_group_identifier: identifier.map(Into::into),
        };
        let arn = arn_of(&Identity::default(), "f");
        let arn_of_all = format!("{arn}:*");
        for named in [
            name(Some("/aws/lambda/f"), None),
            name(None, Some("/aws/lambda/f")),
            name(None, Some(&arn)),
            name(None, Some(&arn_of_all)),
        ] {
            assert_eq!(named.function().unwrap(), "f");
        }
        for none in ["", "f", "/aws/lambda/", "/aws/lambda/../x", "/aws/lambda/.", "/var/log"] {
            assert!(name(Some(none), None).function().is_err(), "{none}");
        }
        assert!(name(None, None).function().is_err());
        assert!(name(Some("/aws/lambda/f"), Some(&arn)).function().is_err());
    }
}
