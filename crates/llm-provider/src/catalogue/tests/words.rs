//! What every row of the common format makes of a request: each setting goes out in the vendor's words or is warned of, and
//! earlier thoughts go back to those who want them and to nobody else.

use llm_client::dialect::WireTarget;
use llm_types::{ChatRequest, Error, ErrorKind, Media, Message, Part, Role};
use serde_json::{Value, json};

use super::*;

fn rows() -> impl Iterator<Item = &'static ProviderSpec> {
    all().iter().filter(|row| row.dialect == Dialect::OpenAiChat)
}

/// The body of a request, and what is warned of.
fn sent(row: &ProviderSpec, request: &ChatRequest) -> Result<(Value, Vec<String>), Error> {
    let quirks = row.quirks_for("m");
    let target = WireTarget { model: "m", quirks: &quirks, origin: Some(row.name) };
    let encoded = row.dialect.encode_chat(request, &target, false)?;
    let about = encoded.warnings.into_iter().map(|warning| warning.about).collect();
    Ok((serde_json::from_slice(&encoded.body).unwrap(), about))
}

/// Whether a value stands anywhere in it.
fn holds(json: &Value, wanted: &Value) -> bool {
    json == wanted
        || match json {
            Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
            Value::Object(members) => members.values().any(|member| holds(member, wanted)),
            _ => false,
        }
}

#[test]
fn every_setting_goes_out_or_is_warned_of_and_refused_under_strictness() {
    let tools = json!([{"type": "function", "function": {"name": "f", "strict": true}}]);
    let schema = json!({"type": "object", "properties": {"metres": {"type": "number"}}});
    let form = json!({"type": "json_schema", "json_schema": {"name": "r", "strict": true, "schema": schema}});
    for row in rows() {
        for (setting, value, wanted) in [
            ("max_tokens", json!(9), json!(9)),
            ("temperature", json!(0.25), json!(0.25)),
            ("top_p", json!(0.75), json!(0.75)),
            ("top_k", json!(17), json!(17)),
            ("n", json!(2), json!(2)),
            ("stop", json!(["END"]), json!(["END"])),
            ("stop", json!("END"), json!(["END"])),
            ("seed", json!(4711), json!(4711)),
            ("frequency_penalty", json!(0.125), json!(0.125)),
            ("presence_penalty", json!(0.375), json!(0.375)),
            ("logit_bias", json!({"50256": -100}), json!({"50256": -100})),
            ("logprobs", json!(true), if row.name == "together" { json!(1) } else { json!(true) }),
            ("top_logprobs", json!(3), json!(3)),
            ("verbosity", json!("low"), json!("low")),
            ("service_tier", json!("flex"), json!("flex")),
            ("metadata", json!({"k": "v"}), json!({"k": "v"})),
            ("prompt_cache_key", json!("pck"), json!("pck")),
            ("user", json!("u-1"), json!("u-1")),
            ("response_format", form.clone(), schema.clone()),
            ("response_format", json!({"type": "json_object"}), json!("json_object")),
            ("tool_choice", json!("required"), json!("required")),
            ("tool_choice", json!({"type": "function", "function": {"name": "f"}}), json!({"name": "f"})),
            ("parallel_tool_calls", json!(false), json!(false)),
            // The vendor's own members go as they are.
            ("something_new", json!({"a": [1.50]}), json!({"a": [1.50]})),
        ] {
            let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
            body[setting] = value;
            if matches!(setting, "tool_choice" | "parallel_tool_calls") {
                body["tools"] = tools.clone();
            }
            let (mut request, _) = ChatRequest::from_openai_json(&body.to_string()).unwrap();
            let place = format!("{} {setting} {wanted}", row.name);
            let (body, about) = sent(row, &request).expect(&place);
            assert!(holds(&body, &wanted) || !about.is_empty(), "{place}: {body}");
            request.strict = true;
            match sent(row, &request) {
                Ok(_) => assert!(about.is_empty(), "{place}: {about:?}"),
                Err(error) => assert!(
                    !about.is_empty() && error.kind() == ErrorKind::InvalidRequest,
                    "{place}: {error:?}"
                ),
            }
        }
    }
}

#[test]
fn an_image_goes_out_as_data_or_as_an_address_everywhere() {
    const DATA: &str = "data:image/png;base64,iVBORw0KGgo=";
    const AWAY: &str = "https://pictures.test/a.png";
    let bytes = [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A];
    for row in rows() {
        for (media, url) in [
            (Media::from_url(DATA), DATA),
            (Media::from_bytes("image/png", &bytes), DATA),
            (Media::from_url(AWAY), AWAY),
        ] {
            let message = Message::new(Role::User, vec![Part::text("what?"), Part::Image(media)]);
            let request = ChatRequest::new(vec![message]);
            let found = sent(row, &request);
            if url == AWAY && row.name == "moonshot" {
                assert_eq!(found.unwrap_err().kind(), ErrorKind::InvalidRequest);
                continue;
            }
            let (body, about) = found.expect(row.name);
            let expected = json!([
                {"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}
            ]);
            assert_eq!((&body["messages"][0]["content"], about.len()), (&expected, 0), "{}", row.name);
        }
    }
}

#[test]
fn thoughts_go_back_to_those_who_want_them_and_to_nobody_else() {
    let conversation = json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "first thought"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": null, "reasoning_content": "second thought", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "22"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "call_2", "content": "23"},
    ]});
    let (request, _) = ChatRequest::from_openai_json(&conversation.to_string()).unwrap();
    for row in rows() {
        let (body, about) = sent(row, &request).unwrap();
        assert!(about.is_empty(), "{}: {about:?}", row.name);
        // With an answer, with a call, and with a call that came without thoughts.
        let (always, never, with_tools) = (
            [Some("first thought"), Some("second thought"), None],
            [None; 3],
            [None, Some("second thought"), Some("")],
        );
        let (member, wanted) = match row.name {
            "deepseek" | "moonshot" => ("reasoning_content", with_tools),
            "groq" | "vllm" | "openrouter" => ("reasoning", always),
            "sglang" | "llamacpp" => ("reasoning_content", always),
            "mistral" => ("content", always),
            _ => ("", never),
        };
        let messages = body["messages"].as_array().unwrap();
        for (place, thought) in [1, 3, 5].into_iter().zip(wanted) {
            let message = &messages[place];
            let whole = message.to_string();
            match thought {
                None => assert!(
                    !whole.contains("thought") && !whole.contains("reasoning"),
                    "{} {whole}",
                    row.name
                ),
                Some(thought) if member == "content" => {
                    let part = json!({"type": "thinking", "thinking": [{"type": "text", "text": thought}]});
                    assert!(holds(message, &part), "{} {whole}", row.name);
                }
                Some(thought) => {
                    assert_eq!(message[member], thought, "{} {whole}", row.name);
                    assert_eq!(
                        whole.matches("thought").count(),
                        thought.matches("thought").count(),
                        "{whole}"
                    );
                }
            }
        }
    }
}
