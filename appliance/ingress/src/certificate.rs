//! The certificate in use, and its exchange while connections go on.
//!
//! Why: a renewed certificate must not need a restart. New handshakes take the new one;
//! connections that stand are not touched.
//! Invariants: a pair that does not load never replaces one that does.
//! On failure: loading names the file and the remedy.

use crate::{
    misfit::{self, Misfit},
    secure_file,
    standing::Certificate,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key or chain cannot be read.
    #[error(transparent)]
    File(#[from] secure_file::Error),
    /// The text is not PEM of the expected kind.
    #[error("{} holds no usable {what}: expected PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Certificate or key.
        what: &'static str,
        /// What the parser said.
        source: rustls_pki_types::pem::Error,
    },
    /// The file holds something else, which can be converted.
    #[error("{} holds {}: {}", path.display(), misfit.holds, misfit.remedy)]
    Form {
        /// The file.
        path: PathBuf,
        /// What it holds.
        misfit: Misfit,
    },
    /// Key and certificate do not belong together, or the key's kind is not supported.
    #[error(
        "{chain} and {key} do not belong together, or the key is of a kind that is not supported here: put both in place anew; `openssl x509 -noout -pubkey -in {chain}` and `openssl pkey -pubout -in {key}` tell the same for a pair",
        chain = chain.display(), key = key.display()
    )]
    Mismatch {
        /// The chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// No protocol version is left.
    #[error("the TLS library offers no protocol version")]
    Versions(#[source] rustls::Error),
}

/// A certificate chain and key on disk, loaded, and loaded again on demand.
#[derive(Debug)]
pub struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Loads a PEM chain (leaf first) and its PEM key.
    pub fn load(chain: &Path, key: &Path) -> Result<Arc<Self>, Error> {
        let current = RwLock::new(certified_key(chain, key)?);
        Ok(Arc::new(Self { chain: chain.into(), key: key.into(), current }))
    }

    /// Reads both files anew; on an error the old pair stays in use.
    pub fn reload(&self) -> Result<(), Error> {
        let fresh = certified_key(&self.chain, &self.key)?;
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// What is served now, leaf first.
    #[must_use]
    pub fn chain(&self) -> Vec<Certificate> {
        let current = self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Certificate::chain(&current.cert)
    }

    /// A TLS 1.2 and 1.3 server configuration that offers `h2` and `http/1.1`.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::Versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner)))
    }
}

fn certified_key(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let pem = |path: &Path, what| {
        let path = path.to_path_buf();
        move |source| Error::Pem { path, what, source }
    };
    let form = |path: &Path| {
        let path = path.to_path_buf();
        move |misfit| Error::Form { path, misfit }
    };
    let bytes = secure_file::read_public(chain)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem(chain, "certificate"))?;
    if certificates.is_empty() {
        let nothing = pem(chain, "certificate");
        return Err(misfit::of_chain(&bytes, chain)
            .map(form(chain))
            .unwrap_or_else(|| nothing(rustls_pki_types::pem::Error::NoItemsFound)));
    }
    let bytes = secure_file::read(key)?;
    if let Some(misfit) = misfit::of_key(&bytes, key) {
        return Err(form(key)(misfit));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(pem(key, "private key"))?;
    CertifiedKey::from_der(certificates, private, &ring::default_provider())
        .map(Arc::new)
        .map_err(|source| Error::Mismatch { chain: chain.into(), key: key.into(), source })
}
