//! What is known about a vendor before anything is sent: one row of the catalogue.

use std::borrow::Cow;

use llm_client::dialect::{Dialect, Paths, Quirks};
use llm_client::login::GrantAddresses;
use llm_client::transport::Endpoint;
use llm_types::Capabilities;

use crate::catalogue;
use crate::families;

/// One vendor or kind of server, as data. A compatible vendor is one such row:
///
/// ```
/// use llm_provider::{ProviderSpec, SpecProvider};
/// static ACME: ProviderSpec = ProviderSpec {
///     name: "acme",
///     display: "Acme",
///     base_url: Some("https://api.acme.example/v1"),
///     key_env: &["ACME_API_KEY"],
///     key_required: true,
///     hosts: &["api.acme.example"],
///     ..ProviderSpec::COMPATIBLE
/// };
/// let provider = SpecProvider::new(&ACME);
/// ```
#[derive(Clone, Debug)]
pub struct ProviderSpec {
    /// The name in `name/model`: lower case, without `/` and `:`.
    pub name: &'static str,
    /// The name for people.
    pub display: &'static str,
    /// OpenTelemetry's word for the vendor (`gen_ai.provider.name`), where it is another than the name.
    pub traced_as: Option<&'static str>,
    /// Where it is reached. `None`: the user has to say.
    pub base_url: Option<&'static str>,
    /// The environment variable that moves it.
    pub address_env: Option<AddressVariable>,
    /// The environment variables that hold its key; the first that is set wins.
    pub key_env: &'static [&'static str],
    /// Those of the variables whose key goes as a bearer token, whatever the quirks say.
    pub bearer_env: &'static [&'static str],
    /// Whether its own hosts answer nothing without a key.
    pub key_required: bool,
    /// Where an account signs in that goes without a key. With feature `vertex` its tokens are sent to the vendor's own
    /// hosts.
    pub sign_in: Option<SignIn>,
    /// The vendor's own hosts: its key may be sent there, and an address there is known to be its. `.x.y` stands for every
    /// host below `x.y`, `-x.y` for every name before it, `:1234` for a port that tells the kind of server but not whose it is.
    pub hosts: &'static [&'static str],
    /// The format on the wire.
    pub dialect: Dialect,
    /// Where it differs from the format's owner.
    pub quirks: Quirks,
    /// Base URLs with such a path are another surface of the same vendor: requests go elsewhere below them.
    pub paths_at: &'static [(&'static str, Paths)],
    /// Models of others that it serves in their own format.
    pub guests: &'static [Guest],
    /// Whether its server runs in this process: [`LoopbackProvider`](crate::LoopbackProvider).
    pub loopback: bool,
    /// The only models there are; empty where the server decides.
    pub only_models: &'static [&'static str],
    /// The model for those who name none. `None`: they have to.
    pub default_model: Option<&'static str>,
    /// What its models can do as a rule; see [`capabilities_for`](Self::capabilities_for).
    pub capabilities: Capabilities,
}

/// Models that somebody else made, served in a format of their own at the same hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// How their names look, in lower case; `*` stands for anything.
    pub names: &'static [&'static str],
    /// Their format.
    pub dialect: Dialect,
    /// How it is spoken.
    pub quirks: Quirks,
    /// How the path of the row's base URL ends, and how theirs does.
    pub path: (&'static str, &'static str),
}

impl Guest {
    /// Their base URL, from the row's. Any other is used as it is.
    pub(crate) fn address<'a>(&self, base_url: &'a str) -> Cow<'a, str> {
        let (row, theirs) = self.path;
        let before = base_url.trim_end_matches('/').strip_suffix(row);
        before.map_or(Cow::Borrowed(base_url), |before| Cow::Owned(format!("{before}{theirs}")))
    }
}

/// How an account signs in: what is found on a machine where somebody has, and where tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The environment variable that names the credentials file.
    pub file_env: &'static str,
    /// Where it lies below the user's home.
    pub home_file: &'static str,
    /// Where it lies below `APPDATA`, on Windows.
    pub app_data_file: &'static str,
    /// Where tokens are asked for.
    pub addresses: GrantAddresses,
}

