//! What certificates say of themselves: from when until when, for which names, signed by whom.
//!
//! Why: a certificate that begins tomorrow, names another machine or lacks a link of its chain loads as a
//! good one does; only the clients refuse it, far from its operator.
//! Pure. A form that cannot be read is no certificate. Source: RFC 5280, names by RFC 6125 section 6.4.3.

use base::time::Timestamp;
use rustls_pki_types::CertificateDer;
use std::{fmt, net::IpAddr, time::Duration};
use x509_parser::{
    certificate::X509Certificate, error::X509Error, extensions::GeneralName, prelude::FromDer,
    time::ASN1Time,
};

/// An end that is nearer than this is told.
pub const NEAR: Duration = Duration::from_secs(30 * DAY);
const DAY: u64 = 24 * 3600;

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// It is valid from here on.
    pub begins: Timestamp,
    /// It is valid until then.
    pub ends: Timestamp,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    der: Vec<u8>,
}

/// What clients will find wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It is not valid yet.
    NotYet(Which, Timestamp),
    /// It is not valid any more.
    Ended(Which, Timestamp),
    /// It will not be valid for long.
    Ending(Which, Timestamp, u64),
    /// The certificate behind it did not sign it.
    Unsigned(Which),
    /// Names and addresses by which this machine is called, and which the leaf does not name.
    Unnamed(Vec<String>),
}

/// A certificate's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The first of the chain.
    Server,
    /// The one of that number, from 1, behind it.
    Chain(usize, String),
    /// The built-in authority's.
    Authority,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("the server certificate"),
            Self::Chain(number, subject) => {
                write!(f, "certificate {number} of the server's chain ({subject})")
            }
            Self::Authority => f.write_str("the certificate of the built-in authority"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet(which, at) => write!(f, "{which} is valid only from {at} on"),
            Self::Ended(which, at) => write!(f, "{which} ended at {at}"),
            Self::Ending(which, at, days) => write!(f, "{which} ends in {days} days, at {at}"),
            Self::Unsigned(which) => {
                write!(f, "{which} was not signed by the one that follows it in the file")
            }
            Self::Unnamed(names) => {
                write!(f, "the server certificate does not name {}", names.join(", "))
            }
        }
    }
}

impl Flaw {
    /// Clients refuse the chain now.
    #[must_use]
    pub const fn is_grave(&self) -> bool {
        matches!(self, Self::NotYet(..) | Self::Ended(..) | Self::Unsigned(_))
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        const ANEW: &str = "put a new chain (leaf first) and its key in place, and run `systemctl reload appliance`; a certificate of the built-in authority is renewed by itself: see the log for why it was not";
        match self {
            Self::NotYet(..) => {
                "set the clock of this machine, if it is behind; else put a certificate in place that is valid now"
            }
            Self::Ended(Which::Authority, _) | Self::Ending(Which::Authority, ..) => {
                "plan for a new authority: stop the service, move all of `tls` in the data directory away, start it, and have every client trust the new ca.pem"
            }
            Self::Ended(..) | Self::Ending(..) => ANEW,
            Self::Unsigned(_) => {
                "put the certificates into the file in order: the server's first, then the one that signed it, and so on"
            }
            Self::Unnamed(_) => {
                "have a certificate issued for these names too, or take them out of `names` and `base_url`"
            }
        }
    }
}

impl Certificate {
    /// Reads one in DER.
    #[must_use]
    pub fn of_der(der: &[u8]) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let alternatives = read.subject_alternative_name().ok().flatten();
        let alternatives = alternatives.map(|found| found.value.general_names.as_slice());
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        for name in alternatives.unwrap_or_default() {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                _ => {}
            }
        }
        let validity = read.validity();
        Some(Self {
            subject: read.subject().to_string(),
            begins: at(validity.not_before),
            ends: at(validity.not_after),
            names,
            addresses,
            der: der.to_vec(),
        })
    }

    /// Reads a chain; those that cannot be read are left out.
    pub fn chain<'a>(ders: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Vec<Self> {
        ders.into_iter().filter_map(|der| Self::of_der(der)).collect()
    }

    /// Whether clients that call the machine so take it. A name with a star must stand in it as it is.
    fn names(&self, wanted: &str) -> bool {
        if let Ok(address) = wanted.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let wanted = wanted.to_ascii_lowercase();
        let star = wanted.split_once('.').map(|(_, domain)| format!("*.{domain}"));
        self.names.iter().any(|name| *name == wanted || Some(name) == star.as_ref())
    }

    /// Whether `other` may have signed it: a kind of signature that cannot be checked here passes.
    fn is_signed_by(&self, other: &Self) -> bool {
        let (Ok((_, this)), Ok((_, other))) =
            (X509Certificate::from_der(&self.der), X509Certificate::from_der(&other.der))
        else {
            return true;
        };
        let signed = this.verify_signature(Some(other.public_key()));
        this.issuer() == other.subject()
            && !matches!(signed, Err(X509Error::SignatureVerificationError))
    }

    /// What its time says.
    fn aged(&self, which: Which, now: Timestamp) -> Option<Flaw> {
        match self.ends.since(now) {
            _ if self.begins > now => Some(Flaw::NotYet(which, self.begins)),
            _ if self.ends <= now => Some(Flaw::Ended(which, self.ends)),
            left if left < NEAR => Some(Flaw::Ending(which, self.ends, left.as_secs() / DAY)),
            _ => None,
        }
    }
}

