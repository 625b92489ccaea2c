//! "Did you mean …": the nearest known names, by edit distance.

/// The known names nearest to `word`, best first, at most three; none when nothing is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let most = (word.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            // The part behind the provider is what people type.
            let short = lower.split_once('/').map_or(lower.as_str(), |(_, short)| short);
            let distance = strsim::osa_distance(&word, &lower).min(strsim::osa_distance(&word, short));
            let begins = word.len() >= 3 && (lower.starts_with(&word) || short.starts_with(&word));
            (distance <= most || begins).then_some((distance, name))
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// "did you mean `a` or `b`?", or `None`.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near: Vec<String> = nearest(word, known).into_iter().map(|name| format!("`{name}`")).collect();
    match near.as_slice() {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        [first @ .., last] => Some(format!("did you mean {} or {last}?", first.join(", "))),
    }
}

/// Whether `word`, first on a command line, was likely meant as one of `commands`.
#[must_use]
pub fn near_command<'a>(word: &str, commands: &[&'a str]) -> Option<&'a str> {
    let length = word.chars().count();
    let near = |&&command: &&&str| {
        // Short words are near to too many others: only a slip of one key counts there.
        let most = if command.len() >= 6 && length >= 5 { 2 } else { 1 };
        length >= 2 && strsim::osa_distance(&word.to_lowercase(), command) <= most
    };
    commands.iter().filter(near).min_by_key(|command| strsim::osa_distance(word, command)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_best_first() {
        let known = ["openai/gpt-5", "openai/gpt-5-mini", "local/qwen3-8b", "fast"];
        assert_eq!(nearest("gpt5", known), ["openai/gpt-5"]);
        assert_eq!(nearest("gpt-5", known), ["openai/gpt-5", "openai/gpt-5-mini"]);
        assert_eq!(nearest("local/qwen-8b", known), ["local/qwen3-8b"]);
        assert_eq!(nearest("fsat", known), ["fast"]);
        assert!(nearest("entirely-other", known).is_empty());
        assert_eq!(
            did_you_mean("gpt-5", known).unwrap(),
            "did you mean `openai/gpt-5` or `openai/gpt-5-mini`?"
        );
    }

    #[test]
    fn a_slip_in_a_command_is_seen_and_an_ordinary_word_is_not() {
        let commands = ["ask", "batch", "list", "models", "test", "mock", "version", "help"];
        for (word, command) in [
            ("batc", "batch"),
            ("Btach", "batch"),
            ("lsit", "list"),
            ("model", "models"),
            ("verison", "version"),
        ] {
            assert_eq!(near_command(word, &commands), Some(command), "{word}");
        }
        for word in ["hello", "translate", "why", "x", "hi", "what", "summarize", "42"] {
            assert_eq!(near_command(word, &commands), None, "{word}");
        }
    }
}
