//! Providers over real sockets, against the scripted server.
#![cfg(test)]
#![forbid(unsafe_code)]

mod anthropic;
mod endpoint;
mod limits;
mod models;
