//! Sign-ins against a server of our own, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use llm_types::ChatRequest;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::dialect::Dialect;
use crate::login::GrantAddresses;
use crate::transport::ProxyEnv;
use crate::{HttpClient, ModelClientExt as _, Settings};

const KEY: &str = include_str!("../../../tests/data/login/made-for-tests.pem");
const ADDRESSES: GrantAddresses = GrantAddresses {
    token_url: "https://login.invalid/token",
    machine_url: "http://machine.invalid/token",
    machine_header: ("x-machine", "yes"),
    scope: "scope/all",
};

type Answer = dyn Fn(usize, &str) -> (u16, String) + Send + Sync;

/// A server that answers by a function of the request's number and text, and remembers all it was sent.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answer, kept): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&kept)));
            }
        });
        Self { address, seen }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<Answer>, seen: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                let end = at + 4 + length.map_or(0, |length| length.trim().parse().unwrap());
                if bytes.len() >= end {
                    break end;
                }
            }
            let mut more = [0; 4096];
            match stream.read(&mut more).await {
                Ok(n @ 1..) => bytes.extend_from_slice(&more[..n]),
                _ => return,
            }
        };
        let rest = bytes.split_off(end);
        let request = String::from_utf8(std::mem::replace(&mut bytes, rest)).unwrap();
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len()
        };
        let (status, body) = answer(number, &request);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

fn token(number: usize, seconds: u64) -> (u16, String) {
    (
        200,
        json!({"access_token": format!("ya29.{number}"), "expires_in": seconds, "token_type": "Bearer"})
            .to_string(),
    )
}

fn session(credentials: &Value) -> Session {
    let grant = Grant::from_json(&credentials.to_string(), &ADDRESSES).unwrap();
    Session::new(grant, Transport::new(&Settings::default(), &ProxyEnv::none()).unwrap()).unwrap()
}

fn service_account(url: &str) -> Value {
    json!({
        "type": "service_account", "project_id": "p", "private_key_id": "kid-1", "private_key": KEY,
        "client_email": "robot@p.invalid", "token_uri": url
    })
}

#[tokio::test]
async fn a_service_account_signs_who_asks_for_what_and_how_long() {
    let server = Server::start(|number, _| token(number, 3599)).await;
    let url = server.url("/token");
    let session = session(&service_account(&url));
    assert_eq!(session.token().await.unwrap().expose(), "ya29.1");
    let request = server.seen().remove(0);
    assert!(request.starts_with("POST /token "), "{request}");
    let form = request.rsplit("\r\n\r\n").next().unwrap();
    let assertion = form
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .unwrap();
    let (text, signature) = assertion.rsplit_once('.').unwrap();
    let key = RsaKeyPair::from_pkcs8(
        PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap().secret_pkcs8_der(),
    )
    .unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(text.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let parts: Vec<Value> = text
        .split('.')
        .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
    let issued = parts[1]["iat"].as_u64().unwrap();
    assert!(issued > 1_700_000_000);
    assert_eq!(
        parts[1],
        json!({"iss": "robot@p.invalid", "scope": "scope/all", "aud": url, "iat": issued, "exp": issued + 3600})
    );
}

#[tokio::test]
async fn one_request_renews_the_token_however_many_wait() {
    let server = Server::start(|number, _| token(number, 3599)).await;
    let session = Arc::new(session(&service_account(&server.url("/token"))));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { session.token().await.unwrap().expose().to_owned() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "ya29.1");
    }
    assert_eq!(server.seen().len(), 1);
    // Refused, it is not given again; another one than it has changes nothing.
    session.refused(&Secret::new("ya29.other"));
    assert_eq!(session.token().await.unwrap().expose(), "ya29.1");
    session.refused(&Secret::new("ya29.1"));
    assert_eq!(session.token().await.unwrap().expose(), "ya29.2");
}

