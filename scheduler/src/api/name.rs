//! The ways to name a function: `NAME`, `ACCOUNT:function:NAME`, a whole ARN, each with `:QUALIFIER`; and
//! those to name a layer.

use super::error::ApiError;
use super::violations::{Violations, violation};
use crate::service::Identity;

/// Longest name of a function, and longest form of naming one, anew and otherwise.
const NAME_CHARS_MAX: usize = 64;
const NEW_FORM_CHARS_MAX: usize = 140;
const FORM_CHARS_MAX: usize = 256;
/// Longest name of an alias.
const ALIAS_CHARS_MAX: usize = 128;
/// Longest name of a layer.
const LAYER_CHARS_MAX: usize = 140;

/// What the model says of the forms: of a new function's (FunctionName), of any's (NamespacedFunctionName), and of a qualifier
/// that stands alone (NumericLatestPublishedOrAliasQualifier).
const NEW_FORM: &str = r"satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
const FORM: &str = r"satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const QUALIFIER: &str =
    r"satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";
const QUALIFIER_CHARS_MAX: usize = 128;

/// A function, named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FunctionName {
    /// From 1 of `[a-zA-Z0-9-_.]` on; that of a function that is there is fit to be part of a path.
    pub(super) name: String,
    /// A version or alias.
    pub(super) qualifier: Option<String>,
    /// Where it is said to be.
    region: Option<String>,
    account: Option<String>,
}

impl FunctionName {
    /// Reads any of the forms, and the qualifier that stands in a query.
    ///
    /// # Errors
    /// One that is none of them; two qualifiers that contradict each other.
    pub(super) fn parse(form: &str, query: Option<String>) -> Result<FunctionName, ApiError> {
        let mut wrong = Violations::default();
        wrong.length(form, "functionName", 1..=FORM_CHARS_MAX);
        let read = Self::read(form);
        if read.is_none() {
            wrong.add(form, "functionName", FORM);
        }
        if let Some(query) = &query {
            wrong.length(query, "qualifier", 1..=QUALIFIER_CHARS_MAX);
            if !query.bytes().all(|byte| is_name_byte(byte) || byte == b'$') {
                wrong.add(query, "qualifier", QUALIFIER);
            }
        }
        wrong.check()?;
        read.unwrap_or_default().qualified(query)
    }

    /// Reads the name of a function to be.
    ///
    /// # Errors
    /// InvalidParameterValueException: a name that is too long, or has a qualifier.
    pub(super) fn parse_new(form: &str, wrong: &mut Violations) -> Result<FunctionName, ApiError> {
        wrong.length(form, "functionName", 1..=NEW_FORM_CHARS_MAX);
        let read = Self::read(form).filter(|read| !read.name.contains('.'));
        let Some(read) = read else {
            wrong.add(form, "functionName", NEW_FORM);
            return Ok(FunctionName::default());
        };
        if wrong.is_empty() && read.name.len() > NAME_CHARS_MAX {
            let must = format!("have length less than or equal to {NAME_CHARS_MAX}");
            return Err(ApiError::invalid(format!(
                "1 validation error detected: {}",
                violation(&read.name, "functionName", &must)
            )));
        }
        if wrong.is_empty() && read.qualifier.is_some() {
            return Err(ApiError::invalid("A function is created without a qualifier."));
        }
        Ok(read)
    }

    /// Itself, where this platform may have it.
    ///
    /// # Errors
    /// ResourceNotFoundException: it is in another region; AccessDeniedException: it is another account's.
    pub(super) fn here(self, identity: &Identity) -> Result<FunctionName, ApiError> {
        if let Some(region) = self.region.as_ref().filter(|region| **region != identity.region) {
            return Err(ApiError::missing(format!(
                "Functions from '{region}' are not reachable in this region ('{}')",
                identity.region
            )));
        }
        match self.account.as_ref().filter(|account| **account != identity.account) {
            Some(account) => Err(ApiError::access_denied(format!(
                "The function {} is of the account {account}; this one is {}.",
                self.name, identity.account
            ))),
            None => Ok(self),
        }
    }

    /// The same function, by another qualifier.
    pub(super) fn at(mut self, qualifier: Option<String>) -> FunctionName {
        self.qualifier = qualifier;
        self
    }

