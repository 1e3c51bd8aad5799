//! Who may call a function URL (Lambda developer guide, "Control access to Lambda function URLs").
//!
//! ```text
//!   AuthType NONE     a statement of the policy lets everybody do lambda:InvokeFunctionUrl ─▶ go on, else 403
//!   AuthType AWS_IAM  the request has a signature ─▶ go on, else 403
//! ```
//!
//! Who has signed is not known: signatures are not checked anywhere. Whoever brings one is taken for the account itself,
//! which may call its own functions without a policy.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::api::Platform;
use crate::clock;
use crate::function::{AuthType, FunctionUrl};
use crate::policy::Policy;

/// What everybody is to be allowed.
const ACTION: &str = "lambda:InvokeFunctionUrl";
/// So many URLs are remembered of which their functions' logs have been told; then all of them are forgotten.
const TOLD_MAX: usize = 1024;

/// URLs that nobody may call, whose functions' logs say so. Once each: whoever calls must not fill a log.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<BTreeSet<String>>);

impl Told {
    /// Whether this is the first time.
    fn is_new(&self, id: &str) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert(id.to_owned())
    }
}

/// Whether a request may pass. `qualifier` is the alias whose URL it is, or nothing.
pub(super) fn is_allowed(
    platform: &Platform,
    name: &str,
    qualifier: &str,
    url: &FunctionUrl,
    parts: &Parts,
) -> bool {
    match url.auth_type {
        AuthType::Iam => is_signed(parts),
        AuthType::None => {
            let entry = platform.functions.get(name);
            let policy = entry.as_ref().and_then(|entry| entry.settings.policies.get(qualifier));
            let is_allowed = policy.is_some_and(is_open);
            if !is_allowed && platform.told.is_new(&url.id) {
                explain(platform, name, qualifier);
            }
            is_allowed
        }
    }
}

/// Whether a policy lets everybody call the URL of what it is attached to.
fn is_open(policy: &Policy) -> bool {
    let context =
        [("lambda:FunctionUrlAuthType", "NONE"), ("lambda:InvokedViaFunctionUrl", "true")];
    policy.allows_anyone(ACTION, &context)
}

/// Says in the function's log why its URL refuses everybody, and how to open it.
fn explain(platform: &Platform, name: &str, qualifier: &str) {
    let alias =
        if qualifier.is_empty() { String::new() } else { format!(" --qualifier {qualifier}") };
    let stream = format!("{}/[url]", clock::day(clock::unix_ms()));
    let log = platform.functions.log_of(name);
    platform.logs.stream(&log, stream).say(&format!(
        "A request to the function URL was refused (403): no statement of the policy lets everybody call it. To \
         allow that: aws lambda add-permission --function-name {name}{alias} --statement-id url --action {ACTION} \
         --principal '*' --function-url-auth-type NONE\n"
    ));
}

/// Whether a request has a signature, in a header or in its query. As everywhere, it is taken unchecked.
fn is_signed(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    parts.headers.contains_key(AUTHORIZATION)
        || query.split('&').any(|pair| pair.starts_with("X-Amz-Signature="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_of_once_and_never_are_too_many_remembered() {
        let told = Told::default();
        assert!(told.is_new("a") && !told.is_new("a") && told.is_new("b"));
        assert!((0..TOLD_MAX).all(|number| told.is_new(&number.to_string())));
        assert!(told.0.lock().unwrap().len() <= TOLD_MAX && told.is_new("a"));
    }
}
