//! Invariants 7 and 9: the HTTP stack is named in the transport only, and no address stands in the code but those of the
//! catalogue.

use super::{Finding, source::Source, style::has_word};

/// The crates behind the transport. Whoever names one outside it could let its types into our API.
const STACK: [&str; 5] = ["hyper::", "hyper_util::", "hyper_rustls::", "rustls::", "h2::"];
const TRANSPORT: &str = "crates/llm-client/src/transport";
/// Where vendors' addresses are data: this file and the folder of its name.
const CATALOGUE: &str = "crates/llm-provider/src/catalogue";

/// hyper, rustls and h2 stay behind the transport, and its public items do not show them.
pub(crate) fn stack(source: &Source) -> Vec<Finding> {
    let Some(name) = source.crate_name().filter(|name| *name != "llm-mock") else { return Vec::new() };
    let mut findings = Vec::new();
    for line in source.shipped() {
        let Some(found) = STACK.iter().find(|word| has_word(&line.code, word)) else { continue };
        let inside = source.path.starts_with(TRANSPORT);
        let public = line.code.trim_start().starts_with("pub ");
        if !inside || public {
            let message = format!(
                "`{found}` in {name}; only {TRANSPORT} talks to the HTTP stack, and its public items do not show it"
            );
            findings.push(Finding::new(&source.path, line.number, message));
        }
    }
    findings
}

/// Nothing is contacted that the user did not configure: a host's name in the code is a place to go without being asked.
pub(crate) fn addresses(source: &Source) -> Vec<Finding> {
    if source.crate_name().is_none() || in_catalogue(&source.path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for line in source.shipped() {
        let hosts = line.text.match_indices("://").filter_map(|(at, _)| {
            let rest = line.text.get(at + 3..)?;
            rest.split(['/', '"', ' ', '`', ':', '?']).next()
        });
        for host in hosts.filter(|host| is_named(host)) {
            let message = format!("`{host}` is the address of somebody; addresses stand in {CATALOGUE}");
            findings.push(Finding::new(&source.path, line.number, message));
        }
    }
    findings
}

fn in_catalogue(path: &str) -> bool {
    path.strip_prefix(CATALOGUE).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// A name with a dot, which is no number and no pattern; names under `.example` and `.invalid` belong to nobody (RFC 2606).
fn is_named(host: &str) -> bool {
    let first = host.chars().next();
    host.contains('.')
        && first.is_some_and(char::is_alphabetic)
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        && ![".example", ".invalid"].iter().any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_http_stack_outside_the_transport_is_found() {
        let code = "use hyper::Request;\n// rustls::X\nlet s = \"h2::\";";
        assert_eq!(stack(&Source::new("crates/llm-client/src/driver/mod.rs", code)).len(), 1);
        assert_eq!(stack(&Source::new("crates/llm-client/src/transport/pool.rs", code)), []);
        assert_eq!(stack(&Source::new("crates/llm-mock/src/server.rs", code)), []);
        let public = "pub fn f(_: hyper::Error) {}\npub(super) fn g(_: hyper::Error) {}";
        assert_eq!(stack(&Source::new("crates/llm-client/src/transport/pool.rs", public)).len(), 1);
    }

    #[test]
    fn an_address_in_the_code_is_found() {
        let path = "crates/llm-cli/src/a.rs";
        for bad in ["f(\"https://telemetry.acme.com/v1\");", "\"http://prices.acme.org\""] {
            assert_eq!(addresses(&Source::new(path, bad)).len(), 1, "{bad}");
            for room in [".rs", "/hosted.rs"] {
                assert_eq!(addresses(&Source::new(&format!("{CATALOGUE}{room}"), bad)), []);
            }
            assert_eq!(addresses(&Source::new(&format!("{CATALOGUE}s.rs"), bad)).len(), 1);
        }
        for good in [
            "// https://acme.com",
            "\"http://127.0.0.1:8000/v1\"",
            "\"https://host/v1\"",
            "\"{scheme}://{host}\"",
            "\"https://a.example\"",
        ] {
            assert_eq!(addresses(&Source::new(path, good)), [], "{good}");
        }
    }
}
