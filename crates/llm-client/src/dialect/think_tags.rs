//! Reasoning inside the content, between tags: told apart at any split of the text.

/// Whether and where content holds reasoning between tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThinkTags {
    /// Content is content.
    Off,
    /// Reasoning begins where the first thing that is not blank is the open tag.
    Leading(TagPair),
    /// The answer begins inside reasoning, because the open tag is part of the prompt.
    StartsOpen(TagPair),
}

/// A tag that opens reasoning, and the one that closes it. Neither is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagPair {
    /// Opens.
    pub open: &'static str,
    /// Closes.
    pub close: &'static str,
}

impl TagPair {
    /// The most common pair.
    pub const THINK: Self = Self { open: "<think>", close: "</think>" };
    /// The word written out.
    pub const THINKING: Self = Self { open: "<thinking>", close: "</thinking>" };
    /// Another word.
    pub const REASONING: Self = Self { open: "<reasoning>", close: "</reasoning>" };
    /// With a namespace.
    pub const SEED_THINK: Self = Self { open: "<seed:think>", close: "</seed:think>" };
    /// In square brackets.
    pub const BRACKETS: Self = Self { open: "[THINK]", close: "[/THINK]" };
    /// Between triangles.
    pub const TRIANGLES: Self = Self { open: "◁think▷", close: "◁/think▷" };
    /// All that have a name here.
    pub const ALL: &'static [Self] =
        &[Self::THINK, Self::THINKING, Self::REASONING, Self::SEED_THINK, Self::BRACKETS, Self::TRIANGLES];
}

impl ThinkTags {
    /// What a configuration's words stand for: `off`, `leading` or `starts_open`, the last two with the open tag behind
    /// them where it is not the most common one (`leading [THINK]`).
    #[must_use]
    pub fn parse(words: &str) -> Option<Self> {
        let (mode, tag) = words.split_once(' ').unwrap_or((words, TagPair::THINK.open));
        let tags = TagPair::ALL.iter().copied().find(|tags| tags.open == tag.trim())?;
        match mode {
            "off" if mode == words => Some(Self::Off),
            "leading" => Some(Self::Leading(tags)),
            "starts_open" => Some(Self::StartsOpen(tags)),
            _ => None,
        }
    }
}

/// A piece of content after its reasoning was told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Reasoning(&'a str),
}

/// Tells the reasoning of one choice apart.
///
/// Only the first block is special: later tags are text, such as in code about tags.
#[derive(Debug)]
pub(crate) struct Splitter {
    tags: TagPair,
    at: At,
    /// The end of the text so far, as long as it may become a tag.
    held: String,
}

/// More blanks than this before anything else are content: nothing is held back without bound.
const MOST_BLANKS: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before anything that is not blank. `bool`: reasoning follows even without the open tag.
    Start(bool),
    /// Past the open tag, before anything that is not blank.
    Opened,
    Inside,
    /// Past the close tag, before anything that is not blank.
    Closed,
    /// All that comes is text.
    Text,
}

impl Splitter {
    /// `None` where there is nothing to tell apart.
    pub(crate) fn new(tags: ThinkTags) -> Option<Self> {
        let (tags, open) = match tags {
            ThinkTags::Off => return None,
            ThinkTags::Leading(tags) => (tags, false),
            ThinkTags::StartsOpen(tags) => (tags, true),
        };
        Some(Self { tags, at: At::Start(open), held: String::new() })
    }

    /// Whether all that comes is text.
    pub(crate) fn is_past(&self) -> bool {
        self.at == At::Text && self.held.is_empty()
    }

