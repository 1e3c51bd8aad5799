//! The ways to name a function: `NAME`, `ACCOUNT:function:NAME`, a whole ARN, each with `:QUALIFIER`; and
//! those to name a layer.

use super::error::ApiError;

/// Longest name of a function, and longest form of naming it.
const NAME_CHARS_MAX: usize = 64;
const FORM_CHARS_MAX: usize = 256;
/// Longest name of an alias.
const ALIAS_CHARS_MAX: usize = 128;
/// Longest name of a layer.
const LAYER_CHARS_MAX: usize = 140;

/// A function, named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FunctionName {
    /// 1–64 of `[a-zA-Z0-9-_]`: fit to be part of a path.
    pub(super) name: String,
    /// A version or alias.
    pub(super) qualifier: Option<String>,
}

impl FunctionName {
    /// Reads any of the forms.
    ///
    /// # Errors
    /// One that is none of them.
    pub(super) fn parse(form: &str) -> Result<FunctionName, ApiError> {
        Self::try_parse(form).ok_or_else(|| {
            let shown: String = form.chars().take(FORM_CHARS_MAX).collect();
            ApiError::constraint(
                &shown,
                "functionName",
                "satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|\
                 (-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)\
                 (:(\\$LATEST|[a-zA-Z0-9-_]+))?",
            )
        })
    }

    fn try_parse(form: &str) -> Option<FunctionName> {
        if form.len() > FORM_CHARS_MAX {
            return None;
        }
        let parts: Vec<&str> = form.split(':').collect();
        let (name, qualifier) = match parts[..] {
            ["arn", partition, "lambda", _, account, "function", ref rest @ ..]
                if partition.starts_with("aws") && is_account(account) =>
            {
                last(rest)?
            }
            [account, "function", ref rest @ ..] if is_account(account) => last(rest)?,
            ["function", ref rest @ ..] if !rest.is_empty() => last(rest)?,
            ref rest => last(rest)?,
        };
        let fits = |qualifier: &&str| {
            *qualifier == "$LATEST" || !qualifier.is_empty() && qualifier.bytes().all(is_name_byte)
        };
        (is_function_name(name) && qualifier.as_ref().is_none_or(fits))
            .then(|| FunctionName { name: name.into(), qualifier: qualifier.map(Into::into) })
    }

    /// Adds the qualifier that stands in the query.
    ///
    /// # Errors
    /// Two that contradict each other.
    pub(super) fn qualified(mut self, query: Option<String>) -> Result<FunctionName, ApiError> {
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

/// A layer's version, named by its ARN: `arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LayerName {
    /// 1–140 of `[a-zA-Z0-9-_]`.
    pub(super) name: String,
    /// From 1 on.
    pub(super) version: u64,
}

impl LayerName {
    /// # Errors
    /// Anything but such an ARN.
    pub(super) fn parse_version_arn(arn: &str) -> Result<LayerName, ApiError> {
        let parse = || {
            let (layer, version) = arn.rsplit_once(':')?;
            let name = Some(layer).filter(|layer| layer.contains(':')).and_then(layer_name)?;
            Some(LayerName { name, version: number(version)? })
        };
        parse().ok_or_else(|| {
            let shown: String = arn.chars().take(FORM_CHARS_MAX).collect();
            let must = "satisfy regular expression pattern: arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\
                        \\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+";
            ApiError::constraint(&shown, "layers", must)
        })
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

fn last<'a>(rest: &[&'a str]) -> Option<(&'a str, Option<&'a str>)> {
    match *rest {
        [name] => Some((name, None)),
        [name, qualifier] => Some((name, Some(qualifier))),
        _ => None,
    }
}

/// Whether it is the number of an account.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a function may have this name: it is fit to be part of a path.
pub(super) fn is_function_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(is_name_byte)
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
        for form in ["f-1_A", "000000000000:function:f-1_A", "function:f-1_A", long] {
            let plain = FunctionName::parse(form).unwrap();
            assert_eq!((plain.name.as_str(), plain.qualifier), ("f-1_A", None), "{form}");
            let latest = FunctionName::parse(&format!("{form}:$LATEST")).unwrap();
            assert_eq!(latest.qualifier.as_deref(), Some("$LATEST"), "{form}");
        }
    }

    #[test]
    fn nothing_else_is() {
        let long = "x".repeat(65);
        for form in
            ["", ":", "a/b", "..", "a.b", "f:", "f:a:b:c", "f:$X", "ä", &long, "1:function:f"]
        {
            assert!(FunctionName::parse(form).is_err(), "{form}");
        }
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
        let name = || FunctionName::parse("f:1").unwrap();
        assert!(name().qualified(Some("2".into())).is_err());
        assert!(name().qualified(Some("1".into())).is_ok());
        assert!(name().qualified(None).is_ok());
    }
}