#[test]
fn a_token_is_used_until_five_minutes_before_its_end() {
    for (lifetime, used) in [(3599, 3299), (700, 400), (600, 300), (299, 149), (59, 29), (0, 0)] {
        assert_eq!(use_for(Duration::from_secs(lifetime)).as_secs(), used, "{lifetime}");
    }
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_renewed() {
    let server = Server::start(|number, _| token(number, if number < 3 { 0 } else { 3599 })).await;
    let session = session(&service_account(&server.url("/token")));
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(session.token().await.unwrap().expose().to_owned());
    }
    assert_eq!(tokens, ["ya29.1", "ya29.2", "ya29.3", "ya29.3", "ya29.3"]);
}

#[tokio::test]
async fn a_token_is_given_to_its_end_where_no_other_comes() {
    let server =
        Server::start(|number, _| if number == 1 { token(1, 3599) } else { (503, "{}".to_owned()) }).await;
    let session = session(&service_account(&server.url("/token")));
    session.token().await.unwrap();
    let due = |left: Duration| {
        let mut state = session.state();
        let held = state.held.as_mut().unwrap();
        (held.renew_at, held.until) = (clock::now(), clock::after(clock::now(), left));
    };
    due(Duration::from_secs(200));
    for _ in 0..3 {
        assert_eq!(session.token().await.unwrap().expose(), "ya29.1");
    }
    assert_eq!(server.seen().len(), 2, "it is not asked for by every call");
    // At its end, and where it was refused, there is nothing left to give.
    due(Duration::from_secs(5));
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Overloaded);
    session.refused(&Secret::new("ya29.1"));
    assert_eq!(session.token().await.unwrap_err().kind(), ErrorKind::Overloaded);
}

#[tokio::test]
async fn a_users_sign_in_and_the_machine_have_tokens_too() {
    let server = Server::start(|number, _| token(number, 3599)).await;
    let user = json!({
        "type": "authorized_user", "client_id": "id.x", "client_secret": "s&c", "refresh_token": "1//r t",
        "token_uri": server.url("/token")
    });
    let session = session(&user);
    session.token().await.unwrap();
    assert!(!format!("{session:?}").contains("s&c"));
    let url: &'static str = Box::leak(server.url("/machine?x=1").into_boxed_str());
    let machine = Grant::machine(&GrantAddresses { machine_url: url, ..ADDRESSES });
    let transport = Transport::new(&Settings::default(), &ProxyEnv::none()).unwrap();
    Session::new(machine, transport).unwrap().token().await.unwrap();
    let seen = server.seen();
    assert!(seen[0].ends_with(
        "\r\n\r\ngrant_type=refresh_token&client_id=id.x&client_secret=s%26c&refresh_token=1%2F%2Fr%20t"
    ));
    assert!(seen[1].starts_with("GET /machine?x=1 ") && seen[1].contains("x-machine: yes"), "{}", seen[1]);
}

#[tokio::test]
async fn a_refused_sign_in_says_why_and_is_not_asked_for_by_all_who_wait() {
    let server = Server::start(|_, _| {
        (400, r#"{"error":"invalid_grant","error_description":"Invalid JWT: iat and exp"}"#.to_owned())
    })
    .await;
    let session = Arc::new(session(&service_account(&server.url("/token"))));
    let error = session.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(error.message(), "no token was given: invalid_grant: Invalid JWT: iat and exp");
    assert_eq!(error.hint(), Some("sign in again, or set this machine's clock"));
    // Everybody waits for the flight that is held here, and then for one request.
    let before = server.seen().len();
    let flight = session.flight.lock().await;
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { session.token().await.unwrap_err().kind() })
        })
        .collect();
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(flight);
    for call in calls {
        assert_eq!(call.await.unwrap(), ErrorKind::Authentication);
    }
    assert_eq!(server.seen().len(), before + 1);
}

