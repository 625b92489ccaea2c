//! Which known name a misspelt one was meant to be.

/// The most names that one message offers.
const MOST: usize = 3;

/// The known names that look like this one, the nearest first; none that would only be guessing.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_ascii_lowercase();
    let bound = (wanted.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|known| {
            let lower = known.to_ascii_lowercase();
            let distance = strsim::damerau_levenshtein(&wanted, &lower);
            // A beginning or an end of a name is as good a hint as a slip of the finger.
            let part = wanted.len() >= 4 && (lower.starts_with(&wanted) || lower.ends_with(&wanted));
            (distance <= bound || part).then_some((distance, known))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, known)| known).take(MOST).collect()
}

/// ``; did you mean `x` or `y`?``, to be put behind a message; `None` when nothing looks like it.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = nearest(name, known).into_iter().map(|known| format!("`{known}`")).collect();
    (!names.is_empty()).then(|| format!("; did you mean {}?", any_of(&names)))
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn any_of(names: &[String]) -> String {
    listed(names, "or")
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn all_of(names: &[String]) -> String {
    listed(names, "and")
}

fn listed(names: &[String], word: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_are_found_and_guesses_are_not() {
        let known = ["max_retries", "model", "models", "recovery_time_secs", "proxy"];
        for (name, found) in [
            ("max_retry", &["max_retries"][..]),
            ("modle", &["model"]),
            ("Model", &["model", "models"]),
            ("recovery_time", &["recovery_time_secs"]),
            ("temperature", &[]),
            ("", &[]),
        ] {
            assert_eq!(nearest(name, known), found, "{name}");
        }
    }

    #[test]
    fn one_message_offers_three_names_at_most() {
        assert_eq!(
            did_you_mean("ab", ["aa", "ac", "ad", "ae"]).unwrap(),
            "; did you mean `aa`, `ac` or `ad`?"
        );
        assert_eq!(did_you_mean("ab", ["zzz"]), None);
        assert_eq!(all_of(&["x".into(), "y".into()]), "x and y");
    }
}
