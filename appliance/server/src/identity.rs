//! The server's certificate through its life: made at the start, renewed while the program runs,
//! read anew at SIGHUP and every hour. Its end is told on the faces, and what is wrong with it once a day
//! in the log.
//!
//! Why renewed while it runs: a box in a cabinet runs for years between two starts, longer than any
//! certificate.
//! On failure: the certificate stays as it was, and the log says why; the next look tries again.

use crate::{
    config::Config,
    data_dir::DataDir,
    serve::now,
    site_names::{names, s3_domains},
};
use base::time::{EARLIEST, Timestamp};
use ingress::{
    Authority, Certificates, Names,
    standing::{self, Certificate, Flaw},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{signal::unix::SignalKind, sync::watch, time::Instant};
use web::CertificateEnd;

/// Between two looks at the certificate's age; a clock that is set right is noticed as soon.
const LOOK: Duration = Duration::from_secs(3600);

/// Between two warnings.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the server shows to prove who it is.
pub(crate) struct Identity {
    certificates: Arc<Certificates>,
    /// `None` with a certificate of the operator's own.
    issued: Option<Issued>,
    /// What this machine is called, where the certificate is not made for it anyway.
    called: Vec<String>,
    ends: watch::Sender<Vec<CertificateEnd>>,
}

/// A certificate of the built-in authority.
#[derive(Clone)]
struct Issued {
    folder: PathBuf,
    names: Names,
}

/// What people and programs outside call this machine, as far as it was said.
pub(crate) fn called(config: &Config) -> Vec<String> {
    let mut called = config.names.clone();
    let listen = config.listen.ip();
    if !listen.is_unspecified() && !listen.is_loopback() {
        called.push(listen.to_string());
    }
    let url = config.base_url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
    let host = url.as_ref().and_then(http::Uri::host);
    called.extend(host.map(|host| host.trim_matches(['[', ']']).to_owned()));
    called.sort();
    called.dedup();
    called
}

impl Issued {
    fn new(config: &Config, folder: PathBuf) -> Self {
        let mut names = names(config);
        // A bucket is a label before the domain: one name with a star covers them all.
        for domain in s3_domains(&names.dns) {
            names.dns.push(format!("*.{domain}"));
            names.dns.push(domain);
        }
        Self { folder, names }
    }

    /// Paths of a chain and a key that are good now; they are made anew when they are not.
    fn ensure(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let site = self.names.dns.first().map_or("appliance", String::as_str);
        let now = now();
        if now < EARLIEST {
            tracing::warn!(
                "the clock of this machine stands at {now}, which is before this program was made: set it, or nobody trusts what is dated by it"
            );
        }
        Ok(Authority::open(&self.folder, site)?.server(&self.names, now)?)
    }
}

impl Identity {
    pub(crate) fn open(config: &Config, data: &DataDir) -> anyhow::Result<Self> {
        if let Some((chain, key)) = &config.own_certificate {
            return Ok(Self::over(load(chain, key)?, None, called(config)));
        }
        let issued = Issued::new(config, data.join("tls"));
        let (chain, key) = issued.ensure()?;
        Ok(Self::over(load(&chain, &key)?, Some(issued), Vec::new()))
    }

    fn over(certificates: Arc<Certificates>, issued: Option<Issued>, called: Vec<String>) -> Self {
        let this = Self { certificates, issued, called, ends: watch::Sender::default() };
        this.tell();
        this.warn();
        this
    }

    /// When the certificates end, now and later.
    pub(crate) fn ends(&self) -> watch::Receiver<Vec<CertificateEnd>> {
        self.ends.subscribe()
    }

    fn tell(&self) {
        let chain = self.certificates.chain();
        let end = |certificate: String, one: &Certificate| CertificateEnd {
            certificate,
            subject: one.subject.clone(),
            at: one.ends,
        };
        let name = |nth: usize| match nth {
            0 => "server".to_owned(),
            nth => format!("chain-{}", nth + 1),
        };
        let served = chain.iter().enumerate().map(|(nth, one)| end(name(nth), one));
        let authority = self.authority();
        let authority = authority.iter().map(|one| end("authority".to_owned(), one));
        self.ends.send_replace(served.chain(authority).collect());
    }

    fn authority(&self) -> Option<Certificate> {
        let folder = &self.issued.as_ref()?.folder;
        Authority::find(folder).ok().flatten()?.standing()
    }

    fn warn(&self) {
        for flaw in self.flaws(now()) {
            tracing::warn!("{flaw}: {}", flaw.remedy());
        }
    }

    fn flaws(&self, now: Timestamp) -> Vec<Flaw> {
        let mut found = standing::flaws(&self.certificates.chain(), &self.called, now);
        found.extend(self.authority().and_then(|one| standing::authority_flaw(&one, now)));
        found
    }

    pub(crate) fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Renews and reads anew, for ever.
    pub(crate) async fn keep(self) {
        let Ok(mut hangup) = tokio::signal::unix::signal(SignalKind::hangup()) else { return };
        let mut warned = Instant::now();
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    if self.reload() {
                        tracing::info!("the certificate was read anew");
                    }
                }
                () = tokio::time::sleep(LOOK) => self.renew().await,
            }
            self.tell();
            if warned.elapsed() >= DAY {
                self.warn();
                warned = Instant::now();
            }
        }
    }

    async fn renew(&self) {
        let Some(issued) = self.issued.clone() else {
            // Somebody may have put a newer one in its place.
            self.reload();
            return;
        };
        let ensured = tokio::task::spawn_blocking(move || issued.ensure()).await;
        match ensured.map_err(anyhow::Error::from).flatten() {
            Ok(_) => drop(self.reload()),
            Err(error) => tracing::error!("the certificate could not be renewed: {error:#}"),
        }
    }

    /// A pair that does not load is said and not taken.
    fn reload(&self) -> bool {
        let reloaded = self.certificates.reload();
        if let Err(error) = &reloaded {
            tracing::error!("the certificate stays as it was: {error:#}");
        }
        reloaded.is_ok()
    }
}

