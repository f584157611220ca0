//! What is done with a data directory while no server runs: export, import, back up, restore,
//! verify.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::house::{store_failure, store_parts, store_settings};
use crate::cli::output::{Failure, Format, Outcome, note, show};
use crate::cli::settings::Settings;
use crate::domain::time::Timestamp;
use crate::record::json::RecordForms;
use crate::store::backup::BackupError;
use crate::store::backup::dir::DirBackups;
use crate::store::backup::export::{ExportError, export_stopped};
use crate::store::backup::import::{ImportError, Over, import};
use crate::store::seam::Backups;
use crate::store::start::{self, Class, Parts, Report, Settings as StoreSettings};

/// A data directory and what its store is built upon.
pub(in crate::cli) struct Stopped {
    settings: StoreSettings,
    parts: Parts,
}

impl Stopped {
    /// The data directory at `path`; nothing is touched yet.
    ///
    /// # Errors
    /// Exit code 1 if there is no directory.
    pub(in crate::cli) fn at(settings: &Settings, path: &Path, now: Timestamp) -> Outcome<Self> {
        if path.is_dir() {
            Ok(Self::to_be(settings, path, now))
        } else {
            Err(Failure::failed(format!(
                "{} is no data directory",
                path.display()
            )))
        }
    }

    /// The data directory that will be at `path`.
    pub(in crate::cli) fn to_be(settings: &Settings, path: &Path, now: Timestamp) -> Self {
        let own = store_settings(settings, path);
        let parts = store_parts(settings, &own, now);
        Self {
            settings: own,
            parts,
        }
    }

    /// Writes everything into one file.
    ///
    /// # Errors
    /// Exit code 7 if something is damaged and no backup has it.
    pub(in crate::cli) fn export(&self, format: Format, file: &Path) -> Outcome<()> {
        let exported = export_stopped(&self.settings, &self.parts, file);
        let (exported, report) = exported.map_err(|error| match error {
            ExportError::Start(error) => store_failure(&error),
            ExportError::Write(error) => backup_failure(&error),
        })?;
        tell(&report);
        let revisions = exported
            .revisions
            .iter()
            .map(|(space, revision)| (space.name().to_owned(), json!(revision.0)));
        let said = json!({
            "file": file,
            "revisions": Value::Object(revisions.collect()),
            "records": exported.n_records,
            "chunks": exported.n_chunks,
            "bytes": exported.written.bytes,
            "sha256": exported.written.sha256.to_string(),
        });
        note("it holds secrets: keep it where only operators can read it");
        show(format, &said, &[]);
        Ok(())
    }

    /// Makes the state in an export file the store of this directory.
    ///
    /// # Errors
    /// Exit code 7 if a byte of the file is wrong, 4 if there is a store already; nothing changes
    /// then.
    pub(in crate::cli) fn import(&self, format: Format, file: &Path, over: Over) -> Outcome<()> {
        let made = import(&self.settings, &self.parts, file, over);
        let made = made.map_err(|error| match error {
            ImportError::File(error) => backup_failure(&error),
            ImportError::Directory(error) => store_failure(&error),
            ImportError::Backup => Failure::invalid(error.to_string()),
            ImportError::Occupied => Failure::refused(error.to_string()),
        })?;
        let said = json!({
            "generation": made.generation.dir(),
            "records": made.n_records,
            "chunks": made.n_chunks,
        });
        show(format, &said, &[]);
        Ok(())
    }

    /// Writes a backup into `folder`.
    ///
    /// # Errors
    /// As [`Stopped::export`].
    pub(in crate::cli) fn back_up(&self, format: Format, folder: &Path) -> Outcome<()> {
        let opened = start::open(&self.settings, &self.parts).map_err(|e| store_failure(&e))?;
        tell(&opened.report);
        let disk = Arc::clone(&self.parts.disk);
        let backups = DirBackups::new(disk, folder.to_path_buf(), Arc::new(RecordForms));
        let chunks = opened.chunks.as_ref();
        let written = opened.with_states(|states| {
            let mut files = Vec::new();
            for state in states {
                let point = state.point();
                backups.write(&point, state, chunks)?;
                let file = backups.path_of(point.identity.space, point.revision);
                files.push(json!({
                    "space": point.identity.space.name(),
                    "revision": point.revision.0,
                    "file": file,
                }));
            }
            Ok::<_, BackupError>(files)
        });
        let files = written.map_err(BackupError::Index).and_then(|files| files);
        let files = files.map_err(|error| backup_failure(&error))?;
        show(format, &Value::Array(files), &["space", "revision", "file"]);
        Ok(())
    }
}

/// Exit code 7 for what is damaged or too new, 1 for a disk that fails.
fn backup_failure(error: &BackupError) -> Failure {
    match error {
        BackupError::Disk(_) | BackupError::Index(_) => Failure::failed(error.to_string()),
        _ => Failure::damaged(error.to_string()),
    }
}

/// Says what a start found and mended.
fn tell(report: &Report) {
    report.steps.iter().for_each(|step| note(&step.to_string()));
    if report.class == Class::Older {
        for (space, missing) in &report.missing {
            note(&format!(
                "{}: revision {missing} is the first that is missing",
                space.name()
            ));
        }
    }
}
