//! What a client would send: the job of a call with a key's place in it, and no key.

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use llm_types::{ChatRequest, Error, Secret};

use super::HttpClient;
use crate::attempt::{Attempt, Job, authorise};
use crate::call::Call;
use crate::contract::Previewer;
use crate::lane::KeyPool;
use crate::preview::{HeaderText, Preview};

impl Previewer for HttpClient {
    fn preview(&self, request: &ChatRequest, streamed: bool, call: &Call) -> Result<Vec<Preview>, Error> {
        let client = &self.0;
        let (job, _) = client.chat_job(request, streamed, call).map_err(|error| client.describe(error))?;
        // The form of a key decides where it stands; it is given back at once.
        let lease = client.lanes.pool().and_then(KeyPool::checkout);
        let key = lease.as_ref().map(|lease| lease.key().clone());
        // A token is asked for when it is needed. Any text stands for it.
        let token = client.site.tokens.as_ref().filter(|_| key.is_none()).map(|_| Secret::new("token"));
        let attempt = Attempt { job, key, history: (0, None) };
        let sent = authorise(&attempt, token.as_ref()).map_err(|error| client.describe(error))?;
        let job = &attempt.job;
        let own = |name: &HeaderName| client.headers.contains_key(name) || call.headers.contains_key(name);
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), text(name, value, job, &own))
        };
        Ok(vec![Preview {
            client: client.id.clone(),
            method: job.method.clone(),
            url: url(&job.uri, job.query.as_deref()),
            headers: sent.headers().iter().map(shown).collect(),
            body: job.body.clone(),
            warnings: job.warnings.clone(),
        }])
    }
}

fn text(name: &HeaderName, value: &HeaderValue, job: &Job, own: &dyn Fn(&HeaderName) -> bool) -> HeaderText {
    let is_added = |headers: &HeaderMap| headers.get(name) != Some(value);
    if value.is_sensitive() && is_added(&job.headers) {
        let starts = |word: &str| value.as_bytes().starts_with(word.as_bytes());
        let before = ["Bearer ", "Basic "].into_iter().find(|word| starts(word));
        return HeaderText::Key { before: before.unwrap_or_default() };
    }
    match value.to_str() {
        Ok(text) if !value.is_sensitive() && !own(name) => HeaderText::Plain(text.to_owned()),
        _ => HeaderText::Hidden,
    }
}

/// The address, with the values of the format's own query and the names alone of any other.
fn url(uri: &Uri, known: Option<&str>) -> String {
    let place = format!(
        "{}://{}{}",
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map(Authority::as_str).unwrap_or_default(),
        uri.path()
    );
    let Some(query) = uri.query() else { return place };
    let is_known = |pair: &&str| known.unwrap_or_default().split('&').any(|known| known == *pair);
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if !is_known(&pair) => format!("{name}=[hidden]"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{place}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    fn preview(base_url: &str, dialect: Dialect, key: &str) -> Preview {
        let client = HttpClient::builder(base_url, "some model")
            .dialect(dialect)
            .key(Secret::new(key))
            .headers(
                [(HeaderName::from_static("x-own"), HeaderValue::from_static("canary"))]
                    .into_iter()
                    .collect(),
            )
            .build()
            .unwrap();
        let request = ChatRequest::user("hi");
        client.preview(&request, true, &Call::default()).unwrap().remove(0)
    }

    #[tokio::test]
    async fn the_key_has_a_place_and_no_text() {
        for (dialect, key, name, before) in [
            (Dialect::OpenAiChat, "sk-canary-1", "authorization", "Bearer "),
            (Dialect::Anthropic, "sk-canary-1", "x-api-key", ""),
            (Dialect::Gemini, "sk-canary-1", "x-goog-api-key", ""),
        ] {
            let preview = preview("http://127.0.0.1:1/", dialect, key);
            let header =
                |wanted: &str| preview.headers.iter().find(|(name, _)| name == wanted).map(|(_, text)| text);
            assert_eq!(header(name), Some(&HeaderText::Key { before }), "{preview:?}");
            assert_eq!(header("x-own"), Some(&HeaderText::Hidden));
            assert_eq!(header("content-type"), Some(&HeaderText::Plain("application/json".into())));
            assert!(!format!("{preview:?}").contains("canary"), "{preview:?}");
            assert!(preview.url.starts_with("http://127.0.0.1:1/v1"), "{}", preview.url);
        }
    }

    #[tokio::test]
    async fn of_a_gateways_query_only_the_names_are_shown() {
        let preview = preview("http://127.0.0.1:1/v1beta?code=canary&x", Dialect::Gemini, "sk-canary-1");
        assert_eq!(
            preview.url,
            "http://127.0.0.1:1/v1beta/models/some%20model:streamGenerateContent?code=[hidden]&x&alt=sse"
        );
    }
}
