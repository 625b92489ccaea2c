//! Puts streamed tool calls together, whatever a server leaves out, repeats or numbers oddly.
//!
//! A fragment goes to a call by its id, else by its index, else by its place in the list, else to the call that is open.
//! A new id is a new call, even under an index that was used before, unless it comes with nothing but more arguments for
//! a call in the middle of its own (some servers make an id up for every fragment); so is an id that was used before, where it comes with
//! a name and another index, or with a name behind a complete call: the second of the two gets an id of ours, so that
//! results can be told apart. Calls are counted from 0 in order of appearance.

use std::borrow::Cow;

use llm_types::StreamEvent;
use serde_json::value::RawValue;

use crate::dialect::events::one_id_for_two;

/// Arguments that wait for a name are held back up to this many bytes; then there is none.
const MOST_WAITING: usize = 1 << 20;

/// One fragment of a call, as a server sent it. Empty ids and names are absent.
#[derive(Debug, Default)]
pub(crate) struct Fragment<'a> {
    /// The server's own number of the call.
    pub(crate) index: Option<u64>,
    /// Its place in the list of this delta, and that list's length.
    pub(crate) place: (usize, usize),
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) arguments: Option<Cow<'a, str>>,
    pub(crate) custom: bool,
    /// Members that must come back with the call.
    pub(crate) replay: Vec<(String, Box<RawValue>)>,
}

/// The calls of one choice.
#[derive(Debug, Default)]
pub(crate) struct ToolDeltas {
    calls: Vec<Call>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    place: usize,
    id: Option<String>,
    name: Option<String>,
    custom: bool,
    started: bool,
    /// Another call had the id before it.
    repeats_id: bool,
    /// All there is of the arguments is `{}`, which is held back: some servers begin with it whatever follows.
    held: bool,
    /// Arguments that came before the start could be told.
    waiting: String,
    replay: Vec<(String, Box<RawValue>)>,
    json: JsonEnd,
}

impl ToolDeltas {
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Takes one fragment. `make_id` gives the id of a call whose server gives none, from the call's place.
    pub(crate) fn push(
        &mut self,
        choice: u32,
        fragment: Fragment<'_>,
        make_id: impl Fn(u32) -> String,
        out: &mut Vec<StreamEvent>,
    ) {
        let at = self.route(&fragment);
        let id_of = |call: &Call| call.id.as_deref().is_some_and(|id| Some(id) == fragment.id.as_deref());
        let repeats_id = self.calls.get(..at).is_some_and(|before| before.iter().any(id_of));
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.is_told_again(&fragment) {
            return;
        }
        let Fragment { index, place, id, name, arguments, custom, replay } = fragment;
        if call.index.is_none() {
            call.index = index;
        }
        call.place = place.0;
        call.custom |= custom;
        if call.id.is_none() {
            call.id = id.map(Cow::into_owned);
            call.repeats_id = repeats_id;
        }
        if call.name.is_none() {
            call.name = name.map(Cow::into_owned);
        }
        call.replay.extend(replay);
        if let Some(text) = arguments.filter(|text| !text.is_empty()) {
            let is_first = call.json.bytes == 0;
            call.json.push(&text);
            let was_held = std::mem::take(&mut call.held);
            if is_first && text == "{}" && !call.custom {
                call.held = true;
            } else if was_held && !text.starts_with('{') {
                call.waiting.push_str("{}");
            }
            if call.held {
                // It is given at the end, where nothing else comes.
            } else if call.started {
                let arguments = match std::mem::take(&mut call.waiting) {
                    held if held.is_empty() => text.into_owned(),
                    held => held + &text,
                };
                out.push(StreamEvent::ToolCallDelta { choice, index: number(at), arguments });
            } else {
                call.waiting.push_str(&text);
            }
        }
        if call.started {
            call.give_replay(choice, at, out);
            return;
        }
        // Calls start in order, each as soon as its name is known and no id can be expected any more.
        for (i, call) in self.calls.iter_mut().enumerate() {
            let told = call.id.is_some() || call.json.bytes > 0 || i < at;
            let waits = (call.name.is_none() || !told) && call.waiting.len() <= MOST_WAITING;
            if !call.started && waits {
                break;
            }
            call.start(choice, i, &make_id, out);
        }
    }

