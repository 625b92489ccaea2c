//! Which proxy a request goes through, if any: the setting, or the environment with curl's meaning.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use llm_types::{Error, ErrorKind, Secret};

use super::endpoint::is_loopback;

/// The variables of an environment that the transport obeys: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` in
/// either case (small letters win, as with curl; an empty one is as good as unset) and `SSL_CERT_FILE`.
///
/// `HTTP_PROXY` in capitals is ignored when `REQUEST_METHOD` is set: under CGI a request's `Proxy:` header sets it.
/// A proxy without a port is asked at 80 (`http`), 443 (`https`) or 1080 (`socks`).
#[derive(Clone, Default)]
pub struct ProxyEnv {
    http: Option<Variable>,
    https: Option<Variable>,
    all: Option<Variable>,
    no: String,
    pub(super) cert_file: Option<String>,
}

#[derive(Clone)]
struct Variable {
    name: &'static str,
    value: String,
}

impl ProxyEnv {
    /// The environment of this process, as it is now.
    #[must_use]
    pub fn from_process_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// An environment that sets nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// An environment given as a function from a variable's name to its value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&name| {
                let value = lookup(name).filter(|value| !value.trim().is_empty())?;
                Some(Variable { name, value: value.trim().to_owned() })
            })
        };
        let cgi = lookup("REQUEST_METHOD").is_some();
        Self {
            http: if cgi { first(&["http_proxy"]) } else { first(&["http_proxy", "HTTP_PROXY"]) },
            https: first(&["https_proxy", "HTTPS_PROXY"]),
            all: first(&["all_proxy", "ALL_PROXY"]),
            no: first(&["no_proxy", "NO_PROXY"]).map(|no| no.value).unwrap_or_default(),
            cert_file: first(&["SSL_CERT_FILE"]).map(|file| file.value),
        }
    }
}

impl fmt::Debug for ProxyEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may hold a password.
        let names = [&self.http, &self.https, &self.all].into_iter().flatten().map(|variable| variable.name);
        f.debug_struct("ProxyEnv")
            .field("set", &names.collect::<Vec<_>>())
            .field("no_proxy", &self.no)
            .finish()
    }
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    /// The name is looked up here.
    Socks4,
    /// The name is looked up by the proxy.
    Socks4a,
    Socks5,
    Socks5h,
}

/// One proxy. Neither `Debug` nor [`shown`](Self::shown) tells its password.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) scheme: Scheme,
    /// Scheme, host and port; no user name.
    pub(super) uri: Uri,
    /// For HTTP proxies; flagged as sensitive.
    pub(super) auth: Option<HeaderValue>,
    /// For SOCKS proxies.
    pub(super) login: Option<(String, Secret)>,
    pub(super) shown: String,
}

impl Proxy {
    fn new(found: &Intercept) -> Option<Self> {
        let (scheme, port) = match found.uri().scheme_str()? {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "socks4" => (Scheme::Socks4, 1080),
            "socks4a" => (Scheme::Socks4a, 1080),
            "socks5" => (Scheme::Socks5, 1080),
            "socks5h" => (Scheme::Socks5h, 1080),
            _ => return None,
        };
        let authority = found.uri().authority()?;
        let host = Some(authority.host()).filter(|host| !host.is_empty())?;
        let port = match authority.port_u16() {
            None if authority.as_str() != host => return None,
            written => written.unwrap_or(port),
        };
        let shown = format!("{}://{host}:{port}", found.uri().scheme_str()?);
        // The connectors below know two schemes.
        let dialled = if scheme == Scheme::Https { "https" } else { "http" };
        let uri = format!("{dialled}://{host}:{port}/").parse().ok()?;
        let auth = found.basic_auth().cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let login = found.raw_auth().map(|(user, password)| (user.to_owned(), Secret::new(password)));
        Some(Self { scheme, uri, auth, login, shown })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.shown)
    }
}

/// The choice between proxies for every request of a transport.
pub(super) enum Proxies {
    None,
    /// The setting: for everything, this machine included.
    Every(Arc<Proxy>),
    Environment {
        matcher: Box<Matcher>,
        /// The entries of `NO_PROXY` that name a port, each as a matcher that spares them.
        by_port: Vec<(u16, Matcher)>,
    },
}

impl Proxies {
    pub(super) fn new(setting: Option<&str>, env: &ProxyEnv) -> Result<Self, Error> {
        match setting {
            Some("none") => Ok(Self::None),
            Some(value) => Ok(Self::Every(Arc::new(read("the setting proxy", value)?))),
            None => Self::from_env(env),
        }
    }

