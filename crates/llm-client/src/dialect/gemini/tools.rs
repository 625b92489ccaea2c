//! Tools and the choice among them.

use llm_types::{ChatRequest, Error, Extra, FunctionTool, Tool, ToolChoice};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::dialect::body::Body;

/// What may stand beside a function's own members.
const BESIDE: &[&str] = &["behavior", "response", "responseJsonSchema"];

/// Writes the tools, and which of them may be used.
pub(super) fn write(request: &ChatRequest, choice: bool, body: &mut Body) -> Result<(), Error> {
    let mut functions = Vec::new();
    let mut natives: Vec<&RawValue> = Vec::new();
    let (mut strict, mut declared) = (false, false);
    for (at, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function(function) => {
                strict |= function.strict == Some(true);
                for (name, _) in function.extra.iter().filter(|(name, _)| !BESIDE.contains(name)) {
                    let about = format!("tools[{at}].{name}");
                    body.warn(about, "this format has no word for it; it was left out")?;
                }
                functions.push(Declaration(function));
            }
            // Its own tools are told by their members, others by a type.
            Tool::Native(raw) => {
                if let Some(own) = Extra::parse(raw.get()).ok().filter(|tool| tool.get("type").is_none()) {
                    let names = ["functionDeclarations", "function_declarations"];
                    declared |= names.into_iter().any(|name| own.get(name).is_some());
                    natives.push(raw);
                    continue;
                }
                body.warn(format!("tools[{at}]"), "this format has no tool of this type; it was left out")?;
            }
        }
    }
    let has_functions = declared || !functions.is_empty();
    if has_functions || !natives.is_empty() {
        body.member("tools", &Tools { functions, natives })?;
    }
    if !choice {
        return Ok(());
    }
    if request.parallel_tool_calls == Some(false) && has_functions {
        body.warn("parallel_tool_calls", "this format has no word for it; it was left out")?;
    }
    let Some(config) = calling(request, has_functions, strict, body)? else {
        return match request.extra.get("toolConfig") {
            Some(_) => body.object("toolConfig", &[], &request.extra),
            None => Ok(()),
        };
    };
    match config {
        Config::Whole(raw) => body.member("toolConfig", raw),
        Config::Calling(raw) => {
            body.object("toolConfig", &[("functionCallingConfig", &*raw)], &request.extra)
        }
    }
}

enum Config<'a> {
    /// As the user wrote it.
    Whole(&'a RawValue),
    Calling(Box<RawValue>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

fn calling<'a>(
    request: &'a ChatRequest,
    has_functions: bool,
    strict: bool,
    body: &mut Body,
) -> Result<Option<Config<'a>>, Error> {
    let given = |mode, name: Option<&str>| {
        let calling = Calling { mode, allowed_function_names: name.map(|name| [name]) };
        to_raw_value(&calling).ok().map(Config::Calling)
    };
    let choice = request.tool_choice.as_ref();
    if !has_functions {
        if let Some(ToolChoice::Required | ToolChoice::Function(_) | ToolChoice::Native(_)) = choice {
            body.warn("tool_choice", "there are no tools; it was left out")?;
        }
        return Ok(None);
    }
    Ok(match choice {
        // Arguments that follow the schema to the letter, where calls are free.
        None | Some(ToolChoice::Auto) if strict => given("VALIDATED", None),
        None => None,
        Some(ToolChoice::Auto) => given("AUTO", None),
        Some(ToolChoice::None) => given("NONE", None),
        Some(ToolChoice::Required) => given("ANY", None),
        Some(ToolChoice::Function(name)) => given("ANY", Some(name)),
        Some(ToolChoice::Native(raw)) => match Extra::parse(raw.get()) {
            Ok(members) if members.get("functionCallingConfig").is_some() => Some(Config::Whole(raw)),
            Ok(members) if members.get("mode").is_some() && members.get("type").is_none() => {
                Some(Config::Calling(raw.clone()))
            }
            _ => {
                body.warn("tool_choice", "this format has no choice of this form; it was left out")?;
                None
            }
        },
    })
}

/// Functions are one tool; every other is one of its own.
struct Tools<'a> {
    functions: Vec<Declaration<'a>>,
    natives: Vec<&'a RawValue>,
}

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged, rename_all_fields = "camelCase")]
        enum Entry<'a> {
            Functions { function_declarations: &'a [Declaration<'a>] },
            Native(&'a RawValue),
        }
        let functions = (!self.functions.is_empty())
            .then_some(Entry::Functions { function_declarations: &self.functions });
        let natives = self.natives.iter().map(|raw| Entry::Native(raw));
        serializer.collect_seq(functions.into_iter().chain(natives))
    }
}

struct Declaration<'a>(&'a FunctionTool);

impl Serialize for Declaration<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FunctionTool { name, description, parameters, extra, .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", name)?;
        if let Some(description) = description {
            map.serialize_entry("description", description)?;
        }
        if let Some(parameters) = parameters {
            map.serialize_entry("parametersJsonSchema", parameters)?;
        }
        for (name, value) in extra.iter().filter(|(name, _)| BESIDE.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
