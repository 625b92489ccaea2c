//! What is made up from nothing but a text: signatures of reasoning, which are worthless but tell whether what is
//! signed came back as it was, and embeddings.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::text::fingerprint;

/// Numbers in a vector when the request does not say.
pub(crate) const DIMENSIONS: u32 = 32;
pub(crate) const MOST_DIMENSIONS: u32 = 8192;
pub(crate) const MOST_INPUTS: usize = 2048;

/// Six bytes are eight characters of base64, whatever follows them.
const MARK: &str = "mock--";

/// A signature of `text`, in base64.
pub(crate) fn sign(text: &str) -> String {
    BASE64_STANDARD.encode(format!("{MARK}{:016x}", fingerprint(text.as_bytes())))
}

/// Whether a signature of ours is the one of `text`. Those of others cannot be judged and fit everything.
pub(crate) fn fits(signature: &str, text: &str) -> bool {
    !signature.starts_with(&BASE64_STANDARD.encode(MARK)) || signature == sign(text)
}

/// A vector of length 1.
#[expect(clippy::cast_possible_truncation, reason = "a component needs no more than f32's precision")]
pub(crate) fn vector(seed: u64, dimensions: u32) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let raw: Vec<f64> = (0..dimensions).map(|_| random.f64() - 0.5).collect();
    let length = raw.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.into_iter().map(|number| (number / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_fits_its_text_only_and_a_foreign_one_any() {
        assert!(fits(&sign("a"), "a") && fits("c2ln", "a") && fits("", "a"));
        assert!(!fits(&sign("a"), "b") && !fits(&sign(""), "a"));
    }
}
