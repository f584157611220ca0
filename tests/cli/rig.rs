//! The program, and what it said.

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;

/// Longest that a command may take before the test gives up.
const WITHIN: Duration = Duration::from_secs(60);

/// The program in `folder`, with nothing in its environment that could steer it.
pub(crate) fn endcap(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_endcap"));
    command.current_dir(folder).args(arguments).timeout(WITHIN);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ENDCAP_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Said {
    said(&mut endcap(folder, arguments))
}

/// Runs a command to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
