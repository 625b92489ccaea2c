//! The server from outside, over real sockets.

mod cancel;
mod client;
mod echo;
mod faults;
mod http1;
mod http2;
mod limits;
mod log;
mod script;
