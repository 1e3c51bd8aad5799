//! AWS STS' one call that clients make of themselves, to learn which account they speak for: GetCallerIdentity.
//! Shapes as in botocore's model of the service, 2011-06-15.

use super::Platform;
use super::query::{Element, QueryError};

pub(super) const VERSION: &str = "2011-06-15";
pub(super) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(super) fn call(platform: &Platform, action: &str) -> Result<Vec<Element>, QueryError> {
    if action != "GetCallerIdentity" {
        return Err(QueryError::unknown(action));
    }
    let account = &platform.service.identity.account;
    Ok(vec![
        Element::text("Arn", format!("arn:aws:iam::{account}:root")),
        Element::text("UserId", account),
        Element::text("Account", account),
    ])
}
