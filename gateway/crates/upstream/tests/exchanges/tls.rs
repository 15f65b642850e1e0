//! TLS: trust is a file's certificates or the system's, and the name must fit.

use std::io::Write as _;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use towpath_upstream::{Pool, Roots, Settings, Tls, TlsError, UpstreamError};

use crate::stage::{OK, Stage, address, get, request, settings};

/// A server with a certificate for `localhost`, and the authority's certificate as PEM.
async fn secure() -> (String, String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let stage = Stage::open(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while !request(&mut stream).await.is_empty() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (stage.address.to_string().replace("http:", "https:"), authority.pem())
}

fn trusting(pem: &str) -> Pool {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let tls = Tls::load(&Roots::File(file.path().to_owned())).unwrap();
    Pool::new(Settings { tls, ..settings() })
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_is_accepted() {
    let (url, authority) = secure().await;
    let address = address(&url.replace("127.0.0.1", "localhost"));
    let pool = trusting(&authority);
    for _ in 0..2 {
        let reply = pool.send(&address, get("/")).await.unwrap();
        assert_eq!(reply.body.collect(10).await.unwrap(), "ok");
    }

    assert_eq!(pool.idle_connections(), 1);
}

#[tokio::test]
async fn an_unknown_authority_or_a_wrong_name_is_not() {
    let (url, authority) = secure().await;
    let (_, other) = secure().await;
    let named = address(&url.replace("127.0.0.1", "localhost"));

    let unknown = trusting(&other).send(&named, get("/")).await.unwrap_err();
    let misnamed = trusting(&authority).send(&address(&url), get("/")).await.unwrap_err();

    assert!(matches!(unknown, UpstreamError::Tls(_)), "{unknown:?}");
    assert!(matches!(misnamed, UpstreamError::Tls(_)), "{misnamed:?}");
    assert_eq!(unknown.code(), "upstream_unavailable");
}

#[tokio::test]
async fn a_file_without_certificates_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.pem");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing here").unwrap();

    let missing = Tls::load(&Roots::File(missing)).unwrap_err();
    let empty = Tls::load(&Roots::File(empty)).unwrap_err();

    assert!(matches!(&missing, TlsError::File { .. }), "{missing}");
    assert!(empty.to_string().contains("empty.pem` holds no certificate"), "{empty}");
}
