//! One cell of the table: a row's own client, over a socket, and its vendor at the other end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use llm_client::{Call, ModelClient, Settings};
use llm_mock::{MockServer, Reply, Request};
use llm_provider::{
    KeySupply, LoopbackProvider, Provider as _, ProviderSpec, Shared, SpecProvider, catalogue,
};
use llm_types::{Capabilities, ChatRequest, ChatResponse, Secret};
use serde_json::json;

use super::formats;
use super::formats::chat::mocked;
use super::heard::Heard;
use super::say::{Say, same};
use super::vendor::{Format, How, Vendor};

/// The key of every client.
pub(super) const KEY: &str = "sk-conformance";
/// What a sign-in gives.
pub(super) const TOKEN: &str = "ya29.conformance";

const PRIVATE_KEY: &str = include_str!("../../../crates/llm-client/tests/data/login/made-for-tests.pem");

pub(super) struct Cell {
    pub(super) vendor: &'static Vendor,
    pub(super) row: &'static ProviderSpec,
    pub(super) server: MockServer,
    pub(super) client: Arc<dyn ModelClient>,
}

/// A call of one attempt.
pub(super) fn once() -> Call {
    let mut call = Call::default();
    call.max_retries = Some(0);
    call
}

/// Plain or streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Plain,
    Streamed,
}

pub(super) const BOTH: [Manner; 2] = [Manner::Plain, Manner::Streamed];

impl Cell {
    pub(super) async fn new(vendor: &'static Vendor, shared: &Arc<Shared>) -> Self {
        let row = catalogue::find(vendor.row).expect(vendor.row);
        let server = MockServer::start().await;
        let client = client(vendor, row, &server, shared);
        Self { vendor, row, server, client }
    }

    /// What the client says of itself.
    pub(super) fn declared(&self) -> &Capabilities {
        self.client.capabilities()
    }

    /// How it shows that the vendor lacks this.
    pub(super) fn how(&self, what: &str) -> Option<How> {
        self.vendor.how(what)
    }

    pub(super) fn can(&self, what: &str) -> bool {
        self.vendor.can(what)
    }

    /// Makes the vendor say something to the next request.
    pub(super) fn will_say(&self, say: &Say, manner: Manner) {
        self.server.push(match (&self.vendor.format, manner) {
            (Format::Mock(_), _) => mocked(say),
            (_, Manner::Plain) => Reply::body(200, formats::body(self.vendor, say)),
            (_, Manner::Streamed) => Reply::sse(formats::stream(self.vendor, say)),
        });
    }

    /// One call, one attempt: what came of it.
    pub(super) async fn call(
        &self,
        request: &ChatRequest,
        manner: Manner,
    ) -> Result<ChatResponse, llm_types::Error> {
        let call = once();
        match manner {
            Manner::Plain => self.client.chat(request, &call).await,
            Manner::Streamed => self.client.chat_stream(request, &call).await?.collect().await,
        }
    }

    /// Asks, lets the vendor answer, and gives the answer and what the vendor heard.
    pub(super) async fn ask(
        &self,
        request: &ChatRequest,
        say: &Say,
        manner: Manner,
    ) -> Result<(ChatResponse, Heard), String> {
        self.will_say(say, manner);
        let response = self.call(request, manner).await.map_err(|error| format!("{manner:?}: {error:?}"))?;
        let heard = self.heard()?;
        same("streamed", &heard.stream, &(manner == Manner::Streamed))?;
        say.is_said_by(self.vendor, &response).map_err(|why| format!("{manner:?}: {why}"))?;
        Ok((response, heard))
    }

