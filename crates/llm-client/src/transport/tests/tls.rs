//! Who is trusted, and what is said to those who are not.

use std::path::Path;

use super::*;
use crate::settings::TlsRoots;
use llm_types::{ErrorKind, Phase};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// An authority of our own, with the files it wrote.
pub(super) struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self.path(name)
    }

    /// Writes `name.pem` and `name.key`.
    pub(super) fn issue(
        &self,
        name: &str,
        host: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let certificate = self.write(&format!("{name}.pem"), &certificate.pem());
        let key = self.write(&format!("{name}.key"), &key.serialize_pem());
        Identity { certificate, key }
    }

    /// Settings that trust this authority.
    pub(super) fn trusted(&self) -> Settings {
        Settings { ca_file: Some(self.path("ca.pem")), ..Settings::default() }
    }
}

pub(super) struct Identity {
    certificate: String,
    key: String,
}

/// A server's side of TLS; with `clients`, only for those whom that authority knows.
pub(super) fn acceptor(identity: &Identity, alpn: &[&str], clients: Option<&Path>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(path).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_file(&identity.certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A server that answers `ok` over TLS, in the protocol agreed on.
pub(super) async fn server(acceptor: TlsAcceptor) -> Server {
    Server::start(move |peer, _| {
        let acceptor = acceptor.clone();
        async move {
            let stream = match acceptor.accept(peer.stream).into_fallible().await {
                Ok(stream) => stream,
                // It stays until the client has read why.
                Err((_, stream)) => return Peer::new(stream).gone().await,
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                    body.send_data(Bytes::from_static(b"ok"), true).unwrap();
                }
                return;
            }
            let mut peer = Peer::new(stream);
            while peer.request().await.is_some() {
                peer.send(answer("ok")).await;
            }
        }
    })
    .await
}

fn https(server: &Server) -> String {
    format!("https://localhost:{}/v1", server.address.port())
}

async fn refused(settings: &Settings, server: &Server) -> Error {
    let error = ask(&transport(settings), &https(server)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{}", error.chain());
    assert!(error.to_string().contains(&format!("https://localhost:{}", server.address.port())), "{error}");
    error
}

#[tokio::test]
async fn an_authority_of_our_own_is_trusted_over_both_protocols() {
    let authority = Authority::new();
    let identity = authority.issue("server", "localhost", |_| {});
    for (alpn, setting, http2) in [
        (&["h2", "http/1.1"][..], true, true),
        (&["h2", "http/1.1"], false, false),
        (&["http/1.1"], true, false),
        (&[], true, false),
    ] {
        let server = server(acceptor(&identity, alpn, None)).await;
        for tls_roots in [TlsRoots::Platform, TlsRoots::Bundled] {
            let transport = transport(&Settings { http2: setting, tls_roots, ..authority.trusted() });
            for reused in [false, true] {
                let reply = ask(&transport, &https(&server)).await.unwrap();
                assert_eq!((reply.http2, reply.reused), (http2, reused), "{alpn:?}");
                assert_eq!(soon(reply.body.read_to_end(9)).await.unwrap(), "ok");
            }
            until(|| transport.stats().in_use == 0).await;
        }
    }
}

#[tokio::test]
async fn many_first_requests_need_one_http2_connection() {
    let authority = Authority::new();
    let server = server(acceptor(&authority.issue("server", "localhost", |_| {}), &["h2"], None)).await;
    let transport = transport(&authority.trusted());
    let url = https(&server);
    for text in futures_util::future::join_all((0..32).map(|_| ask_text(&transport, &url))).await {
        assert_eq!(text.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 1);
    let endpoint = Endpoint::parse(&url).unwrap();
    assert_eq!(soon(transport.warm_up(&endpoint, 8)).await.unwrap(), 0);
    // Ahead of all requests, what the server speaks is found out first.
    let fresh = self::transport(&authority.trusted());
    assert_eq!(soon(fresh.warm_up(&endpoint, 8)).await.unwrap(), 1);
    let old = self::server(acceptor(&authority.issue("old", "localhost", |_| {}), &[], None)).await;
    let endpoint = Endpoint::parse(&https(&old)).unwrap();
    assert_eq!(soon(fresh.warm_up(&endpoint, 8)).await.unwrap(), 8);
    assert_eq!(old.accepted(), 8);
}

#[tokio::test]
async fn strangers_and_impostors_are_refused() {
    let authority = Authority::new();
    let good = authority.issue("good", "localhost", |_| {});
    let error = refused(&Settings::default(), &server(acceptor(&good, &[], None)).await).await;
    assert!(error.to_string().contains("signed by nobody we trust"), "{error}");
    assert!(error.hint().unwrap().contains("ca_file"));
    let bundled = Settings { tls_roots: TlsRoots::Bundled, ..Settings::default() };
    refused(&bundled, &server(acceptor(&good, &[], None)).await).await;

    let other = authority.issue("other", "other.example", |_| {});
    let error = refused(&authority.trusted(), &server(acceptor(&other, &[], None)).await).await;
    assert!(error.to_string().contains("for another host name"), "{error}");

    let expired = authority.issue("expired", "localhost", |params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    let error = refused(&authority.trusted(), &server(acceptor(&expired, &[], None)).await).await;
    assert!(error.to_string().contains("has expired"), "{error}");

    let early =
        authority.issue("early", "localhost", |params| params.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let error = refused(&authority.trusted(), &server(acceptor(&early, &[], None)).await).await;
    assert!(error.to_string().contains("not valid yet"), "{error}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_named() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let identity = Identity {
        certificate: authority.write("self.pem", &certificate.pem()),
        key: authority.write("self.key", &key.serialize_pem()),
    };
    let server = server(acceptor(&identity, &[], None)).await;
    refused(&authority.trusted(), &server).await;
    let named = Settings { ca_file: Some(identity.certificate), ..Settings::default() };
    assert_eq!(ask_text(&transport(&named), &https(&server)).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_asks() {
    let authority = Authority::new();
    let identity = authority.issue("server", "localhost", |_| {});
    let client = authority.issue("client", "client", |_| {});
    let clients = authority.path("ca.pem");
    for alpn in ["h2", "http/1.1"] {
        let server = server(acceptor(&identity, &[alpn], Some(Path::new(&clients)))).await;
        let with = Settings {
            client_cert_file: Some(client.certificate.clone()),
            client_key_file: Some(client.key.clone()),
            ..authority.trusted()
        };
        assert_eq!(ask_text(&transport(&with), &https(&server)).await.unwrap(), "ok");
        let error = refused(&authority.trusted(), &server).await;
        assert_eq!(error.hint(), Some("set client_cert_file and client_key_file"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_plain_server_is_recognised() {
    let plain = Server::start(|mut peer, _| async move {
        peer.read().await;
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let error = refused(&Settings::default(), &plain).await;
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    assert_eq!(error.hint(), Some("if it is a plain server, write http://"));
    // And the other way round.
    let authority = Authority::new();
    let tls = server(acceptor(&authority.issue("server", "localhost", |_| {}), &[], None)).await;
    let error = ask(&super::plain(), &tls.url()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Connection), "{}", error.chain());
    // One that hangs up in the middle of the handshake may be fine the next time.
    let cut = Server::start(|mut peer, _| async move {
        peer.read().await;
    })
    .await;
    let error = ask(&super::plain(), &https(&cut)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("was cut"), "{error}");
}

#[tokio::test]
async fn a_handshake_that_hangs_is_a_connect_timeout() {
    let silent = Server::start(|mut peer, _| async move { peer.gone().await }).await;
    let settings = Settings { connect_timeout: Duration::from_millis(60), ..Settings::default() };
    let transport = transport(&settings);
    let error = ask(&transport, &https(&silent)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Connect));
    let expected = format!("no connection to https://localhost:{} within 60ms", silent.address.port());
    assert_eq!(error.to_string(), expected);
    until(|| transport.stats().open == 0).await;
    // Connecting is part of the attempt, whose limit may be shorter.
    let timers = Timers { attempt: Some(Duration::from_millis(30)), ..NO_TIMERS };
    let error = soon(super::plain().send(post(&https(&silent)), timers)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Attempt));
}

#[tokio::test]
async fn a_file_of_roots_in_the_environment_replaces_the_systems() {
    let authority = Authority::new();
    let server = server(acceptor(&authority.issue("server", "localhost", |_| {}), &[], None)).await;
    let env =
        |path: String| ProxyEnv::from_lookup(move |name| (name == "SSL_CERT_FILE").then(|| path.clone()));
    let transport = Transport::new(&Settings::default(), &env(authority.path("ca.pem"))).unwrap();
    assert_eq!(ask_text(&transport, &https(&server)).await.unwrap(), "ok");
    let missing = env(authority.path("missing.pem"));
    let error = Transport::new(&Settings::default(), &missing).unwrap_err();
    assert!(error.to_string().starts_with("SSL_CERT_FILE: "), "{error}");
    // Bundled means bundled.
    let bundled = Settings { tls_roots: TlsRoots::Bundled, ..Settings::default() };
    assert!(Transport::new(&bundled, &missing).is_ok());
}

#[test]
fn bad_files_are_named_when_the_transport_is_built() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("one", "a", |_| {}), authority.issue("other", "b", |_| {}));
    let empty = authority.write("empty.pem", "");
    let junk = authority.write("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let missing = authority.path("missing.pem");
    let ca = |path: &str| Settings { ca_file: Some(path.into()), ..Settings::default() };
    let own = |certificate: &str, key: &str| Settings {
        client_cert_file: Some(certificate.into()),
        client_key_file: Some(key.into()),
        ..Settings::default()
    };
    for (settings, setting, path, reason) in [
        (ca(&missing), "ca_file", &missing, "No such file"),
        (ca(&empty), "ca_file", &empty, "no PEM certificate"),
        (ca(&one.key), "ca_file", &one.key, "no PEM certificate"),
        (ca(&junk), "ca_file", &junk, "as an authority"),
        (own(&missing, &one.key), "client_cert_file", &missing, "No such file"),
        (own(&one.certificate, &missing), "client_key_file", &missing, "No such file"),
        (own(&one.certificate, &one.certificate), "client_key_file", &one.certificate, "no PEM private key"),
        (own(&one.certificate, &other.key), "client_key_file", &other.key, "does not fit"),
    ] {
        let error = Transport::new(&settings, &ProxyEnv::none()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().starts_with(&format!("{setting}: {path}: ")), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let half = Settings { client_cert_file: Some(one.certificate), ..Settings::default() };
    assert_eq!(Transport::new(&half, &ProxyEnv::none()).unwrap_err().kind(), ErrorKind::Config);
}
