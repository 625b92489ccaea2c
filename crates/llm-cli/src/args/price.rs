//! The flags of `llm price`.

use std::path::PathBuf;

use clap::Args;

use super::Talk;

/// `llm price`.
#[derive(Debug, Args)]
#[command(after_help = concat!(
    "Prices are in US dollars for a million tokens, from the configuration (`price` of a model, or a list named by \
     `prices`), else from a table that comes with the program. Nothing is fetched.\n\n",
    "Examples:\n",
    "  llm price -m acme/small\n",
    "  llm price acme/small --input 12000 --output 500 --cached 10000\n",
    "  llm price acme/small --input 1000000 --tier batch --json | jq -r .cost.total_usd\n",
    "  llm price --list --provider acme\n\n",
    "Exit codes: 0 shown, also where the price is unknown, 2 usage or a wrong configuration, 3 no such model or provider",
))]
pub struct Price {
    /// The model [default: the one that `ask` would use]
    #[arg(value_name = "MODEL", conflicts_with = "list")]
    pub name: Option<String>,
    /// The same as MODEL [env: LLM_RS_MODEL]
    #[arg(short, long, value_name = "MODEL", conflicts_with_all = ["name", "list"])]
    pub model: Option<String>,
    /// Say what a call costs that reads so many tokens, cached ones included
    #[arg(long, value_name = "TOKENS", conflicts_with = "list")]
    pub input: Option<u64>,
    /// Say what a call costs that writes so many tokens, reasoning included
    #[arg(long, value_name = "TOKENS", conflicts_with = "list")]
    pub output: Option<u64>,
    /// So many of the tokens that are read come from the vendor's cache
    #[arg(long, value_name = "TOKENS", requires = "input")]
    pub cached: Option<u64>,
    /// The service tier of the call, such as flex, priority or batch
    #[arg(long, value_name = "TIER", conflicts_with = "list")]
    pub tier: Option<String>,
    /// List every model that has a price
    #[arg(long)]
    pub list: bool,
    /// List the models of this provider only
    #[arg(long, value_name = "NAME", requires = "list")]
    pub provider: Option<String>,
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

impl Price {
    /// The model that was named.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.name.as_deref().or(self.model.as_deref())
    }
}
