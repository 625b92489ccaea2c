//! `POST /embeddings`: vectors that depend on nothing but the input.

use std::{borrow::Cow, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize,
    de::{self, Deserializer, SeqAccess, Visitor},
};

use super::errors::Problem;
use crate::{
    answer::Answer,
    invented::{DIMENSIONS, MOST_DIMENSIONS, MOST_INPUTS, vector},
    json::{OneOrMany, Text},
    text::{fingerprint, push_json, push_number, tokens},
};

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    input: Option<OneOrMany<'a, Input>>,
    dimensions: Option<i64>,
    #[serde(borrow, default)]
    encoding_format: Option<Text<'a>>,
}

/// One element of an input array, as the two numbers that matter: a hash of it, and its tokens.
enum Input {
    /// Part of an array of token ids, which is one input as a whole.
    TokenId(u64),
    Whole {
        hash: u64,
        tokens: u64,
    },
}

impl Input {
    fn text(text: &str) -> Self {
        Self::Whole { hash: fingerprint(text.as_bytes()), tokens: tokens(text) }
    }

    fn ids(ids: &[u64]) -> Self {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        Self::Whole { hash: fingerprint(&bytes), tokens: ids.len().try_into().unwrap_or(u64::MAX) }
    }
}

pub(super) fn answer(body: &[u8]) -> Result<(Cow<'_, str>, Answer), Problem> {
    let raw: Raw<'_> = serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error))?;
    let model = raw.model.map(|Text(model)| model).filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Problem::missing("model"))?;
    let inputs = match raw.input.ok_or_else(|| Problem::missing("input"))? {
        OneOrMany::One(text) => vec![Input::text(&text)],
        OneOrMany::Many(inputs) => whole_inputs(inputs)?,
    };
    let dimensions = u32::try_from(raw.dimensions.unwrap_or(DIMENSIONS.into())).ok();
    let dimensions = dimensions.filter(|count| (1..=MOST_DIMENSIONS).contains(count)).ok_or_else(|| {
        Problem::invalid(
            "dimensions",
            "invalid_value",
            format!("'dimensions' must be 1 to {MOST_DIMENSIONS}."),
        )
    })?;
    let base64 = match raw.encoding_format.as_ref().map(|Text(format)| &**format) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            let message = "'encoding_format' must be float or base64.";
            return Err(Problem::invalid("encoding_format", "invalid_value", message));
        }
    };

    let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
    let mut total = 0_u64;
    for (index, input) in (0_u64..).zip(inputs) {
        let Input::Whole { hash, tokens } = input else { continue };
        total = total.saturating_add(tokens);
        out.extend_from_slice(if index == 0 { b"" } else { b"," });
        out.extend_from_slice(b"{\"object\":\"embedding\",\"index\":");
        push_number(&mut out, index);
        out.extend_from_slice(b",\"embedding\":");
        let vector = vector(hash, dimensions);
        if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            push_json(&mut out, &BASE64_STANDARD.encode(bytes));
        } else {
            // Finite numbers into a Vec: nothing can fail.
            let _ = serde_json::to_writer(&mut out, &vector);
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"model\":");
    push_json(&mut out, &model);
    for (name, count) in [(",\"usage\":{\"prompt_tokens\":", total), (",\"total_tokens\":", total)] {
        out.extend_from_slice(name.as_bytes());
        push_number(&mut out, count);
    }
    out.extend_from_slice(b"}}");
    Ok((model, Answer::json(200, out)))
}

/// An array of numbers is one input; any other array holds one input an element.
fn whole_inputs(inputs: Vec<Input>) -> Result<Vec<Input>, Problem> {
    let ids: Vec<u64> = inputs
        .iter()
        .filter_map(|input| if let Input::TokenId(id) = input { Some(*id) } else { None })
        .collect();
    if inputs.is_empty() || inputs.len() > MOST_INPUTS && ids.is_empty() {
        let message = format!("'input' needs 1 to {MOST_INPUTS} entries.");
        return Err(Problem::invalid("input", "invalid_value", message));
    }
    match ids.len() {
        0 => Ok(inputs),
        all if all == inputs.len() => Ok(vec![Input::ids(&ids)]),
        _ => Err(Problem::invalid("input", "invalid_type", "'input' mixes token ids with other entries.")),
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Input;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a token id or an array of token ids")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Input, E> {
                Ok(Input::text(text))
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Input, E> {
                Ok(Input::TokenId(id))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Input, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = seq.next_element::<u64>()? {
                    ids.push(id);
                }
                Ok(Input::ids(&ids))
            }
        }
        from.deserialize_any(Take)
    }
}
