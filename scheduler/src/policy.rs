//! Resource-based policies: who may do what with a function or with a version of a layer.
//!
//! They are kept and told as clients wrote them, statement by statement. The platform asks them where it can know who
//! wants something, which is where nobody in particular does: at function URLs that are open to everybody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest policy, as its document, bytes (Lambda quotas: 20 KB).
pub const POLICY_BYTES_MAX: usize = 20 * 1024;

/// The statements about one resource, in the order of their adding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policy(Vec<Statement>);

/// Lets somebody do something. Its JSON is an IAM policy's (IAM user guide, "IAM JSON policy element reference").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its id, once in a policy.
    pub sid: String,
    /// What it says of the action.
    pub effect: Effect,
    /// Who.
    pub principal: Principal,
    /// What, such as `lambda:InvokeFunction`.
    pub action: String,
    /// With which resource: an ARN.
    pub resource: String,
    /// Only where these hold: key and value by operator.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub condition: Conditions,
}

/// Conditions of a statement: `{"StringEquals": {"AWS:SourceAccount": "…"}}`.
pub type Conditions = BTreeMap<String, BTreeMap<String, String>>;

/// Statements that are added one by one only ever allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// It may be done.
    Allow,
}

/// Who may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Principal {
    /// `*`.
    Anyone(String),
    /// An account's root or another identity, by its ARN.
    Aws {
        /// The ARN.
        #[serde(rename = "AWS")]
        arn: String,
    },
    /// A service, such as `s3.amazonaws.com`.
    Service {
        /// Its name.
        #[serde(rename = "Service")]
        name: String,
    },
}

/// Why a policy stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// It has a statement of this id.
    #[error("the policy has a statement of this id")]
    Exists,
    /// It has none.
    #[error("the policy has no statement of this id")]
    Missing,
    /// It would have this many bytes.
    #[error("the policy would have {0} bytes, of {POLICY_BYTES_MAX} at most")]
    TooLong(usize),
}

impl Policy {
    /// Whether there is no statement.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a statement.
    ///
    /// # Errors
    /// [`PolicyError::Exists`], [`PolicyError::TooLong`]; then nothing has changed.
    pub fn add(&mut self, statement: Statement) -> Result<(), PolicyError> {
        if self.0.iter().any(|one| one.sid == statement.sid) {
            return Err(PolicyError::Exists);
        }
        self.0.push(statement);
        let bytes = self.document().len();
        if bytes > POLICY_BYTES_MAX {
            self.0.pop();
            return Err(PolicyError::TooLong(bytes));
        }
        Ok(())
    }

    /// Removes the statement of this id.
    ///
    /// # Errors
    /// [`PolicyError::Missing`].
    pub fn remove(&mut self, sid: &str) -> Result<(), PolicyError> {
        let place = self.0.iter().position(|one| one.sid == sid).ok_or(PolicyError::Missing)?;
        self.0.remove(place);
        Ok(())
    }

    /// Whether anybody at all may do `action`, where these keys have these values. A condition of which nothing is known
    /// does not hold.
    pub fn allows_anyone(&self, action: &str, context: &[(&str, &str)]) -> bool {
        self.0.iter().any(|statement| statement.allows_anyone(action, context))
    }

    /// The policy as IAM writes it.
    pub fn document(&self) -> String {
        // Strings as keys and values: it can always be written.
        let statements = serde_json::to_string(&self.0).unwrap_or_default();
        format!(r#"{{"Version":"2012-10-17","Id":"default","Statement":{statements}}}"#)
    }
}

impl Statement {
    fn allows_anyone(&self, action: &str, context: &[(&str, &str)]) -> bool {
        let is_for_all = matches!(&self.principal, Principal::Anyone(_));
        let is_of_it = matches!(&*self.action, "*" | "lambda:*") || is_same(&self.action, action);
        let holds = |operator: &str, (key, wanted): (&String, &String)| {
            // Keys are the same in any case (IAM user guide, "Condition").
            let found = context.iter().find(|(known, _)| is_same(known, key));
            found.is_some_and(|(_, found)| match operator {
                "StringEquals" => found == wanted,
                "Bool" => is_same(found, wanted),
                _ => false,
            })
        };
        let mut conditions = self.condition.iter();
        let all_hold = conditions
            .all(|(operator, keys)| keys.iter().all(|condition| holds(operator, condition)));
        is_for_all && is_of_it && all_hold
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sid: &str, resource: &str) -> Statement {
        Statement {
            sid: sid.into(),
            effect: Effect::Allow,
            principal: Principal::Service { name: "s3.amazonaws.com".into() },
            action: "lambda:InvokeFunction".into(),
            resource: resource.into(),
            condition: Conditions::new(),
        }
    }

