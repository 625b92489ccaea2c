//! `--tools FILE`: what the model may call, in OpenAI's shape, and the programs behind it.
//!
//! A tool may have a member `run`, a list of a program and its arguments. It stays here: no server hears of it.

use std::path::Path;

use llm_types::{ChatRequest, Extra, Invalid, Tool, ToolChoice};
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::prompt;

const EXAMPLE: &str = r#"[{"name": "weather", "description": "…", "parameters": {"type": "object", …}, "run": ["./weather.sh"]}, …]"#;
/// What may stand beside the tools. `messages`, so that one file can serve `--messages` too.
const MEMBERS: [&str; 4] = ["tools", "tool_choice", "parallel_tool_calls", "messages"];

/// A program behind a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The tool's name.
    pub(crate) tool: String,
    /// The program. It is started as it is named, by no shell.
    pub(crate) program: String,
    /// Its arguments.
    pub(crate) args: Vec<String>,
}

/// Reads the tools into a request, and gives the programs behind them.
///
/// # Errors
/// The file is not there, or is not a list of tools: what is wrong, and where.
pub(crate) fn read(path: &Path, request: &mut ChatRequest) -> Result<Vec<Program>, Failure> {
    if prompt::is_stdin(path) {
        return Err(Failure::usage("--tools reads a file, and stdin is the prompt's").hint("--tools FILE"));
    }
    let (name, text) = prompt::read_file(path)?;
    let wrong = |message: String| Failure::usage(format!("`{name}`: {message}")).hint(EXAMPLE);
    let json = text.trim();
    check_json(json).map_err(wrong)?;
    tools(json, request).map_err(|invalid| wrong(invalid.to_string()))
}

fn tools(json: &str, request: &mut ChatRequest) -> Result<Vec<Program>, Invalid> {
    let mut members = match json.as_bytes().first() {
        Some(b'[') => Extra::from_iter([("tools".to_owned(), raw(json.to_owned())?)]),
        Some(b'{') => Extra::parse(json)?,
        _ => return Err(Invalid::new("", "neither a list of tools nor an object with `tools`")),
    };
    if let Some((name, _)) = members.iter().find(|(name, _)| !MEMBERS.contains(name)) {
        return Err(Invalid::new(name, format!("unknown here; there may be {}", MEMBERS.join(", "))));
    }
    members.take("messages");
    let list = members.take_as::<Vec<Box<RawValue>>>("tools")?;
    let list = list.filter(|list| !list.is_empty()).ok_or_else(|| Invalid::new("tools", "there is none"))?;
    let mut programs = Vec::new();
    let mut written = Vec::with_capacity(list.len());
    for (at, entry) in list.iter().enumerate() {
        let place = |invalid: Invalid| invalid.inside(&format!("tools[{at}]"));
        let (entry, program) = split(entry.get()).map_err(place)?;
        programs.extend(program);
        written.push(entry);
    }
    members.insert("tools", raw(format!("[{}]", written.join(",")))?);
    request.set_from(members)?;
    check(request)?;
    Ok(programs)
}

/// An entry as a server may have it, and its program.
fn split(json: &str) -> Result<(String, Option<Program>), Invalid> {
    let mut tool = Extra::parse(json)?;
    let outer = tool.take("run");
    let is_bare = tool.get("function").is_none() && tool.get("name").is_some();
    let kind = tool.get("type").map(|kind| kind.get().to_owned());
    let mut function = match tool.take("function") {
        Some(function) => Extra::parse(function.get()).map_err(|e| e.inside("function"))?,
        None if is_bare && kind.as_deref().is_none_or(|kind| kind == r#""function""#) => {
            tool.take("type");
            std::mem::take(&mut tool)
        }
        // A tool of the vendor's own is written as its server wants it.
        None if kind.is_some() && outer.is_none() => return Ok((json.to_owned(), None)),
        None if kind.is_some() => {
            return Err(Invalid::new(
                "run",
                "only a function is run here, and the vendor runs its own tools",
            ));
        }
        None => return Err(Invalid::new("name", "missing")),
    };
    let run = function.take("run").or(outer);
    let name = function.get("name").and_then(|name| serde_json::from_str::<String>(name.get()).ok());
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Invalid::new("name", "missing, or not a text"))?;
    if function
        .get("parameters")
        .is_some_and(|schema| !schema.get().starts_with('{') && schema.get() != "null")
    {
        return Err(Invalid::new("parameters", "not an object; it holds a JSON schema"));
    }
    let program = run.map(|run| program(&name, &run)).transpose()?;
    tool.insert("type", raw(r#""function""#.to_owned())?);
    tool.insert("function", raw(serde_json::to_string(&function).unwrap_or_default())?);
    Ok((serde_json::to_string(&tool).unwrap_or_default(), program))
}

fn program(tool: &str, run: &RawValue) -> Result<Program, Invalid> {
    let words: Option<Vec<String>> = serde_json::from_str(run.get()).ok();
    let mut words = words.unwrap_or_default().into_iter();
    let program = words.next().filter(|program| !program.is_empty());
    let wanted = r#"a list of a program and its arguments is wanted, such as ["./weather.sh", "--now"]; no shell reads it"#;
    let program = program.ok_or_else(|| Invalid::new("run", wanted))?;
    Ok(Program { tool: tool.to_owned(), program, args: words.collect() })
}

/// Names that come twice, and a choice of what is not there.
fn check(request: &ChatRequest) -> Result<(), Invalid> {
    let names: Vec<&str> = request.tools.iter().filter_map(name).collect();
    if let Some((at, twice)) =
        names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name))
    {
        return Err(Invalid::new(format!("tools[{at}].name"), format!("`{twice}` is there already")));
    }
    match &request.tool_choice {
        Some(ToolChoice::Function(chosen)) if !names.contains(&chosen.as_str()) => {
            let known = names.join(", ");
            Err(Invalid::new("tool_choice", format!("there is no tool `{chosen}`; there are {known}")))
        }
        // A word of the vendor's own would go out as it stands, and come back as a refusal.
        Some(ToolChoice::Native(raw)) if raw.get().starts_with('"') => {
            let message = format!(
                "{} is no choice; auto, none, required or an object that names a function is",
                raw.get()
            );
            Err(Invalid::new("tool_choice", message))
        }
        _ => Ok(()),
    }
}