    /// Ends every call, once.
    pub(crate) fn finish(
        &mut self,
        choice: u32,
        make_id: impl Fn(u32) -> String,
        out: &mut Vec<StreamEvent>,
    ) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        for (at, call) in self.calls.iter_mut().enumerate() {
            call.start(choice, at, &make_id, out);
            if std::mem::take(&mut call.held) {
                let arguments = "{}".to_owned();
                out.push(StreamEvent::ToolCallDelta { choice, index: number(at), arguments });
            }
            out.push(StreamEvent::ToolCallEnd { choice, index: number(at) });
        }
    }

    /// The call that the fragment belongs to, made where it is new.
    fn route(&mut self, fragment: &Fragment<'_>) -> usize {
        let found = match &fragment.id {
            Some(id) => match self.by_id(id, fragment.index) {
                Some(at) => Some(at).filter(|at| !self.is_another(*at, fragment)),
                None => self.without_id(fragment),
            },
            None => self.by_place(fragment),
        };
        found.unwrap_or_else(|| {
            self.calls.push(Call::default());
            self.ended = false;
            self.calls.len() - 1
        })
    }

    /// The call with this id; of several, the one with this index too.
    fn by_id(&self, id: &str, index: Option<u64>) -> Option<usize> {
        let has_id = |call: &Call| call.id.as_deref() == Some(id);
        let both = self.calls.iter().rposition(|call| has_id(call) && call.index == index);
        both.or_else(|| self.calls.iter().rposition(has_id))
    }

    /// Whether the fragment begins another call than the one at this place, though it has its id.
    fn is_another(&self, at: usize, fragment: &Fragment<'_>) -> bool {
        let Some(call) = self.calls.get(at) else { return true };
        let elsewhere = matches!((call.index, fragment.index), (Some(one), Some(other)) if one != other);
        let begins = elsewhere && fragment.name.is_some() || call.is_followed_by(fragment);
        begins && !call.is_told_again(fragment)
    }

    /// An id that comes late belongs to the call of its index that has none yet; one that changes under way, to the call
    /// whose arguments go on.
    fn without_id(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let at = self.calls.iter().rposition(|call| match fragment.index {
            Some(index) => call.index == Some(index),
            None => call.index.is_none() && call.place == fragment.place.0,
        })?;
        let call = self.calls.get(at)?;
        let late = call.id.is_none() && !call.is_followed_by(fragment);
        (late || fragment.index.is_some() && call.goes_on_with(fragment)).then_some(at)
    }

    fn by_place(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let (place, of) = fragment.place;
        let at = match fragment.index {
            Some(index) => self.calls.iter().rposition(|call| call.index == Some(index))?,
            None if fragment.name.is_none() && of == 1 => self.calls.len().checked_sub(1)?,
            None => self.calls.iter().rposition(|call| call.place == place)?,
        };
        (!self.calls.get(at)?.is_followed_by(fragment)).then_some(at)
    }
}

impl Call {
    /// Whether the fragment, which has no id of another call, begins a new one all the same: it names a function though
    /// this call is complete. A name that is merely repeated brings no more arguments.
    fn is_followed_by(&self, fragment: &Fragment<'_>) -> bool {
        let Some(name) = &fragment.name else { return false };
        let more = fragment.arguments.as_ref().is_some_and(|text| !text.is_empty());
        let other = self.name.as_deref().is_some_and(|known| known != name);
        other || (self.json.is_whole() && more)
    }

    /// Whether the fragment can be nothing but more of this call's arguments, whatever its id.
    fn goes_on_with(&self, fragment: &Fragment<'_>) -> bool {
        let more = fragment.arguments.as_ref().is_some_and(|text| !text.is_empty());
        fragment.name.is_none() && more && self.name.is_some() && !self.json.is_whole()
    }