/// What is wrong with a chain, leaf first, of a machine that is called so.
#[must_use]
pub fn flaws(chain: &[Certificate], called: &[String], now: Timestamp) -> Vec<Flaw> {
    let which = |nth: usize| match nth {
        0 => Which::Server,
        nth => Which::Chain(nth + 1, chain[nth].subject.clone()),
    };
    let aged = chain.iter().enumerate().filter_map(|(nth, one)| one.aged(which(nth), now));
    let unsigned = chain.windows(2).enumerate();
    let unsigned = unsigned.filter(|(_, pair)| !pair[0].is_signed_by(&pair[1]));
    let unsigned = unsigned.map(|(nth, _)| Flaw::Unsigned(which(nth)));
    let unnamed: Vec<String> = match chain.first() {
        Some(leaf) => called.iter().filter(|name| !leaf.names(name)).cloned().collect(),
        None => Vec::new(),
    };
    let unnamed = (!unnamed.is_empty()).then_some(Flaw::Unnamed(unnamed));
    aged.chain(unsigned).chain(unnamed).collect()
}

/// What the age of the built-in authority's own says.
#[must_use]
pub fn authority_flaw(authority: &Certificate, now: Timestamp) -> Option<Flaw> {
    authority.aged(Which::Authority, now)
}

fn at(time: ASN1Time) -> Timestamp {
    Timestamp(time.timestamp().saturating_mul(1_000_000))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
    use std::time::SystemTime;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    /// Days from now on, a subject and names.
    fn params(days: (i64, i64), subject: &str, names: &[&str]) -> CertificateParams {
        let at = |days: i64| {
            let seconds = u64::try_from(NOW.0 / 1_000_000 + days * 86_400).unwrap();
            (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into()
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        (params.not_before, params.not_after) = (at(days.0), at(days.1));
        params
    }

    /// A leaf of these days and names, and its authority's of those.
    fn chain(leaf: (i64, i64), above: (i64, i64)) -> Vec<Certificate> {
        let mut root = params(above, "root", &[]);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let signed = root.self_signed(&key).unwrap();
        let issuer = Issuer::from_params(&root, &key);
        let mut params = params(leaf, "box", &["box.site", "*.site"]);
        params.subject_alt_names.push(SanType::IpAddress([192, 0, 2, 7].into()));
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        Certificate::chain([leaf.der(), signed.der()])
    }

    fn check(leaf: (i64, i64), above: (i64, i64), expected: &[&str]) {
        let found = flaws(&chain(leaf, above), &[], NOW);
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, words) in told.iter().zip(expected) {
            assert!(told.contains(words), "{told} has no `{words}`");
        }
        assert!(found.iter().all(|flaw| !flaw.remedy().is_empty()));
    }

    #[test]
    fn every_link_s_time_is_told_from_its_beginning_to_its_end() {
        check((-1, 300), (-1, 3000), &[]);
        check((1, 300), (-1, 3000), &["the server certificate is valid only from 2027-01-16"]);
        check((-9, -1), (-9, 3000), &["the server certificate ended at 2027-01-14"]);
        check((-1, 29), (-1, 3000), &["the server certificate ends in 29 days, at 2027-02-13"]);
        check(
            (-1, 300),
            (-1, 5),
            &["certificate 2 of the server's chain (CN=root) ends in 5 days"],
        );
        check((-1, 300), (2, 500), &["(CN=root) is valid only from"]);
    }

    #[test]
    fn a_link_that_did_not_sign_is_told() {
        let (mut one, other) = (chain((-1, 300), (-1, 3000)), chain((-1, 300), (-1, 3000)));
        // The same name, and another key.
        one[1] = other[1].clone();
        assert_eq!(flaws(&one, &[], NOW), [Flaw::Unsigned(Which::Server)]);
        one.swap(0, 1);
        assert!(flaws(&one, &[], NOW)[0].is_grave());
    }

    #[test]
    fn names_and_addresses_that_are_not_named_are_told() {
        let called = ["BOX.site", "any.site", "192.0.2.7", "a.b.site", "192.0.2.8", "*.site"];
        let found = flaws(&chain((-1, 300), (-1, 3000)), &called.map(str::to_owned), NOW);
        let missed = ["a.b.site", "192.0.2.8"].map(str::to_owned).to_vec();
        assert_eq!(found, [Flaw::Unnamed(missed)]);
        assert!(!found[0].is_grave());
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert_eq!(Certificate::of_der(b"\x30\x84\xff\xff\xff\xff"), None);
    }
}
