//! The two plain lists of this dialect: models and embeddings.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use llm_types::{EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, Extra, ModelInfo, UsageSource};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::stream::no_answer;
use super::usage;
use crate::dialect::body::Body;
use crate::dialect::error_body::{self, failure};
use crate::dialect::json::{self, Few, Raw, Text, fill_by_value, wire};
use crate::dialect::{Encoded, ModelPage, WireTarget};

wire! {
    /// A list, under one of its names.
    struct List {
        data: Few<Raw<'a>, 1> = "data",
        models: Few<Raw<'a>, 1> = "models",
        error: Raw<'a> = "error",
        message: Raw<'a> = "message",
        detail: Raw<'a> = "detail",
    }

    /// A list of vectors.
    struct Vectors {
        data: Few<Entry<'a>, 1> = "data",
        model: Text<'a> = "model",
        usage: Raw<'a> = "usage",
        error: Raw<'a> = "error",
    }

    /// One vector.
    struct Entry {
        index: Raw<'a> = "index",
        embedding: Vector = "embedding",
    }
}

pub(crate) fn encode_models(target: &WireTarget<'_>) -> Encoded {
    Encoded::new(Method::GET, target, "models", Body::new(false), false)
}

/// Reads a list of models: under `data`, under `models`, or bare.
pub(crate) fn decode_models(body: &[u8], target: &WireTarget<'_>) -> Result<ModelPage, Error> {
    let (text, _) = json::text(body);
    let mut scratch = String::new();
    let broken = |error| json::broken("the list of models", &error);
    let items: Vec<Raw<'_>> = if text.starts_with('[') {
        let (items, _) = json::parse::<Few<Raw<'_>, 1>>(&text, &mut scratch).map_err(broken)?;
        items.into_iter().collect()
    } else {
        let (list, _) = json::parse::<List<'_>>(&text, &mut scratch).map_err(broken)?;
        let items: Vec<Raw<'_>> = list.data.into_iter().chain(list.models).collect();
        let failed = [list.error, list.message, list.detail].iter().any(|raw| raw.some().is_some());
        if items.is_empty() && failed {
            return Err(failure(&text, target));
        }
        if !list.present {
            return Err(Error::new(ErrorKind::Protocol, "the list of models is no list"));
        }
        items
    };
    Ok(ModelPage { models: items.into_iter().filter_map(model).collect(), next: None })
}

fn model(raw: Raw<'_>) -> Option<ModelInfo> {
    if raw.json().starts_with('"') {
        let id = raw.to_text(&mut false)?.into_owned();
        return Some(ModelInfo { id, ..ModelInfo::default() });
    }
    let mut extra = Extra::parse(raw.json()).ok()?;
    let mut take = |name: &str| {
        let value = extra.take(name)?;
        let text = Raw::of(&value).to_text(&mut false)?.into_owned();
        Some(text).filter(|text| !text.is_empty() && text != "null")
    };
    let id = take("id").or_else(|| take("name"))?;
    let created = take("created").and_then(|text| text.parse().ok());
    let owned_by = take("owned_by");
    let windows = ["context_length", "max_model_len", "context_window", "max_context_length"];
    let window = windows.into_iter().find_map(|name| Raw::of(extra.get(name)?).count());
    for noise in ["object", "name"] {
        if extra.get(noise).is_some_and(|raw| raw.get() == "\"model\"" || raw.get() == "null") {
            extra.take(noise);
        }
    }
    Some(ModelInfo { id, created, owned_by, context_window: window, extra })
}

pub(crate) fn encode_embeddings(
    request: &EmbeddingRequest,
    target: &WireTarget<'_>,
) -> Result<Encoded, Error> {
    let wrong = |message: String| Err(Error::new(ErrorKind::InvalidRequest, message));
    if request.input.is_empty() {
        return wrong("input: there is no text to embed".to_owned());
    }
    if let Some(at) = request.input.iter().position(String::is_empty) {
        return wrong(format!("input[{at}]: an empty text has no embedding"));
    }
    let mut body = Body::new(false);
    body.member("model", target.model)?;
    body.member("input", &request.input)?;
    body.option(target.quirks.dimensions_field, request.dimensions.as_ref())?;
    if target.quirks.embeddings_base64 {
        body.member("encoding_format", "base64")?;
    }
    body.option("user", request.user.as_ref())?;
    body.extra(&request.extra, &[])?;
    Ok(Encoded::new(Method::POST, target, "embeddings", body, false))
}

