//! What a token is asked for with, and what the answer says. Bytes in, bytes out: no socket and no clock.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use llm_types::{Error, ErrorKind, Extra, Secret};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;

use super::GrantAddresses;
use crate::dialect::path::segment;

/// How long a signed request for a token is good.
const LIFETIME_SECS: u64 = 3600;

/// The right to ask for tokens. Nothing secret is shown of it.
pub struct Grant {
    url: String,
    kind: Kind,
}

enum Kind {
    /// The key file of a service account: each request is signed.
    Signed { email: String, key_id: Option<String>, key: Box<RsaKeyPair>, scope: &'static str },
    /// What a user's sign-in left.
    Refresh { client_id: String, client_secret: Secret, refresh_token: Secret },
    /// The machine's own account.
    Machine { header: (&'static str, &'static str) },
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Signed { .. } => "service account",
            Kind::Refresh { .. } => "user",
            Kind::Machine { .. } => "machine",
        };
        f.debug_struct("Grant").field("kind", &kind).field("url", &self.url).finish_non_exhaustive()
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, format!("the credentials: {}", message.into()))
}

impl Grant {
    /// The grant of a credentials file (`service_account` or `authorized_user`).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] says what is missing or cannot be read. No value of the file is repeated.
    pub fn from_json(json: &str, addresses: &GrantAddresses) -> Result<Self, Error> {
        let mut file = Extra::parse(json).map_err(|_| wrong("they are not a JSON object"))?;
        let mut take = |name: &str| -> Result<Option<String>, Error> {
            let text = file.take_as::<String>(name).map_err(|_| wrong(format!("`{name}` is no text")))?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let needed =
            |name: &str, text: Option<String>| text.ok_or_else(|| wrong(format!("`{name}` is missing")));
        let kind = needed("type", take("type")?)?;
        let url = take("token_uri")?.unwrap_or_else(|| addresses.token_url.to_owned());
        let kind = match kind.as_str() {
            "service_account" => {
                let email = needed("client_email", take("client_email")?)?;
                let pem = Secret::new(needed("private_key", take("private_key")?)?);
                let key = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes())
                    .map_err(|_| wrong("`private_key` is no PKCS#8 key in PEM"))?;
                let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der())
                    .map_err(|_| wrong("`private_key` is no RSA key that can be used"))?;
                let key_id = take("private_key_id")?;
                Kind::Signed { email, key_id, key: Box::new(key), scope: addresses.scope }
            }
            "authorized_user" => Kind::Refresh {
                client_id: needed("client_id", take("client_id")?)?,
                client_secret: Secret::new(needed("client_secret", take("client_secret")?)?),
                refresh_token: Secret::new(needed("refresh_token", take("refresh_token")?)?),
            },
            _ => {
                return Err(wrong("they are of a type that is not known (service_account, authorized_user)"));
            }
        };
        Ok(Self { url, kind })
    }

    /// The account that the machine itself has.
    #[must_use]
    pub fn machine(addresses: &GrantAddresses) -> Self {
        Self {
            url: addresses.machine_url.to_owned(),
            kind: Kind::Machine { header: addresses.machine_header },
        }
    }

    /// Where it asks.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether a secret goes out with the request.
    pub(super) fn sends_secret(&self) -> bool {
        !matches!(self.kind, Kind::Machine { .. })
    }

    /// The request for a token; `now` is in seconds since 1970.
    pub(super) fn request(&self, now: u64) -> Result<Request<Bytes>, Error> {
        let form = match &self.kind {
            Kind::Machine { .. } => None,
            Kind::Refresh { client_id, client_secret, refresh_token } => Some(form(&[
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("client_secret", client_secret.expose()),
                ("refresh_token", refresh_token.expose()),
            ])),
            Kind::Signed { email, key_id, key, scope } => {
                let assertion = self.signed(email, key_id.as_deref(), key, scope, now)?;
                let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                Some(form(&[("grant_type", grant_type), ("assertion", &assertion)]))
            }
        };
        let mut request = Request::new(Bytes::from(form.clone().unwrap_or_default()));
        *request.uri_mut() = self.url.parse().map_err(|_| wrong("`token_uri` is no address"))?;
        if form.is_some() {
            *request.method_mut() = Method::POST;
        }
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if form.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        if let Kind::Machine { header: (name, value) } = self.kind {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(request)
    }

    /// Who asks, for what and how long, signed (RFC 7523).
    fn signed(
        &self,
        email: &str,
        key_id: Option<&str>,
        key: &RsaKeyPair,
        scope: &str,
        now: u64,
    ) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Head<'a> {
            alg: &'a str,
            typ: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            kid: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Claims<'a> {
            iss: &'a str,
            scope: &'a str,
            aud: &'a str,
            iat: u64,
            exp: u64,
        }
        let coded = |json: Result<Vec<u8>, serde_json::Error>| {
            json.map(|json| BASE64_URL_SAFE_NO_PAD.encode(json))
                .map_err(|e| Error::new(ErrorKind::Internal, "a claim is not JSON").with_source(e))
        };
        let head = coded(serde_json::to_vec(&Head { alg: "RS256", typ: "JWT", kid: key_id }))?;
        let exp = now.saturating_add(LIFETIME_SECS);
        let claims = Claims { iss: email, scope, aud: &self.url, iat: now, exp };
        let text = format!("{head}.{}", coded(serde_json::to_vec(&claims))?);
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| Error::new(ErrorKind::Internal, "the request for a token cannot be signed"))?;
        Ok(format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The token in an answer, and how long it is good.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Result<(Secret, Duration), Error> {
        let mut answer =
            std::str::from_utf8(body).ok().and_then(|text| Extra::parse(text).ok()).unwrap_or_default();
        let mut text = |name: &str| answer.take_as::<String>(name).ok().flatten();
        if !status.is_success() {
            let code = text("error");
            let told: Vec<String> = [code.clone(), text("error_description")].into_iter().flatten().collect();
            let told = if told.is_empty() { format!("HTTP {}", status.as_u16()) } else { told.join(": ") };
            let kind = match status.as_u16() {
                400 | 401 => ErrorKind::Authentication,
                403 => ErrorKind::PermissionDenied,
                429 => ErrorKind::RateLimited,
                503 => ErrorKind::Overloaded,
                500..=599 => ErrorKind::Server,
                _ => ErrorKind::Authentication,
            };
            let told: String = told.chars().filter(|c| !c.is_control()).take(200).collect();
            let error = Error::new(kind, format!("no token was given: {told}"));
            return Err(if code.as_deref() == Some("invalid_grant") {
                error.with_hint("sign in again, or set this machine's clock")
            } else {
                error
            });
        }
        let token = text("access_token").and_then(|token| Secret::key(token).ok());
        let token =
            token.ok_or_else(|| Error::new(ErrorKind::Protocol, "the answer to a sign-in holds no token"))?;
        let seconds = answer.take_as::<u64>("expires_in").ok().flatten().unwrap_or(LIFETIME_SECS);
        Ok((token, Duration::from_secs(seconds.min(24 * LIFETIME_SECS))))
    }
}

/// A form's fields, percent-coded.
fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", segment(value))).collect::<Vec<_>>().join("&")
}
