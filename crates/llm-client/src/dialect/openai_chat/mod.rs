//! OpenAI's chat completions, and all who imitate them.

mod decode;
mod encode;
mod lists;
mod messages;
mod stream;
mod usage;
mod wire;

pub(crate) use decode::decode_events;
pub(crate) use encode::encode;
pub(crate) use lists::{decode_embeddings, decode_models, encode_embeddings, encode_models};
pub(crate) use stream::StreamState;
