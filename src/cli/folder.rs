//! A directory for as long as a command needs one.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::output::{Outcome, note};
use crate::engine::entropy::Entropy;

/// A directory below the system's temporary one; gone with this value.
pub(in crate::cli) struct TempFolder(PathBuf);

impl TempFolder {
    /// A new empty directory that its owner alone can enter; `word` is part of its name.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::cli) fn make(word: &str) -> Outcome<Self> {
        let name = format!("endcap-{word}-{:016x}", Entropy::from_system().salt());
        let path = std::env::temp_dir().join(name);
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let made = builder.create(&path);
        made.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(in crate::cli) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if std::fs::remove_dir_all(&self.0).is_err() {
            note(&format!("remove {} by hand", self.0.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_with_all_that_lies_in_it() {
        let folder = TempFolder::make("test").unwrap();
        let path = folder.path().to_path_buf();
        std::fs::write(path.join("file"), "text").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
