//! Which measured promotions a request does not see.

use crate::domain::id::IdText;
use crate::engine::rank::{ForcedArms, RankWarning, warning};
use crate::engine::snapshot::TimedView;
use crate::measurement::split::{Arm, SessionDigest};
use crate::promotion::slot::SlotMask;

/// Slots that the session, or the caller in its place, does not see.
pub(in crate::engine) fn withheld(
    timed: &TimedView,
    digest: Option<SessionDigest>,
    forced: Option<&ForcedArms>,
    warnings: &mut Vec<RankWarning>,
) -> SlotMask {
    match forced {
        None | Some(ForcedArms::Each(_)) => {}
        Some(ForcedArms::All(Arm::Shown)) => return SlotMask::EMPTY,
        Some(ForcedArms::All(Arm::Withheld)) => {
            return timed
                .measured
                .iter()
                .map(|measured| measured.slot)
                .collect();
        }
    }
    let mut mask: SlotMask = match digest {
        Some(digest) => timed
            .measured
            .iter()
            .filter(|measured| measured.coin.toss(digest) == Arm::Withheld)
            .map(|measured| measured.slot)
            .collect(),
        None => SlotMask::EMPTY,
    };
    if let Some(ForcedArms::Each(each)) = forced {
        for (id, arm) in each {
            let slot = timed.view.table().slot_of(*id);
            let slot = slot.filter(|slot| timed.measured.iter().any(|own| own.slot == *slot));
            match (slot, arm) {
                (Some(slot), Arm::Withheld) => mask |= SlotMask::of(slot),
                (Some(slot), Arm::Shown) => mask = mask & !SlotMask::of(slot),
                (None, _) => warnings.push(warning("not-measured", id.to_string())),
            }
        }
    }
    mask
}

/// The arm of each measured promotion, in order of their ids.
pub(in crate::engine) fn arms_of(
    timed: &TimedView,
    withheld: SlotMask,
) -> impl Iterator<Item = (&IdText, Arm)> {
    timed.measured.iter().map(move |measured| {
        let is_withheld = withheld.contains(measured.slot);
        let arm = if is_withheld {
            Arm::Withheld
        } else {
            Arm::Shown
        };
        (&measured.id, arm)
    })
}
