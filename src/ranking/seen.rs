//! Whether a variant stands for its group.
//!
//! Counted from the first place, the variant of a group that comes first is the one, so it is
//! enough to remember which groups came, as long as those are few. Behind a cursor, or deep, the
//! siblings are asked: a variant stands for its group if no matching one has a smaller place. So no
//! page needs to know what came before it. What was found out about a group is kept for a while,
//! so that a group of a thousand variants is not asked a thousand times.

/// Most groups that are remembered: those of the deepest page that an offset may ask for.
const GROUPS_MAX: usize = 11_000;

/// Entries of the table of groups that were asked about; a power of two.
const ENTRIES: usize = 1_024;

/// Not the last unit of any group.
const NONE: u32 = u32::MAX;

/// What is known about groups, each named by its last unit.
pub(super) enum Seen {
    /// Groups that came: an open table, a power of two long and never half full.
    Came(Vec<u32>),
    /// The best unit of some groups; no entries before the first question.
    Asked(Vec<(u32, u32)>),
}

impl Seen {
    /// For a page that begins at the first place and meets up to `n` groups.
    pub(super) fn from_the_first(n: usize) -> Self {
        if n <= GROUPS_MAX {
            Self::Came(vec![NONE; (2 * n + 2).next_power_of_two()])
        } else {
            Self::behind()
        }
    }

    /// For a page behind some place.
    pub(super) fn behind() -> Self {
        Self::Asked(Vec::new())
    }

    /// Whether `unit`, which matches, stands for its group. Asked in the order of places.
    pub(super) fn is_first(&mut self, owner: u32, unit: u32, best: impl FnOnce() -> u32) -> bool {
        match self {
            Self::Came(table) => {
                let mut at = slot(owner, table.len());
                while table[at] != NONE && table[at] != owner {
                    at = (at + 1) % table.len();
                }
                std::mem::replace(&mut table[at], owner) == NONE
            }
            Self::Asked(table) => {
                if table.is_empty() {
                    *table = vec![(NONE, 0); ENTRIES];
                }
                let entry = &mut table[slot(owner, ENTRIES)];
                if entry.0 != owner {
                    *entry = (owner, best());
                }
                entry.1 == unit
            }
        }
    }
}

/// Where a group's entry is looked for first, of a power of two entries.
fn slot(owner: u32, n_entries: usize) -> usize {
    // The golden ratio spreads neighbours; the upper bits are the best mixed.
    (owner.wrapping_mul(0x9e37_79b9) >> 12) as usize & (n_entries - 1)
}
