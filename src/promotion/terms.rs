//! The promotion and its invariants.

use std::collections::BTreeSet;
use std::ops::Deref;

use crate::domain::boost::BoostLevel;
use crate::domain::category::CategoryId;
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::limits::PROMOTION_NAME_CHARS_MAX;
use crate::domain::text;
use crate::domain::time::{GivenTime, Period, Timestamp, Zone};
use crate::promotion::epoch::{EPOCHS_MAX, Epoch, open_epoch};
use crate::selection::definition::Selection;

/// Most markets of one promotion.
pub const MARKETS_MAX: usize = 50;

/// Most category marks of each sort.
pub const MARKS_MAX: usize = 1_000;

/// Most Unicode scalar values of a note.
pub const NOTE_CHARS_MAX: usize = 2_000;

/// The direction of a ranking change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Upward, in one of three levels.
    Promotion,
    /// Below everything that is not demoted.
    Demotion,
}

impl Kind {
    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "promotion" => Ok(Self::Promotion),
            "demotion" => Ok(Self::Demotion),
            _ => Err(Fault::unknown_value(text, &["promotion", "demotion"])),
        }
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promotion => "promotion",
            Self::Demotion => "demotion",
        }
    }
}

/// Categories in which a promotion acts; without any mark it acts everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restriction {
    /// Marks that switch on, below them too.
    pub include: Vec<CategoryId>,
    /// Marks that switch off, below them too.
    pub exclude: Vec<CategoryId>,
}

impl Restriction {
    /// Whether any mark is set.
    pub fn is_restricted(&self) -> bool {
        !(self.include.is_empty() && self.exclude.is_empty())
    }
}

/// What stands in the record of a promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Given by the server.
    pub id: PromotionId,
    /// Fixed once created.
    pub kind: Kind,
    /// [`BoostLevel::Demoted`] exactly for demotions.
    pub level: BoostLevel,
    /// 1 to 50 Unicode scalar values; unique without regard to case among unarchived ones of its
    /// kind.
    pub name: String,
    /// 1 to 50, distinct, in the order sent.
    pub markets: Vec<MarketId>,
    /// As a person gave it.
    pub start: GivenTime,
    /// As a person gave it; a date is inclusive.
    pub end: GivenTime,
    /// The zone for bare dates, where one was given.
    pub time_zone: Option<Zone>,
    /// The zone in which bare dates were read: the given one, else the one the markets shared.
    pub zone: Option<Zone>,
    /// What start and end meant when they were read.
    pub period: Period,
    /// What it is about.
    pub selection: Selection,
    /// Where it acts.
    pub restriction: Restriction,
    /// Measured stretches, ascending; measured now if the last is not closed.
    pub epochs: Vec<Epoch>,
    /// Held back by a person.
    pub suspended: bool,
    /// Deleted; kept for history.
    pub archived: bool,
    /// For colleagues.
    pub note: Option<String>,
    /// Key or user who created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A promotion or demotion: [`Terms`] that hold together. They can be read here and not written;
/// every change makes another promotion, through a constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion(Terms);

impl Deref for Promotion {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.0
    }
}

impl Promotion {
    /// Checks terms that were stored or put together elsewhere.
    ///
    /// # Errors
    /// All of them at once, with pointers as the API names the fields.
    pub fn new(mut terms: Terms) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::new();
        if let Some(name) = complaints.take("/name", read_name(&terms.name)) {
            terms.name = name;
        }
        if (terms.kind == Kind::Demotion) != (terms.level == BoostLevel::Demoted) {
            complaints.add("/level", level_fault(terms.kind));
        }
        check_markets(&terms.markets, &mut complaints);
        check_marks(&terms.restriction, &mut complaints);
        if let Some(note) = &terms.note {
            complaints.take("/note", read_note(note));
        }
        check_epochs(&terms.epochs, &mut complaints);
        complaints.finish(Some(Self(terms)))
    }

    /// The terms, for changing them.
    pub fn into_terms(self) -> Terms {
        self.0
    }

    /// The name as names are compared.
    pub fn caseless_name(&self) -> String {
        text::caseless(&self.name)
    }

    /// The epoch that is not closed; `None` if the promotion is not measured.
    pub fn open_epoch(&self) -> Option<&Epoch> {
        open_epoch(&self.epochs)
    }

    /// The epoch that splits sessions at `now`.
    pub fn running_epoch(&self, now: Timestamp) -> Option<&Epoch> {
        let runs = |epoch: &&Epoch| epoch.runs(self.period).is_some_and(|own| own.contains(now));
        self.epochs.iter().rev().find(runs)
    }
}

