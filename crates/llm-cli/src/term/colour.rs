//! Whether to colour, and how. Each stream is judged by itself; nothing is ever asked of the terminal.

use clap::ValueEnum;

/// What the user said about colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// Colour where a terminal can show it and the environment does not forbid it.
    #[default]
    Auto,
    /// Colour, wherever it goes.
    Always,
    /// None.
    Never,
}

/// What the environment says about colour.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `NO_COLOR` is set to anything but nothing.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set to anything but `0`.
    pub force: bool,
    /// `CLICOLOR` is `0`.
    pub clicolor_off: bool,
    /// `TERM` is `dumb`, or there is none where there should be one.
    pub dumb: bool,
}

impl Environment {
    /// Reads the variables through `var`.
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            no_color: var("NO_COLOR").is_some_and(|v| !v.is_empty()),
            force: var("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0"),
            clicolor_off: var("CLICOLOR").is_some_and(|v| v == "0"),
            dumb: var("TERM").map_or(cfg!(unix), |v| v == "dumb"),
        }
    }

    /// Whether a stream is coloured. The user's own word counts most, then `NO_COLOR`, then `CLICOLOR_FORCE`.
    #[must_use]
    pub fn colours(&self, choice: Choice, is_terminal: bool) -> bool {
        match choice {
            Choice::Always => true,
            Choice::Never => false,
            Choice::Auto if self.no_color => false,
            Choice::Auto if self.force => true,
            Choice::Auto => is_terminal && !self.dumb && !self.clicolor_off,
        }
    }
}

/// A way to write a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For what is aside: reasoning, figures.
    Dim,
    /// For the word `error`.
    Error,
    /// For the word `warning`.
    Warning,
}

impl Style {
    const fn start(self) -> &'static str {
        match self {
            Self::Dim => "\x1b[2m",
            Self::Error => "\x1b[1;31m",
            Self::Warning => "\x1b[1;33m",
        }
    }

    /// The text in this style, or as it is where there is no colour.
    #[must_use]
    pub fn paint(self, text: &str, colour: bool) -> String {
        if colour { format!("{}{text}\x1b[0m", self.start()) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_obeyed_in_its_order() {
        let env = |pairs: &'static [(&str, &str)]| {
            Environment::read(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        let auto = Choice::Auto;
        assert!(env(&[("TERM", "xterm")]).colours(auto, true));
        assert!(!env(&[("TERM", "xterm")]).colours(auto, false));
        assert!(!env(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).colours(auto, true));
        assert!(env(&[("NO_COLOR", ""), ("TERM", "xterm")]).colours(auto, true));
        assert!(env(&[("CLICOLOR_FORCE", "1")]).colours(auto, false));
        assert!(!env(&[("CLICOLOR_FORCE", "0")]).colours(auto, false));
        assert!(!env(&[("TERM", "dumb")]).colours(auto, true));
        assert!(!env(&[("CLICOLOR", "0"), ("TERM", "xterm")]).colours(auto, true));
        assert!(env(&[("NO_COLOR", "1")]).colours(Choice::Always, false));
        assert!(!env(&[("CLICOLOR_FORCE", "1")]).colours(Choice::Never, true));
    }

    #[test]
    fn without_colour_a_text_stays_as_it_is() {
        assert_eq!(Style::Dim.paint("x", false), "x");
        assert_eq!(Style::Dim.paint("x", true), "\x1b[2mx\x1b[0m");
    }
}
