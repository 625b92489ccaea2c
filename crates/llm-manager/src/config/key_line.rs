//! The one line that points from a configuration file to a key that is kept elsewhere.

use llm_types::{Error, ErrorKind};

/// Where a key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'a> {
    /// In a file of its own; a path from the configuration file's folder.
    File(&'a str),
    /// In the operating system's keyring, under this name.
    Keyring(&'a str),
}

impl Kept<'_> {
    const fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::File(path) => ("file", path),
            Self::Keyring(name) => ("keyring", name),
        }
    }

    /// The line, as TOML has it.
    #[must_use]
    pub fn line(&self) -> String {
        let (form, value) = self.parts();
        format!("api_key = {{ {form} = {} }}", toml::Value::from(value))
    }
}

/// The text of a configuration file in which a provider's key is one that is kept elsewhere; comments, order and blanks
/// stay.
///
/// # Errors
/// Kind `Config`, when the text is not TOML, when another key stands there, and when the provider is written in a way that
/// a line cannot be added to.
pub fn with_key_line(text: &str, provider: &str, kept: Kept<'_>) -> Result<String, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = whole(text)?;
    let entry = document.get("providers").and_then(|providers| providers.get(provider));
    let has_key = entry.is_some_and(|entry| entry.get("api_key").or_else(|| entry.get("api_keys")).is_some());
    if has_key {
        if points(&document, provider, kept) {
            return Ok(text.to_owned());
        }
        return Err(config(format!("another key stands under [providers.{provider}] already")));
    }
    let bare = provider.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare { provider.to_owned() } else { toml::Value::from(provider).to_string() };
    let line = kept.line();
    let changed = match behind_head(text, &name) {
        Some(at) => {
            let (head, tail) = text.split_at_checked(at).unwrap_or((text, ""));
            let gap = if head.ends_with('\n') { "" } else { "\n" };
            format!("{head}{gap}{line}\n{tail}")
        }
        None => {
            let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            let blank = if text.is_empty() { "" } else { "\n" };
            format!("{text}{gap}{blank}[providers.{name}]\n{line}\n")
        }
    };
    if whole(&changed).is_ok_and(|document| points(&document, provider, kept)) {
        return Ok(changed);
    }
    let message =
        format!("[providers.{provider}] is written in a way that a line cannot be added to by itself");
    Err(config(message).with_hint(format!("write {line} into it by hand")))
}

/// The text of a configuration file without the line that [`with_key_line`] added; `None` when there is no such line.
#[must_use]
pub fn without_key_line(text: &str, provider: &str, kept: Kept<'_>) -> Option<String> {
    if !points(&whole(text).ok()?, provider, kept) {
        return None;
    }
    let mut at = 0;
    text.split_inclusive('\n').find_map(|line| {
        let start = at;
        at += line.len();
        if !line.trim_start().starts_with("api_key") {
            return None;
        }
        let changed = [text.get(..start)?, text.get(at..)?].concat();
        (!points(&whole(&changed).ok()?, provider, kept)).then_some(changed)
    })
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn whole(text: &str) -> Result<toml::Table, Error> {
    text.parse::<toml::Table>().map_err(|e| config(format!("this is not TOML: {}", e.message())))
}

/// Whether the provider's key is this one and nothing else.
fn points(document: &toml::Table, provider: &str, kept: Kept<'_>) -> bool {
    let (form, value) = kept.parts();
    let entry = document.get("providers").and_then(|providers| providers.get(provider));
    let key = entry.and_then(|entry| entry.get("api_key")).and_then(toml::Value::as_table);
    key.is_some_and(|key| key.len() == 1 && key.get(form).and_then(toml::Value::as_str) == Some(value))
}

/// Where the line behind `[providers.NAME]` begins.
fn behind_head(text: &str, name: &str) -> Option<usize> {
    let heads = [name.to_owned(), format!("\"{name}\""), format!("'{name}'")];
    let heads = heads.map(|name| format!("[providers.{name}]"));
    let mut at = 0;
    text.split_inclusive('\n').find_map(|line| {
        at += line.len();
        let head: String = line.split('#').next()?.chars().filter(|c| !c.is_whitespace()).collect();
        heads.contains(&head).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_named_on_one_line_and_taken_out_again() {
        let line = "api_key = { file = \"keys/acme\" }\n";
        for (text, changed) in [
            ("", format!("[providers.acme]\n{line}")),
            ("a = 1 # one", format!("a = 1 # one\n\n[providers.acme]\n{line}")),
            (
                "# top\n[ providers . acme ] # mine\n# below\nbase_url = 'x'\n",
                format!("# top\n[ providers . acme ] # mine\n{line}# below\nbase_url = 'x'\n"),
            ),
            ("[providers.\"acme\"]", format!("[providers.\"acme\"]\n{line}")),
            (
                "[providers.acme.models.m]\nmax_retries = 1\n",
                format!("[providers.acme.models.m]\nmax_retries = 1\n\n[providers.acme]\n{line}"),
            ),
        ] {
            let with = with_key_line(text, "acme", Kept::File("keys/acme")).unwrap();
            assert_eq!(with, changed, "{text:?}");
            assert_eq!(with_key_line(&with, "acme", Kept::File("keys/acme")).unwrap(), with);
            let without = without_key_line(&with, "acme", Kept::File("keys/acme")).unwrap();
            assert_eq!(without, changed.replace(line, ""), "{text:?}");
            assert_eq!(without_key_line(&without, "acme", Kept::File("keys/acme")), None);
        }
        let ring = with_key_line("", "acme", Kept::Keyring("acme")).unwrap();
        assert_eq!(ring, "[providers.acme]\napi_key = { keyring = \"acme\" }\n");
        assert_eq!(without_key_line(&ring, "acme", Kept::File("acme")), None);
        let odd = with_key_line("", "a.b", Kept::File("k")).unwrap();
        assert_eq!(odd, "[providers.\"a.b\"]\napi_key = { file = \"k\" }\n");
    }

    #[test]
    fn what_a_line_cannot_be_added_to_is_left_alone() {
        let refused = |text: &str| with_key_line(text, "acme", Kept::File("k")).unwrap_err().to_string();
        for other in ["api_key = 'x'", "api_keys = []", "api_key = { env = 'X' }", "api_key = { file = 'y' }"]
        {
            assert!(refused(&format!("[providers.acme]\n{other}\n")).contains("another key"), "{other}");
        }
        assert!(refused("providers.acme.base_url = 'x'\n").contains("by itself"));
        assert!(refused("providers = { acme = { base_url = 'x' } }\n").contains("by itself"));
        assert!(refused("x = '''\n[providers.acme]\n'''\n").contains("by itself"));
        assert!(refused("x =").starts_with("this is not TOML: "));
        let two = "[providers.acme]\napi_key = {file='k'}\n[providers.b]\napi_key = { file = 'k' }\n";
        let one = "[providers.acme]\napi_key = {file='k'}\n[providers.b]\n";
        assert_eq!(without_key_line(two, "b", Kept::File("k")).as_deref(), Some(one));
    }
}
