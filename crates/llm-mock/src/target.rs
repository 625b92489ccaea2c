//! What a request's path and query say.

/// `%2F` and the like; what is not a code stays as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = after.split_at_checked(2).filter(|_| *first == b'%');
        let code = code.and_then(|(digits, after)| {
            Some((u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, after))
        });
        let (byte, after) = code.unwrap_or((*first, after));
        out.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The first value of a query's member, decoded; a member without `=` has an empty one.
pub(crate) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut own = pairs.filter(|(given, _)| *given == name);
    own.next().map(|(_, value)| percent_decoded(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_codes_are_resolved_and_broken_ones_kept() {
        assert_eq!(percent_decoded("org%2Fmodel%3a1"), "org/model:1");
        assert_eq!(percent_decoded("100%, %zz%4"), "100%, %zz%4");
    }

    #[test]
    fn a_query_is_searched_by_whole_names() {
        let query = Some("monkey=1&alt=sse&key&pageToken=a%3D");
        let values = ["key", "alt", "pageToken", "page"].map(|name| query_value(query, name));
        assert_eq!(values.map(|value| value.unwrap_or("-".to_owned())), ["", "sse", "a=", "-"]);
        assert_eq!(query_value(None, "key"), None);
    }
}
