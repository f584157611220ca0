//! Which generation is the current one, and whose it is.

use crate::store::disk::Disk;
use crate::store::layout::{self, FORMAT_VERSION, Format, Generation, Said};
use crate::store::start::{Class, Parts, Report, Settings, StartError, create_fresh};

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
    let all = layout::generations(disk, &settings.path)?;
    let said = layout::current(disk, &settings.path)?;
    if let Said::Whole(generation) = &said
        && all.contains(generation)
        && let Some(format) = whose(disk, generation, report)?
    {
        return Ok((generation.clone(), format));
    }
    for generation in all.iter().rev() {
        if !layout::has_content(disk, generation)? {
            continue;
        }
        if let Some(format) = whose(disk, generation, report)? {
            layout::set_current(disk, generation)?;
            let text = format!("CURRENT now names {}", generation.name());
            report.add(Class::Repaired, "current-rewritten", text);
            return Ok((generation.clone(), format));
        }
    }
    let number = all.last().map_or(1, |newest| newest.number + 1);
    let generation = Generation::new(&settings.path, number);
    // What a crash left of the first start has neither content nor a CURRENT.
    if said != Said::Missing || layout::holds_frames(disk, &all)? {
        return Err(StartError::Damaged {
            path: settings.path.clone(),
            offset: 0,
            what: "no generation says whose it is",
            remedy: "restore a backup with `endcap import store FILE --into DIR --replace`",
        });
    }
    let store = create_fresh(parts, &generation)?;
    let format = Format {
        version: FORMAT_VERSION,
        store,
        era: 1,
    };
    Ok((generation, format))
}

/// Store and era of a generation: by FORMAT, else by a journal header.
fn whose(
    disk: &dyn Disk,
    generation: &Generation,
    report: &mut Report,
) -> Result<Option<Format>, StartError> {
    if let Said::Whole(format) = layout::format(disk, generation)? {
        if FORMAT_VERSION < format.version {
            let what = format!("store format {}", format.version);
            return Err(StartError::TooNew { what });
        }
        return Ok(Some(format));
    }
    let Some(format) = layout::format_by_headers(disk, generation)? else {
        return Ok(None);
    };
    layout::set_format(disk, generation, format.store, format.era)?;
    let text = format!("FORMAT of {} from a journal header", generation.name());
    report.add(Class::Repaired, "format-rewritten", text);
    Ok(Some(format))
}