/// A name in normal form.
pub(crate) fn read_name(name: &str) -> Result<String, Fault> {
    text::bounded(name, PROMOTION_NAME_CHARS_MAX).map(Into::into)
}

/// A note in normal form; its lines stay.
pub(crate) fn read_note(note: &str) -> Result<String, Fault> {
    let normal = text::normal(note);
    let have = normal.chars().count();
    if NOTE_CHARS_MAX < have {
        let max = NOTE_CHARS_MAX;
        return Err(Fault::TooLong { have, max });
    }
    let is_odd = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
    if normal.chars().any(is_odd) {
        let expected = "text without control characters";
        return Err(Fault::bad_format(
            expected,
            &normal.escape_debug().to_string(),
        ));
    }
    Ok(normal.into())
}

/// What a level is called that does not fit the kind.
pub(crate) fn level_fault(kind: Kind) -> Fault {
    match kind {
        Kind::Promotion => Fault::Required,
        Kind::Demotion => Fault::LevelNotAllowed,
    }
}

/// Number and distinctness of markets.
pub(crate) fn check_markets(markets: &[MarketId], complaints: &mut Complaints) {
    let have = markets.len();
    if have == 0 {
        complaints.add("/markets", Fault::TooFew { have, min: 1 });
    }
    if MARKETS_MAX < have {
        let max = MARKETS_MAX;
        complaints.add("/markets", Fault::TooMany { have, max });
    }
    let mut seen = BTreeSet::new();
    for (place, market) in markets.iter().enumerate() {
        if !seen.insert(market) {
            let value = market.to_string();
            complaints.add(format!("/markets/{place}"), Fault::Duplicate { value });
        }
    }
}

/// Number of marks, and that none says two things.
pub(crate) fn check_marks(restriction: &Restriction, complaints: &mut Complaints) {
    let lists = [
        ("/categories/include", &restriction.include),
        ("/categories/exclude", &restriction.exclude),
    ];
    for (pointer, marks) in lists {
        if MARKS_MAX < marks.len() {
            let (have, max) = (marks.len(), MARKS_MAX);
            complaints.add(pointer, Fault::TooMany { have, max });
        }
    }
    let included: BTreeSet<_> = restriction.include.iter().collect();
    for (place, mark) in restriction.exclude.iter().enumerate() {
        if included.contains(mark) {
            let why = format!("\"{mark}\" is both included and excluded");
            let pointer = format!("/categories/exclude/{place}");
            complaints.add(pointer, Fault::Contradiction { why });
        }
    }
}

/// Epochs ascend, only the last may be open.
fn check_epochs(epochs: &[Epoch], complaints: &mut Complaints) {
    if EPOCHS_MAX < epochs.len() {
        let (have, max) = (epochs.len(), EPOCHS_MAX);
        complaints.add("/measurement", Fault::TooMany { have, max });
    }
    for pair in epochs.windows(2) {
        let [earlier, later] = pair else { continue };
        let is_after = earlier.closed.is_some_and(|closed| closed <= later.opened);
        if !is_after || later.number <= earlier.number {
            let why = format!("epochs {} and {} overlap", earlier.number, later.number);
            complaints.add("/measurement", Fault::Contradiction { why });
        }
    }
}
