//! Rules that keep a key where it belongs: no plain HTTP to strangers, flagged headers, no redirects.

use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use llm_types::{Error, ErrorKind, Secret};

use super::endpoint::Endpoint;

/// Refuses to send a key over plain `http://` to another machine, unless `allow_http` is set.
///
/// # Errors
/// [`ErrorKind::Config`], with the setting that allows it as the hint.
pub fn check_key_over_plain_http(endpoint: &Endpoint, allow_http: bool) -> Result<(), Error> {
    if endpoint.is_https() || endpoint.is_loopback() || allow_http {
        return Ok(());
    }
    let message =
        format!("a key would go over plain http to {endpoint}, where anyone on the way can read it");
    Err(Error::new(ErrorKind::Config, message).with_hint("use https://, or set allow_http = true"))
}

/// A header value that holds a key: `prefix` and the key, flagged so that no log of a lower layer shows it.
///
/// # Errors
/// [`ErrorKind::Config`] when the key holds what no header may carry. The key is not repeated.
pub fn secret_header(prefix: &str, key: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::try_from(format!("{prefix}{}", key.expose()))
        .map_err(|_| Error::new(ErrorKind::Config, "the key holds a character that no header may carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The error for an answer that redirects; `None` for any other status. Redirects are never followed: the key would
/// go where the server says and not where the user said.
#[must_use]
pub fn redirect_error(status: StatusCode, headers: &HeaderMap, asked: &Uri) -> Option<Error> {
    if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
        return None;
    }
    let target =
        headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| shown(to, asked));
    let message = match target {
        Some(target) => format!("the server redirects to {target}; redirects are not followed"),
        None => {
            "the server redirects to an address that is missing or unreadable; redirects are not followed"
                .to_owned()
        }
    };
    let error = Error::new(ErrorKind::Redirect, message).with_status(status.as_u16());
    Some(error.with_hint("if the new address is right, make it the base URL"))
}

/// Scheme, host and path of a redirect's target, which may leave out what is the same as before.
fn shown(to: &str, asked: &Uri) -> Option<String> {
    const MOST: usize = 512;
    let to = to.split(['?', '#']).next()?;
    let scheme = asked.scheme_str()?;
    let whole = if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{}{to}", asked.authority()?)
    } else {
        to.to_owned()
    };
    let target: Uri = whole.parse().ok()?;
    let host = target.host()?;
    let port = target.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}{}", target.scheme_str()?, target.path()).chars().take(MOST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_over_plain_http_to_this_machine_only() {
        let check = |url: &str, allow| check_key_over_plain_http(&Endpoint::parse(url).unwrap(), allow);
        for url in ["https://h", "http://localhost:1", "http://127.0.0.1", "http://[::1]:8/v1"] {
            assert!(check(url, false).is_ok(), "{url}");
        }
        for url in ["http://h", "http://10.0.0.1:8000/v1", "http://localhost.evil.example", "http://127.1"] {
            assert_eq!(check(url, false).unwrap_err().kind(), ErrorKind::Config, "{url}");
            assert!(check(url, true).is_ok(), "{url}");
        }
        let error = check("http://u:canary@h/v1?k=canary", false).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("canary"));
    }

    #[test]
    fn a_header_with_a_key_is_flagged() {
        let value = secret_header("Bearer ", &Secret::new("sk-canary")).unwrap();
        assert_eq!(value, "Bearer sk-canary");
        assert!(!format!("{value:?}").contains("canary"));
        let error = secret_header("", &Secret::new("sk-canary\r\nx: y")).unwrap_err();
        assert!(!format!("{error:?}").contains("canary"));
    }

    #[test]
    fn a_redirect_names_its_target_without_query_or_login() {
        let asked: Uri = "https://api.example/v1/chat".parse().unwrap();
        let error = |status: u16, to: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(to) = to {
                headers.insert(header::LOCATION, to.parse().unwrap());
            }
            redirect_error(StatusCode::from_u16(status).unwrap(), &headers, &asked)
        };
        for (to, target) in [
            ("https://other.example:8443/x?token=canary#canary", "https://other.example:8443/x"),
            ("http://u:canary@other.example", "http://other.example/"),
            ("//other.example/y", "https://other.example/y"),
            ("/z?canary", "https://api.example/z"),
        ] {
            let error = error(307, Some(to)).unwrap();
            assert_eq!((error.kind(), error.status()), (ErrorKind::Redirect, Some(307)));
            assert_eq!(
                error.message(),
                format!("the server redirects to {target}; redirects are not followed")
            );
        }
        for to in [None, Some("z"), Some(""), Some("http://")] {
            assert!(error(302, to).unwrap().message().contains("missing or unreadable"), "{to:?}");
        }
        assert!(error(200, Some("https://x")).is_none());
        assert!(error(304, None).is_none());
    }
}
