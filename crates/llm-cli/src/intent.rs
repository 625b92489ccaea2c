//! What a command line means: a command, or a prompt without one.
//!
//! `llm "What is …"` asks. A word that is nearly a command is refused and not sent to a model that costs money;
//! `llm -- batc x` sends it. Options may stand before the command: `llm -m fast batch in.jsonl`.

use std::ffi::{OsStr, OsString};

use crate::failure::Failure;

/// Names that other versions or tools of this kind have as commands. Alone they are no prompt that anybody would pay for.
const COMMANDS_ELSEWHERE: &[&str] = &[
    "cache",
    "chat",
    "completions",
    "doctor",
    "embed",
    "history",
    "logs",
    "man",
    "prices",
    "pricing",
    "providers",
    "run",
    "serve",
];

/// The command line with its command first, `ask` where none was named.
///
/// # Errors
/// A usage error for a word that was likely meant as a command, and for an empty command line.
pub fn with_command(args: Vec<OsString>, cli: &clap::Command) -> Result<Vec<OsString>, Failure> {
    let commands: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).chain(["help"]).collect();
    let first = first_word(&args, cli, 1);
    let mut args = args;
    match first {
        First::Word(at) => {
            let word = args.get(at).cloned().unwrap_or_default();
            let alone = at + 1 == args.len();
            match word.to_str() {
                Some(name) if commands.contains(&name) => {
                    let command = args.remove(at);
                    args.insert(1, command);
                    // `llm --errors json config show`: what is asked for goes before the options, too.
                    let inner = cli.find_subcommand(name).filter(|inner| inner.is_subcommand_required_set());
                    if let (Some(inner), First::Word(at)) = (inner, first_word(&args, cli, 2))
                        && args.get(at).and_then(|word| word.to_str()).is_some_and(|word| {
                            inner.get_subcommands().any(|action| action.get_name() == word)
                        })
                    {
                        let action = args.remove(at);
                        args.insert(2, action);
                    }
                }
                Some(name) => {
                    refuse_slip(name, alone, &args, &commands)?;
                    args.insert(1, "ask".into());
                }
                None => args.insert(1, "ask".into()),
            }
        }
        // `--help` and `--version` are clap's.
        First::Own => {}
        First::None => args.insert(1.min(args.len()), "ask".into()),
    }
    Ok(args)
}

fn refuse_slip(word: &str, alone: bool, args: &[OsString], commands: &[&str]) -> Result<(), Failure> {
    // A prompt in quotes has spaces, a word on its own may be a slip.
    if word.is_empty() || word.contains(char::is_whitespace) {
        return Ok(());
    }
    let forced = || {
        let words: Vec<_> = args.iter().skip(1).map(|word| word.to_string_lossy()).collect();
        format!("to send it as a prompt: llm -- {}", words.join(" "))
    };
    if let Some(command) = near_command(word, commands) {
        return Err(
            Failure::usage(format!("`{word}` is not a command; did you mean `{command}`?")).hint(forced())
        );
    }
    if alone && COMMANDS_ELSEWHERE.contains(&word) {
        let known = commands.join(", ");
        return Err(Failure::usage(format!("`{word}` is not a command of this version, which has: {known}"))
            .hint(forced()));
    }
    Ok(())
}

/// Whether `word`, first on a command line, was likely meant as one of `commands`.
fn near_command<'a>(word: &str, commands: &[&'a str]) -> Option<&'a str> {
    let length = word.chars().count();
    let near = |&&command: &&&str| {
        // Short words are near to too many others: only a slip of one key counts there.
        let most = if command.len() >= 6 && length >= 5 { 2 } else { 1 };
        length >= 2 && strsim::osa_distance(&word.to_lowercase(), command) <= most
    };
    commands.iter().filter(near).min_by_key(|command| strsim::osa_distance(word, command)).copied()
}

#[derive(Debug, PartialEq, Eq)]
enum First {
    /// The place of the first word that is no option and no option's value.
    Word(usize),
    /// `--help` or `--version` come before any word.
    Own,
    /// There is no word, or `--` comes before it.
    None,
}

fn first_word(args: &[OsString], cli: &clap::Command, from: usize) -> First {
    let mut at = from;
    while let Some(arg) = args.get(at) {
        let Some(text) = arg.to_str() else { return First::Word(at) };
        at += match text {
            "--" => return First::None,
            "-h" | "--help" if at == 1 => return First::Own,
            "-V" | "--version" => return First::Own,
            "-" => return First::Word(at),
            _ if text.starts_with("--") => {
                1 + usize::from(
                    !text.contains('=')
                        && text
                            .strip_prefix("--")
                            .is_some_and(|name| takes_value(cli, |arg| is_long(arg, name))),
                )
            }
            _ if text.starts_with('-') => {
                // In `-vvm x` the last letter takes the next word; in `-mx` it has its value.
                let mut letters = text.chars().skip(1);
                let with_value =
                    letters.by_ref().find(|c| takes_value(cli, |arg| arg.get_short() == Some(*c)));
                1 + usize::from(with_value.is_some() && letters.next().is_none())
            }
            _ => return First::Word(at),
        };
    }
    First::None
}

