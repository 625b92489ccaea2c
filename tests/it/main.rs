//! End-to-end tests: the real binary and the real bytes, against the mock server.

mod cli;
