//! Ids of our own, where a server gives none or gives what others refuse.

/// Nine letters and digits that stand for the pieces: the same for the same pieces, on every machine.
pub(crate) fn short_id(pieces: &[&[u8]]) -> String {
    // FNV-1a, whose definition never changes.
    let hash = pieces
        .iter()
        .flat_map(|piece| piece.iter().chain(&[0xFF]))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3_u64)
        });
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut left = hash;
    std::iter::repeat_with(|| {
        let digit = usize::try_from(left % 62).unwrap_or(0);
        left /= 62;
        char::from(digits.get(digit).copied().unwrap_or(b'0'))
    })
    .take(9)
    .collect()
}
