//! The words after a command's name.

use std::str::FromStr;

use crate::Outcome;

/// Options are taken out one by one; what is left is refused, so that a typing error is never ignored.
pub(crate) struct Args {
    words: Vec<String>,
}

impl Args {
    pub(crate) fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// Whether `--name` is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() < before
    }

    /// The value of `--name VALUE` or `--name=VALUE`.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Outcome<Option<T>> {
        let with_sign = format!("{name}=");
        let Some(at) = self.words.iter().position(|word| word == name || word.starts_with(&with_sign)) else {
            return Ok(None);
        };
        let word = self.words.remove(at);
        let value = match word.strip_prefix(&with_sign) {
            Some(value) => value.to_owned(),
            None if at < self.words.len() => self.words.remove(at),
            None => return Err(format!("{name} needs a value")),
        };
        value.parse().map(Some).map_err(|_| format!("{name}: `{value}` is not a value of the right kind"))
    }

    /// Everything that is left, for a command that hands it on.
    pub(crate) fn rest(self) -> Vec<String> {
        self.words
    }

    /// Refuses what is left.
    pub(crate) fn end(self) -> Outcome {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(format!("unknown option `{word}` (see --help)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Args {
        Args::new(text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    #[test]
    fn values_come_in_two_spellings_and_leftovers_are_refused() {
        let mut given = args("--kills 20 --quick --seed=7");
        assert_eq!(given.value("--kills"), Ok(Some(20)));
        assert_eq!(given.value("--seed"), Ok(Some(7)));
        assert!(given.flag("--quick") && !given.flag("--quick"));
        assert_eq!(given.end(), Ok(()));

        assert!(args("--kils 20").end().unwrap_err().contains("--kils"));
        assert!(args("--kills").value::<u32>("--kills").is_err());
        assert!(args("--kills many").value::<u32>("--kills").unwrap_err().contains("many"));
    }
}
