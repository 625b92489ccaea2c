//! How to speak to an endpoint of which nothing is known but its address.

use llm_client::transport::Endpoint;

use super::{COMPATIBLE_ROW, at, find};
use crate::spec::ProviderSpec;

/// Which row an endpoint is spoken to by, where nobody names a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiType {
    /// The row that its address belongs to: a vendor's host, a server's usual port, a host that is called like the server.
    /// Any other is a server of the common format.
    #[default]
    Auto,
    /// The common format, whatever the port says; a vendor's own host is still the vendor's.
    OpenAi,
    /// The server for models of one's own.
    Ollama,
}

impl ApiType {
    /// Every type.
    pub const ALL: &'static [Self] = &[Self::Auto, Self::OpenAi, Self::Ollama];

    /// The word in configurations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
        }
    }

    /// The type of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// The row for an endpoint at this address.
    #[must_use]
    pub fn row(self, address: &Endpoint) -> &'static ProviderSpec {
        let ollama = || find(Self::Ollama.as_str());
        let named = || address.host().contains(Self::Ollama.as_str());
        let row = match self {
            Self::Auto => at(address).or_else(|| ollama().filter(|_| named())),
            Self::OpenAi => at(address).filter(|row| row.owns(address)),
            Self::Ollama => ollama(),
        };
        row.unwrap_or(&COMPATIBLE_ROW)
    }
}

/// The model for those who name none: the row's, else the one that older clients always asked for.
pub(crate) fn default_model(row: &ProviderSpec) -> &'static str {
    let older = if row.name == ApiType::Ollama.as_str() { "qwen2.5:7b-instruct" } else { "gpt-3.5-turbo" };
    row.default_model.unwrap_or(older)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_a_word_picks_the_row() {
        for (kind, url, row, model) in [
            (ApiType::Auto, "http://localhost:8045", "openai-compatible", "gpt-3.5-turbo"),
            (ApiType::Auto, "http://10.0.0.7:11434", "ollama", "qwen2.5:7b-instruct"),
            (ApiType::Auto, "http://ollama.internal/v1", "ollama", "qwen2.5:7b-instruct"),
            (ApiType::Auto, "https://api.deepseek.com", "deepseek", "deepseek-chat"),
            (ApiType::OpenAi, "http://10.0.0.7:11434", "openai-compatible", "gpt-3.5-turbo"),
            (ApiType::OpenAi, "https://api.deepseek.com", "deepseek", "deepseek-chat"),
            (ApiType::Ollama, "http://localhost:8045", "ollama", "qwen2.5:7b-instruct"),
        ] {
            let found = kind.row(&Endpoint::parse(url).unwrap());
            assert_eq!((found.name, default_model(found)), (row, model), "{kind:?} {url}");
        }
        for &kind in ApiType::ALL {
            assert_eq!(ApiType::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(ApiType::parse("cloud"), None);
    }
}
