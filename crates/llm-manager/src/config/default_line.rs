//! Another `default` in a file of any format, with everything else as it was written.

use std::ops::Range;
use std::path::Path;

use llm_types::{Error, ErrorKind};

use super::edit::with_default;
use super::formats::Format;
use super::tree::{Node, Value};

/// The text of a configuration file with another `default`. The file's ending says what it is written in; comments, order
/// and blanks stay. What comes out is read again, and says the same as before but for the default.
///
/// # Errors
/// Kind `Config`, when the text cannot be read, the name cannot stand there, or the file is written in a way that one line
/// cannot change it; the hint says what to write by hand.
pub fn with_default_as(path: &Path, text: &str, name: &str) -> Result<String, Error> {
    let config = |message: String| Error::new(ErrorKind::Config, message);
    let name = name.trim();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(config("a model's name is not empty and has no control characters".to_owned()));
    }
    let format = Format::of(path);
    let read = |text: &str| {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        format.parse(text).map_err(|e| config(format!("{}:{}: {}", path.display(), e.line, e.message)))
    };
    let before = read(text)?;
    let quoted = serde_json::Value::from(name).to_string();
    let (changed, line) = match format {
        Format::Toml => (Some(with_default(text, name)?), format!("default = {quoted}")),
        Format::Yaml => (in_yaml(text, &quoted), format!("default: {quoted}")),
        Format::Json => (in_json(text, &quoted), format!("\"default\": {quoted}")),
    };
    let kept = |changed: &String| {
        read(changed).is_ok_and(|after| {
            let (was, is) = (members(&before), members(&after));
            let default = is.iter().find(|(key, _)| *key == "default");
            default.is_some_and(|(_, node)| node.value == Value::Text(name.to_owned()))
                && others(&was) == others(&is)
        })
    };
    changed.filter(kept).ok_or_else(|| {
        config(format!("{} is written in a way that its default cannot be changed by itself", path.display()))
            .with_hint(format!("write {line} into it by hand"))
    })
}

fn members(node: &Node) -> Vec<(&str, &Node)> {
    match &node.value {
        Value::Table(members) => members.iter().map(|member| (member.key.as_str(), &member.node)).collect(),
        _ => Vec::new(),
    }
}

/// All but the default, without their lines.
fn others<'a>(all: &[(&'a str, &Node)]) -> Vec<(&'a str, Node)> {
    all.iter().filter(|(key, _)| *key != "default").map(|(key, node)| (*key, shape(node))).collect()
}

/// A value without its lines.
fn shape(node: &Node) -> Node {
    let mut node = node.clone();
    node.line = 0;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| *item = shape(item)),
        Value::Table(members) => {
            for member in members {
                (member.line, member.node) = (0, shape(&member.node));
            }
        }
        _ => {}
    }
    node
}

fn replaced(text: &str, at: Range<usize>, with: &str) -> Option<String> {
    Some([text.get(..at.start)?, with, text.get(at.end..)?].concat())
}

/// A top-level key of YAML begins its line.
fn in_yaml(text: &str, quoted: &str) -> Option<String> {
    let mut at = 0;
    let mut first = None;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        if let Some(rest) = line.strip_prefix("default:") {
            let value = rest.trim_end_matches(['\r', '\n']);
            // A comment stays: it begins with a blank and a `#`, outside of quotes.
            let inside = value.trim_start();
            let end = match inside.chars().next() {
                Some(quote @ ('"' | '\'')) => 1 + inside.get(1..)?.find(quote)? + 1,
                _ => inside.find(" #").map_or(inside.trim_end().len(), |end| {
                    inside.get(..end).map_or(0, |v| v.trim_end().len())
                }),
            };
            let begin = start + "default:".len() + (value.len() - inside.len());
            let blank = if begin == start + "default:".len() { " " } else { "" };
            return replaced(text, begin..begin + end, &format!("{blank}{quoted}"));
        }
        let meaningless = line.trim().is_empty() || line.starts_with('#') || line.starts_with("---");
        if first.is_none() && !meaningless {
            first = Some(start);
        }
    }
    let at = first.unwrap_or(text.len());
    let gap = if text.get(..at)?.is_empty() || text.get(..at)?.ends_with('\n') { "" } else { "\n" };
    replaced(text, at..at, &format!("{gap}default: {quoted}\n"))
}

