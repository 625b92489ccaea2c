//! Which row of a list a model's name means.

use std::collections::BTreeMap;

/// Rows by the names and the beginnings of names that they go by, all in lower case.
#[derive(Debug)]
pub(super) struct Names<R> {
    rows: Vec<R>,
    exact: BTreeMap<String, usize>,
    begins: BTreeMap<String, usize>,
}

impl<R> Default for Names<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), exact: BTreeMap::new(), begins: BTreeMap::new() }
    }
}

/// What a model of another kind than its family's has in its name: its tokens are priced otherwise.
const OTHER_KINDS: [&str; 8] =
    ["tts", "image", "audio", "live", "realtime", "transcribe", "search", "embedding"];

impl<R> Names<R> {
    /// One more row. A name that is taken keeps its first row.
    pub(super) fn add(&mut self, name: &str, names: &[String], begins: &[String], row: R) {
        let at = self.rows.len();
        self.rows.push(row);
        for name in std::iter::once(name).chain(names.iter().map(String::as_str)) {
            self.exact.entry(name.to_lowercase()).or_insert(at);
        }
        for begin in begins {
            self.begins.entry(begin.to_lowercase()).or_insert(at);
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.iter()
    }

    /// The row of a name: the name itself, else without its date, else by family; then the same without the folders
    /// before it.
    pub(super) fn find(&self, name: &str) -> Option<&R> {
        let name = name.trim().to_lowercase();
        let mut rest = Some(name.as_str());
        while let Some(name) = rest {
            if let Some(at) = self.at(name) {
                return self.rows.get(at);
            }
            rest = name.split_once('/').map(|(_, tail)| tail);
        }
        None
    }

    fn at(&self, name: &str) -> Option<usize> {
        let exact = |name: &str| self.exact.get(name).copied();
        let family = || {
            let mut lengths = (1..=name.len()).rev().filter_map(|length| name.split_at_checked(length));
            let (at, rest) = lengths.find_map(|(begin, rest)| Some((self.begins.get(begin)?, rest)))?;
            let other = rest.split(|c: char| !c.is_alphanumeric()).any(|word| OTHER_KINDS.contains(&word));
            (!other).then_some(*at)
        };
        exact(name).or_else(|| exact(undated(name)?)).or_else(family)
    }
}

/// The name without what marks a snapshot of it: `-20251001`, `@20251001`, `-2025-10-01`, `-001`, `-latest`.
fn undated(name: &str) -> Option<&str> {
    let shapes: [&[usize]; 3] = [&[4, 2, 2], &[8], &[3]];
    let cut = shapes.iter().find_map(|groups| {
        let mut rest = name;
        for length in groups.iter().rev() {
            let (head, digits) = rest.split_at_checked(rest.len().checked_sub(*length)?)?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            rest = head.strip_suffix(['-', '@'])?;
        }
        Some(rest)
    });
    cut.or_else(|| name.strip_suffix("-latest")).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_is_told_from_a_version() {
        for (name, rest) in [
            ("m-20251001", Some("m")),
            ("m@20251001", Some("m")),
            ("m-2025-10-01", Some("m")),
            ("m-001", Some("m")),
            ("m-latest", Some("m")),
            ("m-5", None),
            ("m-0613", None),
            ("m-4-5", None),
            ("20251001", None),
            ("-20251001", None),
            ("größe-001", Some("größe")),
            ("é01", None),
        ] {
            assert_eq!(undated(name), rest, "{name}");
        }
    }

    #[test]
    fn the_nearest_name_counts() {
        let mut names = Names::default();
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        names.add("Big", &list("big-chat"), &[], 1);
        names.add("big-2025-01-01", &[], &[], 2);
        names.add("family", &[], &list("fam fam-two"), 3);
        names.add("fam-two-x", &[], &list("fam-two-x"), 4);
        names.add("acme/own", &[], &[], 5);
        for (name, row) in [
            ("big", Some(1)),
            (" BIG-Chat ", Some(1)),
            ("big-2025-01-01", Some(2)),
            ("big-2026-01-01", Some(1)),
            ("bigger", None),
            ("fam-one", Some(3)),
            ("fam-two-y", Some(3)),
            ("fam-two-x-1", Some(4)),
            ("fam-two-x-tts", None),
            ("fam-one-image-2", None),
            ("fam-imagery", Some(3)),
            ("models/big", Some(1)),
            ("a/b/models/fam", Some(3)),
            ("acme/own", Some(5)),
            ("own", None),
            ("x/acme/own", Some(5)),
            ("", None),
            ("/", None),
        ] {
            assert_eq!(names.find(name).copied(), row, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_looked_up(name in "\\PC{0,40}") {
            let mut names = Names::default();
            names.add("é", &[], &["é-".to_owned()], 1);
            names.find(&name);
        }
    }
}
