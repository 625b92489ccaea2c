//! `--dry-run` and `--curl`: requests as they would be sent, and nothing sent.

use std::collections::BTreeMap;

use llm_client::{Call, HeaderText, Preview};
use llm_types::{ChatRequest, Error, ErrorKind, Warning};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::session::Session;
use crate::term::Term;

/// The variable of a key that nobody named.
const SOME_KEY: &str = "API_KEY";

/// How requests are printed.
pub(crate) enum Form {
    /// Request line, headers, body.
    AsSent,
    /// A command for a shell.
    Curl {
        /// The variable that holds the key.
        key_variable: Option<String>,
        /// Whether the answer is a stream.
        streamed: bool,
    },
}

/// One request of `--json`. Its names are a promise.
#[derive(Serialize)]
pub(crate) struct Request<'a> {
    client: &'a str,
    method: &'a str,
    url: &'a str,
    headers: BTreeMap<&'a str, String>,
    body: Body<'a>,
    warnings: &'a [Warning],
}

/// JSON as it would be sent; a text where a format of a user's own is not JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(&'a RawValue),
    Text(String),
}

/// The requests of a call: one of each endpoint that may be asked.
///
/// # Errors
/// The request cannot be written in the server's format.
pub(crate) fn previews(
    session: &Session,
    request: &ChatRequest,
    streamed: bool,
) -> Result<Vec<Preview>, Failure> {
    let id = session.client.id();
    let untold = || Error::new(ErrorKind::Config, format!("{id} does not tell what it would send"));
    let previewer = session.client.previewer().ok_or_else(untold)?;
    previewer.preview(request, streamed, &Call::default()).map_err(Failure::from)
}

/// Prints requests, and what could not be said in them.
///
/// # Errors
/// Those of the standard output.
pub(crate) fn show(previews: &[Preview], form: &Form, term: &Term) -> Result<(), Failure> {
    let several = previews.len() > 1;
    if several {
        term.note(&format!("one of these {} goes out first, and others where it fails", previews.len()));
    }
    let mut text = String::new();
    for (at, preview) in previews.iter().enumerate() {
        if several {
            let gap = if at == 0 { "" } else { "\n" };
            text.push_str(&format!("{gap}# {} of {}: {}\n", at + 1, previews.len(), preview.client));
        }
        text.push_str(&match form {
            Form::AsSent => as_sent(preview),
            Form::Curl { key_variable, streamed } => {
                curl(preview, key_variable.as_deref().unwrap_or(SOME_KEY), *streamed)
            }
        });
        for Warning { about, message } in &preview.warnings {
            term.warn(&format!("{about}: {message}"));
        }
    }
    term.data(&text)
}

/// A request for `--json`.
pub(crate) fn as_json(preview: &Preview) -> Request<'_> {
    let mut headers = BTreeMap::new();
    for (name, value) in &preview.headers {
        let all: &mut String = headers.entry(name.as_str()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&value.to_string());
    }
    Request {
        client: &preview.client,
        method: preview.method.as_str(),
        url: &preview.url,
        headers,
        body: match serde_json::from_slice(&preview.body) {
            Ok(json) => Body::Json(json),
            Err(_) => Body::Text(String::from_utf8_lossy(&preview.body).into_owned()),
        },
        warnings: &preview.warnings,
    }
}

/// Request line, headers and body, the body with white space for the eye.
fn as_sent(preview: &Preview) -> String {
    let mut text = format!("{} {}\n", preview.method, preview.url);
    for (name, value) in &preview.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push('\n');
    indent(&String::from_utf8_lossy(&preview.body), &mut text);
    text.push('\n');
    text
}

/// Lays JSON out in lines; but for white space every byte stays as it is.
fn indent(json: &str, out: &mut String) {
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    let mut chars = json.chars().peekable();
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        (0..depth).for_each(|_| out.push_str("  "));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                match chars.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(depth, out);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(depth, out);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(depth, out);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
}

/// A command that a shell runs as it stands, with the key in its variable.
fn curl(preview: &Preview, key: &str, streamed: bool) -> String {
    let unbuffered = if streamed { " -N" } else { "" };
    let mut text = format!("curl -sS{unbuffered} -X {} {}", preview.method, quoted(&preview.url));
    for (name, value) in &preview.headers {
        text.push_str(" \\\n  -H ");
        text.push_str(&match value {
            // Between double quotes the shell puts the variable in. `before` is a word of ours.
            HeaderText::Key { before } => format!("\"{name}: {before}${key}\""),
            value => quoted(&format!("{name}: {value}")),
        });
    }
    text.push_str(&format!(" \\\n  --data-raw {}\n", quoted(&String::from_utf8_lossy(&preview.body))));
    text
}

/// One word of a shell, whatever stands in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indented(json: &str) -> String {
        let mut out = String::new();
        indent(json, &mut out);
        out
    }

    #[test]
    fn laid_out_json_differs_in_white_space_only() {
        assert_eq!(
            indented(r#"{"a":[1e2,{}],"b":[ ],"c":"x\"{,:\\","d":{"e":null}}"#),
            "{\n  \"a\": [\n    1e2,\n    {}\n  ],\n  \"b\": [],\n  \"c\": \"x\\\"{,:\\\\\",\n  \"d\": {\n    \"e\": null\n  }\n}"
        );
        // What is no JSON does no harm.
        assert_eq!(indented("]}"), "\n]\n}");
    }

    proptest::proptest! {
        #[test]
        fn any_json_says_the_same_laid_out(keys in proptest::collection::vec(".{0,12}", 0..6), text in ".*", number: i64) {
            let inner = serde_json::json!({ "text": text, "list": keys, "number": number });
            let mut object: serde_json::Map<_, _> = keys.into_iter().map(|key| (key, inner.clone())).collect();
            object.insert("empty".to_owned(), serde_json::json!([[], {}, [{}]]));
            let json = serde_json::Value::Object(object);
            let text = indented(&json.to_string());
            proptest::prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&text).unwrap(), &json);
            proptest::prop_assert_eq!(&indented(&text), &text);
        }
    }

    #[test]
    fn a_shell_reads_one_word_whatever_stands_in_it() {
        assert_eq!(quoted("it's $HOME `x`"), r"'it'\''s $HOME `x`'");
    }
}