/// An environment variable that says where a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressVariable {
    /// It holds a base URL.
    Url(&'static str),
    /// It holds a host, with or without scheme and port; the rest is filled in.
    Host {
        /// The variable.
        name: &'static str,
        /// The port where none is given.
        port: u16,
        /// The path where none is given.
        path: &'static str,
    },
    /// It holds a project; another holds the place where it is run.
    Project {
        /// The project's variable.
        name: &'static str,
        /// The place's variable.
        place: &'static str,
        /// The place where none is given.
        usual: &'static str,
        /// The hosts of places that have one of their own.
        hosts: &'static [(&'static str, &'static str)],
        /// What follows the name of any other place.
        host: &'static str,
        /// The path; `{project}` and `{place}` stand for what they say.
        path: &'static str,
    },
}

impl AddressVariable {
    /// The variable's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Url(name) | Self::Host { name, .. } | Self::Project { name, .. } => name,
        }
    }

    /// The base URL that the variable's text stands for.
    #[must_use]
    pub fn base_url(&self, text: &str) -> String {
        let Self::Host { port, path, .. } = *self else { return text.to_owned() };
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (authority, given_path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        // A server that listens on every address is called on this machine's own.
        let authority = match authority.strip_prefix("0.0.0.0") {
            Some(port) if port.is_empty() || port.starts_with(':') => format!("127.0.0.1{port}"),
            _ if authority.starts_with(':') => format!("127.0.0.1{authority}"),
            _ if authority.is_empty() => "127.0.0.1".to_owned(),
            _ => authority.to_owned(),
        };
        // The last colon of `[::1]` is no port's.
        let has_port = authority.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let path = if given_path.trim_matches('/').is_empty() { path } else { given_path };
        match (scheme, has_port) {
            // With a scheme and no port it is the scheme's own port, as the server's own tools have it.
            (Some(scheme), _) => format!("{scheme}://{authority}{path}"),
            (None, true) => format!("http://{authority}{path}"),
            (None, false) => format!("http://{authority}:{port}{path}"),
        }
    }
}

impl ProviderSpec {
    /// Any server that speaks the most common format, somewhere. The base of other rows.
    pub const COMPATIBLE: Self = catalogue::COMPATIBLE;

    /// Whether an address is one of the vendor's own hosts, over TLS, so that its key may go there.
    #[must_use]
    pub fn owns(&self, address: &Endpoint) -> bool {
        let host = address.host();
        let below = |pattern: &str| pattern.starts_with(['.', '-']) && host.ends_with(pattern);
        address.is_https()
            && address.port() == 443
            && self.hosts.iter().any(|pattern| *pattern == host || below(pattern))
    }

