//! Networks as people write them.

use crate::Error;
use std::{fmt, net::Ipv4Addr, str::FromStr};

/// An IPv4 network, or one port (TCP and UDP) of it: `10.1.0.0/16`, `10.1.2.3`, `10.1.0.0/16:443`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    network: u32,
    prefix: u8,
    port: Option<u16>,
}

/// A text that names no [`Destination`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected IPv4 as 10.1.0.0/16, 10.1.2.3 or 10.1.0.0/16:443")]
pub struct NoDestination;

impl Destination {
    /// One port of one address.
    #[must_use]
    pub fn port_of(address: Ipv4Addr, port: u16) -> Self {
        Self { network: address.into(), prefix: 32, port: Some(port) }
    }

    /// What both cover.
    #[must_use]
    pub fn meet(self, other: Self) -> Option<Self> {
        let (wide, narrow) =
            if self.prefix <= other.prefix { (self, other) } else { (other, self) };
        let port = match (self.port, other.port) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.or(two),
        };
        (narrow.network & wide.mask() == wide.network).then_some(Self { port, ..narrow })
    }

    pub(super) fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    pub(super) const fn network(self) -> (Ipv4Addr, u8) {
        (Ipv4Addr::from_bits(self.network), self.prefix)
    }

    pub(super) const fn port(self) -> Option<u16> {
        self.port
    }
}

impl FromStr for Destination {
    type Err = NoDestination;

    fn from_str(text: &str) -> Result<Self, NoDestination> {
        parse(text).ok_or(NoDestination)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, prefix) = self.network();
        write!(f, "{address}/{prefix}")?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Rules are matched one after another; more networks than this are a list for a firewall.
const ALLOW_MAX: usize = 64;

pub(super) fn parse_all(texts: &[String]) -> Result<Vec<Destination>, Error> {
    let invalid = |value: &str, reason| Error::Invalid {
        field: "allowed network",
        value: value.to_owned(),
        reason,
    };
    if texts.len() > ALLOW_MAX {
        return Err(invalid(&texts.len().to_string(), "expected at most 64 networks"));
    }
    let expected = "expected IPv4 as 10.1.0.0/16, 10.1.2.3 or 10.1.0.0/16:443";
    texts.iter().map(|text| parse(text).ok_or_else(|| invalid(text, expected))).collect()
}

fn parse(text: &str) -> Option<Destination> {
    let (network, port) = match text.split_once(':') {
        Some((network, port)) => (network, Some(port.parse().ok().filter(|port: &u16| *port > 0)?)),
        None => (text, None),
    };
    let (address, prefix) = network.split_once('/').unwrap_or((network, "32"));
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
    let whole = Destination { network: u32::MAX, prefix, port };
    Some(Destination {
        network: u32::from(address.parse::<Ipv4Addr>().ok()?) & whole.mask(),
        ..whole
    })
}

#[cfg(test)]
mod tests {
    use super::Destination;

    fn check(text: &str, expected: Option<&str>) {
        let found = text.parse::<Destination>().ok().map(|found| found.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }

    #[test]
    fn networks_are_read_with_their_mask_and_port() {
        check("10.1.2.3", Some("10.1.2.3/32"));
        check("10.1.2.3/16", Some("10.1.0.0/16"));
        check("10.1.2.3/0", Some("0.0.0.0/0"));
        check("10.1.2.3/16:443", Some("10.1.0.0/16:443"));
        check("10.1.2.3:53", Some("10.1.2.3/32:53"));
        for bad in ["", "10.1.2", "10.1.2.3/33", "10.1.2.3/", "::1/128", "host", "10.1.2.3:0"] {
            check(bad, None);
        }
    }

    fn meet(one: &str, other: &str, expected: Option<&str>) {
        let read = |text: &str| text.parse::<Destination>().expect("a destination");
        for (one, other) in [(one, other), (other, one)] {
            let found = read(one).meet(read(other)).map(|found| found.to_string());
            assert_eq!(found.as_deref(), expected, "{one} and {other}");
        }
    }

    #[test]
    fn what_two_parties_allow_is_what_both_do() {
        meet("10.0.0.0/8", "10.1.0.0/16", Some("10.1.0.0/16"));
        meet("10.0.0.0/8:443", "10.1.0.0/16", Some("10.1.0.0/16:443"));
        meet("10.0.0.0/8:443", "10.1.0.0/16:443", Some("10.1.0.0/16:443"));
        meet("10.0.0.0/8:443", "10.1.0.0/16:80", None);
        meet("10.0.0.0/16", "10.1.0.0/16", None);
        meet("0.0.0.0/0", "192.0.2.7", Some("192.0.2.7/32"));
    }
}
