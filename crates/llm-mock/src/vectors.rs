//! Embeddings: vectors that depend on nothing but the input.

/// Numbers in a vector when the request does not say.
pub(crate) const DIMENSIONS: u32 = 32;
pub(crate) const MOST_DIMENSIONS: u32 = 8192;
pub(crate) const MOST_INPUTS: usize = 2048;

/// A vector of length 1.
#[expect(clippy::cast_possible_truncation, reason = "a component needs no more than f32's precision")]
pub(crate) fn vector(seed: u64, dimensions: u32) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    let raw: Vec<f64> = (0..dimensions).map(|_| random.f64() - 0.5).collect();
    let length = raw.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.into_iter().map(|number| (number / length) as f32).collect()
}