    /// The path of its own address: what stands for a base URL of one of its hosts that was written without a path.
    fn own_path(&self) -> Option<&'static str> {
        let (_, rest) = self.base_url?.split_once("://")?;
        Some(rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default())
    }

    /// The guests that the model is of.
    pub(crate) fn guest(&self, model: &str) -> Option<&'static Guest> {
        self.guests.iter().find(|guest| families::is_named(model, guest.names))
    }

    /// How the model named like this is spoken to at this address.
    pub(crate) fn quirks_at(&self, address: &Endpoint, model: &str) -> Quirks {
        let mut quirks = self.quirks_for(model);
        if self.base_url.is_some() {
            let own = self.own_path().filter(|_| self.owns(address));
            quirks.default_path = own.unwrap_or(Quirks::NONE.default_path);
        }
        if let Some((_, paths)) = self.paths_at.iter().find(|(path, _)| *path == address.path()) {
            quirks.paths = *paths;
        }
        quirks
    }

    /// Whether a key that was given for one address may go to the other: they are of one origin, or both the vendor's own.
    #[must_use]
    pub fn shares_keys(&self, one: &Endpoint, other: &Endpoint) -> bool {
        let origin = |address: &Endpoint| (address.is_https(), address.port());
        let same = origin(one) == origin(other) && one.host() == other.host();
        same || (self.owns(one) && self.owns(other))
    }

    /// Whether an address looks like this kind of server.
    #[must_use]
    pub fn runs(&self, address: &Endpoint) -> bool {
        let port =
            |pattern: &str| pattern.strip_prefix(':').is_some_and(|port| port.parse() == Ok(address.port()));
        self.owns(address) || self.hosts.iter().any(|pattern| port(pattern))
    }

    /// Whether a bare model name is likely one of this vendor's.
    #[must_use]
    pub fn claims(&self, model: &str) -> bool {
        families::owner(model) == Some(self.name)
    }

    /// How the model named like this is spoken to here: the row's quirks and what follows the model's name.
    #[must_use]
    pub fn quirks_for(&self, model: &str) -> Quirks {
        families::quirks(self, model)
    }

    /// What the model named like this can do here: what the row says of all, what follows the model's name, and what the
    /// quirks and the format rule out.
    #[must_use]
    pub fn capabilities_for(&self, model: &str) -> Capabilities {
        catalogue::abilities(self, model)
    }

    /// The address that the environment gives it, with the variable's name.
    #[must_use]
    pub fn address_from(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
        let variable = self.address_env?;
        let text = env(variable.name()).filter(|text| !text.trim().is_empty())?;
        let url = match variable {
            AddressVariable::Project { place, usual, hosts, host, path, .. } => {
                let place =
                    env(place).filter(|text| !text.trim().is_empty()).unwrap_or_else(|| usual.to_owned());
                let place = place.trim();
                let own = hosts.iter().find(|(known, _)| *known == place).map(|(_, host)| (*host).to_owned());
                let host = own.unwrap_or_else(|| format!("{place}{host}"));
                let path = path.replace("{project}", text.trim()).replace("{place}", place);
                format!("https://{host}{path}")
            }
            _ => variable.base_url(text.trim()),
        };
        Some((variable.name(), url))
    }

    /// The key variables that are set besides the one that counts, and hold another key.
    #[must_use]
    pub fn other_keys(&self, env: &dyn Fn(&str) -> Option<String>) -> Vec<&'static str> {
        let Some((used, key)) = self.key_from(env) else { return Vec::new() };
        let differs =
            |name: &&str| *name != used && env(name).is_some_and(|text| !text.is_empty() && text != key);
        self.key_env.iter().copied().filter(differs).collect()
    }

    /// The first of its key variables that is set, with its text.
    #[must_use]
    pub fn key_from(&self, env: &dyn Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
        self.key_env.iter().find_map(|&name| Some((name, env(name).filter(|text| !text.is_empty())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_variable_may_leave_out_anything() {
        let variable = AddressVariable::Host { name: "X_HOST", port: 11434, path: "/v1" };
        for (text, url) in [
            ("example", "http://example:11434/v1"),
            ("example:8080", "http://example:8080/v1"),
            ("0.0.0.0", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0:9", "http://127.0.0.1:9/v1"),
            (":9", "http://127.0.0.1:9/v1"),
            ("[::1]", "http://[::1]:11434/v1"),
            ("[::1]:9", "http://[::1]:9/v1"),
            ("http://example", "http://example/v1"),
            ("https://example/", "https://example/v1"),
            ("https://example:1/api/v1", "https://example:1/api/v1"),
            ("example/api", "http://example:11434/api"),
        ] {
            assert_eq!(variable.base_url(text), url, "{text}");
        }
        assert_eq!(AddressVariable::Url("X").base_url("https://x/v1"), "https://x/v1");
    }

    #[test]
    fn a_vendor_owns_its_hosts_over_tls_only() {
        let spec = ProviderSpec {
            hosts: &["api.acme.example", ".acme.example", ":4711"],
            ..ProviderSpec::COMPATIBLE
        };
        for (url, owns, runs) in [
            ("https://api.acme.example/v1", true, true),
            ("https://eu.acme.example", true, true),
            ("http://api.acme.example/v1", false, false),
            ("https://api.acme.example:8443/v1", false, false),
            ("https://notacme.example", false, false),
            ("https://acme.example", false, false),
            ("https://api.acme.example.evil.test/v1", false, false),
            ("http://10.0.0.1:4711/v1", false, true),
        ] {
            let address = Endpoint::parse(url).unwrap();
            assert_eq!((spec.owns(&address), spec.runs(&address)), (owns, runs), "{url}");
        }
    }

    #[test]
    fn the_first_key_variable_that_is_set_wins() {
        let spec = ProviderSpec { key_env: &["A", "B"], ..ProviderSpec::COMPATIBLE };
        let env = |set: &'static [(&str, &str)]| {
            move |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(spec.key_from(&env(&[("B", "2"), ("A", "1")])), Some(("A", "1".into())));
        assert_eq!(spec.key_from(&env(&[("A", ""), ("B", "2")])), Some(("B", "2".into())));
        assert_eq!(spec.key_from(&env(&[])), None);
        assert_eq!(spec.other_keys(&env(&[("B", "2"), ("A", "1")])), ["B"]);
        assert!(spec.other_keys(&env(&[("B", "1"), ("A", "1")])).is_empty());
        assert!(spec.other_keys(&env(&[("B", "2")])).is_empty());
    }
}
