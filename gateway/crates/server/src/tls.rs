//! The listener's TLS: versions 1.2 and 1.3, certificate and key from files that are read again when they
//! change, and callers' certificates where they are asked for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config::{ClientAuth, TlsFiles};
use crate::log::{self, Level};

/// Protocols offered, the preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read `{}`: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("`{}` holds no certificate", path.display())]
    Empty { path: PathBuf },
    #[error("certificate and key do not go together: {0}")]
    Pair(String),
    #[error("the authorities of callers cannot be used: {0}")]
    Clients(String),
}

/// The listener's certificate, as it is now. Connections that stand keep the one they began with.
pub struct Door {
    files: TlsFiles,
    handshake: Duration,
    config: ArcSwap<ServerConfig>,
    /// What was last looked at, good or not: a bad file is complained of once.
    seen: Mutex<Stamp>,
}

/// Size and time of change of each file, and what the file is where a link leads.
type Stamp = Vec<Option<(u64, SystemTime, PathBuf)>>;

impl Door {
    /// Read the files.
    ///
    /// # Errors
    /// One cannot be read, or they do not go together.
    pub fn open(files: TlsFiles, handshake: Duration) -> Result<Self, TlsError> {
        let seen = Mutex::new(stamp(&files));
        let config = ArcSwap::from_pointee(load(&files)?);
        Ok(Self { files, handshake, config, seen })
    }

    /// Do the handshake, within its time.
    ///
    /// # Errors
    /// The caller speaks no TLS, none that is offered, shows no good certificate, or is too slow.
    pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        tokio::time::timeout(self.handshake, acceptor.accept(stream)).await?
    }

    /// Read the files again if they have changed; whatever is wrong with them leaves the former in force.
    pub fn refresh(&self) {
        let now = stamp(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != now {
            *seen = now;
            drop(seen);
            self.reload();
        }
    }

    /// Read the files again.
    pub fn reload(&self) {
        match load(&self.files) {
            Ok(config) => {
                self.config.store(Arc::new(config));
                log::event(Level::Info, "certificate.loaded", &[]);
            }
            Err(error) => {
                log::event(Level::Error, "certificate.not_loaded", &[("cause", &error)]);
            }
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    let clients = files.clients.as_ref().map(|(path, _)| path);
    let all = [Some(&files.cert), Some(&files.key), clients].into_iter().flatten();
    all.map(|path| {
        let found = fs::metadata(path).ok()?;
        // Kubernetes and certificate managers turn a link to a new file.
        let real = fs::canonicalize(path).unwrap_or_default();
        Some((found.len(), found.modified().ok()?, real))
    })
    .collect()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::File { path: path.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let found: Vec<_> =
        found.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if found.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned() });
    }
    Ok(found)
}

fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| TlsError::File { path: files.key.clone(), reason: error.to_string() })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Pair(error.to_string()))?;
    let builder = match &files.clients {
        None => builder.with_no_client_auth(),
        Some((path, auth)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| TlsError::Clients(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match auth {
                ClientAuth::Required => verifier,
                ClientAuth::Optional => verifier.allow_unauthenticated(),
            };
            let verifier =
                verifier.build().map_err(|error| TlsError::Clients(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| TlsError::Pair(error.to_string()))?;
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}
