//! Messages as OpenAI-shaped JSON, in both directions: the form users have in their files, and the form records keep.
//!
//! Reading is tolerant: role `function`, `function_call`, several names for reasoning text, content as text, list or
//! nothing. Writing loses nothing that reading understands: what has no place in OpenAI's shape goes to
//! `reasoning_details`, whose form several gateways share, and to `part_order`, where reasoning, content and calls alternate.

use serde::de::Error as _;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::extra::{Extra, Invalid, plain};
use crate::message::{Media, MediaSource, Message, NativePart, Part, Reasoning, Role};
use crate::tool::{ToolCall, ToolResult};

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        message_from(Extra::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Reads a JSON list of messages.
///
/// # Errors
/// [`Invalid`] says which message is wrong, and where in it.
pub fn messages_from_json(json: &str) -> Result<Vec<Message>, Invalid> {
    let list: Vec<Box<RawValue>> = serde_json::from_str(json).map_err(|e| Invalid::new("", plain(&e)))?;
    let mut messages = Vec::with_capacity(list.len());
    for (i, raw) in list.iter().enumerate() {
        messages
            .push(Extra::parse(raw.get()).and_then(message_from).map_err(|e| e.inside(&format!("[{i}]")))?);
    }
    link_legacy_calls(&mut messages);
    Ok(messages)
}

/// Gives ids to the old `function_call` and role `function`, which have none: each result answers the latest call of
/// its name that has no answer yet.
pub(crate) fn link_legacy_calls(messages: &mut [Message]) {
    let mut open: Vec<(String, String)> = Vec::new();
    let mut made = 0_u32;
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        match part {
            Part::ToolCall(call) if call.id.is_empty() => {
                call.id = format!("call_{made}");
                made += 1;
                open.push((call.name.clone(), call.id.clone()));
            }
            Part::ToolResult(result) if result.id.is_empty() => {
                let name = result.name.as_deref().unwrap_or_default();
                if let Some(at) = open.iter().rposition(|(called, _)| called == name) {
                    result.id = open.remove(at).1;
                }
            }
            _ => {}
        }
    }
}

fn message_from(mut members: Extra) -> Result<Message, Invalid> {
    let role: String = members.take_as("role")?.ok_or_else(|| Invalid::new("role", "missing"))?;
    let role = match role.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" | "model" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        other => {
            let known = "system, developer, user, assistant, tool and function are";
            return Err(Invalid::new("role", format!("`{other}` is not a role; {known}")));
        }
    };
    let content = members.take("content");
    let content = content_from(content.as_deref()).map_err(|e| e.inside("content"))?;
    let mut name = members.take_as::<String>("name")?;
    let mut parts = Vec::with_capacity(content.len());
    if role == Role::Tool {
        let id = members.take_as("tool_call_id")?.unwrap_or_default();
        let is_error = members.take_as("is_error")?.unwrap_or(false);
        parts.push(Part::ToolResult(ToolResult { id, name: name.take(), content, is_error }));
    } else {
        reasoning_into(&mut members, &mut parts)?;
        parts.extend(content);
        if let Some(text) = members.take_as::<String>("refusal")?.filter(|text| !text.is_empty()) {
            parts.push(Part::Refusal { text });
        }
        tool_calls_into(&mut members, &mut parts)?;
        if let Some(order) = members.take_as::<Vec<String>>("part_order")? {
            parts = ordered(parts, &order);
        }
    }
    Ok(Message { role, parts, name, extra: members })
}

/// The member that a part stands in.
const fn place(part: &Part) -> &'static str {
    match part {
        Part::Reasoning(_) => "reasoning",
        Part::ToolCall(_) => "tool_call",
        _ => "content",
    }
}

