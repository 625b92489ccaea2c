//! Changes to the user's own file that leave everything else as it was written.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use llm_types::{Error, ErrorKind};
use toml::de::DeTable;

/// The text of a configuration file with another `default`; comments, order and blanks stay.
///
/// # Errors
/// Kind `Config`, when the text is not TOML or the name is empty or holds a control character.
pub fn with_default(text: &str, name: &str) -> Result<String, Error> {
    let config = |message: String| Error::new(ErrorKind::Config, message);
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(config("a model's name is not empty and has no control characters".to_owned()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = DeTable::parse(text).map_err(|e| config(format!("this is not TOML: {}", e.message())))?;
    let value = toml::Value::from(name.trim()).to_string();
    let old =
        document.get_ref().iter().find(|(key, _)| key.get_ref() == "default").map(|(_, value)| value.span());
    let (before, after) = match old {
        Some(span) => (text.get(..span.start), text.get(span.end..)),
        None => {
            let at = end_of_header(text);
            let (before, after) = text.split_at_checked(at).unwrap_or(("", text));
            let gap = if after.is_empty() || after.starts_with('\n') { "" } else { "\n" };
            return Ok(format!("{before}default = {value}\n{gap}{after}"));
        }
    };
    Ok([before.unwrap_or_default(), &value, after.unwrap_or_default()].concat())
}

/// Where a file's opening comment ends: comments from the first line on, and the blank line behind them.
fn end_of_header(text: &str) -> usize {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('#') {
            end += line.len();
        } else if line.trim().is_empty() && end > 0 {
            return end + line.len();
        } else {
            // A comment right above a key speaks of that key.
            return 0;
        }
    }
    if text.ends_with('\n') { end } else { 0 }
}

/// Writes a new file, open to the user alone like those of [`write()`]; never over one that is there.
///
/// # Errors
/// Kind `Config`, with the [`io::Error`] as its source: [`io::ErrorKind::AlreadyExists`] when something is there.
pub fn create_new(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = closed_folders(folder).and_then(|()| create(path)).and_then(|mut file| {
        let whole = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if whole.is_err() {
            // Nothing can be done about a leftover that cannot be removed.
            let _ = fs::remove_file(path);
        }
        whole
    });
    written.map_err(|e| {
        let message = format!("the file {} cannot be written", path.display());
        Error::new(ErrorKind::Config, message).with_source(e)
    })
}

/// Writes a configuration file whole or not at all: beside it first, then in its place. On Unix only the user may read
/// it (0600), and folders that are made for it are closed too (0700). A link is followed, and what it leads to is
/// replaced.
///
/// # Errors
/// Kind `Config`, with the [`io::Error`] as its source and the path in the message.
pub fn write(path: &Path, text: &str) -> Result<(), Error> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(&target, text).map_err(|e| {
        let message = format!("the configuration file {} cannot be written", path.display());
        Error::new(ErrorKind::Config, message).with_source(e)
    })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    closed_folders(folder)?;
    let beside = beside(path);
    let written = create(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Nothing can be done about a leftover that cannot be removed.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn closed_folders(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|e| match e.kind() {
        // Something else stands where the folder would be; that is not the file being there already.
        io::ErrorKind::AlreadyExists => io::Error::from(io::ErrorKind::NotADirectory),
        _ => e,
    })
}

fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_default_changes() {
        for (text, changed) in [
            ("", "default = \"b/c\"\n"),
            ("default = 'a' # mine\nmax_retries = 1\n", "default = \"b/c\" # mine\nmax_retries = 1\n"),
            (
                "\n  default=\"\"\"a\"\"\"\n[aliases]\ndefault = 'x'\n",
                "\n  default=\"b/c\"\n[aliases]\ndefault = 'x'\n",
            ),
            ("[aliases]\ndefault = 'x'\n", "default = \"b/c\"\n\n[aliases]\ndefault = 'x'\n"),
            (
                "# Of me.\n# And you.\n\n[aliases]\n",
                "# Of me.\n# And you.\n\ndefault = \"b/c\"\n\n[aliases]\n",
            ),
            ("# Often.\nmax_retries = 9\n", "default = \"b/c\"\n\n# Often.\nmax_retries = 9\n"),
            ("# Only words.\n", "# Only words.\ndefault = \"b/c\"\n"),
            ("# No end", "default = \"b/c\"\n\n# No end"),
            ("\u{feff}default = 'a'", "default = \"b/c\""),
        ] {
            assert_eq!(with_default(text, "b/c").unwrap(), changed, "{text:?}");
        }
        assert_eq!(with_default("", "a\"b\\c").unwrap(), "default = 'a\"b\\c'\n");
        assert!(with_default("x =", "a").unwrap_err().message().starts_with("this is not TOML: "));
        assert!(with_default("", "a\nb").is_err());
    }

    #[test]
    fn a_new_file_never_takes_the_place_of_another() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("deep/config.toml");
        create_new(&path, "a = 1\n").unwrap();
        let error = create_new(&path, "a = 2\n").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 1\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(&top.path().join("deep"))), (0o600, 0o700));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_written_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("new/deep/config.toml");
        write(&path, "a = 1\n").unwrap();
        write(&path, "a = 2\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 2\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&top.path().join("new"))), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let link = top.path().join("link.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "a = 3\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 3\n");
        let error = write(Path::new("/dev/null/x.toml"), "").unwrap_err();
        assert_eq!(error.message(), "the configuration file /dev/null/x.toml cannot be written");
        assert!(std::error::Error::source(&error).unwrap().is::<io::Error>());
    }
}