    fn from_env(env: &ProxyEnv) -> Result<Self, Error> {
        let value = |variable: &Option<Variable>| match variable {
            Some(Variable { name, value }) => read(name, value).map(|_| value.clone()),
            None => Ok(String::new()),
        };
        let (http, https, all) = (value(&env.http)?, value(&env.https)?, value(&env.all)?);
        if http.is_empty() && https.is_empty() && all.is_empty() {
            return Ok(Self::None);
        }
        let (mut plain, mut by_port) = (Vec::new(), Vec::new());
        for entry in env.no.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                return Ok(Self::None);
            }
            match with_port(entry) {
                Some((host, port)) => {
                    let spared = Matcher::builder().all("http://proxy.invalid").no(tidy(host)).build();
                    by_port.push((port, spared));
                }
                None => plain.push(tidy(entry)),
            }
        }
        let matcher = Matcher::builder().http(http).https(https).all(all).no(plain.join(",")).build();
        Ok(Self::Environment { matcher: Box::new(matcher), by_port })
    }

    /// The proxy for a request, whose URL has a scheme and a host.
    pub(super) fn choose(&self, uri: &Uri) -> Option<Arc<Proxy>> {
        match self {
            Self::None => None,
            Self::Every(proxy) => Some(Arc::clone(proxy)),
            Self::Environment { matcher, by_port } => {
                let host = uri.host()?;
                if is_loopback(host) {
                    return None;
                }
                let host = host.strip_suffix('.').unwrap_or(host);
                let scheme = uri.scheme_str()?;
                let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
                let asked: Uri = format!("{scheme}://{host}/").parse().ok()?;
                let spared = |(of, no): &(u16, Matcher)| *of == port && no.intercept(&asked).is_none();
                if by_port.iter().any(spared) {
                    return None;
                }
                Proxy::new(&matcher.intercept(&asked)?).map(Arc::new)
            }
        }
    }
}

/// Reads one proxy. The value may hold a password and is not repeated.
fn read(place: &str, value: &str) -> Result<Proxy, Error> {
    let example: Option<Uri> = "http://example.invalid/".parse().ok();
    let found = example.and_then(|uri| Matcher::builder().all(value).build().intercept(&uri));
    found.as_ref().and_then(Proxy::new).ok_or_else(|| {
        let message = format!("{place} is not the URL of a proxy");
        Error::new(ErrorKind::Config, message).with_hint(
            "write http://host:port, https://…, socks5://…, socks5h://…, socks4://… or socks4a://…, with user:password@ before the host where needed",
        )
    })
}

/// `host:port` and `[address]:port`; a bare IPv6 address has no port.
fn with_port(entry: &str) -> Option<(&str, u16)> {
    let (host, port) = entry.rsplit_once(':')?;
    if host.contains(':') && !host.ends_with(']') {
        return None;
    }
    Some((host, port.parse().ok()?))
}