/// Puts parts back into the order in which they were said. What the order does not name comes last: somebody may have
/// changed the message since.
fn ordered(mut parts: Vec<Part>, order: &[String]) -> Vec<Part> {
    let mut sorted = Vec::with_capacity(parts.len());
    for name in order {
        if let Some(at) = parts.iter().position(|part| place(part) == name) {
            sorted.push(parts.remove(at));
        }
    }
    sorted.append(&mut parts);
    sorted
}

/// The order of parts that say something else than reasoning, then content, then calls.
fn odd_order(parts: &[Part]) -> Option<Vec<&'static str>> {
    let rank = |part: &Part| match part {
        Part::Reasoning(_) => 0,
        Part::ToolCall(_) => 2,
        _ => 1_u8,
    };
    (!parts.is_sorted_by_key(rank)).then(|| parts.iter().map(place).collect())
}

/// The first of the names for reasoning that holds something, never two of them.
fn reasoning_into(members: &mut Extra, parts: &mut Vec<Part>) -> Result<(), Invalid> {
    let details = members.take_as::<Vec<Extra>>("reasoning_details")?.unwrap_or_default();
    let texts = [members.take_as::<String>("reasoning_content")?, members.take_as::<String>("reasoning")?];
    if details.is_empty() {
        // An empty text is kept: some vendors insist on getting it back.
        parts.extend(texts.into_iter().flatten().next().map(|text| Part::Reasoning(Reasoning::text(text))));
        return Ok(());
    }
    for (i, mut detail) in details.into_iter().enumerate() {
        let at = |e: Invalid| e.inside(&format!("reasoning_details[{i}]"));
        let kind: String = match detail.get("type").map(RawValue::get) {
            None | Some("null") => String::new(),
            Some(json) => serde_json::from_str(json).map_err(|e| at(Invalid::new("type", plain(&e))))?,
        };
        // A kind of the server's own stays with the rest of its block.
        if matches!(kind.as_str(), "" | "reasoning.text" | "reasoning.summary" | "reasoning.encrypted") {
            detail.take("type");
        }
        let text = detail.take_as::<String>("text").map_err(at)?;
        let summary = detail.take_as::<String>("summary").map_err(at)?;
        parts.push(Part::Reasoning(Reasoning {
            summary: text.is_none() && (summary.is_some() || kind == "reasoning.summary"),
            text: text.or(summary).unwrap_or_default(),
            signature: detail.take_as("signature").map_err(at)?,
            encrypted: detail.take_as("data").map_err(at)?,
            id: detail.take_as("id").map_err(at)?,
            format: detail.take_as("format").map_err(at)?,
            origin: detail.take_as("origin").map_err(at)?,
            extra: detail,
        }));
    }
    Ok(())
}

fn tool_calls_into(members: &mut Extra, parts: &mut Vec<Part>) -> Result<(), Invalid> {
    let calls = members.take_as::<Vec<Extra>>("tool_calls")?.unwrap_or_default();
    for (i, call) in calls.into_iter().enumerate() {
        let call = tool_call_from(call).map_err(|e| e.inside(&format!("tool_calls[{i}]")))?;
        parts.push(Part::ToolCall(call));
    }
    if let Some(mut call) = members.take_as::<Extra>("function_call")? {
        let at = |e: Invalid| e.inside("function_call");
        let name: String = call.take_as("name").map_err(at)?.unwrap_or_default();
        if !name.is_empty() {
            let arguments = arguments_from(call.take("arguments").as_deref()).map_err(at)?;
            parts.push(Part::ToolCall(ToolCall { name, arguments, ..ToolCall::default() }));
        }
    }
    Ok(())
}

fn tool_call_from(mut members: Extra) -> Result<ToolCall, Invalid> {
    let id = members.take_as("id")?.unwrap_or_default();
    members.take("type");
    members.take("index");
    let signature = members.take_as("signature")?;
    let (custom, inner) = match (members.take_as::<Extra>("function")?, members.take_as::<Extra>("custom")?) {
        (Some(function), _) => (false, function),
        (None, Some(custom)) => (true, custom),
        (None, None) => return Err(Invalid::new("function", "missing; it holds name and arguments")),
    };
    let mut inner = inner;
    let name = inner.take_as("name")?.ok_or_else(|| Invalid::new("function.name", "missing"))?;
    let arguments = arguments_from(inner.take(if custom { "input" } else { "arguments" }).as_deref())?;
    Ok(ToolCall { id, name, arguments, custom, signature, extra: members })
}

