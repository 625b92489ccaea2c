//! Tools and the choice between them.

use std::borrow::Cow;

use llm_types::{ChatRequest, Error, Extra, FunctionTool, Tool, ToolChoice};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::dialect::body::Body;
use crate::dialect::quirks::{Quirks, Setting};
use crate::dialect::reasoning::raw;

/// Writes both members, where there are tools.
pub(super) fn write(request: &ChatRequest, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    if !request.tools.is_empty() {
        let has_strict = quirks.has(Setting::Strict);
        let mut list = Vec::with_capacity(request.tools.len());
        for (at, tool) in request.tools.iter().enumerate() {
            list.push(match tool {
                Tool::Native(raw) => Sent::Native(raw),
                Tool::Function(function) => {
                    if function.strict.is_some() && !has_strict {
                        body.warn(
                            format!("tools[{at}].strict"),
                            "there is no word for it here; it was left out",
                        )?;
                    }
                    Sent::Function { function, schema: schema(function), has_strict }
                }
            });
        }
        body.member("tools", &list)?;
    }
    choice(request, quirks, body)
}

fn choice(request: &ChatRequest, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    // The choice is refused where there are no tools.
    if request.tools.is_empty() && request.extra.get("tools").is_none() {
        let means_nothing = matches!(request.tool_choice, None | Some(ToolChoice::Auto | ToolChoice::None));
        return if means_nothing {
            Ok(())
        } else {
            body.warn("tool_choice", "there are no tools; it was left out")
        };
    }
    let one_at_a_time = request.parallel_tool_calls == Some(false);
    let mut members = Extra::new();
    let mut named = |kind: &str, name: Option<&str>| -> Result<(), Error> {
        members.insert("type", raw(kind)?);
        if let Some(name) = name {
            members.insert("name", raw(name)?);
        }
        Ok(())
    };
    match &request.tool_choice {
        None if !one_at_a_time => return Ok(()),
        None | Some(ToolChoice::Auto) => named("auto", None)?,
        Some(ToolChoice::None) => named("none", None)?,
        Some(ToolChoice::Required) => named("any", None)?,
        Some(ToolChoice::Function(name)) => named("tool", Some(name))?,
        // A word, or an object of the format's own.
        Some(ToolChoice::Native(native)) => match Extra::parse(native.get()) {
            Ok(theirs) => members = theirs,
            Err(_) => members.insert("type", native.clone()),
        },
    }
    let has_word = quirks.has(Setting::ParallelToolCalls);
    if one_at_a_time && !has_word {
        body.warn("parallel_tool_calls", "there is no word for it here; it was left out")?;
    } else if one_at_a_time && !matches!(request.tool_choice, Some(ToolChoice::None)) {
        members.insert("disable_parallel_tool_use", raw(&true)?);
    }
    body.member("tool_choice", &members)
}

/// The schema of a function's arguments, which has to say that it is an object.
fn schema(function: &FunctionTool) -> Cow<'_, RawValue> {
    let empty = || RawValue::from_string(r#"{"type":"object","properties":{}}"#.to_owned());
    let Some(given) = &function.parameters else {
        return empty().map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned);
    };
    match Extra::parse(given.get()) {
        Ok(members) if members.is_empty() => empty().map_or(Cow::Borrowed(given), Cow::Owned),
        Ok(members) if members.get("type").is_none() && members.get("properties").is_some() => {
            let mut whole = Extra::new();
            if let Ok(object) = raw("object") {
                whole.insert("type", object);
            }
            members.iter().for_each(|(name, value)| whole.insert(name, value.to_owned()));
            raw(&whole).map_or(Cow::Borrowed(given), Cow::Owned)
        }
        // A schema of another kind is the user's, and the server's answer to it is clear.
        _ => Cow::Borrowed(given),
    }
}

enum Sent<'a> {
    Native(&'a RawValue),
    Function { function: &'a FunctionTool, schema: Cow<'a, RawValue>, has_strict: bool },
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (function, schema, has_strict) = match self {
            Self::Native(raw) => return raw.serialize(serializer),
            Self::Function { function, schema, has_strict } => (function, schema, has_strict),
        };
        let FunctionTool { name, description, strict, extra, .. } = function;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", name)?;
        if let Some(description) = description {
            map.serialize_entry("description", description)?;
        }
        map.serialize_entry("input_schema", &**schema)?;
        if let Some(strict) = strict.filter(|_| *has_strict) {
            map.serialize_entry("strict", &strict)?;
        }
        let known = ["name", "description", "input_schema", "strict"];
        for (name, value) in extra.iter().filter(|(name, _)| !known.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
