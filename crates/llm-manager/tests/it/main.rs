//! The manager and its configuration, from outside.
#![forbid(unsafe_code)]

mod choose;
mod files;
mod registry;
mod schema;
mod support;