    #[test]
    fn a_document_is_as_iam_writes_it_and_is_read_again() {
        let mut policy = Policy::default();
        policy.add(statement("one", "r")).unwrap();
        let is = [("AWS:SourceAccount".to_owned(), "1".to_owned())].into();
        let condition = [("StringEquals".to_owned(), is)].into();
        let principal = Principal::Anyone("*".into());
        policy.add(Statement { condition, principal, ..statement("two", "r") }).unwrap();
        assert_eq!(
            policy.document(),
            r#"{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"one","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"r"},{"Sid":"two","Effect":"Allow","Principal":"*","Action":"lambda:InvokeFunction","Resource":"r","Condition":{"StringEquals":{"AWS:SourceAccount":"1"}}}]}"#
        );
        let text = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }

    #[test]
    fn an_id_is_there_once() {
        let mut policy = Policy::default();
        policy.add(statement("one", "r")).unwrap();
        assert_eq!(policy.add(statement("one", "other")), Err(PolicyError::Exists));
        assert_eq!(policy.remove("two"), Err(PolicyError::Missing));
        assert_eq!(policy.remove("one"), Ok(()));
        assert!(policy.is_empty());
        assert_eq!(policy.add(statement("one", "other")), Ok(()));
    }

    #[test]
    fn anybody_may_what_a_statement_for_all_allows_under_conditions_that_hold() {
        let condition = |operator: &str, key: &str, value: &str| -> Conditions {
            [(operator.to_owned(), [(key.to_owned(), value.to_owned())].into())].into()
        };
        let context =
            [("lambda:FunctionUrlAuthType", "NONE"), ("lambda:InvokedViaFunctionUrl", "true")];
        let may = |change: &dyn Fn(&mut Statement)| {
            let mut one = statement("one", "r");
            one.principal = Principal::Anyone("*".into());
            one.action = "lambda:InvokeFunctionUrl".into();
            change(&mut one);
            let mut policy = Policy::default();
            policy.add(statement("other", "r")).unwrap();
            policy.add(one).unwrap();
            policy.allows_anyone("lambda:InvokeFunctionUrl", &context)
        };
        assert!(may(&|_| {}));
        assert!(!Policy::default().allows_anyone("lambda:InvokeFunctionUrl", &context));
        for action in ["*", "lambda:*", "lambda:invokefunctionurl"] {
            assert!(may(&|one| one.action = action.into()), "{action}");
        }
        assert!(!may(&|one| one.action = "lambda:InvokeFunction".into()));
        assert!(
            !may(&|one| one.principal = Principal::Service { name: "s3.amazonaws.com".into() })
        );
        let root = "arn:aws:iam::000000000000:root";
        assert!(!may(&|one| one.principal = Principal::Aws { arn: root.into() }));
        for (operator, key, value, holds) in [
            ("StringEquals", "lambda:FunctionUrlAuthType", "NONE", true),
            ("StringEquals", "Lambda:functionurlauthtype", "NONE", true),
            ("StringEquals", "lambda:FunctionUrlAuthType", "AWS_IAM", false),
            ("Bool", "lambda:InvokedViaFunctionUrl", "True", true),
            ("Bool", "lambda:InvokedViaFunctionUrl", "false", false),
            ("StringEquals", "aws:PrincipalOrgID", "o-aaaaaaaaaa", false),
            ("ArnLike", "AWS:SourceArn", "*", false),
        ] {
            let told = may(&|one| one.condition = condition(operator, key, value));
            assert_eq!(told, holds, "{operator} {key} {value}");
        }
        let both = |one: &mut Statement| {
            one.condition = condition("StringEquals", "lambda:FunctionUrlAuthType", "NONE");
            one.condition.extend(condition("ArnLike", "AWS:SourceArn", "*"));
        };
        assert!(!may(&both), "all of them must hold");
    }

    #[test]
    fn the_last_byte_counts() {
        let mut probe = Policy::default();
        probe.add(statement("one", "")).unwrap();
        let room = POLICY_BYTES_MAX - probe.document().len();
        let mut policy = Policy::default();
        let refused = policy.add(statement("one", &"x".repeat(room + 1)));
        assert_eq!(refused, Err(PolicyError::TooLong(POLICY_BYTES_MAX + 1)));
        assert!(policy.is_empty());
        policy.add(statement("one", &"x".repeat(room))).unwrap();
        assert_eq!(policy.document().len(), POLICY_BYTES_MAX);
    }
}
