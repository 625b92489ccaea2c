//! Developer commands: `cargo xtask <command>`, one file a command.
//!
//! Commands that run the real binary (`integration`, `crash`, `bench`) start it and the mock server as processes of
//! their own and end only what they started.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a developer command talks on its terminal")]

mod args;
mod bench;
mod ci;
mod crash;
mod drill;
mod integration;
mod matrix;
mod outside;
mod process;
mod rows;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

use crate::args::Args;

/// What a command gives back: nothing, or why it failed.
type Outcome<T = ()> = Result<T, String>;

/// One command, as `--help` shows it.
struct Command {
    name: &'static str,
    about: &'static str,
    usage: &'static str,
    run: fn(Args) -> Outcome,
}

const COMMANDS: [&Command; 9] = [
    &ci::COMMAND,
    &test::COMMAND,
    &tidy::COMMAND,
    &integration::COMMAND,
    &outside::COMMAND,
    &matrix::COMMAND,
    &drill::COMMAND,
    &crash::COMMAND,
    &bench::COMMAND,
];

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = words.first().cloned().filter(|word| !matches!(word.as_str(), "help" | "-h" | "--help"))
    else {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprint!("xtask: there is no command `{name}`\n\n{}", overview());
        return ExitCode::from(2);
    };
    words.remove(0);
    if words.iter().take_while(|word| *word != "--").any(|word| word == "-h" || word == "--help") {
        println!("{}\n\nUsage: cargo xtask {}", command.about, command.usage);
        return ExitCode::SUCCESS;
    }
    match (command.run)(Args::new(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask <command> [options]\n\nCommands:\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<12} {}\n", command.name, command.about));
    }
    text.push_str("\n`cargo xtask <command> --help` shows a command's options.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_command_once() {
        let text = overview();
        for command in COMMANDS {
            assert_eq!(text.matches(&format!("\n  {} ", command.name)).count(), 1, "{}", command.name);
            assert!(command.usage.starts_with(command.name), "{}", command.usage);
        }
    }
}
