//! Networks as people write them.

use crate::Error;
use std::net::Ipv4Addr;

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    pub(super) address: u32,
    pub(super) mask: u32,
}

/// Rules are matched one after another; more networks than this are a list for a firewall.
const ALLOW_MAX: usize = 64;

pub(super) fn parse_all(texts: &[String]) -> Result<Vec<Cidr>, Error> {
    let invalid = |value: &str, reason| Error::Invalid {
        field: "allowed network",
        value: value.to_owned(),
        reason,
    };
    if texts.len() > ALLOW_MAX {
        return Err(invalid(&texts.len().to_string(), "expected at most 64 networks"));
    }
    texts
        .iter()
        .map(|text| {
            parse(text).ok_or_else(|| invalid(text, "expected IPv4 as 10.1.0.0/16 or 10.1.2.3"))
        })
        .collect()
}

fn parse(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/').unwrap_or((text, "32"));
    let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    Some(Cidr { address: u32::from(address.parse::<Ipv4Addr>().ok()?) & mask, mask })
}

#[cfg(test)]
mod tests {
    use super::{Cidr, parse};

    fn check(text: &str, expected: Option<(u32, u32)>) {
        assert_eq!(parse(text), expected.map(|(address, mask)| Cidr { address, mask }), "{text}");
    }

    #[test]
    fn networks_are_read_with_their_mask() {
        check("10.1.2.3", Some((0x0a01_0203, 0xffff_ffff)));
        check("10.1.2.3/16", Some((0x0a01_0000, 0xffff_0000)));
        check("0.0.0.0/0", Some((0, 0)));
        for bad in ["", "10.1.2", "10.1.2.3/33", "10.1.2.3/", "::1/128", "host"] {
            check(bad, None);
        }
    }
}
