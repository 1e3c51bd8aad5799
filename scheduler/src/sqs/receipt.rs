//! Receipt handles: a lease, as a client carries it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::queue::Lease;

/// A lease of a message in one queue. Its token is random: nobody comes by it but by receiving.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) lane: String,
    pub(crate) lease: Lease,
}

impl Receipt {
    pub(crate) fn handle(&self) -> String {
        let Receipt { lane, lease } = self;
        URL_SAFE_NO_PAD.encode(format!("{:x} {:x} {lane}", lease.id, lease.token))
    }

    /// `None` for anything that is no handle.
    pub(crate) fn read(handle: &str) -> Option<Receipt> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
        let mut parts = text.splitn(3, ' ');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let lease = Lease { id: number()?, token: number()? };
        // What a database can hold.
        i64::try_from(lease.id).ok()?;
        Some(Receipt { lane: parts.next()?.to_owned(), lease })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_read_as_they_are_written() {
        let receipt = Receipt { lane: "sqs/a b".into(), lease: Lease { id: 7, token: u64::MAX } };
        assert_eq!(Receipt::read(&receipt.handle()), Some(receipt));
        let odd = ["1 2", "x 2 l", "1 2", "-1 2 l", "ffffffffffffffff 1 l", ""];
        for bad in odd.map(|text| URL_SAFE_NO_PAD.encode(text)).into_iter().chain(["ä".into()]) {
            assert_eq!(Receipt::read(&bad), None, "{bad}");
        }
    }
}
