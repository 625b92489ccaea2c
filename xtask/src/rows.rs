//! Made-up batch rows whose right answers are known: the mock server echoes the last user message.

use serde_json::{Value, json};

/// One input row and the answer it must get.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The line, without its newline.
    pub(crate) line: String,
    pub(crate) answer: String,
}

/// Words of several scripts and widths, and things that JSON has to escape.
const WORDS: [&str; 24] = [
    "river",
    "stone",
    "\"quoted\"",
    "back\\slash",
    "ünïcode",
    "漢字",
    "ночь",
    "שלום",
    "ไทย",
    "🦀",
    "👩‍🚀",
    "tab\there",
    "line\nbreak",
    "e\u{301}",
    "</script>",
    "{brace}",
    "naïve",
    "αβγ",
    "हिन्दी",
    "null",
    "0.1",
    "\u{2028}",
    "a",
    "pneumonoultramicroscopic",
];

/// `count` rows of all formats; no two have the same content. The same seed gives the same rows.
pub(crate) fn rows(count: usize, seed: u64) -> Vec<Row> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|number| row(number, &mut random)).collect()
}

fn row(number: usize, random: &mut fastrand::Rng) -> Row {
    // Most rows are short, some fill several pages.
    let length = if random.u8(..) < 8 { random.usize(500..3000) } else { random.usize(1..40) };
    let mut text = format!("Question {number}:");
    for _ in 0..length {
        text.push(' ');
        text.push_str(random.choice(WORDS).unwrap_or_default());
    }
    let (value, answer) = match random.u8(..7) {
        0 => (
            json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]}),
            text,
        ),
        1 => {
            let turns = json!([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}, {"role": "user", "content": text}]);
            (json!({"messages": turns, "tag": {"n": number}}), text)
        }
        2 => (json!({"instruction": text, "input": "é", "level": 1.50}), format!("{text}\n\né")),
        3 => (json!({"question": text, "source": "made up", "list": [1, null, true]}), text),
        4 => (json!({"q": text}), text),
        5 => {
            let body = json!({"model": "another", "messages": [{"role": "user", "content": text}], "temperature": 0.5});
            let url = "/v1/chat/completions";
            (json!({"custom_id": format!("row-{number}"), "method": "POST", "url": url, "body": body}), text)
        }
        _ => (json!({"prompt": text, "id": number}), text),
    };
    Row { line: value.to_string(), answer }
}

/// The rows as a file's bytes, with what files of this kind have in practice: blank lines, CRLF, no newline at the end.
pub(crate) fn file_of(rows: &[Row]) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        text.push_str(&row.line);
        text.push_str(if at % 11 == 7 { "\r\n" } else { "\n" });
        if at % 17 == 5 {
            text.push_str("  \n");
        }
    }
    text.trim_end().to_owned()
}

/// Checks a whole output: every row once, in order, with the right answer, in whole lines of JSON.
pub(crate) fn check(output: &[u8], rows: &[Row]) -> Result<(), String> {
    let text = std::str::from_utf8(output).map_err(|error| format!("the output is not UTF-8: {error}"))?;
    if !rows.is_empty() && !text.ends_with('\n') {
        return Err("the output does not end with a newline".to_owned());
    }
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() != rows.len() {
        return Err(format!("{} records for {} rows", lines.len(), rows.len()));
    }
    for (at, (line, row)) in lines.iter().zip(rows).enumerate() {
        let record: Value =
            serde_json::from_str(line).map_err(|error| format!("record {at} is not JSON: {error}"))?;
        if record.get("index").and_then(Value::as_u64) != u64::try_from(at).ok() {
            return Err(format!("record {at} has index {:?}", record.get("index")));
        }
        if record.get("status").and_then(Value::as_str) != Some("success") {
            return Err(format!(
                "record {at} has status {:?}: {:?}",
                record.get("status"),
                record.get("error")
            ));
        }
        if record.get("output").and_then(Value::as_str) != Some(&row.answer) {
            return Err(format!("record {at} holds another answer than its row's"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(rows: &[Row]) -> String {
        let lines = rows.iter().enumerate().map(|(index, row)| {
            format!("{}\n", json!({"index": index, "status": "success", "output": row.answer}))
        });
        lines.collect()
    }

    #[test]
    fn rows_are_the_same_for_a_seed_and_all_different() {
        let some = rows(300, 7);
        let mut lines: Vec<String> = some.iter().map(|row| row.line.clone()).collect();
        assert_eq!(lines, rows(300, 7).into_iter().map(|row| row.line).collect::<Vec<_>>());
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 300);
        let file = file_of(&some);
        assert_eq!(file.lines().filter(|line| !line.trim().is_empty()).count(), 300);
    }

    #[test]
    fn every_kind_of_damage_is_seen() {
        let some = rows(5, 1);
        let good = output(&some);
        assert_eq!(check(good.as_bytes(), &some), Ok(()));
        let twice = format!("{good}{}\n", good.lines().next().unwrap());
        let swapped: String = good.lines().rev().map(|line| format!("{line}\n")).collect();
        let torn = good.trim_end();
        let failed = good.replacen("success", "error", 1);
        let wrong = good.replacen("Question 2", "Question 3", 1);
        let missing = good.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
        for bad in [twice.as_str(), &swapped, torn, &failed, &wrong, &missing, &good.replacen('{', "\0", 1)] {
            assert!(check(bad.as_bytes(), &some).is_err(), "{bad:?}");
        }
    }
}
