//! `llm keys`: where keys come from, whether they work, and where they are kept.

pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod path;
pub(crate) mod test;
mod typed;
