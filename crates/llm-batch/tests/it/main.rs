//! Runs over real files with a scripted client, checked by a reader of their own.
#![cfg(test)]

#[cfg(feature = "blocking")]
mod blocking;
mod edits;
mod ends;
mod failures;
mod files;
mod outage;
mod promises;
mod results;
mod support;
