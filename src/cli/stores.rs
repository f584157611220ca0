//! What is done with a data directory while no server runs: export, import, back up, restore,
//! verify.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::folder::TempFolder;
use crate::cli::house::{store_failure, store_parts, store_settings};
use crate::cli::output::{Failure, Format, Outcome, note, show};
use crate::cli::settings::Settings;
use crate::domain::time::Timestamp;
use crate::record::json::RecordForms;
use crate::store::Finding;
use crate::store::Revision;
use crate::store::backup::BackupError;
use crate::store::backup::dir::DirBackups;
use crate::store::backup::export::{ExportError, export_stopped};
use crate::store::backup::import::{ImportError, Over, import};
use crate::store::backup::restore::{Loss, RestoreError, Step, Target, restore};
use crate::store::backup::verify::{verify_backups, verify_dir, verify_file};
use crate::store::disk::RealDisk;
use crate::store::layout;
use crate::store::seam::Backups;
use crate::store::start::{self, Class, Parts, Report, Settings as StoreSettings, StartError};

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
        readable(file)?;
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
        // A name of one part has no parent whose entry could be synced.
        let place = std::path::absolute(folder);
        let place = place.with_context(|| format!("{} is no place", folder.display()))?;
        let backups = DirBackups::new(disk, place, Arc::new(RecordForms));
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

    /// Makes an earlier state, or the newest that is whole, the current one.
    ///
    /// # Errors
    /// Exit code 4 if acknowledged writes would be lost and that was not accepted, 7 if there is
    /// nothing to begin with; nothing changes then.
    pub(in crate::cli) fn restore(
        &self,
        format: Format,
        target: Target,
        loss: Loss,
    ) -> Outcome<()> {
        let made = restore(&self.settings, &self.parts, target, loss);
        let made = made.map_err(|error| match error {
            RestoreError::Directory(error) => store_failure(&error),
            RestoreError::Write(error) => backup_failure(&error),
            RestoreError::NoBase { .. } => Failure::damaged(error.to_string()),
            RestoreError::Unreachable { .. } => Failure::refused(error.to_string()),
            RestoreError::Loss { steps } => {
                let lost = steps.iter().map(told).collect::<Vec<_>>().join("; ");
                Failure::refused(format!("acknowledged writes would be lost: {lost}"))
                    .hint("--accept-loss restores all the same; they stay in the old generation")
            }
        })?;
        made.steps.iter().for_each(|step| note(&told(step)));
        let said = json!({
            "generation": made.generation.dir(),
            "era": made.identity.era,
            "events": made.n_events,
            "chunks": made.n_chunks,
        });
        show(format, &said, &[]);
        Ok(())
    }

    /// Reads everything, changes nothing, and says what a start would do. A folder of backups is
    /// read as what it is.
    ///
    /// # Errors
    /// Exit code 7 if anything is damaged, 1 if the directory is in use or holds neither.
    pub(in crate::cli) fn verify(&self, format: Format, backup_dir: &Path) -> Outcome<()> {
        let is_store = layout::is_store(self.parts.disk.as_ref(), &self.settings.path);
        if !is_store.map_err(|error| backup_failure(&error.into()))? {
            return self.verify_backups(format);
        }
        let scratch = TempFolder::make("verify")?;
        let verified = verify_dir(&self.settings, &self.parts, backup_dir, scratch.path());
        let verified = verified.map_err(|error| backup_failure(&error))?;
        if let Err(error @ StartError::Locked { .. }) = &verified.start {
            return Err(store_failure(error));
        }
        show_findings(format, &verified.findings);
        match &verified.start {
            Ok(report) => {
                tell(report);
                note(&format!(
                    "a start would end as: {}",
                    class_word(report.class)
                ));
            }
            Err(error) => note(&format!("a start would refuse: {error}")),
        }
        if verified.is_whole() {
            note("everything is whole");
            return Ok(());
        }
        Err(Failure::damaged(match verified.findings.len() {
            0 => "the store is not as it was left".to_owned(),
            n => n_damaged(n),
        }))
    }

    fn verify_backups(&self, format: Format) -> Outcome<()> {
        let folder = &self.settings.path;
        let read = verify_backups(&self.parts, folder);
        let read = read.map_err(|error| backup_failure(&error))?;
        if read.n_backups == 0 {
            let shown = folder.display();
            return Err(Failure::failed(format!(
                "{shown} holds neither a store nor backups"
            )));
        }
        show_findings(format, &read.findings);
        match read.findings.len() {
            0 => {
                note(&format!("backups: {}, all whole", read.n_backups));
                Ok(())
            }
            n => Err(Failure::damaged(n_damaged(n))),
        }
    }
}