#[test]
fn credentials_that_cannot_be_used_say_what_is_wrong_and_show_nothing() {
    let with = |name: &str, value: Value| {
        let mut file = service_account("https://login.invalid/token");
        file[name] = value;
        file
    };
    for (file, message) in [
        (json!([]), "the credentials: they are not a JSON object"),
        (json!({}), "the credentials: `type` is missing"),
        (
            json!({"type": "external_account"}),
            "the credentials: they are of a type that is not known (service_account, authorized_user)",
        ),
        (with("private_key", json!("CANARY")), "the credentials: `private_key` is no PKCS#8 key in PEM"),
        (
            with("private_key", json!("-----BEGIN PRIVATE KEY-----\nQ0FOQVJZ\n-----END PRIVATE KEY-----\n")),
            "the credentials: `private_key` is no RSA key that can be used",
        ),
        (with("client_email", json!("")), "the credentials: `client_email` is missing"),
        (with("token_uri", json!(7)), "the credentials: `token_uri` is no text"),
        (json!({"type": "authorized_user", "client_id": "x"}), "the credentials: `client_secret` is missing"),
    ] {
        let error = Grant::from_json(&file.to_string(), &ADDRESSES).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Config, message));
        assert!(!format!("{error:?} {}", error.chain()).contains("CANARY"));
    }
    // A secret does not go out in the open.
    let open =
        Grant::from_json(&service_account("http://login.invalid/token").to_string(), &ADDRESSES).unwrap();
    let transport = Transport::new(&Settings::default(), &ProxyEnv::none()).unwrap();
    assert_eq!(Session::new(open, transport).unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn answers_that_hold_no_token_are_typed_errors() {
    for (status, body, kind) in [
        (200, "{}", ErrorKind::Protocol),
        (200, "<html>", ErrorKind::Protocol),
        (200, r#"{"access_token":"two words"}"#, ErrorKind::Protocol),
        (403, "{}", ErrorKind::PermissionDenied),
        (429, "{}", ErrorKind::RateLimited),
        (503, "<html>", ErrorKind::Overloaded),
        (500, "", ErrorKind::Server),
    ] {
        let server = Server::start(move |_, _| (status, body.to_owned())).await;
        let session = session(&service_account(&server.url("/token")));
        assert_eq!(session.token().await.unwrap_err().kind(), kind, "{status} {body}");
    }
}

#[tokio::test]
async fn a_call_carries_the_token_and_another_where_it_was_withdrawn() {
    const HELLO: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Hello!"}]},"finishReason":"STOP"}]}"#;
    let refusals = Arc::new(AtomicUsize::new(1));
    let left = Arc::clone(&refusals);
    let tokens = Server::start(|number, _| token(number, 3599)).await;
    let api = Server::start(move |_, request| {
        let refuse = request.contains("generateContent")
            && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if refuse {
            let words = request.split("authorization: ").nth(1).unwrap().split("\r\n").next().unwrap();
            let body = json!({"error": {"code": 401, "message": format!("bad {words}"), "status": "UNAUTHENTICATED"}});
            (401, body.to_string())
        } else {
            (200, HELLO.to_owned())
        }
    })
    .await;
    let client =
        HttpClient::builder(api.url("/v1/projects/p/locations/global/publishers/google"), "gemini-x")
            .dialect(Dialect::Gemini)
            .quirks(Dialect::Gemini.default_quirks())
            .settings(Settings { max_retries: 0, ..Settings::default() })
            .tokens(Arc::new(session(&service_account(&tokens.url("/token")))))
            .build()
            .unwrap();
    assert_eq!(client.ask("hi").await.unwrap(), "Hello!");
    let seen = api.seen();
    assert_eq!(seen.len(), 2);
    for (request, token) in seen.iter().zip(["ya29.1", "ya29.2"]) {
        let line = "POST /v1/projects/p/locations/global/publishers/google/models/gemini-x:generateContent ";
        assert!(request.starts_with(line), "{request}");
        assert!(request.contains(&format!("authorization: Bearer {token}\r\n")), "{request}");
        assert!(!request.contains("x-goog-api-key"), "{request}");
    }
    assert_eq!(client.ask("hi").await.unwrap(), "Hello!");
    assert_eq!((api.seen().len(), tokens.seen().len()), (3, 2));
    // Refused twice, it is the account that is refused; and the token is in no error.
    refusals.store(2, SeqCst);
    let error = client.send(ChatRequest::user("hi")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.message().contains("[redacted]"), "{error:?}");
    assert!(!format!("{error:?} {}", error.chain()).contains("ya29"), "{error:?}");
}
