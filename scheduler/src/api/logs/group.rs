//! The ways to name a log group.

use serde::Deserialize;

use super::error::LogsError;
use crate::logs::group;
use crate::service::Identity;

/// A group, named by its name or by its ARN; a call takes either.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupName {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
}

impl GroupName {
    /// The group that is meant.
    ///
    /// # Errors
    /// Neither or both are given.
    pub(super) fn group(&self) -> Result<&str, LogsError> {
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
        Ok(name)
    }

    /// The name of its log, a checked one.
    ///
    /// # Errors
    /// As [`GroupName::group`], or there can be no such group.
    pub(super) fn log(&self) -> Result<String, LogsError> {
        group::directory(self.group()?).ok_or_else(LogsError::no_group)
    }
}

/// A group's ARN, without the `:*` behind it.
pub(super) fn arn_of(identity: &Identity, group: &str) -> String {
    let Identity { region, account } = identity;
    format!("arn:aws:logs:{region}:{account}:log-group:{group}")
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
        let arn = arn_of(&Identity::default(), "/aws/lambda/f");
        let arn_of_all = format!("{arn}:*");
        for named in [
            name(Some("/aws/lambda/f"), None),
            name(None, Some("/aws/lambda/f")),
            name(None, Some(&arn)),
            name(None, Some(&arn_of_all)),
        ] {
            assert_eq!((named.group().unwrap(), &*named.log().unwrap()), ("/aws/lambda/f", "f"));
        }
        assert!(name(Some(""), None).log().is_err());
        assert!(name(None, None).group().is_err());
        assert!(name(Some("/aws/lambda/f"), Some(&arn)).group().is_err());
    }
}
