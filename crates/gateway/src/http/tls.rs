//! TLS of our own, for those who have a certificate and no proxy in front.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config;

/// A certificate or key that cannot be served with. Nothing of the key is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("server.tls_cert: no PEM certificate in it (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate,
    #[error("server.tls_key: no unencrypted PEM private key in it (`-----BEGIN PRIVATE KEY-----`)")]
    NoKey,
    #[error("server.tls_cert and server.tls_key do not serve together: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Speaks TLS on sockets that were accepted.
#[derive(Clone)]
pub(crate) struct Tls(TlsAcceptor);

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 with the certificate and its key; of the application protocols HTTP/1.1.
    pub(crate) fn new(identity: &config::Tls) -> Result<Self, TlsError> {
        let certificates = CertificateDer::pem_slice_iter(identity.certificates_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or(TlsError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.expose_secret().as_bytes())
            .map_err(|_| TlsError::NoKey)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands. The caller sets the deadline.
    pub(super) async fn accept<S>(&self, socket: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.0.accept(socket).await
    }
}