/// The value of the outermost object's `default`, or a new member at its beginning.
fn in_json(text: &str, quoted: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut open = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '[' => {
                depth += 1;
                open = open.or(Some(at + 1));
            }
            '}' | ']' => depth = depth.checked_sub(1)?,
            '"' => {
                let end = string_end(text, at)?;
                while chars.next_if(|(next, _)| *next < end).is_some() {}
                let rest = text.get(end..)?;
                let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
                if let (1, "\"default\"", Some(value)) = (depth, text.get(at..end)?, value) {
                    let begin = text.len() - value.len();
                    let end = if value.starts_with('"') {
                        string_end(text, begin)?
                    } else {
                        begin + value.find([',', '}', '\n'])?
                    };
                    return replaced(text, begin..end, quoted);
                }
            }
            _ => {}
        }
    }
    let open = open?;
    let rest = text.get(open..)?;
    let empty = rest.trim_start().starts_with('}');
    // As the member after it is indented.
    let gap = rest.get(..rest.len() - rest.trim_start().len()).filter(|_| !empty).unwrap_or("\n");
    let comma = if empty { "" } else { "," };
    replaced(text, open..open, &format!("{gap}\"default\": {quoted}{comma}"))
}

/// The end of a JSON string that begins here.
fn string_end(text: &str, at: usize) -> Option<usize> {
    let mut escaped = false;
    let inside = text.get(at + 1..)?;
    inside.char_indices().find_map(|(offset, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at + 1 + offset + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(file: &str, text: &str) -> Result<String, String> {
        with_default_as(Path::new(file), text, "b/c").map_err(|e| e.to_string())
    }

    #[cfg(feature = "yaml")]
    #[test]
    fn yaml_keeps_its_form() {
        for (text, expected) in [
            ("", "default: \"b/c\"\n"),
            ("default: a # mine\nmax_retries: 1\n", "default: \"b/c\" # mine\nmax_retries: 1\n"),
            ("default: 'a # b'   # c\n", "default: \"b/c\"   # c\n"),
            ("default:\nx: 1\n", "default: \"b/c\"\nx: 1\n"),
            (
                "# Of me.\n\naliases:\n  default: x\n",
                "# Of me.\n\ndefault: \"b/c\"\naliases:\n  default: x\n",
            ),
            ("---\n# top\na: |\n  text\n", "---\n# top\ndefault: \"b/c\"\na: |\n  text\n"),
        ] {
            assert_eq!(changed("x.yaml", text).as_deref(), Ok(expected), "{text:?}");
        }
        for odd in ["{default: a, x: 1}\n", "default: |\n  a\nx: 1\n", "? default\n: a\n"] {
            let refused = changed("x.yml", odd).unwrap_err();
            assert!(refused.contains("cannot be changed by itself"), "{odd:?}: {refused}");
        }
        assert!(changed("x.yaml", "a: [\n").unwrap_err().starts_with("x.yaml:"));
    }

    #[test]
    fn json_keeps_its_form() {
        for (text, expected) in [
            ("{}", "{\n\"default\": \"b/c\"}"),
            ("{ \"default\" : \"a\\\"x\", \"y\": 1 }", "{ \"default\" : \"b/c\", \"y\": 1 }"),
            (
                "{\n  \"a\": {\"default\": \"x\"}\n}\n",
                "{\n  \"default\": \"b/c\",\n  \"a\": {\"default\": \"x\"}\n}\n",
            ),
            ("{\"default\":null}", "{\"default\":\"b/c\"}"),
            ("{\"a\":\"default\",\"default\":\"x\"}", "{\"a\":\"default\",\"default\":\"b/c\"}"),
        ] {
            assert_eq!(changed("x.json", text).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn toml_is_as_before_and_names_are_checked() {
        assert_eq!(changed("x.toml", "# a\ndefault = 'x' # b\n").unwrap(), "# a\ndefault = \"b/c\" # b\n");
        assert!(with_default_as(Path::new("x.json"), "{}", "a\nb").is_err());
        assert!(changed("x.toml", "a =").is_err());
    }
}