/// Arguments are JSON in a string; some servers and files have the object itself.
fn arguments_from(raw: Option<&RawValue>) -> Result<String, Invalid> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(String::new()),
        Some(json) if json.starts_with('"') => {
            serde_json::from_str(json).map_err(|e| Invalid::new("arguments", plain(&e)))
        }
        Some(json) => Ok(json.to_owned()),
    }
}

fn content_from(raw: Option<&RawValue>) -> Result<Vec<Part>, Invalid> {
    let Some(json) = raw.map(RawValue::get).filter(|json| *json != "null") else { return Ok(Vec::new()) };
    let wrong = |e: serde_json::Error| Invalid::new("", plain(&e));
    match json.as_bytes().first() {
        Some(b'"') => Ok(vec![Part::text(serde_json::from_str::<String>(json).map_err(wrong)?)]),
        Some(b'[') => {
            let list: Vec<Box<RawValue>> = serde_json::from_str(json).map_err(wrong)?;
            list.iter()
                .enumerate()
                .map(|(i, raw)| part_from(raw).map_err(|e| e.inside(&format!("[{i}]"))))
                .collect()
        }
        _ => Err(Invalid::new("", "neither a text nor a list of parts")),
    }
}

fn part_from(raw: &RawValue) -> Result<Part, Invalid> {
    if raw.get().starts_with('"') {
        return serde_json::from_str::<String>(raw.get())
            .map(Part::text)
            .map_err(|e| Invalid::new("", plain(&e)));
    }
    let mut members = Extra::parse(raw.get())?;
    let kind: String = members.take_as("type")?.unwrap_or_default();
    Ok(match kind.as_str() {
        "text" | "input_text" | "output_text" => Part::Text {
            text: members.take_as("text")?.ok_or_else(|| Invalid::new("text", "missing"))?,
            extra: members,
        },
        "refusal" => Part::Refusal { text: members.take_as("refusal")?.unwrap_or_default() },
        "image_url" => {
            // `{"url": …, "detail": …}`, or the URL itself (Mistral's form).
            let value = members.take("image_url").ok_or_else(|| Invalid::new("image_url", "missing"))?;
            let mut inner = if value.get().starts_with('"') {
                [("url".to_owned(), value)].into_iter().collect()
            } else {
                Extra::parse(value.get()).map_err(|e| e.inside("image_url"))?
            };
            let url: String =
                inner.take_as("url")?.ok_or_else(|| Invalid::new("image_url.url", "missing"))?;
            Part::Image(Media {
                source: MediaSource::from_url(url),
                detail: inner.take_as("detail")?,
                name: None,
                extra: members,
            })
        }
        "input_audio" => {
            let mut inner = members
                .take_as::<Extra>("input_audio")?
                .ok_or_else(|| Invalid::new("input_audio", "missing; it holds data and format"))?;
            let format: String = inner.take_as("format")?.unwrap_or_default();
            let data = inner.take_as("data")?.ok_or_else(|| Invalid::new("input_audio.data", "missing"))?;
            let media_type = if format.is_empty() { String::new() } else { format!("audio/{format}") };
            Part::Audio(Media { extra: members, ..Media::new(MediaSource::Base64 { media_type, data }) })
        }
        "file" => {
            let mut inner =
                members.take_as::<Extra>("file")?.ok_or_else(|| Invalid::new("file", "missing"))?;
            let name = inner.take_as("filename")?;
            let source = match (inner.take_as::<String>("file_id")?, inner.take_as::<String>("file_data")?) {
                (Some(id), _) => MediaSource::FileId(id),
                (None, Some(data)) => MediaSource::from_url(data),
                (None, None) => return Err(Invalid::new("file", "has neither file_id nor file_data")),
            };
            Part::File(Media { name, extra: members, ..Media::new(source) })
        }
        // A part of a vendor's own that an answer held.
        "native" if members.get("native").is_some() => Part::Native(NativePart {
            json: members.take("native").unwrap_or_else(|| raw.to_owned()),
            origin: members.take_as("origin")?,
        }),
        _ => Part::native(raw.to_owned()),
    })
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", self.role.as_str())?;
        if let Some(name) = &self.name {
            map.serialize_entry("name", name)?;
        }
        if let Some(result) = self.parts.iter().find_map(|part| match part {
            Part::ToolResult(result) => Some(result),
            _ => None,
        }) {
            map.serialize_entry("tool_call_id", &result.id)?;
            if let Some(name) = &result.name {
                map.serialize_entry("name", name)?;
            }
            if result.is_error {
                map.serialize_entry("is_error", &true)?;
            }
            map.serialize_entry("content", &Content(&result.content, false))?;
        } else {
            let calls: Vec<&ToolCall> = self.tool_calls().collect();
            map.serialize_entry("content", &Content(&self.parts, !calls.is_empty()))?;
            let thoughts: Vec<&Reasoning> = self
                .parts
                .iter()
                .filter_map(|part| match part {
                    Part::Reasoning(reasoning) => Some(reasoning),
                    _ => None,
                })
                .collect();
            if !thoughts.is_empty() {
                let text = self.reasoning();
                // Blocks of the server's own kinds are no thoughts to read.
                if !text.is_empty() || thoughts.iter().any(|r| r.extra.get("type").is_none()) {
                    map.serialize_entry("reasoning_content", &text)?;
                }
                if thoughts.iter().any(|r| !is_plain(r)) || thoughts.len() > 1 {
                    let details: Vec<Detail<'_>> = thoughts.into_iter().map(Detail).collect();
                    map.serialize_entry("reasoning_details", &details)?;
                }
            }
            if !calls.is_empty() {
                let calls: Vec<Call<'_>> = calls.into_iter().map(Call).collect();
                map.serialize_entry("tool_calls", &calls)?;
            }
            if let Some(order) = odd_order(&self.parts) {
                map.serialize_entry("part_order", &order)?;
            }
        }
        for (name, value) in self.extra.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Whether `reasoning_content` alone says everything.
fn is_plain(r: &Reasoning) -> bool {
    !r.summary
        && r.signature.is_none()
        && r.encrypted.is_none()
        && r.id.is_none()
        && r.format.is_none()
        && r.origin.is_none()
        && r.extra.is_empty()
}

/// Content: one plain text as a string, several parts as a list, nothing beside tool calls as null.
struct Content<'a>(&'a [Part], bool);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shown = self.0.iter().filter(|part| !matches!(part, Part::Reasoning(_) | Part::ToolCall(_)));
        match (shown.next(), shown.next()) {
            (None, _) if self.1 => serializer.serialize_none(),
            (None, _) => serializer.serialize_str(""),
            (Some(Part::Text { text, extra }), None) if extra.is_empty() => serializer.serialize_str(text),
            (first, second) => {
                let mut seq = serializer.serialize_seq(None)?;
                for part in first.into_iter().chain(second).chain(shown) {
                    seq.serialize_element(&PartJson(part))?;
                }
                seq.end()
            }
        }
    }
}

