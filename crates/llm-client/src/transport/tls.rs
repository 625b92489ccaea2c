//! Whom to trust and who we are: rustls with ring, the system's roots or the bundled ones, own files.

use std::sync::Arc;

use llm_types::{Error, ErrorKind};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::Verifier;
use tokio::sync::OnceCell;

use crate::settings::{Settings, TlsRoots};

/// The TLS side of a transport. The user's own files are read when it is built, the system's roots (some milliseconds
/// of work) at the first `https://` connection.
pub(super) struct Tls {
    sources: Sources,
    configs: OnceCell<Configs>,
}

/// What to speak to a server, and what to speak to an `https://` proxy on the way to it.
#[derive(Clone)]
pub(super) struct Configs {
    pub(super) server: Arc<ClientConfig>,
    pub(super) proxy: Arc<ClientConfig>,
}

#[derive(Clone)]
struct Sources {
    provider: Arc<CryptoProvider>,
    roots: Roots,
    /// Trusted besides the roots.
    own: Vec<CertificateDer<'static>>,
    identity: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    http2: bool,
}

#[derive(Clone)]
enum Roots {
    Platform,
    Bundled,
    /// `SSL_CERT_FILE`, in place of the system's.
    File(Vec<CertificateDer<'static>>),
}

impl Tls {
    /// Reads the files that the settings and `SSL_CERT_FILE` name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the file and the reason.
    pub(super) fn new(settings: &Settings, cert_file: Option<&str>) -> Result<Self, Error> {
        let roots = match (settings.tls_roots, cert_file) {
            (TlsRoots::Bundled, _) => Roots::Bundled,
            (TlsRoots::Platform, Some(path)) => Roots::File(authorities("SSL_CERT_FILE", path)?),
            (TlsRoots::Platform, None) => Roots::Platform,
        };
        let own = match settings.ca_file.as_deref() {
            Some(path) => authorities("ca_file", path)?,
            None => Vec::new(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let identity = match (settings.client_cert_file.as_deref(), settings.client_key_file.as_deref()) {
            (Some(certificate), Some(key)) => Some(Arc::new(identity(&provider, certificate, key)?)),
            (None, None) => None,
            _ => {
                let message = "client_cert_file and client_key_file are set together or not at all";
                return Err(Error::new(ErrorKind::Config, message));
            }
        };
        let sources = Sources { provider, roots, own, identity, http2: settings.http2 };
        Ok(Self { sources, configs: OnceCell::new() })
    }

    /// The finished configurations; the first caller makes them, off the runtime's threads.
    pub(super) async fn configs(&self) -> Result<&Configs, Error> {
        let make = || async {
            let sources = self.sources.clone();
            let made = tokio::task::spawn_blocking(move || sources.configs()).await;
            made.map_err(|error| {
                Error::new(ErrorKind::Internal, "the TLS configuration was not made").with_source(error)
            })?
        };
        self.configs.get_or_try_init(make).await
    }
}

impl Sources {
    fn configs(&self) -> Result<Configs, Error> {
        let unusable = |error: rustls::Error| {
            Error::new(ErrorKind::Config, format!("TLS cannot be set up: {error}")).with_source(error)
        };
        let verifier = self.verifier().map_err(unusable)?;
        let start = || {
            ClientConfig::builder_with_provider(Arc::clone(&self.provider))
                .with_safe_default_protocol_versions()
                .map_err(unusable)
                .map(|builder| builder.dangerous().with_custom_certificate_verifier(Arc::clone(&verifier)))
        };
        let mut server = match self.identity.as_deref() {
            Some((chain, key)) => {
                start()?.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(unusable)?
            }
            None => start()?.with_no_client_auth(),
        };
        server.alpn_protocols =
            if self.http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        // Our certificate is for the server, not for the proxy.
        let mut proxy = start()?.with_no_client_auth();
        proxy.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Configs { server: Arc::new(server), proxy: Arc::new(proxy) })
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            Roots::Platform => return self.platform_verifier(),
            Roots::Bundled => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::File(certificates) => _ = store.add_parsable_certificates(certificates.iter().cloned()),
        }
        store.add_parsable_certificates(self.own.iter().cloned());
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&self.provider));
        let built = builder.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(built)
    }

    /// The system's judge. Where the system has no roots at all (a bare container), the bundled ones stand in.
    fn platform_verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        let provider = || Arc::clone(&self.provider);
        let own = || self.own.iter().cloned();
        let verifier = match Verifier::new(provider()) {
            Ok(verifier) if self.own.is_empty() => verifier,
            Ok(_) => Verifier::new_with_extra_roots(own(), provider())?,
            Err(_) => {
                let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
                Verifier::new_with_extra_roots(bundled.chain(own()), provider())?
            }
        };
        Ok(Arc::new(verifier))
    }
}

fn wrong(setting: &str, path: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("{setting}: {path}: {reason}"))
}

/// The certificates of a PEM file, each of which can be trusted as an authority.
fn authorities(setting: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = certificates(setting, path)?;
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        return Err(wrong(setting, path, "no certificate in it can be read as an authority"));
    }
    Ok(certificates)
}

fn certificates(setting: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(setting, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| wrong(setting, path, format!("not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(wrong(setting, path, "there is no PEM certificate in it"));
    }
    Ok(certificates)
}

/// Our own certificate chain and the key that fits it.
fn identity(
    provider: &Arc<CryptoProvider>,
    certificate: &str,
    key: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = certificates("client_cert_file", certificate)?;
    let pem = read("client_key_file", key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| wrong("client_key_file", key, "there is no PEM private key in it"))?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("client_key_file", key, error))?;
    // Says whether key and certificate fit, before the first call does.
    builder
        .with_root_certificates(RootCertStore::empty())
        .with_client_auth_cert(chain.clone(), private.clone_key())
        .map_err(|error| wrong("client_key_file", key, format!("it does not fit {certificate}: {error}")))?;
    Ok((chain, private))
}

fn read(setting: &str, path: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| wrong(setting, path, &error).with_source(error))
}
