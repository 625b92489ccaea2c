//! JSON into the tree. `serde_json` does the reading; where a value stands is told by its piece of the text.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Lines, Unreadable};
use crate::config::tree::{MAX_DEPTH, Member, Node, Value};

pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let lines = Lines::of(text);
    let whole: &RawValue = serde_json::from_str(text).map_err(|e| {
        let message = e.to_string();
        // The place is said in front.
        let message = message.split(" at line ").next().unwrap_or_default();
        Unreadable::new(e.line().max(1), format!("this is not JSON: {message}"))
    })?;
    let reader = Reader { text, lines };
    reader.node(whole, MAX_DEPTH + 1)
}

struct Reader<'a> {
    text: &'a str,
    lines: Lines,
}

impl<'a> Reader<'a> {
    /// Where a piece of the text begins.
    fn offset(&self, piece: &str) -> usize {
        (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    fn node(&self, raw: &'a RawValue, left: usize) -> Result<Node, Unreadable> {
        let piece = raw.get();
        let line = self.lines.at(self.offset(piece));
        let wrong = |e: serde_json::Error| Unreadable::new(line, format!("this is not JSON: {e}"));
        let deeper = || left.checked_sub(1).ok_or_else(|| Unreadable::too_deep(line));
        let value = match piece.as_bytes().first() {
            Some(b'{') => {
                let left = deeper()?;
                let mut reader = serde_json::Deserializer::from_str(piece);
                self.table(reader.deserialize_map(Members).map_err(wrong)?, piece, left)?
            }
            Some(b'[') => {
                let left = deeper()?;
                let mut reader = serde_json::Deserializer::from_str(piece);
                let items = reader.deserialize_seq(Items).map_err(wrong)?;
                Value::List(items.into_iter().map(|item| self.node(item, left)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(serde_json::from_str(piece).map_err(wrong)?),
            Some(b't') => Value::Switch(true),
            Some(b'f') => Value::Switch(false),
            Some(b'n') => Value::Null,
            _ => Value::Number(piece.to_owned()),
        };
        Ok(Node { value, line })
    }

    fn table(
        &self,
        found: Vec<(String, &'a RawValue)>,
        piece: &str,
        left: usize,
    ) -> Result<Value, Unreadable> {
        let mut seen = std::collections::HashSet::with_capacity(found.len());
        let mut members = Vec::with_capacity(found.len());
        // Behind the brace, or behind the value before.
        let mut behind = self.offset(piece) + 1;
        for (key, raw) in found {
            let line = self.lines.at(self.next_quote(behind));
            if !seen.insert(key.clone()) {
                return Err(Unreadable::twice(line, &key));
            }
            behind = self.offset(raw.get()) + raw.get().len();
            members.push(Member { key, line, node: self.node(raw, left)? });
        }
        Ok(Value::Table(members))
    }

    /// Where the next key begins: only white space and a comma can stand before it.
    fn next_quote(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        from + rest.find('"').unwrap_or_default()
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}