struct PartJson<'a>(&'a Part);

impl Serialize for PartJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Url<'a> {
            url: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Audio<'a> {
            data: &'a str,
            format: &'a str,
        }
        #[derive(Serialize)]
        struct File<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            filename: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_data: Option<String>,
        }
        fn file(media: &Media) -> File<'_> {
            let file_id = match &media.source {
                MediaSource::FileId(id) => Some(id.as_str()),
                _ => None,
            };
            File { filename: media.name.as_deref(), file_id, file_data: media.source.to_url() }
        }
        if let Part::Native(NativePart { json, origin: None }) = self.0 {
            return json.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        let extra = match self.0 {
            Part::Text { text, extra } => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                Some(extra)
            }
            Part::Refusal { text } => {
                map.serialize_entry("type", "refusal")?;
                map.serialize_entry("refusal", text)?;
                None
            }
            Part::Image(media) if media.source.to_url().is_some() => {
                map.serialize_entry("type", "image_url")?;
                let url = media.source.to_url().unwrap_or_default();
                map.serialize_entry("image_url", &Url { url, detail: media.detail.as_deref() })?;
                Some(&media.extra)
            }
            Part::Audio(Media { source: MediaSource::Base64 { media_type, data }, extra, .. }) => {
                map.serialize_entry("type", "input_audio")?;
                let format = media_type.strip_prefix("audio/").unwrap_or(media_type);
                map.serialize_entry("input_audio", &Audio { data, format })?;
                Some(extra)
            }
            Part::Image(media) | Part::Audio(media) | Part::File(media) => {
                map.serialize_entry("type", "file")?;
                map.serialize_entry("file", &file(media))?;
                Some(&media.extra)
            }
            // Who can read it goes along.
            Part::Native(part) => {
                map.serialize_entry("type", "native")?;
                map.serialize_entry("origin", &part.origin)?;
                map.serialize_entry("native", &part.json)?;
                None
            }
            // Handled elsewhere: these have places of their own in a message.
            Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
        };
        for (name, value) in extra.into_iter().flat_map(Extra::iter) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Detail<'a>(&'a Reasoning);

