//! Which generation is the current one, and whose it is.

use std::io;
use std::path::Path;

use crate::store::disk::Disk;
use crate::store::layout::{self, FORMAT_VERSION, Format, Generation, Said};
use crate::store::start::{Class, Parts, Report, Settings, StartError, create_fresh};

/// A generation that says whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub generation: Generation,
    /// Whose it is.
    pub format: Format,
    /// Whether CURRENT does not name it.
    pub lacks_current: bool,
    /// Whether its FORMAT is damaged or missing.
    pub lacks_format: bool,
}

/// Looks for the current generation without changing anything: the one that CURRENT names, else
/// the newest with content. `None` if there is none that says whose it is.
///
/// # Errors
/// [`StartError::TooNew`] for a newer format; [`StartError::Disk`].
pub fn existing(disk: &dyn Disk, data: &Path) -> Result<Option<Found>, StartError> {
    let all = layout::generations(disk, data)?;
    if let Said::Whole(generation) = layout::current(disk, data)?
        && all.contains(&generation)
        && let Some(found) = whose(disk, &generation)?
    {
        return Ok(Some(found));
    }
    for generation in all.iter().rev() {
        if layout::has_content(disk, generation)?
            && let Some(found) = whose(disk, generation)?
        {
            return Ok(Some(Found {
                lacks_current: true,
                ..found
            }));
        }
    }
    Ok(None)
}

/// Store and era of a generation: by FORMAT, else by a journal header.
fn whose(disk: &dyn Disk, generation: &Generation) -> Result<Option<Found>, StartError> {
    let said = layout::format(disk, generation)?;
    let lacks_format = !matches!(said, Said::Whole(_));
    let format = match said {
        Said::Whole(format) => Some(format),
        _ => layout::format_by_headers(disk, generation)?,
    };
    let Some(format) = format else {
        return Ok(None);
    };
    if FORMAT_VERSION < format.version {
        let what = format!("store format {}", format.version);
        return Err(StartError::TooNew { what });
    }
    Ok(Some(Found {
        generation: generation.clone(),
        format,
        lacks_current: false,
        lacks_format,
    }))
}

/// Finds the current generation, mends CURRENT and FORMAT, or makes a fresh store.
///
/// # Errors
/// [`StartError::TooNew`] for a newer format; [`StartError::Damaged`] if generations exist but
/// none says whose it is.
pub fn generation(
    settings: &Settings,
    parts: &Parts,
    report: &mut Report,
) -> Result<(Generation, Format), StartError> {
    let disk = parts.disk.as_ref();
    if let Some(found) = existing(disk, &settings.path)? {
        mend(disk, &found, report)?;
        return Ok((found.generation, found.format));
    }
    let all = layout::generations(disk, &settings.path)?;
    // What a crash left of the first start has neither content nor a CURRENT.
    let said = layout::current(disk, &settings.path)?;
    if said != Said::Missing || layout::holds_frames(disk, &all)? {
        return Err(StartError::Damaged {
            path: settings.path.clone(),
            offset: 0,
            what: "no generation says whose it is",
            remedy: "`endcap restore DIR` takes the newest backup, `endcap import store FILE --into \
                     DIR --replace` an export",
        });
    }
    let number = all.last().map_or(1, |newest| newest.number + 1);
    let generation = Generation::new(&settings.path, number);
    let store = create_fresh(parts, &generation)?;
    let format = Format {
        version: FORMAT_VERSION,
        store,
        era: 1,
    };
    Ok((generation, format))
}

fn mend(disk: &dyn Disk, found: &Found, report: &mut Report) -> io::Result<()> {
    let (generation, format) = (&found.generation, found.format);
    if found.lacks_format {
        layout::set_format(disk, generation, format.store, format.era)?;
        let text = format!("FORMAT of {} from a journal header", generation.name());
        report.add(Class::Repaired, "format-rewritten", text);
    }
    if found.lacks_current {
        layout::set_current(disk, generation)?;
        let text = format!("CURRENT now names {}", generation.name());
        report.add(Class::Repaired, "current-rewritten", text);
    }
    Ok(())
}
