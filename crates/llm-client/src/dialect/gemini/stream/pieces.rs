//! The arguments of a call that come in pieces: values, and pieces of texts, each with its path.

use std::fmt::Write as _;

use serde_json::value::RawValue;

use crate::dialect::gemini::wire::Piece;
use crate::dialect::json::Raw;

/// What may be kept of one call.
const MOST_BYTES: usize = 32 << 20;
const MOST_DEPTH: usize = 64;
const MOST_ITEMS: usize = 10_000;

/// The arguments so far.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    root: Node,
    bytes: usize,
}

/// A value, whole or not.
#[derive(Debug, Default)]
enum Node {
    #[default]
    None,
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text {
        text: String,
        goes_on: bool,
    },
    Value(Box<RawValue>),
}

/// A step of a path.
enum Step {
    Member(String),
    Item(usize),
}

impl Pieces {
    /// Takes all arguments at once.
    pub(super) fn set(&mut self, all: &RawValue) {
        self.root = Node::Value(all.to_owned());
    }

    /// Takes a piece; `false` when the arguments have become too large. One whose path means nothing is left out.
    pub(super) fn push(&mut self, piece: Piece<'_>, repaired: &mut bool) -> bool {
        let Some(steps) = steps(piece.path.as_str()) else { return true };
        if steps.len() > MOST_DEPTH {
            return false;
        }
        let goes_on = piece.goes_on.json() == "true";
        let is_null = !piece.null.as_str().is_empty();
        let value = match [piece.number, piece.boolean].into_iter().find_map(Raw::some) {
            Some(raw) => Node::Value(raw.to_owned()),
            None if piece.string.some().is_none() && is_null => Node::Value(RawValue::NULL.to_owned()),
            None => {
                let text = piece.string.to_text(repaired).unwrap_or_default().into_owned();
                Node::Text { text, goes_on }
            }
        };
        self.bytes = self.bytes.saturating_add(value.bytes());
        if self.bytes > MOST_BYTES {
            return false;
        }
        let Some(node) = steps.into_iter().try_fold(&mut self.root, |node, step| node.child(step)) else {
            return false;
        };
        match (node, value) {
            (Node::Text { text, goes_on: on @ true }, Node::Text { text: more, goes_on }) => {
                text.push_str(&more);
                *on = goes_on;
            }
            (node, value) => *node = value,
        }
        true
    }

    /// The arguments as JSON; an empty object where none came.
    pub(super) fn into_json(self) -> String {
        match self.root {
            Node::None => "{}".to_owned(),
            Node::Value(all) => Box::<str>::from(all).into_string(),
            root => {
                let mut out = String::new();
                root.write(&mut out);
                out
            }
        }
    }
}

impl Node {
    fn bytes(&self) -> usize {
        match self {
            Self::Text { text, .. } => text.len(),
            Self::Value(raw) => raw.get().len(),
            _ => 0,
        }
    }

    /// What is one step below, made where it is new.
    fn child(&mut self, step: Step) -> Option<&mut Self> {
        match step {
            Step::Member(name) => {
                if !matches!(self, Self::Object(_)) {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(members) = self else { return None };
                let at = members.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                    members.push((name, Self::None));
                    members.len() - 1
                });
                members.get_mut(at).filter(|_| at < MOST_ITEMS).map(|(_, node)| node)
            }
            Step::Item(at) => {
                if !matches!(self, Self::List(_)) {
                    *self = Self::List(Vec::new());
                }
                let Self::List(items) = self else { return None };
                if at >= MOST_ITEMS {
                    return None;
                }
                if items.len() <= at {
                    items.resize_with(at + 1, Self::default);
                }
                items.get_mut(at)
            }
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::None => out.push_str("null"),
            Self::Value(raw) => out.push_str(raw.get()),
            Self::Text { text, .. } => write_text(text, out),
            Self::Object(members) => {
                out.push('{');
                for (place, (name, node)) in members.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { "," });
                    write_text(name, out);
                    out.push(':');
                    node.write(out);
                }
                out.push('}');
            }
            Self::List(items) => {
                out.push('[');
                for (place, node) in items.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { "," });
                    node.write(out);
                }
                out.push(']');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    let _ = write!(out, "{}", serde_json::Value::from(text));
}

/// The steps of a path such as `$.a.b[0]` or `$['a b']`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$')?;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let (name, tail) = tail.split_at_checked(end)?;
            steps.push(Step::Member(name.to_owned()));
            rest = tail;
            continue;
        }
        let inside = rest.strip_prefix('[')?;
        let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
        rest = if let Some(quote) = quote {
            let (name, tail) = inside.get(1..)?.split_once(quote)?;
            steps.push(Step::Member(name.to_owned()));
            tail.strip_prefix(']')?
        } else {
            let (number, tail) = inside.split_once(']')?;
            steps.push(Step::Item(number.parse().ok()?));
            tail
        };
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(pieces: &[&str]) -> String {
        let mut all = Pieces::default();
        for json in pieces {
            assert!(all.push(serde_json::from_str(json).unwrap(), &mut false), "{json}");
        }
        all.into_json()
    }

    #[test]
    fn pieces_are_put_where_their_paths_point() {
        for (pieces, json) in [
            (&[][..], "{}"),
            (
                &[
                    r#"{"jsonPath":"$.a.b","stringValue":"Bo","willContinue":true}"#,
                    r#"{"jsonPath":"$.a.b","stringValue":"st\"on","willContinue":true}"#,
                    r#"{"jsonPath":"$.a.b","stringValue":""}"#,
                    r#"{"jsonPath":"$.n","numberValue":1.50}"#,
                    r#"{"jsonPath":"$.yes","boolValue":true}"#,
                    r#"{"jsonPath":"$.no","nullValue":"NULL_VALUE"}"#,
                ],
                r#"{"a":{"b":"Bost\"on"},"n":1.50,"yes":true,"no":null}"#,
            ),
            (
                &[
                    r#"{"jsonPath":"$.l[0].x","stringValue":"a"}"#,
                    r#"{"jsonPath":"$.l[1]","numberValue":2}"#,
                    r#"{"jsonPath":"$['k k'][\"q\"]","stringValue":"b"}"#,
                ],
                r#"{"l":[{"x":"a"},2],"k k":{"q":"b"}}"#,
            ),
            // A text that does not go on is replaced, as any value.
            (
                &[r#"{"jsonPath":"$.a","stringValue":"x"}"#, r#"{"jsonPath":"$.a","stringValue":"y"}"#],
                r#"{"a":"y"}"#,
            ),
            (&[r#"{"jsonPath":"a.b","stringValue":"x"}"#, r#"{"jsonPath":"$.[","stringValue":"x"}"#], "{}"),
        ] {
            assert_eq!(assemble(pieces), json);
        }
    }

    #[test]
    fn what_would_grow_without_bounds_is_refused() {
        for path in [format!("$.a[{MOST_ITEMS}]"), format!("${}", ".a".repeat(MOST_DEPTH + 1))] {
            let json = format!(r#"{{"jsonPath":"{path}","stringValue":"x"}}"#);
            let mut all = Pieces::default();
            assert!(!all.push(serde_json::from_str(&json).unwrap(), &mut false), "{path}");
        }
    }
}
