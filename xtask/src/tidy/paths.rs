//! No path of a machine and no host of a private registry in the repository.

use std::path::Path;

use super::Finding;
use crate::Outcome;

/// What this machine would leave behind: its folders and the hosts of its package registries.
#[derive(Default)]
pub(crate) struct Machine {
    words: Vec<String>,
}

impl Machine {
    /// Reads the places of the workspace, of the home folder and of cargo, and cargo's registries.
    pub(crate) fn here(root: &Path) -> Self {
        let mut words = Vec::new();
        let mut folder = |path: Option<&Path>| {
            let path = path.and_then(Path::to_str).unwrap_or_default().trim_end_matches('/');
            // `/`, `/tmp`, `/src` and the like would be found in innocent text.
            if path.len() > 5 {
                words.push(format!("{path}/"));
            }
        };
        folder(Some(root));
        let home = std::env::home_dir();
        folder(home.as_deref());
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(std::path::PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join(".cargo")));
        folder(cargo_home.as_deref());
        for file in ["config.toml", "config"] {
            let config = cargo_home.as_ref().and_then(|home| std::fs::read_to_string(home.join(file)).ok());
            words.extend(registry_hosts(&config.unwrap_or_default()));
        }
        Self { words }
    }
}

/// The hosts in a cargo configuration, but for the public ones.
fn registry_hosts(config: &str) -> Vec<String> {
    let hosts = config.split("://").skip(1).filter_map(|rest| {
        let authority = rest.split(['/', '"', '\'', ' ', '\n']).next()?;
        let host = authority.rsplit('@').next()?.split(':').next()?;
        let public = ["crates.io", "github.com"].iter().any(|public| host.ends_with(public));
        (host.len() > 5 && !public).then(|| host.to_owned())
    });
    hosts.collect()
}

/// The beginnings of home folders; what follows must be one of the examples.
const HOMES: [&str; 3] = ["/home/", "/Users/", "C:\\Users\\"];
const EXAMPLES: [&str; 6] = ["you", "user", "me", "alice", "ada", "$"];

/// Looks through every text file.
pub(crate) fn check(root: &Path, files: &[String], machine: &Machine) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in files {
        let bytes = std::fs::read(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            findings.extend(in_text(path, text, machine));
        }
    }
    Ok(findings)
}

fn in_text(path: &str, text: &str, machine: &Machine) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let found =
            machine.words.iter().find(|word| line.contains(word.as_str())).cloned().or_else(|| home_in(line));
        if let Some(word) = found {
            let message = format!("`{word}` belongs to one machine; write a relative path or an example");
            findings.push(Finding::new(path, at + 1, message));
        }
    }
    findings
}

fn home_in(line: &str) -> Option<String> {
    HOMES.iter().find_map(|home| {
        line.match_indices(home).find_map(|(at, _)| {
            let name = line
                .get(at + home.len()..)?
                .split(|c: char| !(c.is_alphanumeric() || "-_.$".contains(c)))
                .next()?;
            let whole = line.get(..at)?.chars().next_back().is_none_or(|c| !c.is_alphanumeric());
            let example = name.is_empty() || EXAMPLES.iter().any(|example| name.starts_with(example));
            (whole && !example).then(|| format!("{home}{name}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_machine_is_found() {
        let machine = Machine { words: vec!["/srv/build/llm/".to_owned(), "crates.example.net".to_owned()] };
        // Written in two parts, so that this file is not a finding itself.
        let home = format!("see /{}/bob/notes", "home");
        let mac = format!("\"/{}/carol/x\"", "Users");
        for bad in ["run /srv/build/llm/target/x", "index = \"https://crates.example.net/i\"", &home, &mac] {
            let found = in_text("README.md", &format!("fine\n{bad}\n"), &machine);
            assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2], "{bad}");
        }
        let example = format!("cd /{}/you/project", "home");
        for fine in ["target/debug/llm", "/etc/passwd", &example, "api/homes/x", "~/.config/llm-rs"] {
            assert_eq!(in_text("README.md", fine, &machine), [], "{fine}");
        }
    }

    #[test]
    fn registry_hosts_come_from_cargo_configuration() {
        let config = "[source.crates-io]\nreplace-with = \"mirror\"\n[source.mirror]\nregistry = \"sparse+https://token@mirror.example.net:8080/index/\"\n[net]\n# https://github.com/x\n";
        assert_eq!(registry_hosts(config), ["mirror.example.net"]);
    }
}