/// Whether an option takes a value, at whatever command: an option of one name means the same everywhere.
fn takes_value(cli: &clap::Command, is: impl Fn(&clap::Arg) -> bool + Copy) -> bool {
    every_argument(cli).any(|arg| is(arg) && arg.get_action().takes_values())
}

fn is_long(arg: &clap::Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

fn every_argument(cli: &clap::Command) -> Box<dyn Iterator<Item = &clap::Arg> + '_> {
    Box::new(cli.get_arguments().chain(cli.get_subcommands().flat_map(every_argument)))
}

/// Whether the errors are to be JSON, read before the command line is known to be right.
#[must_use]
pub fn wants_json_errors(args: &[OsString], variable: Option<&OsStr>) -> bool {
    let mut form = variable.map(OsStr::to_owned);
    let mut args = args.iter().take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--errors" {
            form = args.next().cloned();
        } else if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix("--errors=")) {
            form = Some(value.into());
        }
    }
    form.is_some_and(|form| form == "json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

    fn args(words: &str) -> Vec<OsString> {
        std::iter::once("llm").chain(words.split('|').filter(|w| !w.is_empty())).map(Into::into).collect()
    }

    fn meant(words: &str) -> Result<String, String> {
        with_command(args(words), &Cli::command())
            .map(|args| args[1..].iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join("|"))
            .map_err(|failure| failure.lines().join("\n"))
    }

    #[test]
    fn a_prompt_without_a_command_asks() {
        for (given, meaning) in [
            ("What is it?", "ask|What is it?"),
            ("-m|mock/echo|What is it?", "ask|-m|mock/echo|What is it?"),
            ("-mfast|--json|two|words", "ask|-mfast|--json|two|words"),
            ("-vv|hello", "ask|-vv|hello"),
            ("--|batc|x", "ask|--|batc|x"),
            ("--|test", "ask|--|test"),
            ("-", "ask|-"),
            ("-m|x|--help", "ask|-m|x|--help"),
            ("", "ask"),
            ("batch this please", "ask|batch this please"),
        ] {
            assert_eq!(meant(given).as_deref(), Ok(meaning), "{given}");
        }
    }

    #[test]
    fn a_command_is_found_behind_options() {
        for (given, meaning) in [
            ("batch|in.jsonl", "batch|in.jsonl"),
            ("--reasoning-effort|high|batch|in", "batch|--reasoning-effort|high|in"),
            ("-m|fast|batch|in.jsonl|-c|3", "batch|-m|fast|in.jsonl|-c|3"),
            ("--set|max_retries=1|-vm|fast|test", "test|--set|max_retries=1|-vm|fast"),
            ("--color=never|version", "version|--color=never"),
            ("-m|list|hello there", "ask|-m|list|hello there"),
            ("help|batch", "help|batch"),
            ("--errors|json|config|show", "config|show|--errors|json"),
            ("-v|config|check|x", "config|check|-v|x"),
            ("config|--json", "config|--json"),
            ("--help", "--help"),
            ("-V", "-V"),
        ] {
            assert_eq!(meant(given).as_deref(), Ok(meaning), "{given}");
        }
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

    #[test]
    fn a_near_miss_of_a_command_is_not_sent() {
        assert_eq!(
            meant("batc|x").unwrap_err(),
            "`batc` is not a command; did you mean `batch`?\n  try: to send it as a prompt: llm -- batc x"
        );
        assert!(meant("-m|fast|modles").unwrap_err().contains("did you mean `models`?"));
        assert!(meant("chat").unwrap_err().starts_with("`chat` is not a command of this version"));
        assert!(meant("chat|about|rust").is_ok());
        assert!(meant("hello").is_ok());
    }

    #[test]
    fn an_option_takes_a_value_at_every_command_or_at_none() {
        let cli = Cli::command();
        for arg in every_argument(&cli) {
            let same = |other: &&clap::Arg| {
                (arg.get_long().is_some() && arg.get_long() == other.get_long())
                    || (arg.get_short().is_some() && arg.get_short() == other.get_short())
            };
            for other in every_argument(&cli).filter(same) {
                assert_eq!(arg.get_action().takes_values(), other.get_action().takes_values(), "{arg:?}");
            }
        }
    }

    #[test]
    fn the_form_of_errors_is_seen_in_a_wrong_command_line_too() {
        let json = Some(OsStr::new("json"));
        assert!(wants_json_errors(&args("ask|--errors|json|--nonsense"), None));
        assert!(wants_json_errors(&args("--errors=json"), None));
        assert!(wants_json_errors(&args("x"), json));
        assert!(!wants_json_errors(&args("x|--errors|text"), json));
        assert!(!wants_json_errors(&args("--|--errors|json"), None));
    }
}
