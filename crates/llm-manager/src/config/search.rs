//! Where configuration is looked for, whether or not something is there: for those who ask where their files lie.

use std::path::PathBuf;

use llm_types::Error;

use super::files;
use super::sources::Sources;

/// A place where configuration is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// Whose it is.
    pub role: Role,
    /// Whether there is a file. It is read then, unless a named one stands in its place.
    pub exists: bool,
    /// Whether it is one of those that are read now.
    pub read: bool,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Named with `--config`.
    Option,
    /// Named with `LLM_RS_CONFIG`.
    Variable,
    /// The project's.
    Project,
    /// The user's own.
    User,
    /// An older client's, read last.
    Older,
}

impl Role {
    /// The role in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Option => "--config",
            Self::Variable => "LLM_RS_CONFIG",
            Self::Project => "project",
            Self::User => "user",
            Self::Older => "older",
        }
    }
}

/// The places that [`load`](super::load()) looks at, the nearest first. No file is opened.
///
/// # Errors
/// Kind `Config`, where two files stand side by side of which only one can hold.
pub fn search(sources: &Sources<'_>) -> Result<Vec<Candidate>, Error> {
    let home = sources.home.as_deref();
    let variable = || (sources.env)("LLM_RS_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = match &sources.config {
        Some(path) => Some((path.clone(), Role::Option)),
        None => variable().map(|path| (path, Role::Variable)),
    };
    let only = named.is_some();
    let mut found = Vec::new();
    let mut add = |path: PathBuf, role: Role| {
        let exists = path.is_file();
        let read = exists && (!only || matches!(role, Role::Option | Role::Variable));
        found.push(Candidate { path, role, exists, read });
    };
    if let Some((path, role)) = named {
        add(sources.cwd.join(path), role);
    }
    // Where the user has none, the place of the one that would be.
    let there = files::users(sources.env, home)?;
    let user = there.or_else(|| files::user_config(sources.env, home));
    let project = files::project(&sources.cwd, home)?.filter(|path| Some(path) != user.as_ref());
    add(project.unwrap_or_else(|| sources.cwd.join(format!("{}.toml", files::PROJECT))), Role::Project);
    if let Some(user) = user {
        add(user, Role::User);
    }
    if let Some((older, _)) = files::older(&sources.cwd, home) {
        add(older, Role::Older);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_stands_in_the_place_of_the_others() {
        let top = tempfile::tempdir().unwrap();
        let at = |path: &str| top.path().join(path);
        std::fs::create_dir_all(at(".config/llm-rs")).unwrap();
        std::fs::write(at(".config/llm-rs/config.toml"), "").unwrap();
        std::fs::write(at("own.toml"), "").unwrap();
        let none = |_: &str| None;
        let mut sources = Sources { home: Some(top.path().to_owned()), ..Sources::new(&none, top.path()) };
        let seen = |sources: &Sources<'_>| {
            search(sources).unwrap().iter().map(|c| (c.role, c.exists, c.read)).collect::<Vec<_>>()
        };
        assert_eq!(seen(&sources), [(Role::Project, false, false), (Role::User, true, true)]);
        sources.config = Some("own.toml".into());
        assert_eq!(
            seen(&sources),
            [(Role::Option, true, true), (Role::Project, false, false), (Role::User, true, false)]
        );
        let named = |name: &str| (name == "LLM_RS_CONFIG").then(|| "none.toml".to_owned());
        let sources = Sources { home: Some(top.path().to_owned()), ..Sources::new(&named, top.path()) };
        assert_eq!(seen(&sources)[0], (Role::Variable, false, false));
    }
}