    fn read(form: &str) -> Option<FunctionName> {
        let rest = form.strip_prefix("arn:").and_then(|arn| {
            let (partition, rest) = arn.split_once(":lambda:")?;
            let is_partition = partition.is_empty() || partition.starts_with("aws");
            (is_partition && !partition.contains(':')).then_some(rest)
        });
        let (region, rest) = leading(rest.unwrap_or(form), is_region);
        let (account, rest) = leading(rest, is_account);
        let rest = rest.strip_prefix("function:").unwrap_or(rest);
        let (name, qualifier) = match rest.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (rest, None),
        };
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| is_name_byte(byte) || byte == b'.');
        let fits = |qualifier: &str| {
            matches!(qualifier, "$LATEST" | "$LATEST.PUBLISHED")
                || !qualifier.is_empty() && qualifier.bytes().all(is_name_byte)
        };
        (is_name && qualifier.is_none_or(fits)).then(|| FunctionName {
            name: name.into(),
            qualifier: qualifier.map(Into::into),
            region: region.map(Into::into),
            account: account.map(Into::into),
        })
    }

    fn qualified(mut self, query: Option<String>) -> Result<FunctionName, ApiError> {
        match (&self.qualifier, query) {
            (Some(own), Some(query)) if *own != query => Err(ApiError::invalid(
                "The derived qualifier from the function name does not match the specified qualifier.",
            )),
            (None, query) => {
                self.qualifier = query;
                Ok(self)
            }
            _ => Ok(self),
        }
    }
}

/// What stands before the first colon, if it `is` what may stand there, and the rest.
fn leading(form: &str, is: fn(&str) -> bool) -> (Option<&str>, &str) {
    match form.split_once(':') {
        Some((first, rest)) if is(first) => (Some(first), rest),
        _ => (None, form),
    }
}

/// Whether it may be the name of a region: `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let text = text.strip_prefix("eusc-").unwrap_or(text);
    let mut parts = text.split('-').collect::<Vec<_>>();
    if parts.len() == 4 && (parts[1] == "gov" || parts[1].len() <= 4 && parts[1].starts_with("iso"))
    {
        parts.remove(1);
    }
    let is_lower = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts[..] {
        [land, place, number] => {
            land.len() == 2
                && is_lower(land)
                && !place.is_empty()
                && is_lower(place)
                && number.len() == 1
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// What the model says of the ARN of a layer's version.
const LAYER_VERSION_ARN: &str = r"satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)";

/// A layer's version, named by its ARN: `arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LayerName {
    /// 1–140 of `[a-zA-Z0-9-_]`.
    pub(super) name: String,
    /// From 1 on.
    pub(super) version: u64,
    /// Where it is said to be.
    pub(super) region: String,
}

impl LayerName {
    /// # Errors
    /// Anything but such an ARN.
    pub(super) fn parse_version_arn(arn: &str) -> Result<LayerName, ApiError> {
        Self::read(arn).ok_or_else(|| ApiError::constraint(arn, "arn", LAYER_VERSION_ARN))
    }

    /// Several of them.
    ///
    /// # Errors
    /// One that is none.
    pub(super) fn parse_version_arns(arns: &[String]) -> Result<Vec<LayerName>, ApiError> {
        let all: Option<Vec<LayerName>> = arns.iter().map(|arn| Self::read(arn)).collect();
        all.ok_or_else(|| {
            let must = format!(
                "satisfy constraint: [Member must have length less than or equal to 2048, Member must have length \
                 greater than or equal to 1, Member must {LAYER_VERSION_ARN}, Member must not be null]"
            );
            ApiError::constraint(&format!("[{}]", arns.join(", ")), "layers", &must)
        })
    }

    fn read(arn: &str) -> Option<LayerName> {
        let (layer, version) = arn.rsplit_once(':')?;
        let region = layer.split(':').nth(3).filter(|region| is_region(region))?.to_owned();
        Some(LayerName { name: layer_name(layer)?, version: number(version)?, region })
    }

    /// The name of a layer, given as that or as the layer's ARN.
    ///
    /// # Errors
    /// Neither.
    pub(super) fn parse_layer(form: &str) -> Result<String, ApiError> {
        layer_name(form).ok_or_else(|| {
            let shown: String = form.chars().take(FORM_CHARS_MAX).collect();
            let must = "satisfy regular expression pattern: (arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\
                        \\d{12}:layer:[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+";
            ApiError::constraint(&shown, "layerName", must)
        })
    }
}

fn layer_name(form: &str) -> Option<String> {
    let parts: Vec<&str> = form.splitn(8, ':').collect();
    let name = match parts[..] {
        [name] => name,
        ["arn", partition, "lambda", _, account, "layer", name]
            if partition.starts_with("aws") && is_account(account) =>
        {
            name
        }
        _ => return None,
    };
    let fits = (1..=LAYER_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_name_byte);
    fits.then(|| name.into())
}

/// The number of a version: decimal digits, from 1 on.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_number = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Whether it is the number of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it has the form of any service's ARN; region and account may be absent.
pub(super) fn is_arn(text: &str) -> bool {
    let is_part =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, service, region, account, _]
        if partition.strip_prefix("aws").is_some_and(is_part)
            && !service.is_empty()
            && is_part(service)
            && (region.is_empty() || is_region(region))
            && (account.is_empty() || is_account(account)))
}