/// An entry of `NO_PROXY` in the form that the matcher knows.
fn tidy(entry: &str) -> &str {
    if let Some(address) = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address;
    }
    let entry = entry.strip_prefix("*.").unwrap_or(entry);
    entry.strip_suffix('.').unwrap_or(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> ProxyEnv {
        ProxyEnv::from_lookup(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxies = Proxies::new(None, &env(variables)).unwrap();
        proxies.choose(&url.parse().unwrap()).map(|proxy| proxy.shown.clone())
    }

    #[test]
    fn the_environment_means_what_it_means_to_curl() {
        let some = |text: &str| Some(text.to_owned());
        let all =
            [("ALL_PROXY", "socks5h://all:1"), ("HTTPS_PROXY", "http://tls:2"), ("http_proxy", "plain:3")];
        assert_eq!(chosen(&all, "https://h"), some("http://tls:2"));
        assert_eq!(chosen(&all, "http://h"), some("http://plain:3"));
        assert_eq!(chosen(&all[..1], "http://h"), some("socks5h://all:1"));
        assert_eq!(chosen(&all[1..2], "http://h"), None);
        // Small letters win; an empty variable is as good as unset.
        let both = [("https_proxy", "http://small"), ("HTTPS_PROXY", "http://large")];
        assert_eq!(chosen(&both, "https://h"), some("http://small:80"));
        assert_eq!(chosen(&[("https_proxy", " "), both[1]], "https://h"), some("http://large:80"));
        assert_eq!(chosen(&[("https_proxy", "https://p")], "https://h"), some("https://p:443"));
        assert_eq!(chosen(&[("all_proxy", "socks4://p")], "https://h"), some("socks4://p:1080"));
    }

    #[test]
    fn under_cgi_the_variable_that_a_request_can_set_is_ignored() {
        let cgi = ("REQUEST_METHOD", "GET");
        assert_eq!(chosen(&[cgi, ("HTTP_PROXY", "http://evil")], "http://h"), None);
        assert!(chosen(&[("HTTP_PROXY", "http://p")], "http://h").is_some());
        assert!(chosen(&[cgi, ("http_proxy", "http://p")], "http://h").is_some());
        assert!(chosen(&[cgi, ("HTTPS_PROXY", "http://p")], "https://h").is_some());
    }

    #[test]
    fn this_machine_is_proxied_only_when_the_setting_asks() {
        for url in ["http://localhost:8000", "https://127.0.0.1", "http://[::1]:1", "http://x.localhost"] {
            assert_eq!(chosen(&[("ALL_PROXY", "http://p")], url), None, "{url}");
            let named = Proxies::new(Some("http://p:3"), &ProxyEnv::none()).unwrap();
            assert_eq!(named.choose(&url.parse().unwrap()).unwrap().shown, "http://p:3");
            let off = Proxies::new(Some("none"), &env(&[("ALL_PROXY", "http://p")])).unwrap();
            assert!(off.choose(&"https://h".parse().unwrap()).is_none());
        }
    }

    #[test]
    fn no_proxy_spares_what_it_names() {
        let table: &[(&str, &[&str], &[&str])] = &[
            // entry, spared, proxied
            (
                "example.com",
                &["http://example.com", "https://EXAMPLE.com:8", "http://a.example.com"],
                &["http://notexample.com", "http://example.com.evil"],
            ),
            (
                ".example.com",
                &["http://a.example.com", "http://b.a.example.com", "http://example.com"],
                &["http://notexample.com"],
            ),
            ("*.example.com", &["http://a.example.com"], &["http://notexample.com"]),
            ("example.com.", &["http://example.com", "http://example.com."], &["http://example.org"]),
            (
                "10.0.0.0/8",
                &["http://10.1.2.3", "https://10.255.0.1:9"],
                &["http://11.0.0.1", "http://10.example.com"],
            ),
            ("192.168.7.1", &["http://192.168.7.1:8000"], &["http://192.168.7.11"]),
            (
                "example.com:8443",
                &["https://example.com:8443", "https://a.example.com:8443"],
                &["https://example.com", "https://example.com:8444"],
            ),
            ("example.com:443", &["https://example.com", "https://example.com:443"], &["http://example.com"]),
            ("10.1.2.3:80", &["http://10.1.2.3"], &["https://10.1.2.3"]),
            ("2001:db8::1", &["http://[2001:db8::1]", "https://[2001:db8::1]:8"], &["http://[2001:db8::2]"]),
            ("[2001:db8::1]", &["http://[2001:db8::1]"], &["http://[2001:db8::2]"]),
            ("[2001:db8::1]:8080", &["http://[2001:db8::1]:8080"], &["http://[2001:db8::1]"]),
            ("2001:db8::/32", &["http://[2001:db8:9::1]"], &["http://[2001:db9::1]"]),
            (
                "a.example, b.example c.example",
                &["http://a.example", "http://b.example", "http://c.example"],
                &["http://d.example"],
            ),
            ("*", &["http://example.com", "https://10.0.0.1", "http://[2001:db8::1]:9"], &[]),
            ("", &[], &["http://example.com"]),
        ];
        for (no, spared, proxied) in table {
            for name in ["NO_PROXY", "no_proxy"] {
                let variables = [("ALL_PROXY", "http://p"), (name, *no)];
                for url in *spared {
                    assert_eq!(chosen(&variables, url), None, "{no} spares {url}");
                }
                for url in *proxied {
                    assert!(chosen(&variables, url).is_some(), "{no} does not spare {url}");
                }
            }
        }
    }

    #[test]
    fn a_bad_proxy_is_named_and_not_repeated() {
        for value in ["ftp://u:canary@p", "http://", "http://u:canary@p:99999", "p canary"] {
            let error = Proxies::new(Some(value), &ProxyEnv::none()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config, "{value}");
            assert!(error.message().contains("the setting proxy"));
            let error = Proxies::new(None, &env(&[("HTTPS_PROXY", value)])).err().unwrap();
            assert!(error.message().starts_with("HTTPS_PROXY is not the URL of a proxy"), "{error}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn a_proxys_password_is_kept_and_never_shown() {
        let proxies = Proxies::new(Some("http://user:can%61ry@p:3128"), &ProxyEnv::none()).unwrap();
        let proxy = proxies.choose(&"https://h".parse().unwrap()).unwrap();
        assert_eq!(proxy.auth.as_ref().unwrap(), "Basic dXNlcjpjYW5hcnk=");
        let shown = format!("{proxy:?} {} {:?} {}", proxy.shown, proxy.auth, proxy.uri);
        assert!(!shown.contains("canary") && !shown.contains("dXNlcj"), "{shown}");
        let proxies = Proxies::new(Some("socks5://user:canary@p"), &ProxyEnv::none()).unwrap();
        let proxy = proxies.choose(&"https://h".parse().unwrap()).unwrap();
        assert_eq!(proxy.login.as_ref().unwrap().1.expose(), "canary");
        assert!(!format!("{proxy:?}").contains("canary"));
        let shown = format!("{:?}", env(&[("HTTP_PROXY", "http://u:canary@p"), ("NO_PROXY", "x")]));
        assert_eq!(shown, r#"ProxyEnv { set: ["HTTP_PROXY"], no_proxy: "x" }"#);
    }

    proptest::proptest! {
        #[test]
        fn no_list_and_no_host_panics(no in "[\\[\\]a-z0-9.:*/, %-]{0,40}", host in "[a-z0-9.:\\[\\]-]{1,20}") {
            let proxies = Proxies::new(None, &env(&[("ALL_PROXY", "http://p"), ("NO_PROXY", &no)])).unwrap();
            if let Ok(uri) = format!("https://{host}/").parse::<Uri>() {
                let _ = proxies.choose(&uri);
            }
        }
    }
}
