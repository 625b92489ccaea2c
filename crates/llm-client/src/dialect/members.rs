//! Unknown members, given on when they are new or have changed: servers repeat them in every chunk.

use llm_types::Extra;
use serde_json::value::RawValue;

/// So many names are remembered; what goes beyond is given on each time it comes.
const MOST: usize = 256;

/// The members of one object over the chunks of a stream.
#[derive(Debug, Default)]
pub(crate) struct Members(Vec<Member>);

#[derive(Debug)]
struct Member {
    name: String,
    /// As it was sent last.
    sent: String,
    /// All that was sent, where it is an object that grows.
    grown: Option<Extra>,
}

impl Members {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|member| member.name == name)
    }

    /// The value to give on; `None` when it was given before.
    ///
    /// Objects grow, because a gateway says more of itself later; anything else is replaced.
    pub(crate) fn take(&mut self, name: &str, raw: &RawValue) -> Option<Box<RawValue>> {
        let Some(member) = self.0.iter_mut().find(|member| member.name == name) else {
            if self.0.len() < MOST {
                self.0.push(Member { name: name.to_owned(), sent: raw.get().to_owned(), grown: None });
            }
            return Some(raw.to_owned());
        };
        if member.sent == raw.get() {
            return None;
        }
        let before = member.grown.take().or_else(|| Extra::parse(&member.sent).ok());
        raw.get().clone_into(&mut member.sent);
        let (Some(mut all), Ok(now)) = (before, Extra::parse(raw.get())) else { return Some(raw.to_owned()) };
        now.iter().for_each(|(name, value)| all.insert(name, value.to_owned()));
        let value = serde_json::value::to_raw_value(&all).ok();
        member.grown = Some(all);
        value
    }
}

/// Lists that come in pieces, given on whole at the end.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    lists: Vec<(String, Vec<Box<RawValue>>)>,
    bytes: usize,
}

impl Lists {
    /// Takes a piece, which is a list itself. Empty ones are placeholders.
    pub(crate) fn take(&mut self, name: &str, list: &RawValue) {
        if list.get().trim_matches(['[', ']', ' ']).is_empty() {
            return;
        }
        self.add(name, list.to_owned());
    }

    /// Takes one item.
    pub(crate) fn take_item(&mut self, name: &str, item: &RawValue) {
        if let Ok(list) = RawValue::from_string(format!("[{}]", item.get())) {
            self.add(name, list);
        }
    }

    fn add(&mut self, name: &str, list: Box<RawValue>) {
        self.bytes = self.bytes.saturating_add(list.get().len());
        match self.lists.iter_mut().find(|(known, _)| known == name) {
            Some((_, lists)) => lists.push(list),
            None => self.lists.push((name.to_owned(), vec![list])),
        }
    }

    /// The size of all that was taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The lists, each joined; one that came whole is as it was sent.
    pub(crate) fn join(self) -> impl Iterator<Item = (String, Box<RawValue>)> {
        self.lists.into_iter().filter_map(|(name, mut lists)| {
            if lists.len() == 1 {
                return Some((name, lists.pop()?));
            }
            let items =
                lists.iter().filter_map(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).ok());
            let all: Vec<&RawValue> = items.flatten().collect();
            Some((name, serde_json::value::to_raw_value(&all).ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn a_member_is_given_on_when_it_changes_and_objects_grow() {
        let mut members = Members::default();
        let mut take = |json: &str| members.take("m", &raw(json)).map(|value| value.get().to_owned());
        assert_eq!(take(r#"{"id":1,"seed":7}"#).as_deref(), Some(r#"{"id":1,"seed":7}"#));
        assert_eq!(take(r#"{"id":1,"seed":7}"#), None);
        assert_eq!(take(r#"{"id":1,"usage":2}"#).as_deref(), Some(r#"{"id":1,"seed":7,"usage":2}"#));
        assert_eq!(take(r#"{"id":3}"#).as_deref(), Some(r#"{"id":3,"seed":7,"usage":2}"#));
        assert_eq!(take("4").as_deref(), Some("4"));
    }

    #[test]
    fn lists_are_joined_and_a_single_one_is_left_as_sent() {
        let mut lists = Lists::default();
        lists.take("a", &raw("[ 1 ]"));
        for json in ["[]", "[1.0]", "[ ]", "[2, {}]"] {
            lists.take("b", &raw(json));
        }
        lists.take_item("c", &raw("{}"));
        let joined: Vec<_> = lists.join().map(|(name, value)| format!("{name}{}", value.get())).collect();
        assert_eq!(joined, ["a[ 1 ]", "b[1.0,2,{}]", "c[{}]"]);
    }
}
