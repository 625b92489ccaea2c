//! Bytes to frames, nothing else: what a frame means is the dialect's business.
//!
//! A decoder is fed the chunks of a body as they come and gives the frames that are complete. Any way of cutting the
//! bytes gives the same frames.

pub mod sse;

pub use sse::{SseDecoder, SseFrame, SseFrames};
