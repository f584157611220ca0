//! The program, and what it said.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;

/// Longest that a command may take before the test gives up.
const WITHIN: Duration = Duration::from_mins(1);

/// The program in `folder`, with nothing in its environment that could steer it.
pub(crate) fn endcap(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_endcap"));
    command.current_dir(folder).args(arguments).timeout(WITHIN);
    without_own(|name| {
        command.env_remove(name);
    });
    command
}

/// Each variable of this process that the program would heed.
fn without_own(mut remove: impl FnMut(OsString)) {
    let own = std::env::vars_os().map(|(name, _)| name);
    own.filter(|name| name.to_string_lossy().starts_with("ENDCAP_"))
        .for_each(&mut remove);
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

impl Said {
    /// Ends the test unless the command did what it was told.
    #[track_caller]
    pub(crate) fn ok(&self) {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
    }

    /// The one document it printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        self.ok();
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A served data directory, below `folder` unless told otherwise.
pub(crate) struct Served {
    child: Child,
    folder: PathBuf,
    url: String,
    notes: Arc<Mutex<String>>,
}

impl Served {
    /// Serves on a free port, with more arguments.
    pub(crate) fn start(folder: &Path, more: &[&str]) -> Self {
        let mut command = Process::new(env!("CARGO_BIN_EXE_endcap"));
        command
            .current_dir(folder)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more);
        without_own(|name| {
            command.env_remove(name);
        });
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let notes = Arc::new(Mutex::new(String::new()));
        let theirs = Arc::clone(&notes);
        std::thread::spawn(move || {
            let mut line = String::new();
            while errors.read_line(&mut line).is_ok_and(|n_read| 0 < n_read) {
                theirs.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned();
        let expected = concat!("endcap ", env!("CARGO_PKG_VERSION"), " listens on http://");
        assert!(
            line.starts_with(expected),
            "{line:?}, {}",
            notes.lock().unwrap()
        );
        Self {
            child,
            folder: folder.to_path_buf(),
            url,
            notes,
        }
    }

    /// Runs a remote command against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(endcap(&self.folder, arguments).args(["--url", &self.url]))
    }

    /// The same with the key in `ada.key`.
    pub(crate) fn ada(&self, arguments: &[&str]) -> Said {
        said(endcap(&self.folder, arguments).args(["--url", &self.url, "--key-file", "ada.key"]))
    }

    /// What it said on standard error so far.
    pub(crate) fn notes(&self) -> String {
        self.notes.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A file of its folder.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; what it ended with.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Process::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