fn show_findings(format: Format, findings: &[Finding]) {
    let row = |own: &Finding| json!({ "file": own.path, "offset": own.offset, "what": own.what });
    let rows: Vec<Value> = findings.iter().map(row).collect();
    if !rows.is_empty() {
        show(format, &Value::Array(rows), &["file", "offset", "what"]);
    }
}

fn n_damaged(n: usize) -> String {
    match n {
        1 => "one place is damaged".to_owned(),
        n => format!("{n} places are damaged"),
    }
}

/// Reads an export or a backup to its end.
///
/// # Errors
/// Exit code 7 if a byte of it is wrong.
pub(in crate::cli) fn verify_export(format: Format, file: &Path) -> Outcome<()> {
    readable(file)?;
    let whole = verify_file(&RealDisk, &RecordForms, file);
    let whole = whole.map_err(|error| backup_failure(&error))?;
    let revisions = whole.header.revisions.iter();
    let revisions = revisions.map(|(space, revision)| (space.name().to_owned(), json!(revision.0)));
    let said = json!({
        "file": file,
        "revisions": Value::Object(revisions.collect()),
        "records": whole.header.n_records,
        "chunks": whole.header.n_chunks,
        "sha256": whole.written.sha256.to_string(),
    });
    show(format, &said, &[]);
    Ok(())
}

/// That there is a file: what is missing is no failing disk.
fn readable(file: &Path) -> Outcome<()> {
    let opened = std::fs::File::open(file);
    opened.with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(())
}

/// What is to be restored: a revision, an instant, or the newest whole state.
///
/// # Errors
/// Exit code 2 if it is neither.
pub(in crate::cli) fn read_target(at: Option<&str>) -> Outcome<Target> {
    let Some(at) = at else {
        return Ok(Target::Newest);
    };
    if let Ok(revision) = at.parse() {
        return Ok(Target::Revision(Revision(revision)));
    }
    Timestamp::parse(at).map(Target::Time).map_err(|_| {
        Failure::usage(format!(
            "\"{at}\" is neither a revision nor a time with offset"
        ))
    })
}

fn told(step: &Step) -> String {
    format!(
        "{}: to revision {} of {}",
        step.space.name(),
        step.to,
        step.highest
    )
}

fn class_word(class: Class) -> &'static str {
    match class {
        Class::Whole => "whole",
        Class::Repaired => "repaired",
        Class::Older => "older, read-only",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_revision_or_a_time() {
        assert_eq!(read_target(None).unwrap(), Target::Newest);
        assert_eq!(
            read_target(Some("18342")).unwrap(),
            Target::Revision(Revision(18_342))
        );
        let time = Timestamp::parse("2027-03-08T05:00:00Z").unwrap();
        let read = read_target(Some("2027-03-08T06:00:00+01:00")).unwrap();
        assert_eq!(read, Target::Time(time));
        assert_eq!(read_target(Some("yesterday")).unwrap_err().code(), 2);
    }

    #[test]
    fn what_is_no_directory_is_named() {
        let settings = Settings::default();
        let failure = Stopped::at(&settings, Path::new("no/such"), Timestamp(0))
            .err()
            .unwrap();
        assert_eq!(failure.code(), 1);
        assert!(failure.text().contains("no/such"), "{}", failure.text());
    }
}
