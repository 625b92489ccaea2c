//! Signatures of reasoning: worthless, but they tell whether what is signed came back as it was.

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::text::fingerprint;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_fits_its_text_only_and_a_foreign_one_any() {
        assert!(fits(&sign("a"), "a") && fits("c2ln", "a") && fits("", "a"));
        assert!(!fits(&sign("a"), "b") && !fits(&sign(""), "a"));
    }
}