/// Whether an alias may have this name: it is no number, so no version's.
pub(super) fn is_alias_name(name: &str) -> bool {
    (1..=ALIAS_CHARS_MAX).contains(&name.len())
        && name.bytes().all(is_name_byte)
        && !name.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let long = "arn:aws:lambda:us-east-1:000000000000:function:f-1_A";
        let gov = "arn:aws-us-gov:lambda:us-gov-west-1:000000000000:f-1_A";
        for form in ["f-1_A", "000000000000:function:f-1_A", "function:f-1_A", long, gov] {
            let plain = FunctionName::parse(form, None).unwrap();
            assert_eq!((plain.name.as_str(), plain.qualifier), ("f-1_A", None), "{form}");
            let latest = FunctionName::parse(&format!("{form}:$LATEST"), None).unwrap();
            assert_eq!(latest.qualifier.as_deref(), Some("$LATEST"), "{form}");
        }
    }

    #[test]
    fn nothing_else_is() {
        let long = "x".repeat(257);
        let account = ":000000000000:function:f";
        for form in [
            "",
            ":",
            "a/b",
            "f:",
            "f:a:b:c",
            "f:$X",
            "ä",
            &long,
            "1:function:f",
            &format!("arn:aws:ec2:us-east-1{account}"),
            &format!("arn:aws:lambda:nowhere{account}"),
            &format!("arn:aws:lambda:{account}"),
            &format!("arn:aws:lambda:us-east-12{account}"),
        ] {
            assert!(FunctionName::parse(form, None).is_err(), "{form}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let long = format!("{}!", "x".repeat(256));
        let error = FunctionName::parse(&long, Some("?".into())).unwrap_err();
        let found: Vec<_> = error.message().split("; ").collect();
        assert!(found[0].starts_with("3 validation errors detected: Value 'xxx"), "{found:?}");
        assert!(found[0].ends_with("Member must have length less than or equal to 256"));
        assert!(found[1].ends_with(FORM) && found[2].starts_with("Value '?' at 'qualifier'"));
    }

    #[test]
    fn a_new_function_has_a_shorter_name() {
        let new = |form: &str| {
            let mut wrong = Violations::default();
            let read = FunctionName::parse_new(form, &mut wrong)?;
            wrong.check().map(|()| read.name)
        };
        let (fits, long) = ("x".repeat(64), "x".repeat(65));
        assert_eq!(new(&fits).unwrap(), fits);
        assert_eq!(new(&long).unwrap_err().kind(), "InvalidParameterValueException");
        for form in ["a.b", "..", &"x".repeat(141)] {
            assert_eq!(new(form).unwrap_err().kind(), "ValidationException", "{form}");
        }
        assert_eq!(new("f:1").unwrap_err().kind(), "InvalidParameterValueException");
    }

    #[test]
    fn functions_of_others_are_not_here() {
        let identity = Identity { account: "000000000000".into(), region: "us-east-1".into() };
        let kind = |form: &str| match FunctionName::parse(form, None).unwrap().here(&identity) {
            Ok(_) => "",
            Err(error) => error.kind(),
        };
        assert_eq!(kind("f"), "");
        assert_eq!(kind("arn:aws:lambda:us-east-1:000000000000:function:f"), "");
        assert_eq!(
            kind("arn:aws:lambda:eu-west-1:000000000000:function:f"),
            "ResourceNotFoundException"
        );
        assert_eq!(kind("000000000001:function:f"), "AccessDeniedException");
    }

    #[test]
    fn layers_have_two_forms() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:l-1_A";
        assert_eq!(LayerName::parse_layer(arn).unwrap(), "l-1_A");
        assert_eq!(LayerName::parse_layer("l-1_A").unwrap(), "l-1_A");
        let version = LayerName::parse_version_arn(&format!("{arn}:12")).unwrap();
        assert_eq!((&*version.name, version.version), ("l-1_A", 12));
        for bad in ["l:1", arn, "", ":", "arn:aws:lambda:x:1:layer:l:1"] {
            assert!(LayerName::parse_version_arn(bad).is_err(), "{bad}");
        }
        for number in ["0", "01", "+1", "-1", "x", "99999999999999999999"] {
            assert!(LayerName::parse_version_arn(&format!("{arn}:{number}")).is_err(), "{number}");
        }
        for bad in ["../l", "", "a:b", &format!("{arn}:1"), &"l".repeat(141)] {
            assert!(LayerName::parse_layer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn qualifiers_must_agree() {
        let name = |query: Option<&str>| FunctionName::parse("f:1", query.map(Into::into));
        assert!(name(Some("2")).is_err());
        assert!(name(Some("1")).is_ok());
        assert!(name(None).is_ok());
    }
}