fn load(chain: &Path, key: &Path) -> anyhow::Result<Arc<Certificates>> {
    Ok(Certificates::load(chain, key)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Renews a certificate that was issued so many days ago; was it made anew?
    async fn check(age_days: u64, expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let names = Names { dns: vec!["site".into()], addresses: Vec::new() };
        let issued = Issued { folder: folder.path().into(), names };
        let (chain, key) = issued.ensure().unwrap();
        let identity = Identity::over(load(&chain, &key).unwrap(), Some(issued), Vec::new());
        let stamp = folder.path().join("server.names");
        let text = fs::read_to_string(&stamp).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        let then = first.parse::<Timestamp>().unwrap().0
            - i64::try_from(age_days * 86_400_000_000).unwrap();
        fs::write(&stamp, format!("{}\n{rest}", Timestamp(then))).unwrap();
        let before = fs::read(&chain).unwrap();
        identity.renew().await;
        assert_eq!(fs::read(&chain).unwrap() != before, expected, "after {age_days} days");
    }

    #[test]
    fn what_is_wrong_with_the_certificate_is_known_long_before_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names { dns: vec!["site".into()], addresses: Vec::new() };
        let issued = Issued { folder: folder.path().into(), names };
        let (chain, key) = issued.ensure().unwrap();
        let called = vec!["site".to_owned(), "other.site".to_owned()];
        let identity = Identity::over(load(&chain, &key).unwrap(), Some(issued), called);
        let ends = identity.ends().borrow().clone();
        let certificates: Vec<_> = ends.iter().map(|end| end.certificate.as_str()).collect();
        assert_eq!(certificates, ["server", "chain-2", "authority"]);
        let told = |now| {
            let flaws = identity.flaws(now);
            flaws.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let unnamed = "the server certificate does not name other.site";
        assert_eq!(told(now()), [unnamed]);
        let late = told(Timestamp(ends[0].at.0 - 29 * 86_400_000_000));
        assert!(late.len() == 2 && late[0].contains("ends in 29 days"), "{late:?}");
    }

    #[tokio::test]
    async fn a_certificate_is_renewed_long_before_its_end_while_the_program_runs() {
        check(0, false).await;
        check(300, false).await;
        check(340, true).await;
    }
}
