//! Any document reads the same in every format, and no text does worse than being refused.

use proptest::prelude::*;

use super::*;
use crate::config::tree::{Member, Value};

fn plain() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ -~äß→\\n\\t\"\\\\]{0,12}".prop_map(Value::Text),
        any::<i64>().prop_map(|n| Value::Number(n.to_string())),
        (-1000i32..1000, 0u32..1000).prop_map(|(whole, part)| Value::Number(format!("{whole}.{part}"))),
        any::<bool>().prop_map(Value::Switch),
    ]
}

fn table_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-z A-Z:#'\"=.<\\n-]{0,8}", value, 0..5).prop_map(|members| {
        let member = |(key, value)| Member { key, line: 1, node: Node { value, line: 1 } };
        Value::Table(members.into_iter().map(member).collect())
    })
}

fn document() -> impl Strategy<Value = Value> {
    let value = plain().prop_recursive(4, 32, 5, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..5)
            .prop_map(|items| Value::List(items.into_iter().map(|value| Node { value, line: 1 }).collect()));
        prop_oneof![list, table_of(inner)]
    });
    table_of(value)
}

/// The value as TOML has it, inline.
fn toml(value: &Value, out: &mut String) {
    match value {
        Value::List(items) => {
            out.push('[');
            for item in items {
                toml(&item.value, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Table(members) => {
            out.push('{');
            for (at, member) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                toml_text(&member.key, out);
                out.push('=');
                toml(&member.node.value, out);
            }
            out.push('}');
        }
        Value::Text(text) => toml_text(text, out),
        Value::Number(digits) => out.push_str(digits),
        Value::Switch(switch) => out.push_str(&switch.to_string()),
        Value::Null | Value::Date(_) => panic!("not made here"),
    }
}

/// JSON's quotation is TOML's, for what is made here.
fn toml_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// The tree without its lines.
fn bare(node: &Node) -> String {
    node.value.to_json().unwrap().get().to_owned()
}

proptest! {
    #[test]
    fn a_document_reads_the_same_in_every_format(value in document()) {
        let wanted = value.to_json().unwrap().get().to_owned();
        let json = Format::Json.parse(&wanted).unwrap();
        prop_assert_eq!(bare(&json), &*wanted);
        // Each of the document's keys on a line of its own.
        let Value::Table(members) = &value else { panic!("a table") };
        let mut text = String::new();
        for member in members {
            toml_text(&member.key, &mut text);
            text.push_str(" = ");
            toml(&member.node.value, &mut text);
            text.push('\n');
        }
        let read = Format::Toml.parse(&text).unwrap();
        prop_assert_eq!(bare(&read), &*wanted);
        let Value::Table(read) = read.value else { panic!("a table") };
        prop_assert!(read.iter().zip(1..).all(|(member, line)| member.line == line));
        #[cfg(feature = "yaml")]
        {
            // YAML reads JSON.
            let yaml = Format::Yaml.parse(&wanted).unwrap();
            prop_assert_eq!(bare(&yaml), &*wanted);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9:{}\\[\\]\"'&*!|>%@#,?~<=. \\n\\t-]{0,80}") {
        for format in [Format::Toml, Format::Json, Format::Yaml] {
            if let Err(unreadable) = format.parse(&text) {
                prop_assert!(unreadable.line >= 1 && !unreadable.message.is_empty());
            }
        }
    }

    #[test]
    fn any_cut_of_a_document_is_read_or_refused(value in document(), at in any::<prop::sample::Index>()) {
        let text = value.to_json().unwrap().get().to_owned();
        let cut: String = text.chars().take(at.index(text.chars().count() + 1)).collect();
        for format in [Format::Json, Format::Yaml] {
            let _ = format.parse(&cut);
        }
    }
}
