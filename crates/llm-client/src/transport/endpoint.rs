//! Base URLs: parsed once, joined with care, shown without anything secret.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use http::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use llm_types::{Error, ErrorKind, Secret};

/// A base URL: where requests go. `Display` and `Debug` show scheme, host and path only.
///
/// A user name and password in the URL are moved out of it and offered as [`basic_auth`](Self::basic_auth). A query
/// stays (some gateways want one on every request) and is put before the request's own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    https: bool,
    authority: Authority,
    /// Without a slash at its end; empty for the root.
    path: String,
    query: Option<String>,
    login: Option<Secret>,
}

impl Endpoint {
    /// Reads a base URL such as `https://api.deepseek.com/v1`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] says what is wrong and, for a missing scheme, what was probably meant. User name, password
    /// and query are not repeated in it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Some(at) = text.chars().position(|c| c.is_control() || c == ' ') {
            return Err(wrong(format!("a URL holds no space or control character (character {})", at + 1)));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(without_scheme(text));
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong(format!("the scheme `{scheme}` is not http or https"))),
        };
        if rest.contains('#') {
            return Err(wrong("a base URL has no fragment (`#…`): percent-code a `#` as %23".into()));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(Secret::new(percent_decode(login))), host),
            None => (None, authority),
        };
        let unreadable = || wrong(format!("the host `{}` cannot be read", cut(host)));
        if !host.is_ascii() {
            let hint = "write an international name in its ASCII form (xn--…)";
            return Err(wrong(format!("the host `{}` is not ASCII", cut(host))).with_hint(hint));
        }
        let host = host.to_ascii_lowercase();
        if host.is_empty() {
            return Err(wrong("the URL names no host".into()));
        }
        let authority: Authority = host.parse().map_err(|_| unreadable())?;
        if authority.host().is_empty() {
            return Err(wrong("the URL names no host".into()));
        }
        if host.len() > authority.host().len() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong(format!("the port of `{}` is not a number from 1 to 65535", cut(&host))));
        }
        // `https://host:443` and `https://host` are one place and share its connections.
        let default = if https { ":443" } else { ":80" };
        let authority = match host.strip_suffix(default) {
            Some(short) => short.parse().map_err(|_| unreadable())?,
            None => authority,
        };
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (tail, None),
        };
        let path = path.trim_end_matches('/');
        if path_fault(path).is_some() || (!tail.is_empty() && target(tail.to_owned()).is_none()) {
            return Err(wrong("the path or query holds a character that must be percent-coded".into()));
        }
        let query = query.filter(|query| !query.is_empty()).map(str::to_owned);
        Ok(Self { https, authority, path: path.to_owned(), query, login })
    }

    /// Whether requests go over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host, without its port; an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.host()
    }

    /// The port, written or by scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.https { 443 } else { 80 })
    }

    /// The path, without a slash at its end; empty for the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same endpoint with another path (for a dialect that adds its version).
    ///
    /// # Errors
    /// Like [`join`](Self::join).
    pub fn with_path(&self, path: &str) -> Result<Self, Error> {
        check_path(path)?;
        let path = path.trim_end_matches('/').to_owned();
        if !path.is_empty() && target(path.clone()).is_none() {
            return Err(wrong("the path of a request holds a character that must be percent-coded".into()));
        }
        Ok(Self { path, ..self.clone() })
    }

    /// Whether the host is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }

    /// The header for a user name and password that stood in the URL, flagged as sensitive.
    #[must_use]
    pub fn basic_auth(&self) -> Option<HeaderValue> {
        let login = self.login.as_ref()?.expose();
        let colon = if login.contains(':') { "" } else { ":" };
        let coded = base64::engine::general_purpose::STANDARD.encode(format!("{login}{colon}"));
        let mut value = HeaderValue::try_from(format!("Basic {coded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The URL of a request: base path, then `path` (which begins with a slash, or is empty), then the base's query and
    /// `query` (without `?`; empty for none). Parts of the path are percent-coded already. What the base's query sets is
    /// left as it is, whatever `query` says of it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the path holds `?`, `#`, a `.` or `..` segment, or a character that must be percent-coded.
    pub fn join(&self, path: &str, query: &str) -> Result<Uri, Error> {
        check_path(path)?;
        let mut whole = String::with_capacity(self.path.len() + path.len() + query.len() + 2);
        whole.push_str(&self.path);
        whole.push_str(path);
        if whole.is_empty() {
            whole.push('/');
        }
        let mut mark = '?';
        let own = self.query.as_deref().unwrap_or_default();
        let is_new = |part: &&str| own.split('&').all(|known| parameter(known) != parameter(part));
        for part in std::iter::once(own).chain(query.split('&').filter(is_new)) {
            if part.contains('#') {
                return Err(wrong("the query of a request holds `#`, which must be percent-coded".into()));
            }
            if !part.is_empty() {
                whole.push(mark);
                whole.push_str(part);
                mark = '&';
            }
        }
        let uncoded = || wrong("the URL of a request holds a character that must be percent-coded".into());
        let target = target(whole).ok_or_else(uncoded)?;
        Uri::builder()
            .scheme(if self.https { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
            .map_err(|error| wrong("the URL of a request cannot be built".into()).with_source(error))
    }
}

/// The name of a query's parameter.
fn parameter(part: &str) -> &str {
    part.split('=').next().unwrap_or_default()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// Whether a host (a name, or an address with or without brackets) is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
        Err(_) => {
            let name = bare.to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn check_path(path: &str) -> Result<(), Error> {
    let fault = match path.chars().next() {
        None | Some('/') => path_fault(path),
        Some(_) => Some("does not begin with a slash"),
    };
    fault.map_or(Ok(()), |fault| Err(wrong(format!("the path of a request {fault}"))))
}

fn path_fault(path: &str) -> Option<&'static str> {
    if path.contains(['?', '#']) {
        return Some("holds `?` or `#`, which must be percent-coded");
    }
    path.split('/').any(|segment| segment == "." || segment == "..").then_some("holds a `.` or `..` segment")
}

/// A text as it can stand in a request line.
fn target(text: String) -> Option<PathAndQuery> {
    Some(text).filter(|text| text.is_ascii()).and_then(|text| PathAndQuery::try_from(text).ok())
}

/// `localhost:8000/v1` and its like: says what was probably meant.
fn without_scheme(text: &str) -> Error {
    if text.is_empty() {
        return wrong("the URL is empty".into());
    }
    // What may be secret is not repeated.
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    let end = shown.find('/').unwrap_or(shown.len());
    let (authority, path) = shown.split_at_checked(end).unwrap_or((shown, ""));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let local = is_loopback(authority)
        || is_loopback(host)
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_private());
    let scheme = if local { "http" } else { "https" };
    wrong(format!("the URL has no scheme: did you mean {scheme}://{}{}?", cut(authority), cut(path)))
}

/// The first characters of a text, for a message.
fn cut(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        text.chars().take(MOST).chain(['…']).collect()
    }
}

/// Undoes percent-coding; what is not a code stays.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let coded = tail.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match coded.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    fn message(text: &str) -> String {
        let error = Endpoint::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        error.to_string()
    }

    #[test]
    fn a_base_url_is_joined_and_shown() {
        for (base, shown, joined) in [
            (
                "https://api.deepseek.com/v1",
                "https://api.deepseek.com/v1",
                "https://api.deepseek.com/v1/chat",
            ),
            (
                "https://api.deepseek.com/v1/",
                "https://api.deepseek.com/v1",
                "https://api.deepseek.com/v1/chat",
            ),
            (" HTTP://LocalHost:8000 ", "http://localhost:8000", "http://localhost:8000/chat"),
            ("https://host:443/", "https://host", "https://host/chat"),
            ("http://[::1]:80/a/b//", "http://[::1]/a/b", "http://[::1]/a/b/chat"),
            ("http://h?k=v", "http://h", "http://h/chat?k=v"),
        ] {
            let endpoint = parsed(base);
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(endpoint.join("/chat", "").unwrap().to_string(), joined);
        }
        assert_eq!(parsed("http://h").join("", "").unwrap().to_string(), "http://h/");
        let azure = parsed("https://h/openai?api-version=1");
        assert_eq!(
            azure.join("/x", "alt=sse").unwrap().to_string(),
            "https://h/openai/x?api-version=1&alt=sse"
        );
        // What the user wrote goes before what a format adds.
        for (query, whole) in [
            ("api-version=2", "https://h/openai/x?api-version=1"),
            ("a=b&api-version=2", "https://h/openai/x?api-version=1&a=b"),
            ("api=2", "https://h/openai/x?api-version=1&api=2"),
        ] {
            assert_eq!(azure.join("/x", query).unwrap().to_string(), whole);
        }
        assert_eq!(azure.with_path("/v2/").unwrap().to_string(), "https://h/v2");
        assert_eq!((parsed("https://h").port(), parsed("http://h:81").port()), (443, 81));
    }

    #[test]
    fn a_missing_scheme_gets_a_suggestion() {
        for (text, suggestion) in [
            ("localhost:8000/v1", "http://localhost:8000/v1"),
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("192.168.1.9/v1", "http://192.168.1.9/v1"),
            ("[::1]:8000/v1", "http://[::1]:8000/v1"),
            ("api.openai.com/v1", "https://api.openai.com/v1"),
            ("user:canary@api.openai.com/v1?key=canary", "https://api.openai.com/v1"),
        ] {
            assert_eq!(message(text), format!("the URL has no scheme: did you mean {suggestion}?"));
        }
        assert_eq!(message(""), "the URL is empty");
    }

    #[test]
    fn a_bad_url_says_what_is_wrong_and_shows_no_secret() {
        for (text, found) in [
            ("ws://h", "the scheme `ws` is not http or https"),
            ("https://", "names no host"),
            ("https://u:canary@", "names no host"),
            ("https://u:canary@h:99999", "the port of `h:99999`"),
            ("https://h:/v1", "the port of `h:`"),
            ("https://h:0/v1", "the port of `h:0`"),
            ("https://h/v1#canary", "has no fragment"),
            ("https://h/v1\r\nx-canary: 1", "no space or control character (character 13)"),
            ("https://bücher.example/v1", "is not ASCII"),
            ("https://h/a/../b", "percent-coded"),
            ("https://h/ä", "percent-coded"),
            ("https://[::1/v1", "cannot be read"),
        ] {
            let message = message(text);
            assert!(message.contains(found), "{text}: {message}");
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn a_login_is_moved_out_and_never_shown() {
        let endpoint = parsed("https://user:can%61ry%40@h/v1?key=canary");
        assert_eq!(endpoint.to_string(), "https://h/v1");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(https://h/v1)");
        assert!(!endpoint.join("/x", "").unwrap().to_string().contains("user"));
        let header = endpoint.basic_auth().unwrap();
        assert_eq!(header, "Basic dXNlcjpjYW5hcnlA");
        assert!(header.is_sensitive());
        assert_eq!(parsed("https://token@h").basic_auth().unwrap(), "Basic dG9rZW46");
        assert!(parsed("https://h").basic_auth().is_none());
    }

    #[test]
    fn a_path_that_would_lead_elsewhere_is_refused() {
        let endpoint = parsed("https://h/v1");
        for path in ["x", "/a?b", "/a#b", "/../secret", "/a/./b", "/a b", "/a\r\nb", "/ä"] {
            assert_eq!(endpoint.join(path, "").unwrap_err().kind(), ErrorKind::Config, "{path:?}");
        }
        for query in ["a=b c", "a\nb", "a#b"] {
            assert_eq!(endpoint.join("/x", query).unwrap_err().kind(), ErrorKind::Config, "{query:?}");
        }
        assert!(endpoint.join("/models/..%2Fx%3F:generate", "a=b&c=%20").is_ok());
    }

    #[test]
    fn this_machine_is_known_in_its_spellings() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "::1",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1", "[::2]", "0.0.0.0", "127.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}", path in "\\PC{0,30}") {
            let with_scheme = format!("https://{text}");
            for text in [&text, &with_scheme] {
                if let Ok(endpoint) = Endpoint::parse(text) {
                    let _ = endpoint.join(&path, &path);
                    proptest::prop_assert_eq!(Endpoint::parse(&endpoint.to_string()).unwrap().to_string(), endpoint.to_string());
                }
            }
        }
    }
}