impl Serialize for Detail<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let r = self.0;
        let mut map = serializer.serialize_map(None)?;
        let (kind, field) = match r {
            Reasoning { encrypted: Some(_), .. } if r.text.is_empty() => ("reasoning.encrypted", None),
            Reasoning { summary: true, .. } => ("reasoning.summary", Some("summary")),
            _ => ("reasoning.text", Some("text")),
        };
        let own_kind = r.extra.get("type").is_some();
        if !own_kind {
            map.serialize_entry("type", kind)?;
        }
        if let Some(field) = field.filter(|_| !own_kind || !r.text.is_empty()) {
            map.serialize_entry(field, &r.text)?;
        }
        let members = [
            ("data", &r.encrypted),
            ("signature", &r.signature),
            ("id", &r.id),
            ("format", &r.format),
            ("origin", &r.origin),
        ];
        for (name, value) in members.into_iter().filter_map(|(n, v)| Some((n, v.as_ref()?))) {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in r.extra.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Call<'a>(&'a ToolCall);

impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        #[derive(Serialize)]
        struct Custom<'a> {
            name: &'a str,
            input: &'a str,
        }
        let ToolCall { id, name, arguments, custom, signature, extra } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", id)?;
        if *custom {
            map.serialize_entry("type", "custom")?;
            map.serialize_entry("custom", &Custom { name, input: arguments })?;
        } else {
            map.serialize_entry("type", "function")?;
            map.serialize_entry("function", &Function { name, arguments })?;
        }
        if let Some(signature) = signature {
            map.serialize_entry("signature", signature)?;
        }
        for (name, value) in extra.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(json: &str) -> String {
        serde_json::to_string(&serde_json::from_str::<Message>(json).unwrap()).unwrap()
    }

    #[test]
    fn openai_shapes_survive_a_round_trip_to_the_letter() {
        for json in [
            r#"{"role":"system","content":"Be brief."}"#,
            r#"{"role":"user","name":"ann","content":"hi","x":1e2}"#,
            r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO","detail":"low"}}]}"#,
            r#"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}},{"type":"file","file":{"file_id":"f-1"}},{"type":"video_url","video_url":{"url":"u"}}]}"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1"}}]}"#,
            r#"{"role":"assistant","content":"b","reasoning_content":"a"}"#,
            r#"{"role":"assistant","content":"b","reasoning_content":"ab","reasoning_details":[{"type":"reasoning.text","text":"a","signature":"s","index":0},{"type":"reasoning.summary","summary":"b"},{"type":"reasoning.encrypted","data":"xyz"}]}"#,
            r#"{"role":"assistant","content":"b","reasoning_details":[{"type":"reasoning.server_tool_call","name":"search","index":0}]}"#,
            r#"{"role":"tool","tool_call_id":"c1","content":"42"}"#,
            r#"{"role":"assistant","content":[{"type":"native","origin":"acme","native":{"type":"x","n":1.50}}]}"#,
        ] {
            assert_eq!(round(json), json);
        }
    }

    #[test]
    fn parts_that_alternate_come_back_in_their_order() {
        let signed = |text: &str| {
            Part::Reasoning(Reasoning { signature: Some(format!("s-{text}")), ..Reasoning::text(text) })
        };
        let call =
            |id: &str| Part::ToolCall(ToolCall { id: id.into(), name: "f".into(), ..ToolCall::default() });
        let said = |parts: &[Part]| -> Vec<String> {
            let name = |part: &Part| match part {
                Part::Reasoning(reasoning) => reasoning.text.clone(),
                Part::ToolCall(call) => call.id.clone(),
                part => part.as_text().unwrap_or_default().to_owned(),
            };
            parts.iter().map(name).collect()
        };
        let parts = vec![signed("a"), Part::text("b"), signed("c"), call("d"), Part::text("e"), call("f")];
        let message = Message::new(Role::Assistant, parts);
        let json = serde_json::to_string(&message).unwrap();
        let read: Message = serde_json::from_str(&json).unwrap();
        assert_eq!(said(&read.parts), ["a", "b", "c", "d", "e", "f"], "{json}");
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert!(read.extra.is_empty());
        // An order that is not that of the parts any more loses none of them.
        let json = r#"{"role":"assistant","content":"b","reasoning_content":"a","part_order":["tool_call","content","what"]}"#;
        let read: Message = serde_json::from_str(json).unwrap();
        assert_eq!(said(&read.parts), ["b", "a"]);
        // The usual order goes without saying.
        let usual = Message::new(Role::Assistant, vec![signed("a"), Part::text("b"), call("c")]);
        assert!(!serde_json::to_string(&usual).unwrap().contains("part_order"));
    }

    #[test]
    fn legacy_functions_get_ids_that_match() {
        let messages = messages_from_json(
            r#"[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
                {"role":"function","name":"f","content":"42"}]"#,
        )
        .unwrap();
        let Part::ToolResult(result) = &messages[1].parts[0] else { panic!("no result") };
        assert_eq!(messages[0].tool_calls().next().unwrap().id, result.id);
        assert!(!result.id.is_empty());
    }

    #[test]
    fn empty_placeholders_mean_nothing() {
        let json =
            r#"{"role":"assistant","content":"x","refusal":"","tool_calls":[],"function_call":{"name":""}}"#;
        let message: Message = serde_json::from_str(json).unwrap();
        assert!(matches!(message.parts.as_slice(), [Part::Text { .. }]));
    }

    #[test]
    fn arguments_may_be_an_object_and_content_a_bare_number_is_refused() {
        let message: Message = serde_json::from_str(
            r#"{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":{"a": 1}}}]}"#,
        )
        .unwrap();
        assert_eq!(message.tool_calls().next().unwrap().arguments, r#"{"a": 1}"#);
        let error = messages_from_json(r#"[{"role":"user","content":5}]"#).unwrap_err();
        assert_eq!(error.to_string(), "[0].content: neither a text nor a list of parts");
    }
}
