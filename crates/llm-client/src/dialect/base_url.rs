//! Where an endpoint lies, from what a user writes.

use llm_types::{Error, ErrorKind};
use url::Url;

use super::Encoded;

/// The address of an endpoint: scheme, host, port and path, and the query that every request carries.
///
/// `Display` and `Debug` leave the query out, which may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Without a slash at its end.
    address: String,
    host: String,
    query: Option<String>,
}

impl BaseUrl {
    /// Reads a URL; `version` is the path that an address without one gets.
    pub(crate) fn parse(given: &str, version: &str) -> Result<Self, Error> {
        // What cannot be read as a URL is not repeated: it may hold a key.
        let wrong = |message: &str| Error::new(ErrorKind::Config, format!("base_url: {message}"));
        let url = Url::parse(given.trim())
            .map_err(|e| wrong("not a URL such as https://host/v1").with_source(e))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(&format!("`{}` is not http or https", url.scheme())));
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return Err(wrong("it names no host"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a user name or password in it is not sent; give the key as api_key"));
        }
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = match url.path().trim_end_matches('/') {
            "" => version,
            path => path,
        };
        Ok(Self {
            address: format!("{}://{host}{port}{path}", url.scheme()),
            host: host.to_owned(),
            query: url.query().filter(|query| !query.is_empty()).map(str::to_owned),
        })
    }

    /// Scheme, host, port and path, as errors and logs show it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// The host's name or address, in brackets for IPv6.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The whole URL of a request.
    #[must_use]
    pub fn url_of(&self, request: &Encoded) -> String {
        let mut url = format!("{}{}", self.address, request.path);
        for (query, mark) in [&self.query, &request.query].into_iter().flatten().zip(["?", "&"]) {
            url.push_str(mark);
            url.push_str(query);
        }
        url
    }
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

impl std::fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BaseUrl({})", self.address)
    }
}

/// A piece of a path, with everything coded that could be taken for more than that.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            b'.' if !text.bytes().all(|b| b == b'.') => out.push('.'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_version() {
        for (given, address) in [
            ("https://api.example.com", "https://api.example.com/v1"),
            ("https://api.example.com/", "https://api.example.com/v1"),
            ("https://api.example.com/v1/", "https://api.example.com/v1"),
            ("https://example.com/api/paas/v4", "https://example.com/api/paas/v4"),
            (" http://127.0.0.1:8000 ", "http://127.0.0.1:8000/v1"),
            ("http://[::1]:8000/x?key=CANARY", "http://[::1]:8000/x"),
            ("https://EXAMPLE.com:443", "https://example.com/v1"),
        ] {
            let base = BaseUrl::parse(given, "/v1").unwrap();
            assert_eq!(base.as_str(), address, "{given}");
            assert!(!format!("{base} {base:?}").contains("CANARY"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (given, message) in [
            ("api.example.com/CANARY", "base_url: not a URL such as https://host/v1"),
            ("", "base_url: not a URL such as https://host/v1"),
            ("ftp://example.com/CANARY", "base_url: `ftp` is not http or https"),
            (
                "https://me:CANARY@example.com",
                "base_url: a user name or password in it is not sent; give the key as api_key",
            ),
        ] {
            let error = BaseUrl::parse(given, "/v1").unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Config, message));
            assert!(!error.chain().contains("CANARY"), "{}", error.chain());
        }
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        for (name, coded) in [
            ("gpt-4o_x.1", "gpt-4o_x.1"),
            ("../a?b#c:d", "..%2Fa%3Fb%23c%3Ad"),
            ("..", "%2E%2E"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(segment(name), coded);
        }
    }
}