    /// Whether the fragment says nothing but the whole call again, as it was: name, id, index and arguments.
    fn is_told_again(&self, fragment: &Fragment<'_>) -> bool {
        let Some(text) = fragment.arguments.as_deref().filter(|text| !text.is_empty()) else { return false };
        self.json.is_whole()
            && self.id.is_some()
            && self.id.as_deref() == fragment.id.as_deref()
            && self.name.is_some()
            && self.name.as_deref() == fragment.name.as_deref()
            && self.index == fragment.index
            && self.json.is_text(text)
    }

    fn start(
        &mut self,
        choice: u32,
        at: usize,
        make_id: &impl Fn(u32) -> String,
        out: &mut Vec<StreamEvent>,
    ) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let index = number(at);
        let id = self.id.clone().filter(|_| !self.repeats_id).unwrap_or_else(|| make_id(index));
        let name = self.name.clone().unwrap_or_default();
        if self.repeats_id {
            out.push(one_id_for_two());
        }
        out.push(StreamEvent::ToolCallStart {
            choice,
            index,
            id,
            name,
            custom: self.custom,
            signature: None,
        });
        let arguments = std::mem::take(&mut self.waiting);
        if !arguments.is_empty() {
            out.push(StreamEvent::ToolCallDelta { choice, index, arguments });
        }
        self.give_replay(choice, at, out);
    }

    fn give_replay(&mut self, choice: u32, at: usize, out: &mut Vec<StreamEvent>) {
        for (name, value) in self.replay.drain(..) {
            out.push(StreamEvent::Replay { choice, call: Some(number(at)), name, value });
        }
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Watches arguments go by and tells when a whole JSON object or list has.
#[derive(Debug, Default)]
struct JsonEnd {
    depth: u32,
    in_string: bool,
    escaped: bool,
    whole: bool,
    bytes: usize,
    /// A hash of all bytes.
    hash: u64,
}

impl JsonEnd {
    fn push(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len());
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => (self.depth, self.whole) = (self.depth.saturating_add(1), false),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole = self.depth == 0;
                }
                _ => {}
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether what went by is this text.
    fn is_text(&self, text: &str) -> bool {
        let mut other = Self::default();
        if self.bytes == text.len() {
            other.push(text);
        }
        other.bytes == self.bytes && other.hash == self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(index, id, name, arguments)`, empty texts for absent ones.
    type Sent<'a> = (Option<u64>, &'a str, &'a str, &'a str);

    /// Feeds deltas, each a list of fragments, and gives `(id, name, arguments)` of the calls, checking the grammar.
    fn assemble(deltas: &[&[Sent<'_>]]) -> Vec<(String, String, String)> {
        let mut calls = ToolDeltas::default();
        let mut out = Vec::new();
        let make_id = |at: u32| format!("made_{at}");
        for delta in deltas {
            for (place, (index, id, name, arguments)) in delta.iter().enumerate() {
                let some = |text: &str| (!text.is_empty()).then(|| Cow::Owned(text.to_owned()));
                let fragment = Fragment {
                    index: *index,
                    place: (place, delta.len()),
                    id: some(id),
                    name: some(name),
                    arguments: Some(Cow::Borrowed(*arguments)),
                    ..Fragment::default()
                };
                calls.push(0, fragment, make_id, &mut out);
            }
        }
        calls.finish(0, make_id, &mut out);
        calls.finish(0, make_id, &mut out);
        let mut found: Vec<(String, String, String)> = Vec::new();
        let mut ended = 0;
        for event in out {
            match event {
                StreamEvent::ToolCallStart { index, id, name, .. } => {
                    assert_eq!(index as usize, found.len());
                    found.push((id, name, String::new()));
                }
                StreamEvent::ToolCallDelta { index, arguments, .. } => {
                    found[index as usize].2.push_str(&arguments);
                }
                StreamEvent::ToolCallEnd { index, .. } => {
                    assert_eq!(index, ended);
                    ended += 1;
                }
                StreamEvent::Warning(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ended as usize, found.len());
        found
    }

    fn check(what: &str, deltas: &[&[Sent<'_>]], expected: &[(&str, &str, &str)]) {
        let found = assemble(deltas);
        let found: Vec<_> = found.iter().map(|(i, n, a)| (i.as_str(), n.as_str(), a.as_str())).collect();
        assert_eq!(found, expected, "{what}");
    }

    #[test]
    fn every_way_of_sending_calls_gives_the_same_calls() {
        let (zero, one, none) = (Some(0), Some(1), None);
        let two: &[(&str, &str, &str)] = &[("a", "f", r#"{"x":1}"#), ("b", "g", r#"{"y":2}"#)];
        check(
            "interleaved",
            &[
                &[(zero, "a", "f", "")],
                &[(one, "b", "g", "")],
                &[(one, "", "", r#"{"y""#), (zero, "", "", r#"{"x""#)],
                &[(zero, "", "", ":1}")],
                &[(one, "", "", ":2}")],
            ],
            two,
        );
        check("whole", &[&[(zero, "a", "f", r#"{"x":1}"#), (one, "b", "g", r#"{"y":2}"#)]], two);
        check(
            "whole, one by one",
            &[&[(zero, "a", "f", r#"{"x":1}"#)], &[(one, "b", "g", r#"{"y":2}"#)]],
            two,
        );
        check("no index", &[&[(none, "a", "f", r#"{"x":1}"#)], &[(none, "b", "g", r#"{"y":2}"#)]], two);
        check(
            "no index, one list",
            &[&[(none, "a", "f", r#"{"x":1}"#), (none, "b", "g", r#"{"y":2}"#)]],
            two,
        );
        check(
            "no index, fragments to the open call",
            &[
                &[(none, "a", "f", "")],
                &[(none, "", "", r#"{"x":1}"#)],
                &[(none, "b", "g", r#"{"y""#)],
                &[(none, "", "", ":2}")],
            ],
            two,
        );
        check(
            "one index for both",
            &[&[(zero, "a", "f", r#"{"x":1}"#)], &[(zero, "b", "g", r#"{"y":2}"#)]],
            two,
        );
        check(
            "index from 1, jumping",
            &[
                &[(one, "a", "f", r#"{"x":1}"#)],
                &[(Some(7), "b", "g", "")],
                &[(Some(7), "", "", r#"{"y":2}"#)],
            ],
            two,
        );
        check(
            "id and name repeated",
            &[
                &[(zero, "a", "f", r#"{"x""#)],
                &[(zero, "a", "f", ":1}")],
                &[(one, "b", "g", r#"{"y""#)],
                &[(one, "b", "g", ":2}")],
            ],
            two,
        );
        check(
            "another id in every fragment",
            &[
                &[(zero, "a", "f", "")],
                &[(zero, "n1", "", r#"{"x""#)],
                &[(zero, "n2", "", ":1}")],
                &[(one, "b", "g", "")],
                &[(one, "n3", "", r#"{"y":2}"#)],
            ],
            two,
        );
        check(
            "one index for both, and the id first",
            &[
                &[(zero, "a", "f", r#"{"x":1}"#)],
                &[(zero, "b", "", "")],
                &[(zero, "", "g", "")],
                &[(zero, "", "", r#"{"y":2}"#)],
            ],
            two,
        );
        check(
            "id wins over a wrong index",
            &[
                &[(zero, "a", "f", ""), (one, "b", "g", "")],
                &[(zero, "b", "", r#"{"y":2}"#), (one, "a", "", r#"{"x":1}"#)],
            ],
            two,
        );
    }

    #[test]
    fn ids_may_be_missing_or_late() {
        let zero = Some(0);
        check(
            "none",
            &[&[(zero, "", "f", r#"{"x""#)], &[(zero, "", "", ":1}")]],
            &[("made_0", "f", r#"{"x":1}"#)],
        );
        check("late", &[&[(zero, "", "f", "")], &[(zero, "a", "", "{}")]], &[("a", "f", "{}")]);
        check("too late", &[&[(zero, "", "f", "{")], &[(zero, "a", "", "}")]], &[("made_0", "f", "{}")]);
        check(
            "none, one index for two",
            &[&[(zero, "", "f", "{}")], &[(zero, "", "f", r#"{"b":"}"}"#)], &[(zero, "", "g", "{}")]],
            &[("made_0", "f", "{}"), ("made_1", "f", r#"{"b":"}"}"#), ("made_2", "g", "{}")],
        );
        check(
            "none, no index, two in a list",
            &[&[(None, "", "f", "{}"), (None, "", "f", "{}")]],
            &[("made_0", "f", "{}"), ("made_1", "f", "{}")],
        );
        check(
            "none, name on every fragment",
            &[&[(zero, "", "f", "{")], &[(zero, "", "f", "}")], &[(zero, "", "f", "")]],
            &[("made_0", "f", "{}")],
        );
    }

    #[test]
    fn an_id_that_two_calls_share_is_given_to_the_first() {
        let (zero, one, none) = (Some(0), Some(1), None);
        let two: &[(&str, &str, &str)] = &[("a", "f", r#"{"x":1}"#), ("made_1", "f", r#"{"y":2}"#)];
        check("whole", &[&[(zero, "a", "f", r#"{"x":1}"#), (one, "a", "f", r#"{"y":2}"#)]], two);
        check("no index", &[&[(none, "a", "f", r#"{"x":1}"#)], &[(none, "a", "f", r#"{"y":2}"#)]], two);
        check("one index", &[&[(zero, "a", "f", r#"{"x":1}"#)], &[(zero, "a", "f", r#"{"y":2}"#)]], two);
        check(
            "interleaved, id on every fragment",
            &[
                &[(zero, "a", "f", ""), (one, "a", "f", "")],
                &[(one, "a", "", r#"{"y""#), (zero, "a", "", r#"{"x""#)],
                &[(zero, "", "", ":1}"), (one, "", "", ":2}")],
            ],
            two,
        );
        check(
            "the same arguments under another index are another call",
            &[&[(zero, "a", "f", "{}"), (one, "a", "f", "{}")]],
            &[("a", "f", "{}"), ("made_1", "f", "{}")],
        );
        check(
            "the whole call told again is the same call",
            &[
                &[(zero, "a", "f", r#"{"x""#)],
                &[(zero, "", "", ":1}")],
                &[(zero, "a", "f", r#"{"x":1}"#)],
                &[(one, "b", "g", "{}")],
                &[(one, "b", "g", "{}")],
            ],
            &[("a", "f", r#"{"x":1}"#), ("b", "g", "{}")],
        );
    }

    #[test]
    fn an_empty_object_before_the_arguments_is_none_of_them() {
        let zero = Some(0);
        check(
            "before",
            &[&[(zero, "a", "f", "{}")], &[(zero, "", "", r#"{"x":1}"#)]],
            &[("a", "f", r#"{"x":1}"#)],
        );
        check("alone", &[&[(zero, "a", "f", "{}")], &[(zero, "", "", "")]], &[("a", "f", "{}")]);
        check("without id", &[&[(zero, "", "f", "{}")], &[(zero, "", "", "{\"")]], &[("made_0", "f", "{\"")]);
        check("before nonsense", &[&[(zero, "a", "f", "{}")], &[(zero, "", "", " ")]], &[("a", "f", "{} ")]);
    }

    #[test]
    fn names_may_come_after_arguments_or_never() {
        let zero = Some(0);
        check("after", &[&[(zero, "a", "", "{")], &[(zero, "", "f", "}")]], &[("a", "f", "{}")]);
        check("never", &[&[(zero, "a", "", "{}")]], &[("a", "", "{}")]);
        check(
            "after another call",
            &[&[(zero, "a", "", "{")], &[(Some(1), "b", "g", "{}")], &[(zero, "", "f", "}")]],
            &[("a", "f", "{}"), ("b", "g", "{}")],
        );
        check("only a name", &[&[(zero, "", "f", "")], &[(zero, "", "", "")]], &[("made_0", "f", "")]);
    }

    #[test]
    fn a_cut_call_keeps_what_came() {
        check("cut", &[&[(Some(0), "a", "f", "{\"x\":\"th")]], &[("a", "f", "{\"x\":\"th")]);
    }
}
