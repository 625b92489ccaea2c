//! Running cargo and friends, and saying so.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::Outcome;

/// The workspace's folder: xtask is built inside it and runs nowhere else.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The cargo that runs us, or the one on the PATH.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The cargo arguments of the one build that every developer command shares: the same packages, features and profile
/// everywhere, so that nothing is compiled twice.
pub(crate) const WHOLE: [&str; 3] = ["--workspace", "--all-features", "--locked"];

/// Prints the command line, runs it on our own terminal and fails when it fails.
pub(crate) fn echo(command: &mut Command) -> Outcome {
    println!("$ {}", line_of(command));
    let status = command.status().map_err(|error| format!("{}: {error}", line_of(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", line_of(command))) }
}

/// Runs quietly and gives back what was printed on stdout.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{}: {error}", line_of(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{}` ended with {}: {}", line_of(command), output.status, said.trim()));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` did not print UTF-8", line_of(command)))
}

fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    let mut line = program.into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// `12.3 s`, or `4 min 05 s` from two minutes on.
pub(crate) fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 120 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named() {
        let error = capture(cargo().arg("no-such-subcommand")).unwrap_err();
        assert!(error.starts_with("`cargo no-such-subcommand` ended with"), "{error}");
        assert!(root().join("Cargo.toml").is_file());
        assert_eq!(spoken(Duration::from_millis(245_000)), "4 min 05 s");
    }
}
