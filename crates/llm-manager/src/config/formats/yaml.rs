//! YAML 1.2 into the tree, from the parser's events: `no` and `on` are texts, aliases are copied within a budget, merge
//! keys (`<<`) are filled in, and what a configuration has no use for is refused with its line.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::Unreadable;
use crate::config::tree::{MAX_DEPTH, Member, Node, Value};

pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), budget: Budget::new() };
    let mut document = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::DocumentStart(_), span) if document.is_some() => {
                return Err(Unreadable::new(line(span), "a second document begins here; a file holds one"));
            }
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
            (event, span) => document = Some(reader.node(event, span, MAX_DEPTH + 1)?),
        }
    }
    let empty = || Node { value: Value::Table(Vec::new()), line: 1 };
    Ok(match document {
        // A file of comments only.
        None | Some(Node { value: Value::Null, .. }) => empty(),
        Some(node) => node,
    })
}

/// Counts the values of a document, so that one which writes little and means much is refused.
#[derive(Debug)]
struct Budget {
    left: usize,
}

/// A file of the largest size cannot hold more without repeating itself.
const MAX_NODES: usize = 600_000;

impl Budget {
    fn new() -> Self {
        Self { left: MAX_NODES }
    }

    /// Takes room for so many values; false when there is none.
    fn take(&mut self, nodes: usize) -> bool {
        match self.left.checked_sub(nodes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// What each anchor stands for, with the number of its values. One that is still being read is not there yet.
    anchors: HashMap<usize, (Node, usize)>,
    budget: Budget,
}

fn line(span: Span) -> usize {
    span.start.line().max(1)
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Unreadable> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(e)) => {
                let line = e.marker().line().max(1);
                Err(match e.info() {
                    "recursion limit exceeded" => Unreadable::too_deep(line),
                    info => Unreadable::new(line, format!("this is not YAML: {info}")),
                })
            }
            None => Err(Unreadable::new(1, "this is not YAML: it ends in the middle")),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, left: usize) -> Result<Node, Unreadable> {
        Ok(self.counted(event, span, left)?.0)
    }

    /// A value, and how many values it is made of.
    fn counted(&mut self, event: Event<'a>, span: Span, left: usize) -> Result<(Node, usize), Unreadable> {
        let line = line(span);
        let mut count = 1;
        self.take(1, line)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref(), line)?, anchor),
            Event::SequenceStart(anchor, tag) => {
                core_only(tag.as_deref(), "seq", line)?;
                (self.list(line, left, &mut count)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                core_only(tag.as_deref(), "map", line)?;
                (self.table(line, left, &mut count)?, anchor)
            }
            Event::Alias(id) => {
                let Some((_, size)) = self.anchors.get(&id) else {
                    return Err(Unreadable::new(line, "this alias stands for something that holds it"));
                };
                let size = *size;
                self.take(size, line)?;
                let Some((node, _)) = self.anchors.get(&id) else {
                    return Err(Unreadable::new(line, "this alias stands for nothing"));
                };
                if depth(node) > left {
                    return Err(Unreadable::too_deep(line));
                }
                return Ok((node.clone(), size));
            }
            _ => return Err(Unreadable::new(line, "this is not YAML: a value is missing")),
        };
        let node = Node { value, line };
        if anchor != 0 {
            self.take(count, line)?;
            self.anchors.insert(anchor, (node.clone(), count));
        }
        Ok((node, count))
    }

    fn list(&mut self, line: usize, left: usize, count: &mut usize) -> Result<Value, Unreadable> {
        let left = left.checked_sub(1).ok_or_else(|| Unreadable::too_deep(line))?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => {
                    let (item, size) = self.counted(event, span, left)?;
                    *count += size;
                    items.push(item);
                }
            }
        }
    }

    fn table(&mut self, start: usize, left: usize, count: &mut usize) -> Result<Value, Unreadable> {
        let left = left.checked_sub(1).ok_or_else(|| Unreadable::too_deep(start))?;
        let mut members: Vec<Member> = Vec::new();
        let mut keys = HashSet::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let at = line(span);
            let (key, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, 0, None) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => {
                    return Err(Unreadable::new(
                        at,
                        "a key is a plain text, without anchors, aliases and tags",
                    ));
                }
            };
            let (event, span) = self.next()?;
            let (node, size) = self.counted(event, span, left)?;
            *count += size;
            if plain && key == "<<" {
                merged.push(node);
                continue;
            }
            if !keys.insert(key.clone()) {
                return Err(Unreadable::twice(at, &key));
            }
            members.push(Member { key, line: at, node });
        }
        for node in merged {
            merge(node, &mut members, &mut keys)?;
        }
        Ok(Value::Table(members))
    }

    fn take(&mut self, nodes: usize, line: usize) -> Result<(), Unreadable> {
        if self.budget.take(nodes) {
            return Ok(());
        }
        Err(Unreadable::new(
            line,
            "the aliases of this file stand for more values than a configuration can need",
        ))
    }
}

