//! From what a client says of a permission to a policy's statement: patterns and lengths as in the model.

use super::error::ApiError;
use super::name::{is_account, is_arn};
use crate::policy::{Conditions, PolicyError, Principal};

/// Bounds of the model's StatementId, Principal, Arn, EventSourceToken and PrincipalOrgID.
const SID_CHARS_MAX: usize = 100;
const PRINCIPAL_CHARS_MAX: usize = 2048;
const ARN_CHARS_MAX: usize = 10_000;
const TOKEN_CHARS_MAX: usize = 256;
/// Where services that may be principals have their names.
const SERVICES: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"];
const ORGANISATION_CHARS: std::ops::RangeInclusive<usize> = 10..=32;

/// A statement's id.
pub(super) fn sid(text: &str) -> Result<String, ApiError> {
    let fits = (1..=SID_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !fits {
        let must = "satisfy regular expression pattern: ([a-zA-Z0-9-_]+)";
        return Err(ApiError::constraint(text, "statementId", must));
    }
    Ok(text.into())
}

/// Everybody, an account, an identity or a service.
pub(super) fn principal(text: &str) -> Result<Principal, ApiError> {
    if text.is_empty() || text.len() > PRINCIPAL_CHARS_MAX || text.contains(char::is_whitespace) {
        let must = "satisfy regular expression pattern: [^\\s]+";
        return Err(ApiError::constraint(text, "principal", must));
    }
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if text == "*" {
        Ok(Principal::Anyone(text.into()))
    } else if is_account(text) {
        Ok(Principal::Aws { arn: format!("arn:aws:iam::{text}:root") })
    } else if is_identity(text) {
        Ok(Principal::Aws { arn: text.into() })
    } else if SERVICES.iter().any(|domain| text.ends_with(domain)) && text.bytes().all(is_domain) {
        Ok(Principal::Service { name: text.into() })
    } else {
        Err(ApiError::invalid(
            "The provided principal was invalid. Please check the principal and try again.",
        ))
    }
}

/// The ARN of an identity: `arn:aws:iam::ACCOUNT:…` or `arn:aws:sts::ACCOUNT:…`.
fn is_identity(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, "iam" | "sts", "", account, resource]
        if partition.starts_with("aws") && is_account(account) && !resource.is_empty())
}

/// The account that a resource belongs to.
pub(super) fn account(text: &str) -> Result<&str, ApiError> {
    let must = "satisfy regular expression pattern: \\d{12}";
    if is_account(text) { Ok(text) } else { Err(ApiError::constraint(text, "sourceAccount", must)) }
}

/// The resource in whose name the principal acts; may hold wildcards.
pub(super) fn source_arn(text: &str) -> Result<&str, ApiError> {
    let fits = text.len() <= ARN_CHARS_MAX && is_arn(text);
    let must = "satisfy regular expression pattern: arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:\
                ([a-z]{2}(-gov)?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)";
    if fits { Ok(text) } else { Err(ApiError::constraint(text, "sourceArn", must)) }
}

/// The token that an Alexa skill shows.
pub(super) fn token(text: &str) -> Result<&str, ApiError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=TOKEN_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_allowed);
    let must = "satisfy regular expression pattern: [a-zA-Z0-9._\\-]+";
    if fits { Ok(text) } else { Err(ApiError::constraint(text, "eventSourceToken", must)) }
}

/// The organisation that an account belongs to, in the request's `member`.
pub(super) fn organisation<'a>(text: &'a str, member: &str) -> Result<&'a str, ApiError> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = text
        .strip_prefix("o-")
        .is_some_and(|id| ORGANISATION_CHARS.contains(&id.len()) && id.bytes().all(is_allowed));
    let must = "satisfy regular expression pattern: o-[a-z0-9]{10,32}";
    if fits { Ok(text) } else { Err(ApiError::constraint(text, member, must)) }
}

/// Adds a condition.
pub(super) fn require(conditions: &mut Conditions, operator: &str, key: &str, value: &str) {
    conditions.entry(operator.into()).or_default().insert(key.into(), value.into());
}

/// What a client is told of a policy that stays as it is.
pub(super) fn refused(error: PolicyError, sid: &str) -> ApiError {
    match error {
        PolicyError::Exists => ApiError::conflict(format!(
            "The statement id ({sid}) provided already exists. Please provide a new statement id, or \
             remove the existing statement."
        )),
        PolicyError::Missing => {
            ApiError::missing(format!("Statement {sid} is not found in resource policy."))
        }
        PolicyError::TooLong(bytes) => ApiError::policy_too_long(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_have_four_forms() {
        let arn = |text: &str| Principal::Aws { arn: text.into() };
        assert_eq!(principal("*").unwrap(), Principal::Anyone("*".into()));
        assert_eq!(principal("000000000000").unwrap(), arn("arn:aws:iam::000000000000:root"));
        let user = "arn:aws:iam::000000000000:user/u";
        assert_eq!(principal(user).unwrap(), arn(user));
        let name = "s3.amazonaws.com".to_owned();
        assert_eq!(principal(&name).unwrap(), Principal::Service { name: name.clone() });
        for bad in ["", "a b", "s3", "1234", "arn:aws:s3:::b", "arn:aws:iam::1:root", "**"] {
            assert!(principal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_hold_from_both_sides() {
        assert!(sid(&"s".repeat(100)).is_ok() && sid(&"s".repeat(101)).is_err());
        assert!(sid("").is_err() && sid("a.b").is_err());
        assert!(token(&"t".repeat(256)).is_ok() && token(&"t".repeat(257)).is_err());
        let name = |length: usize| format!("o-{}", "a".repeat(length));
        assert!(organisation(&name(10), "m").is_ok() && organisation(&name(9), "m").is_err());
        assert!(organisation(&name(32), "m").is_ok() && organisation(&name(33), "m").is_err());
        assert!(source_arn("arn:aws:s3:::bucket").is_ok());
        assert!(source_arn("arn:aws:sns:us-east-1:000000000000:t").is_ok());
        for bad in ["", "bucket", "arn:aws:s3", "arn:aws:s3::1:b", "arn:gcp:s3:::b"] {
            assert!(source_arn(bad).is_err(), "{bad}");
        }
        assert!(account("000000000000").is_ok() && account("00000000000").is_err());
    }
}
