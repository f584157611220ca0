//! The groups of a served page, and which promotions would move them.

use crate::promotion::slot::SlotMask;
use crate::ranking::ask::Ask;
use crate::ranking::cursor::Place;

/// The groups that stand on the served page behind the panel's own hits, in order; of a deep page
/// all from the first place on.
#[derive(Default)]
pub(super) struct Window {
    pub(super) spots: Vec<Spot>,
    /// Their names, ascending.
    pub(super) owners: Vec<u32>,
    /// Whether other groups may follow.
    pub(super) is_full: bool,
    /// Promotions that may move any of them.
    pub(super) moving: SlotMask,
}

/// A group on the served page.
pub(super) struct Spot {
    /// The variant that is shown.
    pub(super) unit: u32,
    pub(super) place: Place,
    /// Promotions that may move the group: where variants fall, those that decide the shown one,
    /// as the others were behind it and stay there; where they rise, those that decide any of it.
    pub(super) moving: SlotMask,
}

impl Window {
    /// Of the units that are shown under the mask of `ask`, where there is `room` for so many, and
    /// of what the `asked` promotions would move.
    pub(super) fn new(ask: &Ask<'_>, units: &[u32], room: usize, asked: SlotMask) -> Self {
        let rising = ask.view.levels.rising(ask.mask);
        let (rising, falling) = (asked & rising, asked & !rising);
        let mut owners: Vec<u32> = units.iter().map(|unit| ask.owner(*unit)).collect();
        owners.sort_unstable();
        let spot = |unit: &u32| Spot {
            unit: *unit,
            place: ask.place(*unit),
            moving: deciding(ask, *unit, falling) | deciding_around(ask, *unit, rising),
        };
        let spots: Vec<Spot> = units.iter().map(spot).collect();
        let moving = spots.iter();
        let moving = moving.fold(SlotMask::EMPTY, |all, spot| all | spot.moving);
        Self {
            spots,
            owners,
            is_full: room <= units.len(),
            moving,
        }
    }

    /// Whether the group of this name is one of them.
    pub(super) fn contains(&self, owner: u32) -> bool {
        self.owners.binary_search(&owner).is_ok()
    }

    /// The last one's place, if others may follow.
    pub(super) fn end(&self) -> Option<Place> {
        let last = self.spots.last().filter(|_| self.is_full);
        last.map(|spot| spot.place)
    }
}

/// Those of the `asked` promotions that decide the level of a unit.
fn deciding(ask: &Ask<'_>, unit: u32, asked: SlotMask) -> SlotMask {
    let held = ask.view.by_unit.at(unit);
    if (held & asked).is_empty() {
        return SlotMask::EMPTY;
    }
    ask.view.levels.deciding(held, ask.mask) & asked
}

/// Those of the `asked` promotions that decide the level of any unit of a group.
pub(super) fn deciding_around(ask: &Ask<'_>, unit: u32, asked: SlotMask) -> SlotMask {
    let Some(stretches) = ask.stretches else {
        return deciding(ask, unit, asked);
    };
    let mut all = SlotMask::EMPTY;
    for sibling in stretches.around(unit) {
        all |= deciding(ask, sibling, asked);
    }
    all
}
