//! Every row against its fixture: what it sends, what it reads, and what it makes of errors.
//!
//! A fixture is `llm-client/tests/data/vendors/ROW.json`: a model's name on the wire, `sends` (a request, and the members of the
//! body it becomes, or why it is refused; `path` for where it goes from `base_url`), `answers` (a body or the lines of a
//! stream, and what they say; `kept` for members beside it, `returns` for the message in the next request), `errors` (a
//! status and a body, and their kind). Any entry may name another `model`.

use std::path::{Path, PathBuf};

use http::{HeaderMap, StatusCode};
use llm_client::dialect::{Hints, WireTarget};
use llm_client::framing::SseDecoder;
use llm_client::transport::Endpoint;
use llm_types::{ChatRequest, ChatResponse, Collector, Error, ReasoningEffort, ReasoningSetting};
use serde_json::Value;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../llm-client/tests/data/vendors")
}

struct Fixture {
    row: &'static ProviderSpec,
    model: String,
    json: Value,
}

/// The model that an entry is about, and how it is spoken to.
struct Spoken {
    row: &'static ProviderSpec,
    model: String,
    quirks: Quirks,
}

impl Fixture {
    fn of(row: &'static ProviderSpec) -> Self {
        let path = folder().join(format!("{}.json", row.name));
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{} has no fixture: {}: {error}", row.name, path.display()));
        let json: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let model = json["model"].as_str().expect("a model's name").to_owned();
        Self { row, model, json }
    }

    fn spoken(&self, entry: &Value) -> Spoken {
        let model = entry["model"].as_str().unwrap_or(&self.model).to_owned();
        let quirks = match entry["base_url"].as_str() {
            Some(url) => self.row.quirks_at(&Endpoint::parse(url).unwrap(), &model),
            None => self.row.quirks_for(&model),
        };
        Spoken { row: self.row, model, quirks }
    }

    /// The entries of a list, at least one, each with its place for messages.
    fn list(&self, name: &str) -> impl Iterator<Item = (String, &Value)> {
        let entries = self.json[name].as_array().expect(name);
        assert!(!entries.is_empty(), "the fixture of {} has no {name}", self.row.name);
        entries.iter().enumerate().map(move |(at, entry)| (format!("{} {name}[{at}]", self.row.name), entry))
    }
}

impl Spoken {
    fn target(&self) -> WireTarget<'_> {
        WireTarget { model: &self.model, quirks: &self.quirks, origin: Some(self.row.name) }
    }

    fn read(&self, entry: &Value) -> Result<ChatResponse, Error> {
        let Some(lines) = entry["stream"].as_array() else {
            return self.row.dialect.decode_chat(&text(&entry["body"]), &self.target());
        };
        let lines: Vec<&str> = lines.iter().map(|line| line.as_str().expect("a line")).collect();
        let body = lines.join("\n") + "\n";
        let (mut decoder, mut state) = (SseDecoder::new(1 << 20), self.row.dialect.stream(&self.target()));
        let mut events = Vec::new();
        let mut frames = decoder.feed(body.as_bytes());
        while let Some(frame) = frames.next()? {
            state.step(frame, &mut events)?;
        }
        state.finish(&mut events)?;
        let mut collector = Collector::new();
        events.into_iter().for_each(|event| collector.push(event));
        Ok(collector.finish())
    }
}

/// A body as it stands, or a JSON value as its text.
fn text(body: &Value) -> Vec<u8> {
    body.as_str().map_or_else(|| body.to_string(), str::to_owned).into_bytes()
}

fn thinking(wish: &Value) -> Option<ReasoningSetting> {
    wish.as_object()?;
    let effort = wish["effort"].as_str().map(|word| ReasoningEffort::parse(word).expect("a level"));
    Some(ReasoningSetting {
        effort,
        enabled: wish["enabled"].as_bool(),
        budget_tokens: wish["budget"].as_u64(),
    })
}

#[test]
fn every_row_has_a_fixture_and_every_fixture_a_row() {
    for row in all() {
        let fixture = Fixture::of(row);
        for name in ["sends", "answers", "errors"] {
            assert!(fixture.list(name).count() > 0, "{} {name}", row.name);
        }
    }
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let row = name.strip_suffix(".json").expect("a JSON file");
        assert!(find(row).is_some(), "{name} is no row's fixture");
    }
}