fn name(tool: &Tool) -> Option<&str> {
    match tool {
        Tool::Function(function) => Some(&function.name),
        Tool::Native(_) => None,
    }
}

fn raw(json: String) -> Result<Box<RawValue>, Invalid> {
    RawValue::from_string(json).map_err(|e| Invalid::new("", e.to_string()))
}

/// Whether a text is JSON at all; if not, where it ceases to be.
///
/// # Errors
/// The fault with its line and column.
pub(crate) fn check_json(text: &str) -> Result<(), String> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Ok(()),
        Err(_) if text.is_empty() => Err("it is empty, and JSON is wanted".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<(ChatRequest, Vec<Program>), String> {
        let mut request = ChatRequest::default();
        let programs = tools(json, &mut request).map_err(|invalid| invalid.to_string())?;
        Ok((request, programs))
    }

    #[test]
    fn every_shape_of_a_function_is_read_and_its_program_stays_here() {
        let schema = r#"{"type":"object","x":1e2}"#;
        for json in [
            format!(r#"[{{"name":"f","description":"d","parameters":{schema},"run":["p","a"]}}]"#),
            format!(
                r#"{{"tools":[{{"type":"function","name":"f","description":"d","parameters":{schema},"run":["p","a"]}}]}}"#
            ),
            format!(
                r#"[{{"type":"function","run":["p","a"],"function":{{"name":"f","description":"d","parameters":{schema}}}}}]"#
            ),
            format!(
                r#"[{{"type":"function","function":{{"name":"f","description":"d","parameters":{schema},"run":["p","a"]}}}}]"#
            ),
        ] {
            let (request, programs) = read(&json).unwrap();
            let [Tool::Function(function)] = &request.tools[..] else { panic!("{request:?}") };
            assert_eq!((function.name.as_str(), function.description.as_deref()), ("f", Some("d")), "{json}");
            assert_eq!(function.parameters.as_ref().unwrap().get(), schema);
            assert!(function.extra.is_empty(), "{function:?}");
            assert_eq!(programs, [Program { tool: "f".into(), program: "p".into(), args: vec!["a".into()] }]);
        }
        let (request, programs) = read(r#"[{"type":"web_search","max_uses":3}]"#).unwrap();
        assert!(matches!(&request.tools[..], [Tool::Native(raw)] if raw.get().contains("max_uses")));
        assert!(programs.is_empty());
    }

    #[test]
    fn a_choice_comes_along() {
        let tools = r#""tools":[{"name":"f"},{"name":"g"}]"#;
        let (request, _) =
            read(&format!(r#"{{{tools},"tool_choice":{{"type":"function","function":{{"name":"g"}}}},"parallel_tool_calls":false}}"#))
                .unwrap();
        assert!(matches!(&request.tool_choice, Some(ToolChoice::Function(name)) if name == "g"));
        assert_eq!(request.parallel_tool_calls, Some(false));
        let choice = r#""tool_choice":{"type":"function","function":{"name":"h"}}"#;
        assert_eq!(
            read(&format!("{{{tools},{choice}}}")).unwrap_err(),
            "tool_choice: there is no tool `h`; there are f, g"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (json, said) in [
            ("[]", "tools: there is none"),
            ("{}", "tools: there is none"),
            (r#""f""#, "neither a list"),
            ("[5]", "tools[0]: "),
            ("[{}]", "tools[0].name: missing"),
            (r#"[{"name":""}]"#, "tools[0].name: missing"),
            (r#"[{"name":"f"},{"type":"function"}]"#, "tools[1]"),
            (r#"[{"name":"f"},{"name":"f"}]"#, "tools[1].name: `f` is there already"),
            (r#"[{"name":"f","parameters":[]}]"#, "tools[0].parameters: not an object"),
            (r#"[{"name":"f","run":"rm -rf x"}]"#, "tools[0].run: a list of a program"),
            (r#"[{"name":"f","run":[]}]"#, "tools[0].run: a list of a program"),
            (r#"[{"name":"f","run":["p",1]}]"#, "tools[0].run: a list of a program"),
            (r#"[{"type":"web_search","run":["p"]}]"#, "tools[0].run: only a function"),
            (
                r#"{"tools":[{"name":"f"}],"tool_choice":"sometimes"}"#,
                r#"tool_choice: "sometimes" is no choice; auto, none, required or an object"#,
            ),
            (r#"{"tool":[]}"#, "tool: unknown here; there may be tools, tool_choice"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(said), "{json}: {error}");
        }
    }
}
