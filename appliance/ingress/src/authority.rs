//! The offline certificate authority, and the server certificate that it issues.
//!
//! Why: a site without internet has no public authority. Users trust this one once; server
//! certificates are then renewed without anybody noticing.
//! Invariants: the authority's key and certificate are made once and kept; the server
//! certificate is issued anew when it is missing, nears its end, was issued by another authority,
//! or lacks one of the names wanted. An operator's own certificate (configured by path) is never
//! touched.
//! Units: validity in days. Source: RFC 5280; browsers refuse leaf certificates above 398 days.

use crate::secure_file;
use base::time::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The authority outlives the device.
const AUTHORITY_DAYS: u64 = 20 * 365;
/// Below the 398 days that browsers accept.
const SERVER_DAYS: u64 = 390;
/// Issued anew this long before its end, so that a box that is switched on once a month is in time.
const RENEW_DAYS: u64 = 60;
/// Certificates begin this far in the past: site clocks differ.
const BACKDATE: Duration = Duration::from_secs(24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What the server's certificate was issued for, and by whom.
const STAMP: &str = "server.names";

/// What the server is called: DNS names and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Host names, the first being the certificate's common name.
    pub dns: Vec<String>,
    /// Addresses that clients type.
    pub addresses: Vec<IpAddr>,
}

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or certificate file cannot be used.
    #[error(transparent)]
    File(#[from] secure_file::Error),
    /// A file's content is not what its name says.
    #[error(
        "{0} is damaged: put it back from a copy; or move all of {1} away and start again: a new authority is made, which every client must then trust anew",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: rcgen::Error,
    },
    /// The authority that clients trust cannot sign any more.
    #[error(
        "{0} is missing, but certificates were issued with it: put it back from a copy; or move all of {1} away and start again: a new authority is made, which every client must then trust anew",
        path.display(),
        path.parent().unwrap_or(path).display()
    )]
    Lost {
        /// Its key.
        path: PathBuf,
    },
    /// Issuing failed, most likely because of a name.
    #[error("cannot issue a certificate for {names:?}")]
    Issue {
        /// The names asked for.
        names: Vec<String>,
        /// Why.
        source: rcgen::Error,
    },
}

/// The authority of one appliance, kept in one folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// Loads the authority from `folder`, or makes it there.
    pub fn open(folder: &Path, site: &str, now: Timestamp) -> Result<Self, Error> {
        let (key_path, certificate_path) = (folder.join("ca.key"), folder.join("ca.pem"));
        match (key_path.exists(), certificate_path.exists()) {
            (true, true) => {}
            (true, false) => {
                // Whoever trusted the old one trusts this: it has the same name and key.
                let key = KeyPair::from_pem(&text(&key_path)?)
                    .map_err(|source| Error::Damaged { path: key_path.clone(), source })?;
                certify(&key, &certificate_path, site, now)?;
            }
            (false, _) if folder.join(STAMP).exists() => {
                return Err(Error::Lost { path: key_path });
            }
            (false, _) => create(&key_path, &certificate_path, site, now)?,
        }
        let key = KeyPair::from_pem(&text(&key_path)?)
            .map_err(|source| Error::Damaged { path: key_path, source })?;
        let certificate = text(&certificate_path)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)
            .map_err(|source| Error::Damaged { path: certificate_path, source })?;
        Ok(Self { folder: folder.into(), issuer, certificate })
    }

    /// The authority's certificate, PEM, for people to install.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Paths of a server certificate chain and key that are good for `names` at `now`.
    pub fn server(&self, names: &Names, now: Timestamp) -> Result<(PathBuf, PathBuf), Error> {
        let (chain, key) = (self.folder.join("server.pem"), self.folder.join("server.key"));
        let stamp = self.folder.join(STAMP);
        if !key.exists() || !chain.exists() || !self.still_good(&stamp, names, now) {
            self.issue(&chain, &key, &stamp, names, now)?;
        }
        Ok((chain, key))
    }

    /// The stamp beside the certificate says what it was issued for; comparing texts spares an
    /// X.509 parser.
    fn still_good(&self, stamp: &Path, names: &Names, now: Timestamp) -> bool {
        let Ok(text) = text(stamp) else { return false };
        let mut lines = text.lines();
        let issued = lines.next().and_then(|line| line.parse::<Timestamp>().ok());
        let Some(issued) = issued else { return false };
        let age_max = DAY * u32::try_from(SERVER_DAYS - RENEW_DAYS).unwrap_or(0);
        let same_names = lines.next() == Some(names_line(names).as_str());
        let same_authority = lines.next() == Some(fingerprint(&self.certificate).as_str());
        // A clock that stands before the issue is wrong; a new certificate would be wrong, too.
        same_names && same_authority && now.since(issued) < age_max
    }

    fn issue(
        &self,
        chain: &Path,
        key_path: &Path,
        stamp: &Path,
        names: &Names,
        now: Timestamp,
    ) -> Result<(), Error> {
        let failed = |source| Error::Issue { names: all_names(names), source };
        let mut params = CertificateParams::new(names.dns.clone()).map_err(failed)?;
        params.subject_alt_names.extend(names.addresses.iter().map(|ip| SanType::IpAddress(*ip)));
        params.distinguished_name =
            common_name(names.dns.first().map_or("appliance", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, now, SERVER_DAYS);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        secure_file::write(key_path, key.serialize_pem().as_bytes())?;
        secure_file::write(chain, format!("{}{}", certificate.pem(), self.certificate).as_bytes())?;
        let lines = format!("{now}\n{}\n{}\n", names_line(names), fingerprint(&self.certificate));
        secure_file::write(stamp, lines.as_bytes())?;
        Ok(())
    }
}

