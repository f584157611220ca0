//! Which key a remote command uses.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::cli::args::Cli;
use crate::cli::output::{Failure, Outcome, note};
use crate::cli::settings;

/// Name of the file in the data directory that holds the first key of a fresh store.
pub(in crate::cli) const FIRST_KEY_FILE: &str = "first-operator-key";

/// The key: of the file named by `--key-file` or `ENDCAP_KEY_FILE`, else of the variable
/// `ENDCAP_KEY`, else the first operator key where this machine's server left it.
///
/// # Errors
/// If a named file cannot be read. Without any key the call goes out without one: the server says
/// what it thinks of that.
pub(in crate::cli) fn find(cli: &Cli) -> Outcome<Option<String>> {
    if let Some(path) = &cli.key_file {
        return read(path).map(Some).map_err(|error| {
            let failure = Failure::from(error);
            if path.ends_with(FIRST_KEY_FILE) {
                failure.hint(
                    "the first key ends with the first operator key that you make: name that one",
                )
            } else {
                failure
            }
        });
    }
    if let Ok(key) = std::env::var("ENDCAP_KEY") {
        return Ok(Some(key.trim().to_owned()));
    }
    // A broken settings file is no reason not to talk to a server elsewhere.
    let settings = settings::load(cli.config.as_deref()).unwrap_or_default();
    let path = settings.store.path.join(FIRST_KEY_FILE);
    match read(&path) {
        Ok(key) => {
            note(&format!("using the key in {}", path.display()));
            Ok(Some(key))
        }
        Err(_) => Ok(None),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the key file {} cannot be read", path.display()))?;
    Ok(text.trim().to_owned())
}

/// Writes a key into a new file that its owner alone can read.
///
/// # Errors
/// What the system says; also if the file exists, so that no other key is lost.
pub(in crate::cli) fn save(path: &Path, key: &str) -> anyhow::Result<()> {
    fill(create(path)?, path, key)
}

/// A new empty file that its owner alone can read: before a key is made, so that it is not lost
/// for want of a place.
///
/// # Errors
/// What the system says; also if the file exists.
pub(in crate::cli) fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path);
    file.with_context(|| format!("the key file {} cannot be made", path.display()))
}

/// Puts a key into its file.
///
/// # Errors
/// What the system says.
pub(in crate::cli) fn fill(mut file: File, path: &Path, key: &str) -> anyhow::Result<()> {
    let written = file
        .write_all(format!("{key}\n").as_bytes())
        .and_then(|()| file.sync_all());
    written.with_context(|| format!("the key file {} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_key_is_read_back_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ada.key");
        save(&path, "ec_opr_x").unwrap();
        assert_eq!(read(&path).unwrap(), "ec_opr_x");
        assert!(save(&path, "ec_opr_y").is_err());
        assert_eq!(read(&path).unwrap(), "ec_opr_x");
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(&path).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn an_unreadable_key_file_is_named() {
        let error = read(Path::new("no/such.key")).unwrap_err();
        assert!(format!("{error:#}").contains("no/such.key"), "{error:#}");
    }
}