/// Reads the vectors of `count` texts, each a list of numbers or base64, into the order of the texts.
pub(crate) fn decode_embeddings(
    body: &[u8],
    count: usize,
    target: &WireTarget<'_>,
) -> Result<EmbeddingResponse, Error> {
    let (text, _) = json::text(body);
    let wrong = |message: String| Error::new(ErrorKind::Protocol, message);
    let mut scratch = String::new();
    let (list, _) = json::parse::<Vectors<'_>>(&text, &mut scratch).map_err(|error| {
        if error.is_data() {
            return wrong("an embedding is neither a list of numbers nor base64".to_owned());
        }
        json::broken("the body", &error)
    })?;
    if list.data.is_empty() {
        let failed =
            list.error.some().is_some() || error_body::parse(&text).is_some_and(|f| !f.message.is_empty());
        return Err(if failed { failure(&text, target) } else { no_answer() });
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; count];
    let mut given = 0_usize;
    for (place, entry) in list.data.into_iter().enumerate() {
        let index = entry.index.count().map_or(Some(place), |n| usize::try_from(n).ok());
        let slot = index.and_then(|at| vectors.get_mut(at));
        match (slot, entry.embedding.0) {
            (Some(slot @ None), Some(vector)) => *slot = Some(vector),
            (Some(Some(_)), _) => return Err(wrong(format!("two embeddings have the index {place}"))),
            (_, None) => return Err(wrong(format!("embedding {place} is missing"))),
            (None, Some(_)) => {}
        }
        given += 1;
    }
    if given != count {
        return Err(wrong(format!("{given} embeddings came for {count} texts")));
    }
    let vectors: Option<Vec<Vec<f32>>> = vectors.into_iter().collect();
    let vectors =
        vectors.ok_or_else(|| wrong("the indices of the embeddings are not those of the texts".into()))?;
    let usage =
        usage::read(list.usage, target.quirks.usage, UsageSource::Reported).map(|reported| reported.usage);
    Ok(EmbeddingResponse { model: list.model.owned(), vectors, usage, ..EmbeddingResponse::default() })
}

/// A list of numbers, or its bytes (little-endian, four each) in base64.
#[derive(Debug, Default)]
pub(crate) struct Vector(Option<Vec<f32>>);