fn create(
    key_path: &Path,
    certificate_path: &Path,
    site: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let failed = |source| Error::Issue { names: vec![site.into()], source };
    let key = KeyPair::generate().map_err(failed)?;
    secure_file::write(key_path, key.serialize_pem().as_bytes())?;
    certify(&key, certificate_path, site, now)
}

/// Writes the authority's certificate for its key.
fn certify(key: &KeyPair, path: &Path, site: &str, now: Timestamp) -> Result<(), Error> {
    let failed = |source| Error::Issue { names: vec![site.into()], source };
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name = common_name(&format!("{site} appliance CA"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now, AUTHORITY_DAYS);
    let certificate = params.self_signed(key).map_err(failed)?;
    Ok(secure_file::write(path, certificate.pem().as_bytes())?)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // X.520 bounds a common name to 64 characters.
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

fn validity(params: &mut CertificateParams, now: Timestamp, days: u64) {
    let at = |micros: i64| {
        let date =
            std::time::UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0));
        date.into()
    };
    params.not_before = at(now.0 - i64::try_from(BACKDATE.as_micros()).unwrap_or(0));
    params.not_after = at(now.plus(DAY * u32::try_from(days).unwrap_or(0)).0);
}

fn all_names(names: &Names) -> Vec<String> {
    names.dns.iter().cloned().chain(names.addresses.iter().map(ToString::to_string)).collect()
}

fn names_line(names: &Names) -> String {
    all_names(names).join(" ")
}

/// Enough of the certificate's text to tell two authorities apart.
fn fingerprint(pem: &str) -> String {
    pem.lines().rfind(|line| !line.starts_with('-')).unwrap_or_default().into()
}

fn text(path: &Path) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&secure_file::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NOW: Timestamp = Timestamp(1_795_000_000_000_000);

    fn names(dns: &str) -> Names {
        Names { dns: vec![dns.into()], addresses: vec!["127.0.0.1".parse().unwrap()] }
    }

    fn check_reissued(change: impl Fn(&mut Names, &mut Timestamp), expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), "site", NOW).unwrap();
        let (mut wanted, mut now) = (names("box.example"), NOW);
        let (chain, _) = authority.server(&wanted, now).unwrap();
        let first = fs::read(&chain).unwrap();
        change(&mut wanted, &mut now);
        authority.server(&wanted, now).unwrap();
        assert_eq!(fs::read(&chain).unwrap() != first, expected);
    }

    #[test]
    fn a_good_certificate_is_kept() {
        check_reissued(|_, now| *now = now.plus(DAY * 30), false);
    }

    #[test]
    fn a_certificate_near_its_end_or_for_other_names_is_issued_anew() {
        check_reissued(|_, now| *now = now.plus(DAY * 331), true);
        check_reissued(|wanted, _| wanted.dns.push("other.example".into()), true);
    }

    #[test]
    fn the_authority_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path(), "site", NOW).unwrap().certificate().to_owned();
        let second = Authority::open(folder.path(), "site", NOW).unwrap().certificate().to_owned();
        assert_eq!(first, second);
    }

    #[test]
    fn an_authority_that_clients_trust_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let open = || Authority::open(folder.path(), "site", NOW);
        open().unwrap();
        // As a cut at the first start leaves it: nobody trusts it yet.
        fs::remove_file(at("ca.key")).unwrap();
        open().unwrap().server(&names("box.example"), NOW).unwrap();
        let key = fs::read(at("ca.key")).unwrap();

        fs::remove_file(at("ca.pem")).unwrap();
        open().unwrap();
        assert!(fs::read(at("ca.key")).unwrap() == key && at("ca.pem").exists(), "the same key");

        let trusted = fs::read(at("ca.pem")).unwrap();
        fs::remove_file(at("ca.key")).unwrap();
        let lost = open().err().unwrap().to_string();
        assert!(lost.contains("ca.key is missing") && lost.contains("copy"), "{lost}");
        assert_eq!(fs::read(at("ca.pem")).unwrap(), trusted);
    }
}
