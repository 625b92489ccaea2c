//! The two plain lists of this dialect that are not embeddings: models, and tokens counted.

use http::{Method, StatusCode};
use llm_types::{Error, ErrorKind, Extra, ModelInfo, TokenCount};

use super::errors;
use crate::dialect::body::Body;
use crate::dialect::json::{self, Few, Raw, Text, wire};
use crate::dialect::path::segment;
use crate::dialect::{Encoded, ModelPage, WireTarget};

wire! {
    /// A page of a list of models.
    struct Page {
        models: Few<Raw<'a>, 1> = "models",
        /// What a publisher has.
        published: Few<Raw<'a>, 1> = "publisherModels",
        next: Text<'a> = "nextPageToken",
        error: Raw<'a> = "error",
    }

    /// A count of tokens.
    struct Count {
        total: Raw<'a> = "totalTokens",
        cached: Raw<'a> = "cachedContentTokenCount",
        error: Raw<'a> = "error",
    }
}

/// Asks for a page of the list, as long as there are.
pub(crate) fn encode_models(after: Option<&str>) -> Encoded {
    let query = match after {
        Some(token) => format!("pageSize=1000&pageToken={}", segment(token)),
        None => "pageSize=1000".to_owned(),
    };
    Encoded::at(Method::GET, "/models".to_owned(), Some(query), Body::new(false), false)
}

pub(crate) fn decode_models(body: &[u8], target: &WireTarget<'_>) -> Result<ModelPage, Error> {
    let (text, _) = json::text(body);
    let mut scratch = String::new();
    let (page, _) = json::parse::<Few<Page<'_>, 1>>(&text, &mut scratch)
        .map_err(|error| json::broken("the list of models", &error))?;
    let Some(page) = page.into_iter().next().filter(|page| page.present) else {
        return Err(Error::new(ErrorKind::Protocol, "the list of models is no list"));
    };
    if page.error.some().is_some() {
        return Err(errors::error_of(&text, StatusCode::OK, target));
    }
    let models = page.models.into_iter().chain(page.published).filter_map(model).collect();
    Ok(ModelPage { models, next: page.next.owned() })
}

fn model(raw: Raw<'_>) -> Option<ModelInfo> {
    let mut extra = Extra::parse(raw.json()).ok()?;
    let name = extra.take("name")?;
    let name = Raw::of(&name).to_text(&mut false)?.into_owned();
    // Its name on the wire is without the folder, but for models that somebody tuned.
    let id = match name.rsplit_once("models/") {
        Some((_, id)) => id.to_owned(),
        None => name,
    };
    if id.is_empty() {
        return None;
    }
    let context_window = extra.get("inputTokenLimit").and_then(|raw| Raw::of(raw).count());
    Some(ModelInfo { id, context_window, extra, ..ModelInfo::default() })
}

pub(crate) fn decode_count(body: &[u8], target: &WireTarget<'_>) -> Result<TokenCount, Error> {
    let (text, _) = json::text(body);
    let mut scratch = String::new();
    let (count, _) = json::parse::<Few<Count<'_>, 1>>(&text, &mut scratch)
        .map_err(|error| json::broken("the body", &error))?;
    let count = count.into_iter().next().unwrap_or_default();
    if count.error.some().is_some() {
        return Err(errors::error_of(&text, StatusCode::OK, target));
    }
    // A count of nothing is left out, as any zero.
    let Some(input_tokens) = count.total.count().or_else(|| count.present.then_some(0)) else {
        return Err(Error::new(ErrorKind::Protocol, "the body holds no count of tokens"));
    };
    let extra = count.rest.into_iter().map(|(name, raw)| (name.into_owned(), raw.to_owned())).collect();
    Ok(TokenCount { input_tokens, cache_read: count.cached.count(), extra, ..TokenCount::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::quirks::Quirks;

    const TARGET: WireTarget<'static> = WireTarget { model: "gemini-x", quirks: &Quirks::NONE, origin: None };

    #[test]
    fn models_come_in_pages() {
        let first = encode_models(None);
        assert_eq!((first.path.as_str(), first.query.as_deref()), ("/models", Some("pageSize=1000")));
        let next = encode_models(Some("a b&c"));
        assert_eq!(next.query.as_deref(), Some("pageSize=1000&pageToken=a%20b%26c"));
        let body = br#"{"models":[{"name":"models/gemini-x","displayName":"X","inputTokenLimit":1048576,"supportedGenerationMethods":["generateContent"],"thinking":true},{"name":"tunedModels/mine"},{"x":1}],"nextPageToken":"t"}"#;
        let page = decode_models(body, &TARGET).unwrap();
        let ids: Vec<&str> = page.models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(
            (ids.as_slice(), page.next.as_deref()),
            (&["gemini-x", "tunedModels/mine"][..], Some("t"))
        );
        assert_eq!(page.models[0].context_window, Some(1_048_576));
        assert_eq!(page.models[0].extra.get("thinking").unwrap().get(), "true");
        let published = br#"{"publisherModels":[{"name":"publishers/google/models/gemini-x"}]}"#;
        assert_eq!(decode_models(published, &TARGET).unwrap().models[0].id, "gemini-x");
        assert!(decode_models(b"{}", &TARGET).unwrap().models.is_empty());
        for (body, kind) in [
            (
                &br#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#[..],
                ErrorKind::PermissionDenied,
            ),
            (b"7", ErrorKind::Protocol),
            (b"<html>", ErrorKind::Protocol),
        ] {
            assert_eq!(decode_models(body, &TARGET).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn counts_are_read() {
        let body = br#"{"totalTokens":31,"cachedContentTokenCount":7,"promptTokensDetails":[{"modality":"TEXT","tokenCount":31}],"totalBillableCharacters":96}"#;
        let count = decode_count(body, &TARGET).unwrap();
        assert_eq!((count.input_tokens, count.cache_read), (31, Some(7)));
        assert_eq!(count.extra.get("totalBillableCharacters").unwrap().get(), "96");
        assert_eq!(decode_count(b"{}", &TARGET).unwrap().input_tokens, 0);
        for (body, kind) in [
            (&br#"{"error":{"code":400,"message":"no"}}"#[..], ErrorKind::InvalidRequest),
            (b"[]", ErrorKind::Protocol),
            (b"<html>", ErrorKind::Protocol),
        ] {
            assert_eq!(decode_count(body, &TARGET).unwrap_err().kind(), kind);
        }
    }
}
