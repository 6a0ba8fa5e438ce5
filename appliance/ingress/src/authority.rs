//! The offline certificate authority, and the server certificate that it issues.
//!
//! Why: a site without internet has no public authority. Users trust this one once; server
//! certificates are then renewed without anybody noticing.
//! Invariants: the authority's key and certificate are made once and kept; the server
//! certificate is issued anew when it is missing, nears its end, was issued by another authority,
//! or lacks one of the names wanted, or does not load. An operator's own certificate (configured by
//! path) is never touched. A board without a battery begins in 1970 until somebody sets its clock:
//! the authority is valid whatever the clock says, and no certificate is dated before [`EARLIEST`].
//! Units: validity in days. Source: RFC 5280; browsers refuse leaf certificates above 398 days.

use crate::{Certificates, secure_file, standing::Certificate};
use base::time::{EARLIEST, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The authority is valid from 2020 on, and outlives the device.
const AUTHORITY_BEGINS: Timestamp = Timestamp(1_577_836_800_000_000);
const AUTHORITY_DAYS: u64 = 50 * 365;
/// Below the 398 days that browsers accept.
const SERVER_DAYS: u64 = 390;
/// Issued anew this long before its end, so that a box that is switched on once a month is in time.
const RENEW_DAYS: u64 = 60;
/// Certificates begin this far in the past: site clocks differ.
const BACKDATE: Duration = Duration::from_secs(24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How a certificate begins in PEM.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
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
    /// The authority's certificate is not that of its key.
    #[error(
        "{0} does not belong to ca.key beside it: put the right one back, or move {0} away and start again: it is made anew for that key",
        path.display()
    )]
    Foreign {
        /// The certificate.
        path: PathBuf,
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
    pub fn open(folder: &Path, site: &str) -> Result<Self, Error> {
        if let Some(found) = Self::find(folder)? {
            return Ok(found);
        }
        let (key_path, certificate_path) = (folder.join("ca.key"), folder.join("ca.pem"));
        match key_path.exists() {
            true => certify_again(&key_of(key_path)?, folder, site)?,
            false => create(&key_path, &certificate_path, site)?,
        }
        Self::read(folder)
    }

    /// The authority in `folder`; `None` when it, or its certificate, is to be made. Changes nothing.
    pub fn find(folder: &Path) -> Result<Option<Self>, Error> {
        let (key_path, certificate_path) = (folder.join("ca.key"), folder.join("ca.pem"));
        match (key_path.exists(), certificate_path.exists()) {
            (true, true) => Self::read(folder).map(Some),
            (true, false) => key_of(key_path).map(|_| None),
            (false, _) if folder.join(STAMP).exists() => Err(Error::Lost { path: key_path }),
            (false, _) => Ok(None),
        }
    }

    fn read(folder: &Path) -> Result<Self, Error> {
        let (key, certificate_path) = (key_of(folder.join("ca.key"))?, folder.join("ca.pem"));
        let certificate = text(&certificate_path)?;
        if !is_of(&certificate, &key) {
            return Err(Error::Foreign { path: certificate_path });
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)
            .map_err(|source| Error::Damaged { path: certificate_path, source })?;
        Ok(Self { folder: folder.into(), issuer, certificate })
    }

    /// The authority's certificate, PEM, for people to install.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What the certificate says of itself.
    #[must_use]
    pub fn standing(&self) -> Option<Certificate> {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()?;
        Certificate::of_der(&der)
    }

    /// Paths of a server certificate chain and key that are good for `names` at `now`.
    pub fn server(&self, names: &Names, now: Timestamp) -> Result<(PathBuf, PathBuf), Error> {
        let (chain, key) = (self.folder.join("server.pem"), self.folder.join("server.key"));
        let stamp = self.folder.join(STAMP);
        if !self.still_good(&stamp, names, now) || !loads(&chain, &key) {
            self.issue(&chain, &key, &stamp, names, now.max(EARLIEST))?;
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
        let age_max = days(SERVER_DAYS - RENEW_DAYS);
        let same_names = lines.next() == Some(names_line(names).as_str());
        let same_authority = lines.next() == Some(fingerprint(&self.certificate).as_str());
        // Of a clock that is wrong now nothing follows; of one that was ahead then, that nobody takes
        // the certificate yet.
        let from_the_future = now >= EARLIEST && issued > now.plus(BACKDATE);
        same_names && same_authority && !from_the_future && now.since(issued) < age_max
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
        validity(&mut params, Timestamp(now.0 - micros(BACKDATE)), now.plus(days(SERVER_DAYS)));
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        secure_file::write(key_path, key.serialize_pem().as_bytes())?;
        secure_file::write(chain, format!("{}{}", certificate.pem(), self.certificate).as_bytes())?;
        let lines = format!("{now}\n{}\n{}\n", names_line(names), fingerprint(&self.certificate));
        Ok(secure_file::write(stamp, lines.as_bytes())?)
    }
}

/// Whether both files are there and belong together.
fn loads(chain: &Path, key: &Path) -> bool {
    let loaded = Certificates::load(chain, key);
    if let (true, Err(error)) = (chain.exists() || key.exists(), &loaded) {
        tracing::warn!("the server's certificate is issued anew: {error}");
    }
    loaded.is_ok()
}

/// Whether a certificate in PEM names the key as its subject's: it carries it as it is.
fn is_of(certificate: &str, key: &KeyPair) -> bool {
    let public = key.public_key_raw();
    CertificateDer::from_pem_slice(certificate.as_bytes())
        .is_ok_and(|der| der.windows(public.len()).any(|part| part == public))
}

fn key_of(path: PathBuf) -> Result<KeyPair, Error> {
    KeyPair::from_pem(&text(&path)?).map_err(|source| Error::Damaged { path, source })
}

fn create(key_path: &Path, certificate_path: &Path, site: &str) -> Result<(), Error> {
    let failed = |source| Error::Issue { names: vec![site.into()], source };
    let key = KeyPair::generate().map_err(failed)?;
    secure_file::write(key_path, key.serialize_pem().as_bytes())?;
    certify(&key, certificate_path, site)
}

/// Writes the authority's certificate once more. Of one that was used the server's chain has a copy; another
/// has the same key, and is trusted by whoever trusted the old one while the site has the same name.
fn certify_again(key: &KeyPair, folder: &Path, site: &str) -> Result<(), Error> {
    let path = folder.join("ca.pem");
    let chain = text(&folder.join("server.pem")).unwrap_or_default();
    let copy = chain.rfind(BEGIN).map(|at| &chain[at..]).filter(|last| is_of(last, key));
    if let Some(copy) = copy {
        return Ok(secure_file::write(&path, copy.as_bytes())?);
    }
    tracing::warn!("a lost ca.pem is made anew: clients may have to trust this site again");
    certify(key, &path, site)
}

/// Writes the authority's certificate for its key.
fn certify(key: &KeyPair, path: &Path, site: &str) -> Result<(), Error> {
    let failed = |source| Error::Issue { names: vec![site.into()], source };
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name = common_name(&format!("{site} appliance CA"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, AUTHORITY_BEGINS, AUTHORITY_BEGINS.plus(days(AUTHORITY_DAYS)));
    let certificate = params.self_signed(key).map_err(failed)?;
    Ok(secure_file::write(path, certificate.pem().as_bytes())?)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // X.520 bounds a common name to 64 characters.
    distinguished.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    distinguished
}

fn validity(params: &mut CertificateParams, from: Timestamp, to: Timestamp) {
    let at = |time: Timestamp| {
        let since = Duration::from_micros(u64::try_from(time.0).unwrap_or(0));
        (std::time::UNIX_EPOCH + since).into()
    };
    (params.not_before, params.not_after) = (at(from), at(to));
}

fn days(count: u64) -> Duration {
    DAY * u32::try_from(count).unwrap_or(0)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(0)
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

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn names(dns: &str) -> Names {
        Names { dns: vec![dns.into()], addresses: vec!["127.0.0.1".parse().unwrap()] }
    }

    fn check_reissued(change: impl Fn(&mut Names, &mut Timestamp), expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), "site").unwrap();
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
    fn a_wrong_clock_makes_no_certificate_that_is_never_valid() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), "site").unwrap();
        let wanted = names("box.example");
        let issued = |now| fs::read(authority.server(&wanted, now).unwrap().0).unwrap();
        let in_1970 = issued(Timestamp(0));
        assert_eq!(issued(EARLIEST.plus(DAY)), in_1970, "it was valid from then on");
        let in_2038 = issued(EARLIEST.plus(DAY * 4200));
        assert_eq!(issued(Timestamp(0)), in_2038, "that clock is wrong");
        assert!(issued(NOW) != in_2038, "the other was");
    }

    #[test]
    fn a_pair_that_does_not_load_is_issued_anew_and_a_foreign_authority_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), "site").unwrap();
        let (chain, key) = authority.server(&names("box.example"), NOW).unwrap();
        fs::remove_file(&key).unwrap();
        secure_file::write(&key, KeyPair::generate().unwrap().serialize_pem().as_bytes()).unwrap();
        authority.server(&names("box.example"), NOW).unwrap();
        assert!(Certificates::load(&chain, &key).is_ok());

        let other = tempfile::tempdir().unwrap();
        Authority::open(other.path(), "site").unwrap();
        fs::rename(other.path().join("ca.pem"), folder.path().join("ca.pem")).unwrap();
        let foreign = Authority::open(folder.path(), "site").err().unwrap().to_string();
        assert!(foreign.contains("ca.pem does not belong to ca.key"), "{foreign}");
    }

    #[test]
    fn the_authority_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Authority::open(folder.path(), "site").unwrap().certificate().to_owned();
        assert_eq!(open(), open());
    }

    #[test]
    fn an_authority_that_clients_trust_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let open = || Authority::open(folder.path(), "site");
        open().unwrap();
        // As a cut at the first start leaves it: nobody trusts it yet.
        fs::remove_file(at("ca.key")).unwrap();
        open().unwrap().server(&names("box.example"), NOW).unwrap();
        let key = fs::read(at("ca.key")).unwrap();

        // The site may have another name by now: what clients trust is in the chain.
        let certificate = fs::read(at("ca.pem")).unwrap();
        fs::remove_file(at("ca.pem")).unwrap();
        Authority::open(folder.path(), "other").unwrap();
        assert_eq!(fs::read(at("ca.pem")).unwrap(), certificate);
        for name in ["ca.pem", "server.pem"] {
            fs::remove_file(at(name)).unwrap();
        }
        open().unwrap();
        assert!(fs::read(at("ca.key")).unwrap() == key && at("ca.pem").exists(), "the same key");

        let trusted = fs::read(at("ca.pem")).unwrap();
        fs::remove_file(at("ca.key")).unwrap();
        let lost = open().err().unwrap().to_string();
        assert!(lost.contains("ca.key is missing") && lost.contains("copy"), "{lost}");
        assert_eq!(fs::read(at("ca.pem")).unwrap(), trusted);
    }
}
