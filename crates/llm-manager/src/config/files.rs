//! Which files are read: the one that was named, or the project's and the user's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use llm_types::{Error, ErrorKind};

use super::formats::ENDINGS;
use super::keys::read_text;
use super::reader::Source;

/// The largest configuration file.
const MAX_FILE: u64 = 1 << 20;

/// The name of a project's file, before its ending.
pub(super) const PROJECT: &str = "llm";

/// The name of the user's file, before its ending.
const USER: &str = "config";

/// The file that the user named: with `--config`, else with `LLM_RS_CONFIG`. It is the only one then.
pub(super) fn named(
    option: Option<&Path>,
    cwd: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Source>, Error> {
    let variable = || env("LLM_RS_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let (path, origin) = match option {
        Some(path) => (path.to_owned(), "--config"),
        None => match variable() {
            Some(path) => (path, "LLM_RS_CONFIG"),
            None => return Ok(None),
        },
    };
    match read_text(&cwd.join(&path), MAX_FILE) {
        Ok(text) => Ok(Some(source(&cwd.join(&path), text))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let message = format!("there is no configuration file {} ({origin})", path.display());
            Err(Error::new(ErrorKind::NotFound, message))
        }
        Err(e) => Err(unreadable(&path, e)),
    }
}

/// A file that is read when it is there.
pub(super) fn found(path: &Path) -> Result<Option<Source>, Error> {
    // A pipe or a device under this name would be waited for.
    if !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    match read_text(path, MAX_FILE) {
        Ok(text) => Ok(Some(source(path, text))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(path, e)),
    }
}

fn source(path: &Path, text: String) -> Source {
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Source::new(path, text)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = format!("the configuration file {} cannot be read", path.display());
    Error::new(ErrorKind::Config, message).with_source(error)
}

/// The file of this name in a folder, whatever it is written in.
///
/// # Errors
/// Kind `Config` when there are two: nobody could say which one holds.
fn in_folder(folder: &Path, name: &str) -> Result<Option<PathBuf>, Error> {
    let mut found = ENDINGS
        .iter()
        .map(|ending| folder.join(format!("{name}.{ending}")))
        .filter(|file| fs::metadata(file).is_ok_and(|metadata| metadata.is_file()));
    match (found.next(), found.next()) {
        (Some(one), Some(other)) => {
            let message = format!("{} and {} stand side by side", one.display(), other.display());
            Err(Error::new(ErrorKind::Config, message).with_hint("keep one of them"))
        }
        (one, _) => Ok(one),
    }
}

/// The nearest `llm.toml`, `.yaml`, `.yml` or `.json` from here upwards. The search ends at the root of a repository and
/// at home, each of which is still looked into.
pub(super) fn project(cwd: &Path, home: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    // The working directory comes with its links followed.
    let followed = home.and_then(|home| fs::canonicalize(home).ok());
    for folder in cwd.ancestors() {
        if let Some(file) = in_folder(folder, PROJECT)? {
            return Ok(Some(file));
        }
        if home == Some(folder) || followed.as_deref() == Some(folder) || folder.join(".git").exists() {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The file of an older client, and whether it is the user's own: in this folder, else at home.
pub(super) fn older(cwd: &Path, home: Option<&Path>) -> Option<(PathBuf, bool)> {
    let there = |path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let here = Some(cwd.join("flexllm_config.yaml")).filter(there).map(|path| (path, false));
    let own =
        || home.map(|home| home.join(".flexllm").join("config.yaml")).filter(there).map(|path| (path, true));
    here.or_else(own)
}

/// Where the user's own file is, or would be: `config.toml` in `$LLM_RS_HOME`, else in the folder `llm-rs` of
/// `$XDG_CONFIG_HOME` (`~/.config`; on Windows `%APPDATA%`). Where `config.yaml`, `.yml` or `.json` stands there instead,
/// it is that.
#[must_use]
pub fn user_config(env: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<PathBuf> {
    let own = user_folder(env, home)?;
    let first = own.join(format!("{USER}.toml"));
    Some(in_folder(&own, USER).ok().flatten().unwrap_or(first))
}

/// The user's own file, when it is there.
///
/// # Errors
/// Kind `Config` when there are two.
pub(super) fn users(
    env: &dyn Fn(&str) -> Option<String>,
    home: Option<&Path>,
) -> Result<Option<PathBuf>, Error> {
    user_folder(env, home).map_or(Ok(None), |own| in_folder(&own, USER))
}

fn user_folder(env: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<PathBuf> {
    let folder = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(own) = folder("LLM_RS_HOME") {
        return Some(own);
    }
    let base = folder("XDG_CONFIG_HOME")
        .or_else(|| if cfg!(windows) { folder("APPDATA") } else { home.map(|home| home.join(".config")) })?;
    Some(base.join("llm-rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_upwards_ends_at_home_and_at_a_repository() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| top.path().join(path);
        for folder in ["home/repo/.git", "home/repo/deep", "home/plain/deep"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let find = |cwd: &str| project(&at(cwd), Some(&at("home"))).unwrap();
        fs::write(at("llm.toml"), "").unwrap();
        assert_eq!(find("home/repo/deep"), None);
        assert_eq!(find("home/plain/deep"), None);
        assert_eq!(project(&at("home"), None).unwrap(), Some(at("llm.toml")));
        fs::write(at("home/llm.toml"), "").unwrap();
        assert_eq!(find("home/plain/deep"), Some(at("home/llm.toml")));
        assert_eq!(find("home/repo/deep"), None);
        fs::write(at("home/repo/llm.toml"), "").unwrap();
        assert_eq!(find("home/repo/deep"), Some(at("home/repo/llm.toml")));
        fs::create_dir(at("home/repo/deep/llm.toml")).unwrap();
        assert_eq!(find("home/repo/deep"), Some(at("home/repo/llm.toml")));
    }

    #[test]
    fn the_users_file_follows_the_variables() {
        let home = Path::new("/home/me");
        for (set, path) in [
            (&[][..], "/home/me/.config/llm-rs/config.toml"),
            (&[("XDG_CONFIG_HOME", "/x")], "/x/llm-rs/config.toml"),
            (&[("XDG_CONFIG_HOME", "relative")], "/home/me/.config/llm-rs/config.toml"),
            (&[("XDG_CONFIG_HOME", "/x"), ("LLM_RS_HOME", "/own")], "/own/config.toml"),
        ] {
            let env = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(user_config(&env, Some(home)), Some(PathBuf::from(path)));
        }
        assert_eq!(user_config(&|_| None, None), None);
    }

    #[test]
    fn a_file_that_is_too_long_or_not_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("llm.toml");
        fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert!(found(&path).unwrap_err().chain().ends_with("it is longer than 1048576 bytes"));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        let error = found(&path).unwrap_err();
        assert!(
            error.chain().contains("cannot be read: stream did not contain valid UTF-8"),
            "{}",
            error.chain()
        );
        fs::write(&path, "\u{feff}default = 'x'").unwrap();
        assert!(found(&path).unwrap().unwrap().read(|mut s| Ok(s.take("default").is_some())).unwrap());
    }
}
