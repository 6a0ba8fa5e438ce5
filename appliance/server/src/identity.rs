//! The server's certificate through its life: made at the start, renewed while the program runs,
//! read anew at SIGHUP and every hour.
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
use ingress::{Authority, Certificates, Names, authority::EARLIEST};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::signal::unix::SignalKind;

/// Between two looks at the certificate's age; a clock that is set right is noticed as soon.
const LOOK: Duration = Duration::from_secs(3600);

/// What the server shows to prove who it is.
pub(crate) struct Identity {
    certificates: Arc<Certificates>,
    /// `None` with a certificate of the operator's own.
    issued: Option<Issued>,
}

/// A certificate of the built-in authority.
#[derive(Clone)]
struct Issued {
    folder: PathBuf,
    names: Names,
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
            return Ok(Self { certificates: load(chain, key)?, issued: None });
        }
        let issued = Issued::new(config, data.join("tls"));
        let (chain, key) = issued.ensure()?;
        Ok(Self { certificates: load(&chain, &key)?, issued: Some(issued) })
    }

    pub(crate) fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Renews and reads anew, for ever.
    pub(crate) async fn keep(self) {
        let Ok(mut hangup) = tokio::signal::unix::signal(SignalKind::hangup()) else { return };
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    if self.reload() {
                        tracing::info!("the certificate was read anew");
                    }
                }
                () = tokio::time::sleep(LOOK) => self.renew().await,
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
    use base::time::Timestamp;
    use std::fs;

    /// Renews a certificate that was issued so many days ago; was it made anew?
    async fn check(age_days: u64, expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let names = Names { dns: vec!["site".into()], addresses: Vec::new() };
        let issued = Issued { folder: folder.path().into(), names };
        let (chain, key) = issued.ensure().unwrap();
        let identity = Identity { certificates: load(&chain, &key).unwrap(), issued: Some(issued) };
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

    #[tokio::test]
    async fn a_certificate_is_renewed_long_before_its_end_while_the_program_runs() {
        check(0, false).await;
        check(300, false).await;
        check(340, true).await;
    }
}
