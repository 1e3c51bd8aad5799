//! The digests by which clients check what they have sent and received (SQS developer guide, "Calculating the MD5 message
//! digest for message attributes").

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::envelope::Attribute;

/// The MD5 of a body, lower-case hexadecimal.
pub(crate) fn of_body(body: &[u8]) -> String {
    hex(&Md5::digest(body))
}

/// The MD5 of attributes, in the order of their names; `None` where there are none.
pub(crate) fn of_attributes(attributes: &BTreeMap<String, Attribute>) -> Option<String> {
    let mut digest = Md5::new();
    let mut part = |kind: Option<u8>, bytes: &[u8]| {
        digest.update(kind.as_slice());
        digest.update((bytes.len() as u32).to_be_bytes());
        digest.update(bytes);
    };
    for (name, attribute) in attributes {
        part(None, name.as_bytes());
        part(None, attribute.data_type.as_bytes());
        match (&attribute.string, &attribute.binary) {
            (_, Some(binary)) => part(Some(2), &STANDARD.decode(binary).unwrap_or_default()),
            (string, None) => part(Some(1), string.as_deref().unwrap_or_default().as_bytes()),
        }
    }
    (!attributes.is_empty()).then(|| hex(&digest.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Memory takes it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bodys_digest_is_md5() {
        assert_eq!(of_body(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(of_body(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn attributes_are_digested_with_their_lengths_and_kinds() {
        assert_eq!(of_attributes(&BTreeMap::new()), None);
        let text = Attribute { data_type: "String".into(), string: Some("v".into()), binary: None };
        let bytes = [&[0, 0, 0, 1][..], b"n", &[0, 0, 0, 6], b"String", &[1, 0, 0, 0, 1], b"v"];
        let wanted = of_body(&bytes.concat());
        assert_eq!(of_attributes(&BTreeMap::from([("n".into(), text)])), Some(wanted));
    }
}
