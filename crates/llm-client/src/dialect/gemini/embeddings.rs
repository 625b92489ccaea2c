//! Embeddings: one text, or many at once.

use http::{Method, StatusCode};
use llm_types::{
    EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, Extra, Totals, Usage, UsageSource, Warning,
};
use serde::Serialize;

use super::{errors, path, resource};
use crate::dialect::body::Body;
use crate::dialect::json::{self, Few, Raw, wire};
use crate::dialect::quirks::EmbeddingsForm;
use crate::dialect::reasoning::raw;
use crate::dialect::{Encoded, WireTarget};

wire! {
    /// The vectors, in one of three shapes.
    struct Vectors {
        one: Vector<'a> = "embedding",
        many: Few<Vector<'a>, 1> = "embeddings",
        predictions: Few<Prediction<'a>, 1> = "predictions",
        usage: Tokens<'a> = "usageMetadata",
        error: Raw<'a> = "error",
    }

    /// One vector.
    struct Vector {
        values: Raw<'a> = "values",
        statistics: Statistics<'a> = "statistics",
    }

    /// One vector, wrapped.
    struct Prediction {
        vector: Vector<'a> = "embeddings",
    }

    /// What was read for one vector.
    struct Statistics {
        tokens: Raw<'a> = "token_count",
        truncated: Raw<'a> = "truncated",
    }

    /// What was read for all.
    struct Tokens {
        prompt: Raw<'a> = "promptTokenCount",
    }
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

/// What is wanted of one text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wanted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
    #[serde(flatten, serialize_with = "members")]
    extra: &'a Extra,
}

/// What is said of one text in the older form, under the two names that a user may know it by; everything else is said of
/// all texts.
const OF_INSTANCE: &[(&str, &str)] =
    &[("taskType", "task_type"), ("task_type", "task_type"), ("title", "title")];

/// The user's own members, beside ours.
fn members<S: serde::Serializer>(extra: &&Extra, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(extra.iter())
}

#[derive(Serialize)]
struct Instance<'a> {
    content: &'a str,
    #[serde(flatten, serialize_with = "members")]
    extra: &'a Extra,
}

/// Asks for the vectors of texts.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] where there is no text, or an empty one, or more than one where only one is taken.
pub(crate) fn encode_embeddings(
    request: &EmbeddingRequest,
    target: &WireTarget<'_>,
) -> Result<Encoded, Error> {
    let wrong = |message: String| Err(Error::new(ErrorKind::InvalidRequest, message));
    if let Some(at) = request.input.iter().position(String::is_empty) {
        return wrong(format!("input[{at}]: an empty text has no embedding"));
    }
    let Some(first) = request.input.first() else {
        return wrong("input: there is no text to embed".to_owned());
    };
    let mut body = Body::new(false);
    let wanted = |text, model| Wanted {
        model,
        content: Content { parts: [Text { text }] },
        output_dimensionality: request.dimensions,
        extra: &request.extra,
    };
    let action = match target.quirks.embeddings_form {
        EmbeddingsForm::Instances => {
            let (mut extra, mut parameters) = (Extra::new(), request.extra.clone());
            for (theirs, name) in OF_INSTANCE {
                parameters.take(theirs).into_iter().for_each(|value| extra.insert(*name, value));
            }
            let extra = &extra;
            let instances: Vec<Instance<'_>> =
                request.input.iter().map(|content| Instance { content, extra }).collect();
            body.member("instances", &instances)?;
            write_settings("parameters", parameters, request.dimensions, &mut body)?;
            "predict"
        }
        EmbeddingsForm::Config => {
            if request.input.len() > 1 {
                return wrong("input: this model embeds one text at a time".to_owned());
            }
            body.member("content", &Content { parts: [Text { text: first }] })?;
            write_settings("embedContentConfig", request.extra.clone(), request.dimensions, &mut body)?;
            "embedContent"
        }
        EmbeddingsForm::Contents if request.input.len() == 1 => {
            body.member("content", &Content { parts: [Text { text: first }] })?;
            body.option("outputDimensionality", request.dimensions.as_ref())?;
            body.extra(&request.extra, &[])?;
            "embedContent"
        }
        EmbeddingsForm::Contents => {
            let model = resource(target.model);
            let requests: Vec<Wanted<'_>> =
                request.input.iter().map(|text| wanted(text, Some(model.clone()))).collect();
            body.member("requests", &requests)?;
            "batchEmbedContents"
        }
    };
    if request.user.is_some() {
        body.warn("user", "this endpoint has no word for it; it was left out")?;
    }
    Ok(Encoded::at(Method::POST, path(target.model, action), None, body, false))
}

