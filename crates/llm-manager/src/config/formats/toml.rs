//! TOML into the tree.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{Lines, Unreadable};
use crate::config::tree::{MAX_DEPTH, Member, Node, Value};

pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let lines = Lines::of(text);
    // The parser's own Display would show the line itself, which may hold a key.
    let document = DeTable::parse(text).map_err(|error| {
        let line = lines.at(error.span().map_or(0, |span| span.start));
        Unreadable::new(line, format!("this is not TOML: {}", error.message()))
    })?;
    let line = lines.at(document.span().start);
    Ok(Node { value: table(document.into_inner(), &lines, MAX_DEPTH)?, line })
}

fn table(table: DeTable<'_>, lines: &Lines, left: usize) -> Result<Value, Unreadable> {
    let mut members = Vec::with_capacity(table.len());
    for (key, value) in table {
        let at = key.span().start;
        let node = node(value, lines, left)?;
        members.push((at, Member { key: key.into_inner().into_owned(), line: lines.at(at), node }));
    }
    // The parser sorts by name; the user's order says which provider comes first.
    members.sort_by_key(|(at, _)| *at);
    Ok(Value::Table(members.into_iter().map(|(_, member)| member).collect()))
}

fn node(value: Spanned<DeValue<'_>>, lines: &Lines, left: usize) -> Result<Node, Unreadable> {
    let line = lines.at(value.span().start);
    let deeper = || left.checked_sub(1).ok_or_else(|| Unreadable::too_deep(line));
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => Value::Number(decimal(&number).ok_or_else(|| {
            Unreadable::new(
                line,
                format!("{number} is too large a number in this notation; write it in decimal"),
            )
        })?),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(switch) => Value::Switch(switch),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => {
            let left = deeper()?;
            Value::List(items.into_iter().map(|item| node(item, lines, left)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(inner) => table(inner, lines, deeper()?)?,
    };
    Ok(Node { value, line })
}

fn decimal(number: &DeInteger<'_>) -> Option<String> {
    if number.radix() == 10 {
        return Some(number.as_str().to_owned());
    }
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(|value| value.to_string())
}