    /// What came in last, but for the sign-in.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.server.requests().into_iter().filter(|request| request.path() != "/token").collect()
    }

    pub(super) fn heard(&self) -> Result<Heard, String> {
        let last = self.requests().pop().ok_or("nothing was sent")?;
        formats::hear(self.vendor, &last)
    }

    /// What the vendor does where it lacks something: the call, and the check that the declared way is the one taken. `left`
    /// says whether a request is without what was asked for.
    pub(super) async fn lacks(
        &self,
        how: How,
        request: &ChatRequest,
        left: impl Fn(&Heard) -> bool,
    ) -> Result<(), String> {
        let before = self.requests().len();
        match how {
            How::Refused(status, body) => {
                self.server.reply(status, &[], body);
                let Err(error) = self.call(request, Manner::Plain).await else {
                    return Err(format!("a {status} was taken for an answer"));
                };
                same("a refusal may be repeated", &error.is_retryable(), &false)?;
                same("requests", &(self.requests().len() - before), &1)
            }
            How::Unsendable => match self.call(request, Manner::Plain).await {
                Ok(_) => Err("it was sent".into()),
                Err(error) => {
                    same("the error", &error.kind(), &llm_types::ErrorKind::InvalidRequest)?;
                    same("requests", &(self.requests().len() - before), &0)
                }
            },
            How::Warned(about) => {
                let (response, heard) = self.ask(request, &Say::text("So."), Manner::Plain).await?;
                if !response.warnings.iter().any(|warning| warning.about == about) {
                    return Err(format!("no warning of {about}: {:?}", response.warnings));
                }
                if !left(&heard) {
                    return Err(format!("it was sent all the same: {heard:?}"));
                }
                // A warning is an error where strictness is asked for, and nothing is sent.
                let request = ChatRequest { strict: true, ..request.clone() };
                let sent = self.requests().len();
                let refused = self.call(&request, Manner::Plain).await.err().map(|error| error.kind());
                same("the error", &refused, &Some(llm_types::ErrorKind::InvalidRequest))?;
                same("requests", &self.requests().len(), &sent)
            }
            How::Ignored => {
                let (response, _) = self.ask(request, &Say::text("So."), Manner::Plain).await?;
                same("calls", &response.tool_calls().count(), &0)
            }
            How::Absent => {
                let (_, heard) = self.ask(request, &Say::text("So."), Manner::Plain).await?;
                if left(&heard) { Ok(()) } else { Err(format!("it was sent all the same: {heard:?}")) }
            }
        }
    }

    /// The last exchanges, for a failure.
    pub(super) fn sent(&self) -> String {
        let requests = self.requests();
        let shown =
            requests.iter().rev().take(2).rev().map(|request| {
                format!("\n    {} {}", request.target(), String::from_utf8_lossy(request.body()))
            });
        shown.collect()
    }
}

/// The row's provider at the vendor's address, as a user would have it.
fn client(
    vendor: &'static Vendor,
    row: &'static ProviderSpec,
    server: &MockServer,
    shared: &Arc<Shared>,
) -> Arc<dyn ModelClient> {
    let settings = Settings { backoff_base: Duration::ZERO, ..Settings::default() };
    if row.loopback {
        let url = server.base_url();
        let provider = LoopbackProvider::new(row, move || Ok(url.clone()));
        let provider = provider.with_shared(Arc::clone(shared)).with_settings(settings);
        // Its server asks for no key.
        return provider.client(vendor.model).unwrap();
    }
    let path = match (&row.sign_in, row.base_url) {
        (Some(_), _) => "/v1/projects/p/locations/global/publishers/google",
        // The user has to say; a path of no rows' own.
        (None, None) => vendor.path.trim_end_matches("/chat/completions"),
        (None, Some(url)) => {
            let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
            path.unwrap_or("/its/own")
        }
    };
    let mut provider = SpecProvider::new(row)
        .with_shared(Arc::clone(shared))
        .with_settings(settings)
        .with_base_url(server.url(path));
    provider = match &row.sign_in {
        Some(_) => {
            let folder = tempfile::tempdir().unwrap();
            let file = account(folder.path(), server);
            let provider = provider.with_credentials(file);
            // The file is read when the client is made.
            let client = provider.client(vendor.model).unwrap();
            drop(folder);
            return client;
        }
        None => provider.with_keys(KeySupply::fixed("the suite", vec![Secret::new(KEY)])),
    };
    provider.client(vendor.model).unwrap()
}

/// The file of an account that signs in at the same server.
fn account(folder: &Path, server: &MockServer) -> std::path::PathBuf {
    let token = json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"});
    server.push_to("/token", Reply::body(200, token.to_string()).times(u64::MAX));
    let credentials = json!({
        "type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": PRIVATE_KEY,
        "client_email": "robot@p.invalid", "token_uri": server.url("/token"),
    });
    let file = folder.join("account.json");
    std::fs::write(&file, credentials.to_string()).unwrap();
    file
}