/// Writes the user's own members and the length of the vectors as one object, where there are any.
fn write_settings(
    name: &str,
    mut settings: Extra,
    dimensions: Option<u32>,
    body: &mut Body,
) -> Result<(), Error> {
    if let Some(dimensions) = dimensions {
        settings.insert("outputDimensionality", raw(&dimensions)?);
    }
    if settings.is_empty() { Ok(()) } else { body.member(name, &settings) }
}

/// Reads the vectors of `count` texts, in their order.
pub(crate) fn decode_embeddings(
    body: &[u8],
    count: usize,
    target: &WireTarget<'_>,
) -> Result<EmbeddingResponse, Error> {
    let (text, _) = json::text(body);
    let wrong = |message: String| Error::new(ErrorKind::Protocol, message);
    let mut scratch = String::new();
    let (list, _) = json::parse::<Few<Vectors<'_>, 1>>(&text, &mut scratch)
        .map_err(|error| json::broken("the body", &error))?;
    let list = list.into_iter().next().unwrap_or_default();
    if list.error.some().is_some() {
        return Err(errors::error_of(&text, StatusCode::OK, target));
    }
    let wrapped = list.predictions.into_iter().map(|prediction| prediction.vector);
    let given = std::iter::once(list.one).filter(|one| one.present).chain(list.many).chain(wrapped);
    let mut vectors = Vec::with_capacity(count.min(1 << 16));
    let mut read: Option<u64> = list.usage.prompt.count();
    let counted = read.is_some();
    let mut warnings = Vec::new();
    for (place, vector) in given.enumerate() {
        let values = vector.values.some().ok_or_else(|| wrong(format!("embedding {place} is missing")))?;
        let values = serde_json::from_str(values.get())
            .map_err(|_| wrong("an embedding is no list of numbers".to_owned()))?;
        vectors.push(values);
        if let Some(tokens) = vector.statistics.tokens.count().filter(|_| !counted) {
            read = Some(read.unwrap_or_default().saturating_add(tokens));
        }
        if vector.statistics.truncated.json() == "true" {
            warnings.push(Warning::new(
                format!("input[{place}]"),
                "it was too long; only its beginning was read",
            ));
        }
    }
    if vectors.len() != count {
        return Err(wrong(format!("{} embeddings came for {count} texts", vectors.len())));
    }
    let usage =
        read.map(|input| Usage::from_totals(Totals { input, ..Totals::default() }, UsageSource::Reported));
    Ok(EmbeddingResponse { vectors, usage, warnings, ..EmbeddingResponse::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::quirks::Quirks;

    fn asked(request: &EmbeddingRequest, form: EmbeddingsForm) -> String {
        let quirks = Quirks { embeddings_form: form, ..Quirks::NONE };
        let target = WireTarget { model: "embed-x", quirks: &quirks, origin: None };
        match encode_embeddings(request, &target) {
            Ok(encoded) => format!("{} {}", encoded.path, std::str::from_utf8(&encoded.body).unwrap()),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn embeddings_are_asked_for_in_the_models_form() {
        use EmbeddingsForm::{Config, Contents, Instances};
        let extra = Extra::parse(r#"{"taskType":"CLUSTERING"}"#).unwrap();
        let one = EmbeddingRequest { dimensions: Some(8), extra, ..EmbeddingRequest::new(["a"]) };
        let two = EmbeddingRequest { input: vec!["a".into(), "b".into()], ..one.clone() };
        let extra =
            Extra::parse(r#"{"taskType":"RETRIEVAL_DOCUMENT","title":"t","autoTruncate":true}"#).unwrap();
        let all = EmbeddingRequest { extra, ..EmbeddingRequest::new(["a"]) };
        for (request, form, sent) in [
            (
                &one,
                Contents,
                r#"/models/embed-x:embedContent {"content":{"parts":[{"text":"a"}]},"outputDimensionality":8,"taskType":"CLUSTERING"}"#,
            ),
            (
                &two,
                Contents,
                r#"/models/embed-x:batchEmbedContents {"requests":[{"model":"models/embed-x","content":{"parts":[{"text":"a"}]},"outputDimensionality":8,"taskType":"CLUSTERING"},{"model":"models/embed-x","content":{"parts":[{"text":"b"}]},"outputDimensionality":8,"taskType":"CLUSTERING"}]}"#,
            ),
            (
                &one,
                Config,
                r#"/models/embed-x:embedContent {"content":{"parts":[{"text":"a"}]},"embedContentConfig":{"taskType":"CLUSTERING","outputDimensionality":8}}"#,
            ),
            (&two, Config, "input: this model embeds one text at a time"),
            (
                &two,
                Instances,
                r#"/models/embed-x:predict {"instances":[{"content":"a","task_type":"CLUSTERING"},{"content":"b","task_type":"CLUSTERING"}],"parameters":{"outputDimensionality":8}}"#,
            ),
            (
                &all,
                Instances,
                r#"/models/embed-x:predict {"instances":[{"content":"a","task_type":"RETRIEVAL_DOCUMENT","title":"t"}],"parameters":{"autoTruncate":true}}"#,
            ),
            (
                &all,
                Config,
                r#"/models/embed-x:embedContent {"content":{"parts":[{"text":"a"}]},"embedContentConfig":{"taskType":"RETRIEVAL_DOCUMENT","title":"t","autoTruncate":true}}"#,
            ),
            (
                &EmbeddingRequest::new(["a"]),
                Instances,
                r#"/models/embed-x:predict {"instances":[{"content":"a"}]}"#,
            ),
            (&EmbeddingRequest::default(), Contents, "input: there is no text to embed"),
            (&EmbeddingRequest::new(["a", ""]), Contents, "input[1]: an empty text has no embedding"),
        ] {
            assert_eq!(asked(request, form), sent);
        }
    }

    #[test]
    fn every_shape_of_vectors_is_read() {
        let target = WireTarget { model: "embed-x", quirks: &Quirks::NONE, origin: None };
        let read = |body: &str, count| decode_embeddings(body.as_bytes(), count, &target);
        for (body, tokens) in [
            (r#"{"embedding":{"values":[0.5,-1]}}"#, None),
            (r#"{"embeddings":[{"values":[0.5,-1]}],"usageMetadata":{"promptTokenCount":4}}"#, Some(4)),
            (
                r#"{"predictions":[{"embeddings":{"values":[0.5,-1.0],"statistics":{"token_count":3,"truncated":false}}}]}"#,
                Some(3),
            ),
        ] {
            let response = read(body, 1).unwrap();
            assert_eq!(response.vectors, [[0.5, -1.0]], "{body}");
            assert_eq!(response.usage.map(|usage| usage.input_total()), tokens, "{body}");
        }
        let cut = r#"{"predictions":[{"embeddings":{"values":[1],"statistics":{"truncated":true}}}]}"#;
        assert_eq!(read(cut, 1).unwrap().warnings[0].about, "input[0]");
        let two = read(r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#, 2).unwrap();
        assert_eq!(two.vectors, [[1.0], [2.0]]);
        for (body, message) in [
            (r#"{"embeddings":[{"values":[1]}]}"#, "1 embeddings came for 2 texts"),
            (r#"{"embeddings":[{"values":[1]},{}]}"#, "embedding 1 is missing"),
            (r#"{"embeddings":[{"values":["x"]}]}"#, "an embedding is no list of numbers"),
            ("{}", "0 embeddings came for 2 texts"),
            ("<html>", "the body is not valid JSON (line 1, column 1)"),
            (r#"{"error":{"code":429,"message":"m"}}"#, "m"),
        ] {
            assert_eq!(read(body, 2).unwrap_err().message(), message, "{body}");
        }
    }
}
