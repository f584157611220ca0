//! What is whole, what is damaged, and what a start would do: told without touching anything.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::Finding;
use crate::store::backup::BackupError;
use crate::store::backup::dir::DirBackups;
use crate::store::backup::file::{Reader, Whole};
use crate::store::chunk::files::ChunkFiles;
use crate::store::disk::Disk;
use crate::store::index::plain::PlainIndex;
use crate::store::index::{Index, IndexError, IndexHome, Rung};
use crate::store::layout::Generation;
use crate::store::overlay::Overlay;
use crate::store::seam::Forms;
use crate::store::start::{self, Class, Parts, Raised, Report, Settings, StartError};

/// What a data directory is like.
#[derive(Debug)]
pub struct Verified {
    /// All that is damaged, file by file.
    pub findings: Vec<Finding>,
    /// What a start would report, or why it would refuse.
    pub start: Result<Report, StartError>,
}

/// What the backups of a folder are like.
#[derive(Debug)]
pub struct BackupsRead {
    /// Backups in it.
    pub n_backups: usize,
    /// All that is damaged, file by file.
    pub findings: Vec<Finding>,
}

impl Verified {
    /// Whether everything is as it was left. A torn last write is: a kill leaves one.
    pub fn is_whole(&self) -> bool {
        let starts_whole = self.start.as_ref().is_ok_and(|report| {
            let is_torn = report.steps.iter().all(|step| step.name == "tail-cut");
            report.class == Class::Whole || report.class == Class::Repaired && is_torn
        });
        self.findings.is_empty() && starts_whole
    }
}

/// An index that is opened as a copy, since opening one writes to it.
#[derive(Debug)]
struct ScratchHome {
    inner: Arc<dyn IndexHome>,
    scratch: PathBuf,
}

impl IndexHome for ScratchHome {
    fn open(&self, dir: &Path, _: &Path, rung: Rung) -> Result<Arc<dyn Index>, IndexError> {
        let copy = self.scratch.join("index");
        if rung == Rung::AsIs {
            copy_dir(dir, &copy).map_err(IndexError::new)?;
        }
        self.inner
            .open(&copy, &self.scratch.join("quarantine"), rung)
    }
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    std::fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Reads everything in the data directory and its backups, and climbs the ladder of a start on a
/// copy in memory. `scratch` is an empty directory with room for the index; the caller removes it.
///
/// # Errors
/// What the disk says while it is read; that a start would refuse is no error here. A directory in
/// use gives [`StartError::Locked`] as what a start says.
pub fn verify_dir(
    settings: &Settings,
    parts: &Parts,
    backup_dir: &Path,
    scratch: &Path,
) -> Result<Verified, BackupError> {
    let disk: Arc<dyn Disk> = Arc::new(Overlay::over(parts.disk.clone()));
    let forms = parts.forms.clone();
    let backups = DirBackups::new(disk.clone(), backup_dir.to_path_buf(), forms.clone());
    let backups = Arc::new(backups);
    let over = Parts {
        disk: disk.clone(),
        index: Arc::new(ScratchHome {
            inner: parts.index.clone(),
            scratch: scratch.to_path_buf(),
        }),
        backups: backups.clone(),
        ..parts.clone()
    };
    let mut findings = Vec::new();
    // The backups first: a start may write one more, in memory.
    check_backups(&backups, parts, &mut findings)?;
    let settings = Settings {
        ballast_mib: Some(0),
        ..settings.clone()
    };
    let raised = start::raise(&settings, &over);
    let mut generation = None;
    let start = raised.map(|mut raised| {
        raised.follower.check_cold();
        // A second start wants the lock for itself.
        raised.lock = None;
        check_index(&settings, parts, backup_dir, &raised, &mut findings);
        generation = raised.generation;
        raised.report
    });
    if let Some(generation) = generation {
        let chunks = ChunkFiles::new(disk, generation.chunks());
        check_chunks(&chunks, &mut findings)?;
    }
    if let Ok(report) = &start {
        findings.extend(report.damages.iter().map(|damage| Finding {
            path: damage.path.clone(),
            offset: Some(damage.bytes.start),
            what: damage.what.to_owned(),
        }));
    }
    Ok(Verified { findings, start })
}

/// Builds the state once more from backups and journal alone: an index that agrees with itself may
/// still hold another. Where they do not lead as far, nothing can be said of it.
fn check_index(
    settings: &Settings,
    parts: &Parts,
    backup_dir: &Path,
    raised: &Raised,
    findings: &mut Vec<Finding>,
) {
    let disk: Arc<dyn Disk> = Arc::new(Overlay::over(parts.disk.clone()));
    let dir = backup_dir.to_path_buf();
    let without = Parts {
        disk: disk.clone(),
        index: Arc::new(PlainIndex::default()),
        backups: Arc::new(DirBackups::new(disk, dir, parts.forms.clone())),
        ..parts.clone()
    };
    let Ok(other) = start::raise(settings, &without) else {
        return;
    };
    for (own, other) in raised.writers.iter().zip(&other.writers) {
        let (own, other) = (own.shared().folded(), other.shared().folded());
        if own.revision() == other.revision() && own != other {
            let space = own.identity().space.name();
            let path = raised.generation.as_ref().map(Generation::index);
            findings.push(Finding {
                path: path.unwrap_or_default(),
                offset: None,
                what: format!("{space}: another state than backups and journal make"),
            });
        }
    }
}

/// Reads every backup in a folder to its end, and the chunks beside them.
///
/// # Errors
/// What the disk says while it is read.
pub fn verify_backups(parts: &Parts, folder: &Path) -> Result<BackupsRead, BackupError> {
    let disk = Arc::clone(&parts.disk);
    let backups = DirBackups::new(disk, folder.to_path_buf(), parts.forms.clone());
    let mut findings = Vec::new();
    let n_backups = check_backups(&backups, parts, &mut findings)?;
    Ok(BackupsRead {
        n_backups,
        findings,
    })
}

fn check_backups(
    backups: &DirBackups,
    parts: &Parts,
    findings: &mut Vec<Finding>,
) -> io::Result<usize> {
    let paths = backups.paths()?;
    for path in &paths {
        if let Err(error) = verify_file(parts.disk.as_ref(), parts.forms.as_ref(), path) {
            findings.push(finding(path, &error));
        }
    }
    check_chunks(backups.chunks(), findings)?;
    Ok(paths.len())
}

/// Reads an export or a backup to its end.
///
/// # Errors
/// [`BackupError::NotWhole`] with line and offset, [`BackupError::TooNew`],
/// [`BackupError::Form`], or what the disk says.
pub fn verify_file(disk: &dyn Disk, forms: &dyn Forms, path: &Path) -> Result<Whole, BackupError> {
    Reader::open(disk, path, forms)?.finish()
}

fn finding(path: &Path, error: &BackupError) -> Finding {
    let offset = match error {
        BackupError::NotWhole { offset, .. } => Some(*offset),
        _ => None,
    };
    Finding {
        path: path.to_path_buf(),
        offset,
        what: error.to_string(),
    }
}

fn check_chunks(chunks: &ChunkFiles, findings: &mut Vec<Finding>) -> io::Result<()> {
    for hash in chunks.hashes()? {
        if let Err(error) = chunks.read(&hash) {
            findings.push(Finding {
                path: chunks.path_of(&hash),
                offset: None,
                what: error.to_string(),
            });
        }
    }
    Ok(())
}
