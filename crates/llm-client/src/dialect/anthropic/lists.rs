//! The plain calls of this format: the list of models, page by page, and the count of a request's tokens.

use http::Method;
use llm_types::{Error, ErrorKind, ModelInfo, TokenCount};

use super::head::Head;
use super::wire::{Count, Page};
use crate::dialect::body::Body;
use crate::dialect::json::{self, Raw};
use crate::dialect::{Encoded, ModelPage, WireTarget, date, error_body, openai_chat, path};

/// As many models as a page may hold.
const PAGE: u32 = 1000;

pub(crate) fn encode_models(after: Option<&str>, target: &WireTarget<'_>) -> Encoded {
    let mut encoded = Encoded::new(Method::GET, target, "models", Body::new(false), false);
    Head::default().write(target.quirks, &mut encoded.headers);
    let after = after.map(|id| format!("&after_id={}", path::segment(id))).unwrap_or_default();
    encoded.query = Some(format!("limit={PAGE}{after}"));
    encoded
}

/// Reads a page of the list, which is shaped like the most common one but for some of its words.
pub(crate) fn decode_models(body: &[u8], target: &WireTarget<'_>) -> Result<ModelPage, Error> {
    let mut page = openai_chat::decode_models(body, target)?;
    page.models.iter_mut().for_each(translate);
    let (text, _) = json::text(body);
    let mut scratch = String::new();
    if let Ok((Page { has_more, last_id, .. }, _)) = json::parse::<Page<'_>>(&text, &mut scratch) {
        page.next = last_id.owned().filter(|_| has_more.json() == "true");
    }
    Ok(page)
}

fn translate(model: &mut ModelInfo) {
    let count = |name: &str| Raw::of(model.extra.get(name)?).count();
    model.context_window = model.context_window.or(count("max_input_tokens"));
    if model.extra.get("type").is_some_and(|kind| kind.get() == "\"model\"") {
        model.extra.take("type");
    }
    let at = model.extra.get("created_at").and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    if let Some(secs) = at.and_then(|text| date::seconds(&text)) {
        model.created = Some(secs);
        model.extra.take("created_at");
    }
}

/// Reads a count of tokens.
pub(crate) fn decode_count(body: &[u8], target: &WireTarget<'_>) -> Result<TokenCount, Error> {
    let (text, _) = json::text(body);
    let mut scratch = String::new();
    let (count, _) =
        json::parse::<Count<'_>>(&text, &mut scratch).map_err(|error| json::broken("the body", &error))?;
    let Some(input_tokens) = count.input_tokens.count() else {
        let failure = error_body::parse(&text).filter(|failure| !failure.message.is_empty());
        let none = || Error::new(ErrorKind::Protocol, "the body holds no count of tokens");
        return Err(failure.map_or_else(none, |failure| failure.into_error(http::StatusCode::OK, target)));
    };
    let extra = count.rest.into_iter().map(|(name, raw)| (name.into_owned(), raw.to_owned())).collect();
    Ok(TokenCount { input_tokens, extra, ..TokenCount::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Quirks;

    const TARGET: WireTarget<'static> = WireTarget { model: "m", quirks: &Quirks::ANTHROPIC, origin: None };

    #[test]
    fn a_list_is_read_page_by_page() {
        let first = encode_models(None, &TARGET);
        assert_eq!((first.path.as_str(), first.query.as_deref()), ("/models", Some("limit=1000")));
        assert_eq!(first.headers["anthropic-version"], "2023-06-01");
        let body = br#"{"data":[{"type":"model","id":"sea-2","display_name":"Sea 2","created_at":"2026-02-04T00:00:10Z","max_input_tokens":200000,"capabilities":{"batch":{"supported":true}}},
            {"type":"model","id":"sea-1","created_at":"1970-01-01T00:00:00Z"}],"first_id":"sea-2","last_id":"sea-1","has_more":true}"#;
        let page = decode_models(body, &TARGET).unwrap();
        let [one, two] = page.models.as_slice() else { panic!("two models") };
        assert_eq!(
            (one.id.as_str(), one.created, one.context_window),
            ("sea-2", Some(1_770_163_210), Some(200_000))
        );
        let names: Vec<&str> = one.extra.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["display_name", "max_input_tokens", "capabilities"]);
        assert_eq!((two.id.as_str(), two.created), ("sea-1", None));
        let next = encode_models(page.next.as_deref(), &TARGET);
        assert_eq!(next.query.as_deref(), Some("limit=1000&after_id=sea-1"));
        let last = br#"{"data":[],"first_id":null,"last_id":"x","has_more":false}"#;
        assert_eq!(decode_models(last, &TARGET).unwrap().next, None);
        assert_eq!(
            decode_models(br#"{"data":[],"last_id":null,"has_more":true}"#, &TARGET).unwrap().next,
            None
        );
    }

    #[test]
    fn a_count_is_read_or_the_body_is_no_count() {
        let count = decode_count(br#"{"input_tokens":14,"x":1.50}"#, &TARGET).unwrap();
        assert_eq!((count.input_tokens, count.extra.get("x").unwrap().get()), (14, "1.50"));
        for (body, kind) in [
            (&br#"{"input_tokens":null}"#[..], ErrorKind::Protocol),
            (b"{}", ErrorKind::Protocol),
            (b"7", ErrorKind::Protocol),
            (b"<html>", ErrorKind::Protocol),
            (
                br#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
                ErrorKind::Overloaded,
            ),
        ] {
            assert_eq!(decode_count(body, &TARGET).unwrap_err().kind(), kind);
        }
    }
}
