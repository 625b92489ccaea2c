//! The flags of the commands that look at the configuration and change it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Model, Talk};
use crate::amount::span;

/// `llm config`.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = concat!(
        "Examples:\n",
        "  llm config show --origin\n",
        "  llm config check llm.toml\n",
        "  llm config path\n",
        "  llm config edit\n\n",
        "Exit codes: 0 done, 2 the configuration is wrong, 3 the named file is not there",
    )
)]
pub struct Config {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Show every value that holds, and with --origin where it comes from
    Show(ConfigShow),
    /// Say whether files are right, or everything that is wrong with them
    Check(ConfigCheck),
    /// Say which files are read, which would be, and where everything else lies
    Path(ConfigPath),
    /// Open your own file in your editor, and check it afterwards
    Edit(ConfigEdit),
}

/// `llm config show`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Flags and variables count as they would in a call, so that this shows what would be sent and where to.\n",
    "Keys are shown by their last four characters. Nothing is sent.\n\n",
    "Examples:\n",
    "  llm config show --origin\n",
    "  llm config show -m fast --set max_retries=1 --origin\n",
    "  llm config show --json | jq .settings.max_retries\n\n",
    "Exit codes: 0 done, 2 the configuration is wrong, 3 the named file is not there",
))]
pub struct ConfigShow {
    /// Say where each value comes from: a flag, a variable, FILE:LINE, or built-in
    #[arg(long)]
    pub origin: bool,
    /// Print one JSON object, origins included
    #[arg(long)]
    pub json: bool,
    /// The model.
    #[command(flatten)]
    pub model: Model,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm config check`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Without a file it checks what a call would read now: files and variables together.\n",
    "Warnings leave the exit code at 0.\n\n",
    "Examples:\n",
    "  llm config check\n",
    "  llm config check llm.toml ~/.config/llm-rs/config.toml\n",
    "  llm config check --json llm.toml | jq '.files[].errors'\n\n",
    "Exit codes: 0 all are right, 2 something is wrong, 3 a file is not there",
))]
pub struct ConfigCheck {
    /// The files to check, each by itself
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The configuration file to use in place of the usual ones [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    pub config: Option<PathBuf>,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm config path`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llm config path\n  llm config path --json | jq -r .user_config\n\nExit codes: 0 done"
)]
pub struct ConfigPath {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The configuration file to use in place of the usual ones [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm config edit`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "The editor is $VISUAL, else $EDITOR. A file that is not there is first written as `llm init` would.\n",
    "What you saved stays, also when it is wrong.\n\n",
    "Examples:\n",
    "  llm config edit\n",
    "  EDITOR='code --wait' llm config edit\n\n",
    "Exit codes: 0 the file is right, 2 it is wrong, or there is no editor or no terminal, 8 file I/O",
))]
pub struct ConfigEdit {
    /// Another file than your own [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm init`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "The file explains itself and is open to you alone (0600). A file that is there is never touched.\n\n",
    "Examples:\n",
    "  llm init\n",
    "  llm init --dry-run\n",
    "  llm init -p ./llm.toml\n\n",
    "Exit codes: 0 written, 2 usage, 5 there is a file already, 8 file I/O",
))]
pub struct Init {
    /// Where to write it, in place of your own configuration file
    #[arg(short, long, value_name = "FILE")]
    pub path: Option<PathBuf>,
    /// Print it and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm set-model`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Comments, order and blanks of the file stay as they are.\n\n",
    "Examples:\n",
    "  llm set-model local/qwen3-8b\n",
    "  llm set-model fast --dry-run\n\n",
    "Exit codes: 0 done, 2 the file is wrong or its form cannot be kept, 3 there is no such model, 8 file I/O",
))]
pub struct SetModel {
    /// The model: provider/model, a configured name, or an alias
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Print the file as it would be and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Another file than your own [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm keys`.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = concat!(
        "Examples:\n",
        "  llm keys list\n",
        "  llm keys test openai\n",
        "  pass show acme | llm keys set acme\n\n",
        "Exit codes: 0 done, 2 usage, 3 no such provider, 4 a key is missing or refused, 6 try again later, 8 file I/O",
    )
)]
pub struct Keys {
    /// What to do.
    #[command(subcommand)]
    pub action: KeysAction,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// List where each provider's keys come from, and whether they are set
    List(KeysList),
    /// Ask each server for its list of models, once with each key
    Test(KeysTest),
    /// Say where keys are kept
    Path(KeysPath),
    /// Keep a key in a file of its own, open to you alone
    Set(KeysSet),
    /// Remove a key that `set` kept
    Rm(KeysRm),
}

/// `llm keys list`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "A key is shown by its last four characters; commands that print keys are not run.\n\n",
    "Examples:\n",
    "  llm keys list\n",
    "  llm keys list --all --json\n\n",
    "Exit codes: 0 done, 2 the configuration is wrong, 3 the named file is not there",
))]
pub struct KeysList {
    /// Built-in providers without a key too
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The configuration file to use in place of the usual ones [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm keys test`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "One request for the list of models with each key, to the provider's own address; no prompt, no cost.\n",
    "Some servers show their list to anyone: there `ok` says only that the server is there.\n\n",
    "Examples:\n",
    "  llm keys test\n",
    "  llm keys test openai --json\n\n",
    "Exit codes: 0 none is refused, 2 usage, 3 no such provider, 4 a key is missing or refused, 6 out of reach",
))]
pub struct KeysTest {
    /// One provider; all that have keys when left out
    #[arg(value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// The longest one request may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    pub timeout: std::time::Duration,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The configuration file to use in place of the usual ones [env: LLM_RS_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm keys path`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  llm keys path\n\nExit codes: 0 done")]
pub struct KeysPath {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm keys set`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "The key is read from stdin, or typed unseen on a terminal; it is never an argument. It goes into a file of its own\n",
    "(0600) in the folder that `llm keys path` names, and your configuration gets one line that points to it.\n",
    "A variable that is set still goes before it.\n\n",
    "Examples:\n",
    "  llm keys set openai\n",
    "  pass show openai | llm keys set openai\n\n",
    "Exit codes: 0 kept, 2 usage or no key, 3 no such provider, 5 the configuration names another key, 8 file I/O",
))]
pub struct KeysSet {
    /// The provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// Keep it in the operating system's keyring; on Linux that of the kernel, which forgets at a restart
    #[cfg(feature = "keyring")]
    #[arg(long)]
    pub keyring: bool,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// `llm keys rm`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llm keys rm openai\n\nExit codes: 0 removed, 3 no key is kept for it, 8 file I/O"
)]
pub struct KeysRm {
    /// The provider
    #[arg(value_name = "PROVIDER")]
    pub provider: String,
    /// The talk.
    #[command(flatten)]
    pub talk: Talk,
}

impl Config {
    /// How the command talks.
    pub(super) const fn talk(&self) -> &Talk {
        match &self.action {
            ConfigAction::Show(ConfigShow { talk, .. })
            | ConfigAction::Check(ConfigCheck { talk, .. })
            | ConfigAction::Path(ConfigPath { talk, .. })
            | ConfigAction::Edit(ConfigEdit { talk, .. }) => talk,
        }
    }
}

impl Keys {
    /// How the command talks.
    pub(super) const fn talk(&self) -> &Talk {
        match &self.action {
            KeysAction::List(KeysList { talk, .. })
            | KeysAction::Test(KeysTest { talk, .. })
            | KeysAction::Path(KeysPath { talk, .. })
            | KeysAction::Set(KeysSet { talk, .. })
            | KeysAction::Rm(KeysRm { talk, .. }) => talk,
        }
    }
}
