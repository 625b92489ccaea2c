//! What a configuration file says, whatever it is written in: a tree of values, each with its line.

use serde_json::value::RawValue;

/// The deepest nesting of tables and lists that a file may have.
pub(super) const MAX_DEPTH: usize = 64;

/// A value and the line it begins on, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) line: usize,
}

/// A value. Numbers keep the digits they were written with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    /// In decimal, as it stands in the file.
    Number(String),
    Switch(bool),
    /// Only TOML has dates.
    Date(String),
    List(Vec<Node>),
    /// In the order of the file; no key stands twice.
    Table(Vec<Member>),
}

/// A key of a table with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    /// The line of the key.
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Value {
    /// What it is, in words.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Switch(_) => "a switch",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The value as JSON, to be sent as it is: numbers keep their digits.
    pub(super) fn to_json(&self) -> Result<Box<RawValue>, String> {
        let mut text = String::new();
        self.write_json(&mut text)?;
        RawValue::from_string(text).map_err(|e| format!("it cannot be sent as JSON: {e}"))
    }

    fn write_json(&self, out: &mut String) -> Result<(), String> {
        match self {
            Self::Null => out.push_str("null"),
            Self::Switch(switch) => out.push_str(if *switch { "true" } else { "false" }),
            Self::Text(text) => write_text(text, out),
            Self::Number(digits) => {
                out.push_str(&json_number(digits).ok_or_else(|| format!("{digits} cannot be sent as JSON"))?);
            }
            Self::Date(date) => return Err(format!("JSON has no dates; write \"{date}\" as a text")),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.value.write_json(out)?;
                }
                out.push(']');
            }
            Self::Table(members) => {
                out.push('{');
                for (at, member) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(&member.key, out);
                    out.push(':');
                    member.node.value.write_json(out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// The digits as JSON wants them: no plus sign, no bare point. `None` for what is no finite number.
fn json_number(digits: &str) -> Option<String> {
    let (sign, rest) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let number = format!("{sign}{whole}{point}{fraction}{exponent}");
    serde_json::from_str::<&RawValue>(&number).ok()?;
    number.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sent_as_they_were_written() {
        for (written, sent) in [
            ("1", Some("1")),
            ("-0.50", Some("-0.50")),
            ("+7", Some("7")),
            ("007", Some("7")),
            (".5", Some("0.5")),
            ("5.", Some("5")),
            ("1E+3", Some("1E+3")),
            ("123456789012345678901234567890.123456789", Some("123456789012345678901234567890.123456789")),
            ("inf", None),
            ("nan", None),
            ("-", None),
            ("1e", None),
        ] {
            assert_eq!(json_number(written).as_deref(), sent, "{written}");
        }
    }
}