/// `<<: *defaults` or `<<: [*a, *b]`: what is not said here is said there; the earlier of two wins.
fn merge(node: Node, members: &mut Vec<Member>, keys: &mut HashSet<String>) -> Result<(), Unreadable> {
    match node.value {
        Value::Table(more) => {
            for member in more {
                if keys.insert(member.key.clone()) {
                    members.push(member);
                }
            }
            Ok(())
        }
        Value::List(items) => items.into_iter().try_for_each(|item| match item.value {
            Value::Table(_) => merge(item, members, keys),
            _ => Err(Unreadable::new(item.line, "`<<` merges tables only")),
        }),
        _ => Err(Unreadable::new(node.line, "`<<` merges tables only")),
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Table(members) => 1 + members.iter().map(|member| depth(&member.node)).max().unwrap_or(0),
        _ => 0,
    }
}

fn core_only(tag: Option<&Tag>, wanted: &str, line: usize) -> Result<(), Unreadable> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == wanted) => Err(foreign(tag, line)),
        _ => Ok(()),
    }
}

fn foreign(tag: &Tag, line: usize) -> Unreadable {
    Unreadable::new(line, format!("the tag {:?} means nothing in a configuration", tag.suffix))
}

/// The core schema of YAML 1.2.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Result<Value, Unreadable> {
    if let Some(tag) = tag {
        return match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
            (true, "str") => Ok(Value::Text(text.to_owned())),
            (true, "int" | "float" | "bool" | "null") => Ok(plain(text)),
            _ => Err(foreign(tag, line)),
        };
    }
    Ok(if style == ScalarStyle::Plain { plain(text) } else { Value::Text(text.to_owned()) })
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Switch(true),
        "false" | "False" | "FALSE" => return Value::Switch(false),
        _ => {}
    }
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).ok().filter(|n| *n >= 0);
    let coded = text
        .strip_prefix("0x")
        .and_then(|digits| radix(digits, 16))
        .or_else(|| text.strip_prefix("0o").and_then(|digits| radix(digits, 8)));
    match coded {
        Some(number) => Value::Number(number.to_string()),
        None if is_number(text) => Value::Number(text.to_owned()),
        None => Value::Text(text.to_owned()),
    }
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, and `.inf`, `.nan`.
fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(rest, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (rest, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Value {
        let Value::Table(mut members) = parse(&format!("x: {text}")).unwrap().value else { panic!() };
        members.remove(0).node.value
    }

    #[test]
    fn plain_words_are_what_yaml_1_2_says() {
        let text = |text: &str| Value::Text(text.into());
        let number = |text: &str| Value::Number(text.into());
        for (written, value) in [
            ("no", text("no")),
            ("on", text("on")),
            ("Yes", text("Yes")),
            ("true", Value::Switch(true)),
            ("FALSE", Value::Switch(false)),
            ("~", Value::Null),
            ("", Value::Null),
            ("'true'", text("true")),
            ("\"1\"", text("1")),
            ("!!str 1", text("1")),
            ("0x1F", number("31")),
            ("0o17", number("15")),
            ("017", number("017")),
            ("-1.50", number("-1.50")),
            ("1e3", number("1e3")),
            (".5", number(".5")),
            ("12345678901234567890123", number("12345678901234567890123")),
            ("1.2.3", text("1.2.3")),
            ("12:30", text("12:30")),
            (".", text(".")),
            ("1_000", text("1_000")),
            ("sk-1", text("sk-1")),
        ] {
            assert_eq!(only(written), value, "{written}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_say_what_they_stand_for() {
        let node = parse("a: &d {x: 1, y: 2}\nb:\n  <<: *d\n  y: 3\nc: [*d]\n").unwrap();
        let Value::Table(members) = node.value else { panic!() };
        let Value::Table(b) = &members[1].node.value else { panic!() };
        let told: Vec<_> = b.iter().map(|m| (&*m.key, m.line, &m.node.value)).collect();
        assert_eq!(told, [("y", 4, &Value::Number("3".into())), ("x", 1, &Value::Number("1".into()))]);
        assert_eq!(members[2].node.value, Value::List(vec![members[0].node.clone()]));
    }
}
