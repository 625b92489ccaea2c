//! The server from outside, over real sockets. `cfg(test)` tells clippy that helpers are test code too.

#[cfg(test)]
mod anthropic;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod client;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gemini;
#[cfg(test)]
mod http1;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod log;
#[cfg(test)]
mod script;
#[cfg(test)]
mod sdks;