#[test]
fn every_row_sends_what_its_fixture_says() {
    for fixture in all().iter().map(Fixture::of) {
        for (place, entry) in fixture.list("sends") {
            let (mut request, _) = ChatRequest::from_openai_json(&entry["request"].to_string()).unwrap();
            if let Some(wish) = thinking(&entry["think"]) {
                request.reasoning = Some(wish);
            }
            request.strict = entry["strict"].as_bool().unwrap_or_default();
            let stream = entry["stream"].as_bool().unwrap_or_default();
            let spoken = fixture.spoken(entry);
            let encoded = fixture.row.dialect.encode_chat(&request, &spoken.target(), stream);
            if let Some(reason) = entry["refused"].as_str() {
                assert_eq!(encoded.expect_err(&place).message(), reason, "{place}");
                continue;
            }
            let encoded = encoded.unwrap_or_else(|error| panic!("{place}: {error:?}"));
            if let (Some(base), Some(expected)) = (entry["base_url"].as_str(), entry["path"].as_str()) {
                let base = Endpoint::parse(base).unwrap();
                let path = fixture.row.dialect.base_path(base.path(), &spoken.quirks);
                let base = base.with_path(&path).unwrap();
                let uri = base.join(&encoded.path, encoded.query.as_deref().unwrap_or_default()).unwrap();
                assert_eq!(uri.path_and_query().unwrap().as_str(), expected, "{place}");
            }
            let mut body: Value = serde_json::from_slice(&encoded.body).unwrap();
            let sent = body.as_object_mut().unwrap();
            match sent.remove("model") {
                Some(model) => assert_eq!(model, spoken.model.as_str(), "{place}"),
                None => assert!(encoded.path.contains(&spoken.model), "{place}: {}", encoded.path),
            }
            for conversation in ["messages", "contents"] {
                if entry["members"].get(conversation).is_none() {
                    sent.remove(conversation);
                }
            }
            assert_eq!(body, entry["members"], "{place}");
            let about: Vec<&str> = encoded.warnings.iter().map(|warning| &*warning.about).collect();
            let expected: Vec<&str> =
                entry["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            assert_eq!(about, expected, "{place}");
        }
    }
}

#[test]
fn every_row_reads_what_its_fixture_says() {
    for fixture in all().iter().map(Fixture::of) {
        for (place, entry) in fixture.list("answers") {
            let spoken = fixture.spoken(entry);
            let response = spoken.read(entry).unwrap_or_else(|error| panic!("{place}: {error:?}"));
            let said = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            assert_eq!(response.text(), said("text"), "{place}");
            assert_eq!(response.reasoning(), said("reasoning"), "{place}");
            let calls: Vec<String> =
                response.tool_calls().map(|call| format!("{}({})", call.name, call.arguments)).collect();
            let expected: Vec<&str> =
                entry["calls"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            assert_eq!(calls, expected, "{place}");
            let finish = response.finish_reason().map(|reason| reason.as_str().to_owned());
            assert_eq!(finish.as_deref(), entry["finish"].as_str(), "{place}");
            let usage = response.usage.map(|u| (u.input_total(), u.output_total(), u.reasoning));
            let expected = entry["input"]
                .as_u64()
                .map(|input| (input, entry["output"].as_u64().unwrap(), entry["thought"].as_u64()));
            assert_eq!(usage, expected, "{place}");
            for (name, value) in entry["kept"].as_object().into_iter().flatten() {
                let places = [&response.extra, &response.choices[0].extra];
                let found = places.into_iter().find_map(|extra| extra.get(name));
                let found = found.unwrap_or_else(|| panic!("{place}: no {name}"));
                assert_eq!(&serde_json::from_str::<Value>(found.get()).unwrap(), value, "{place}: {name}");
            }
            if entry.get("returns").is_some() {
                let request = ChatRequest::new(vec![
                    response.message().unwrap().clone(),
                    llm_types::Message::user("and?"),
                ]);
                let encoded =
                    fixture.row.dialect.encode_chat(&request, &spoken.target(), false).expect(&place);
                let body: Value = serde_json::from_slice(&encoded.body).unwrap();
                assert_eq!(body["messages"][0], entry["returns"], "{place}");
                assert!(encoded.warnings.is_empty(), "{place}: {:?}", encoded.warnings);
            }
        }
    }
}

#[test]
fn every_row_knows_the_errors_of_its_fixture() {
    for fixture in all().iter().map(Fixture::of) {
        for (place, entry) in fixture.list("errors") {
            let status =
                StatusCode::from_u16(u16::try_from(entry["status"].as_u64().unwrap()).unwrap()).unwrap();
            let body = text(&entry["body"]);
            let spoken = fixture.spoken(entry);
            let error = if status == StatusCode::OK {
                fixture.row.dialect.decode_chat(&body, &spoken.target()).expect_err(&place)
            } else {
                let mut headers = HeaderMap::new();
                for (name, value) in entry["headers"].as_object().into_iter().flatten() {
                    let name = http::HeaderName::try_from(name.as_str()).unwrap();
                    headers.insert(name, value.as_str().unwrap().parse().unwrap());
                }
                fixture.row.dialect.classify(status, &headers, &body, &spoken.target(), Hints::default())
            };
            if let Some(id) = entry["request_id"].as_str() {
                assert_eq!(error.request_id(), Some(id), "{place}");
            }
            assert_eq!(error.kind().as_str(), entry["kind"].as_str().unwrap(), "{place}: {error:?}");
            if let Some(retryable) = entry["retryable"].as_bool() {
                assert_eq!(error.is_retryable(), retryable, "{place}: {error:?}");
            }
        }
    }
}
