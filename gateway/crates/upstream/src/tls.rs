//! Trust: which certificate authorities may vouch for an upstream.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::connection::Protocol;

/// Which certificate authorities are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The operating system's.
    #[default]
    Native,
    /// Those in a PEM file, and no others.
    File(PathBuf),
}

/// Prepared trust, made once and shared by all workers.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    /// For HTTP/2.
    multiplexed: TlsConnector,
    name: Arc<str>,
}

/// Why trust cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the file of certificate authorities `{path}` cannot be read: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("the file of certificate authorities `{path}` holds no certificate that can be used")]
    Empty { path: PathBuf },
    #[error("the certificate authorities cannot be read: {0}")]
    Pem(String),
    #[error("TLS cannot be set up: {0}")]
    Protocol(String),
}

impl Tls {
    /// Read the certificates. A system without any is no error: only `https` addresses suffer from it.
    ///
    /// # Errors
    /// The file cannot be read or has no certificate in it.
    pub fn load(roots: &Roots) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        match roots {
            Roots::Native => {
                let found = rustls_native_certs::load_native_certs();
                store.add_parsable_certificates(found.certs);
            }
            Roots::File(path) => {
                let failed = |error: &dyn std::fmt::Display| TlsError::File {
                    path: path.clone(),
                    reason: error.to_string(),
                };
                let found = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| failed(&error))?;
                if store.add_parsable_certificates(found).0 == 0 {
                    return Err(TlsError::Empty { path: path.clone() });
                }
            }
        }
        Self::over(store, "")
    }

    /// Trust the authorities of a PEM text, and no others.
    ///
    /// # Errors
    /// It cannot be read or has no certificate in it.
    pub fn from_pem(pem: &str) -> Result<Self, TlsError> {
        let found = CertificateDer::pem_slice_iter(pem.as_bytes());
        let found: Vec<_> =
            found.collect::<Result<_, _>>().map_err(|error| TlsError::Pem(error.to_string()))?;
        let mut store = RootCertStore::empty();
        for certificate in found {
            store.add(certificate).map_err(|error| TlsError::Pem(error.to_string()))?;
        }
        if store.is_empty() {
            return Err(TlsError::Pem("there is no certificate in them".to_owned()));
        }
        Self::over(store, pem)
    }

    fn over(store: RootCertStore, pem: &str) -> Result<Self, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Protocol(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut name = String::new();
        for byte in digest(&SHA256, pem.as_bytes()).as_ref() {
            let _ = write!(name, "{byte:02x}");
        }
        let mut multiplexed = config.clone();
        multiplexed.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            multiplexed: TlsConnector::from(Arc::new(multiplexed)),
            name: name.into(),
        })
    }

    pub(crate) fn connector(&self, protocol: Protocol) -> &TlsConnector {
        match protocol {
            Protocol::Http1 => &self.connector,
            Protocol::Http2 => &self.multiplexed,
        }
    }

    /// Digest of the authorities it was made of.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}
