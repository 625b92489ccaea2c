//! `llm config`: the configuration, seen and changed.

pub(crate) mod check;
pub(crate) mod edit;
pub(crate) mod path;
pub(crate) mod show;
mod view;

pub(crate) use self::view::KeyLine;