    /// Takes more content and gives on what is decided.
    pub(crate) fn push(&mut self, text: &str, mut out: impl FnMut(Piece<'_>)) {
        if self.held.is_empty() {
            let held = self.advance(text, &mut out);
            self.held.push_str(text.get(held..).unwrap_or_default());
            return;
        }
        let mut all = std::mem::take(&mut self.held);
        all.push_str(text);
        let held = self.advance(&all, &mut out);
        all.drain(..held);
        self.held = all;
    }

    /// Ends the content: what was held back is no tag.
    pub(crate) fn finish(mut self, mut out: impl FnMut(Piece<'_>)) {
        let held = std::mem::take(&mut self.held);
        match self.at {
            // A lone prefix of the open tag where reasoning had begun anyway is reasoning.
            At::Start(true) | At::Inside => emit(&mut out, Piece::Reasoning, &held),
            At::Start(false) | At::Text => emit(&mut out, Piece::Text, &held),
            At::Opened | At::Closed => {}
        }
    }

    /// Goes on through `text` and gives the place from which it must be held back.
    fn advance(&mut self, text: &str, out: &mut impl FnMut(Piece<'_>)) -> usize {
        let mut from = 0;
        loop {
            let rest = text.get(from..).unwrap_or_default();
            let solid = rest.trim_start();
            let blanks = rest.len() - solid.len();
            match self.at {
                At::Start(open) => {
                    if solid.starts_with(self.tags.open) {
                        from += blanks + self.tags.open.len();
                        self.at = At::Opened;
                    } else if self.tags.open.starts_with(solid) && blanks <= MOST_BLANKS {
                        return from;
                    } else {
                        self.at = if open { At::Inside } else { At::Text };
                    }
                }
                At::Opened | At::Closed => {
                    from += blanks;
                    if solid.is_empty() {
                        return from;
                    }
                    self.at = if self.at == At::Opened { At::Inside } else { At::Text };
                }
                At::Inside => match rest.find(self.tags.close) {
                    Some(len) => {
                        emit(out, Piece::Reasoning, rest.get(..len).unwrap_or_default());
                        from += len + self.tags.close.len();
                        self.at = At::Closed;
                    }
                    None => {
                        let len = rest.len() - tail(rest, self.tags.close);
                        emit(out, Piece::Reasoning, rest.get(..len).unwrap_or_default());
                        return from + len;
                    }
                },
                At::Text => {
                    emit(out, Piece::Text, rest);
                    return text.len();
                }
            }
        }
    }
}

fn emit<'a>(out: &mut impl FnMut(Piece<'a>), piece: fn(&'a str) -> Piece<'a>, text: &'a str) {
    if !text.is_empty() {
        out(piece(text));
    }
}

/// The length of the longest end of `text` that begins the tag.
fn tail(text: &str, tag: &str) -> usize {
    (1..tag.len()).rev().find(|&len| tag.get(..len).is_some_and(|start| text.ends_with(start))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: ThinkTags = ThinkTags::Leading(TagPair::THINK);
    const B: ThinkTags = ThinkTags::StartsOpen(TagPair::THINK);

    fn split<'a>(tags: ThinkTags, deltas: impl IntoIterator<Item = &'a str>) -> (String, String) {
        let (mut reasoning, mut content) = (String::new(), String::new());
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Reasoning(text) => reasoning.push_str(text),
            Piece::Text(text) => content.push_str(text),
        };
        let mut splitter = Splitter::new(tags).unwrap();
        for delta in deltas {
            splitter.push(delta, &mut take);
        }
        splitter.finish(&mut take);
        (reasoning, content)
    }

    fn at_every_cut(tags: ThinkTags, text: &str, reasoning: &str, content: &str) {
        let expected = (reasoning.to_owned(), content.to_owned());
        let characters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(split(tags, characters.iter().map(String::as_str)), expected, "{text:?} one by one");
        for (cut, _) in text.char_indices() {
            let (start, end) = text.split_at(cut);
            assert_eq!(split(tags, [start, end]), expected, "{text:?} cut at {cut}");
        }
    }

    #[test]
    fn a_configuration_names_the_place_and_the_tag() {
        for (words, tags) in [
            ("off", Some(ThinkTags::Off)),
            ("leading", Some(ThinkTags::Leading(TagPair::THINK))),
            ("starts_open", Some(ThinkTags::StartsOpen(TagPair::THINK))),
            ("leading [THINK]", Some(ThinkTags::Leading(TagPair::BRACKETS))),
            ("starts_open ◁think▷", Some(ThinkTags::StartsOpen(TagPair::TRIANGLES))),
            ("off <think>", None),
            ("leading <other>", None),
            ("sometimes", None),
            ("", None),
        ] {
            assert_eq!(ThinkTags::parse(words), tags, "{words}");
        }
    }

    #[test]
    fn the_table_holds_at_every_cut() {
        for (text, tags, reasoning, content) in [
            ("<think>a</think>\n\nb", A, "a", "b"),
            ("x <think>a</think>", A, "", "x <think>a</think>"),
            ("<thing", A, "", "<thing"),
            ("a</think>b", B, "a", "b"),
            ("<think>a", A, "a", ""),
            ("<think></think>b", A, "", "b"),
            ("\n<think>\na\n</think>\nb", A, "a\n", "b"),
            ("<think>a</think>b <think>c</think>", A, "a", "b <think>c</think>"),
            ("a</think>b", A, "", "a</think>b"),
            ("<think>a</thi", A, "a</thi", ""),
            ("<thi", A, "", "<thi"),
            (" \n x", A, "", " \n x"),
            (" \n", A, "", " \n"),
            ("<think>a</think>b", B, "a", "b"),
            ("only thoughts", B, "only thoughts", ""),
            ("<<think>a", A, "", "<<think>a"),
            ("<think>a<</think>b", A, "a<", "b"),
            ("a◁/think▷b", ThinkTags::StartsOpen(TagPair::TRIANGLES), "a", "b"),
            ("[THINK]é[/THINK] ß", ThinkTags::Leading(TagPair::BRACKETS), "é", "ß"),
            ("", A, "", ""),
        ] {
            at_every_cut(tags, text, reasoning, content);
        }
    }

    #[test]
    fn text_is_given_on_as_soon_as_it_cannot_be_a_tag() {
        let mut splitter = Splitter::new(A).unwrap();
        let mut seen = Vec::new();
        for delta in ["<", "p", ">x", "</think"] {
            splitter.push(delta, |piece| seen.push(format!("{piece:?}")));
        }
        assert_eq!(seen, [r#"Text("<p")"#, r#"Text(">x")"#, r#"Text("</think")"#]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_split_gives_the_same(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("<think>".to_owned()), Just("</think>".to_owned()), Just("<th".to_owned()),
                    Just("ink>".to_owned()), Just(" \n".to_owned()), Just("é".to_owned()), "[a-z<>/ ]{0,4}",
                ],
                0..8,
            ),
            open: bool,
        ) {
            let tags = if open { B } else { A };
            let whole = pieces.concat();
            let expected = split(tags, [whole.as_str()]);
            prop_assert_eq!(split(tags, pieces.iter().map(String::as_str)), expected.clone());
            let characters: Vec<String> = whole.chars().map(String::from).collect();
            prop_assert_eq!(split(tags, characters.iter().map(String::as_str)), expected);
        }
    }
}