fill_by_value!(Vector);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Vector;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of numbers or base64")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vector, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = seq.next_element()? {
                    numbers.push(number);
                }
                Ok(Vector(Some(numbers)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vector, E> {
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
                let (numbers, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(E::custom("not four bytes a number"));
                }
                Ok(Vector(Some(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())))
            }

            fn visit_unit<E>(self) -> Result<Vector, E> {
                Ok(Vector(None))
            }
        }
        deserializer.deserialize_any(Numbers).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::quirks::Quirks;

    const TARGET: WireTarget<'static> = WireTarget { model: "e", quirks: &Quirks::NONE, origin: None };

    #[test]
    fn vectors_come_as_numbers_or_base64_and_in_any_order() {
        let numbers = br#"{"object":"list","data":[{"index":1,"embedding":[1,2.5e0]},{"index":0,"embedding":[0.5,-1.0]}],"model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
        let response = decode_embeddings(numbers, 2, &TARGET).unwrap();
        assert_eq!(response.vectors, [[0.5, -1.0], [1.0, 2.5]]);
        assert_eq!(response.model.as_deref(), Some("m"));
        let usage = response.usage.unwrap();
        assert_eq!((usage.input_total(), usage.output_total()), (5, 0));
        let base64 = br#"{"data":[{"embedding":"AAAAPwAAgL8AAIA+"}]}"#;
        assert_eq!(decode_embeddings(base64, 1, &TARGET).unwrap().vectors, [[0.5, -1.0, 0.25]]);
    }

    #[test]
    fn what_is_not_a_vector_for_each_text_is_refused() {
        for (body, message) in [
            (r#"{"data":[{"index":0,"embedding":[1]}]}"#, "1 embeddings came for 2 texts"),
            (
                r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}"#,
                "two embeddings have the index 1",
            ),
            (
                r#"{"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[2]}]}"#,
                "the indices of the embeddings are not those of the texts",
            ),
            (
                r#"{"data":[{"index":0,"embedding":null},{"index":1,"embedding":[2]}]}"#,
                "embedding 0 is missing",
            ),
            (
                r#"{"data":[{"embedding":"!"},{"embedding":[2]}]}"#,
                "an embedding is neither a list of numbers nor base64",
            ),
            (
                r#"{"data":[{"embedding":"AAAA"},{"embedding":[2]}]}"#,
                "an embedding is neither a list of numbers nor base64",
            ),
            (r#"{"data":[{"embedding":["x"]}]}"#, "an embedding is neither a list of numbers nor base64"),
            (r#"{"data":[]}"#, "the body holds no answer (no choices)"),
            ("", "the body ends in the middle of its JSON"),
            ("<html>", "the body is not valid JSON (line 1, column 1)"),
        ] {
            let error = decode_embeddings(body.as_bytes(), 2, &TARGET).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Protocol, message), "{body}");
        }
        let error = decode_embeddings(br#"{"error":{"code":429,"message":"m"}}"#, 1, &TARGET).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimited, "m"));
    }

    #[test]
    fn embeddings_are_asked_for_in_the_vendors_words() {
        let request = EmbeddingRequest { dimensions: Some(8), ..EmbeddingRequest::new(["a", "b"]) };
        let encoded = encode_embeddings(&request, &TARGET).unwrap();
        assert_eq!(encoded.path, "/embeddings");
        assert_eq!(encoded.body, r#"{"model":"e","input":["a","b"],"dimensions":8}"#);
        let quirks = Quirks { embeddings_base64: true, dimensions_field: "output_dimension", ..Quirks::NONE };
        let target = WireTarget { quirks: &quirks, ..TARGET };
        let encoded = encode_embeddings(&request, &target).unwrap();
        assert_eq!(
            encoded.body,
            r#"{"model":"e","input":["a","b"],"output_dimension":8,"encoding_format":"base64"}"#
        );
        for (input, message) in [
            (&[][..], "input: there is no text to embed"),
            (&["a", ""], "input[1]: an empty text has no embedding"),
        ] {
            let error = encode_embeddings(&EmbeddingRequest::new(input.to_vec()), &TARGET).unwrap_err();
            assert_eq!(error.message(), message);
        }
    }

    #[test]
    fn lists_of_models_have_many_shapes() {
        let ids = |body: &str| -> Vec<String> {
            decode_models(body.as_bytes(), &TARGET)
                .unwrap()
                .models
                .into_iter()
                .map(|model| model.id)
                .collect()
        };
        for body in [
            r#"{"object":"list","data":[{"id":"a/b:c","object":"model"},{"id":"d"}]}"#,
            r#"[{"id":"a/b:c"},{"id":"d"}]"#,
            r#"{"models":[{"name":"a/b:c"},"d"]}"#,
        ] {
            assert_eq!(ids(body), ["a/b:c", "d"], "{body}");
        }
        assert!(ids(r#"{"object":"list","data":[]}"#).is_empty());
        assert!(ids(r#"{"object":"list","data":null}"#).is_empty());
        let body = br#"{"data":[{"id":"m","object":"model","created":1790000000,"owned_by":"o","max_model_len":4096,"shutdown_date":null,"x":1.0}]}"#;
        let model = decode_models(body, &TARGET).unwrap().models.remove(0);
        assert_eq!((model.created, model.owned_by.as_deref()), (Some(1_790_000_000), Some("o")));
        assert_eq!(model.context_window, Some(4096));
        assert_eq!(
            serde_json::to_string(&model.extra).unwrap(),
            r#"{"max_model_len":4096,"shutdown_date":null,"x":1.0}"#
        );
        let error = decode_models(br#"{"error":"no"}"#, &TARGET).unwrap_err();
        assert_eq!(error.message(), "no");
        assert_eq!(decode_models(b"7", &TARGET).unwrap_err().kind(), ErrorKind::Protocol);
    }
}
