//! Reading a promotion as sent: creating, editing, restoring.

use std::collections::BTreeSet;

use crate::catalogue::Catalogue;
use crate::domain::boost::BoostLevel;
use crate::domain::category::CategoryId;
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::limits::SHARE_SHOWN_PERCENT;
use crate::domain::money::Percent;
use crate::domain::time::{GivenTime, Period, Timestamp, Zone};
use crate::promotion::epoch::{Edit, MeasurementDraft, Settings};
use crate::promotion::state::{Refusal, State, edit_of, terms_in};
use crate::promotion::terms::{
    Kind, MARKS_MAX, Promotion, Restriction, Terms, check_markets, check_marks, level_fault,
    read_name, read_note,
};
use crate::selection::check::misfits;
use crate::selection::definition::{Selection, SelectionDraft};

/// A promotion as sent: texts, with `None` for what is absent or null.
#[derive(Clone, Debug, Default)]
pub struct PromotionDraft {
    /// `promotion` or `demotion`.
    pub kind: Option<String>,
    /// `high`, `medium` or `low`.
    pub level: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Keys of markets.
    pub markets: Option<Vec<String>>,
    /// A time with offset, or a date.
    pub start: Option<String>,
    /// A time with offset, or a date, which is inclusive.
    pub end: Option<String>,
    /// Zone for dates.
    pub time_zone: Option<String>,
    /// What it is about.
    pub selection: SelectionDraft,
    /// Categories to switch it on in.
    pub include: Vec<String>,
    /// Categories to switch it off in.
    pub exclude: Vec<String>,
    /// How to measure it; absent: not at all.
    pub measurement: Option<MeasurementDraft>,
    /// Whether to hold it back.
    pub suspended: bool,
    /// For colleagues.
    pub note: Option<String>,
    /// What was wrong with it before it became a draft; told with everything else.
    pub faults: Vec<Complaint>,
}

/// What the server adds to a draft when it creates.
#[derive(Clone, Debug)]
pub struct Made {
    /// The new id.
    pub id: PromotionId,
    /// Key or user.
    pub by: String,
    /// The instant of creation.
    pub at: Timestamp,
    /// Fresh random bits for the first epoch.
    pub salt: u64,
}

/// Finds a market's goods by its key.
pub type FindCatalogue<'f, 'm> = &'f dyn Fn(&MarketId) -> Option<&'m Catalogue>;

impl Promotion {
    /// Creates one from a draft.
    ///
    /// Whether its name is taken and its markets have room is asked by the caller.
    ///
    /// # Errors
    /// All complaints at once, with pointers as the API names the fields.
    pub fn create(
        mut draft: PromotionDraft,
        made: Made,
        find: FindCatalogue<'_, '_>,
    ) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::after(std::mem::take(&mut draft.faults));
        let kind = read_kind(&draft, &mut complaints);
        let read = read_terms(draft, kind, find, &[], &mut complaints);
        let Some((mut terms, wished)) = read else {
            return Err(complaints.into_vec());
        };
        let edit = Edit {
            epochs: &[],
            period: terms.period,
            now: made.at,
            salt: made.salt,
        };
        terms.epochs = complaints
            .take_all("", edit.wish(wished))
            .unwrap_or_default();
        terms.id = made.id;
        terms.created_by = made.by;
        terms.created_at = made.at;
        complaints.finish(Some(terms)).and_then(Self::new)
    }

    /// The promotion as the draft has it from `now` on; kind, origin and running epochs stay.
    ///
    /// # Errors
    /// All complaints at once, among them `read-only` for another kind and for settings of a
    /// running epoch; [`Refusal::WrongState`] if it is archived.
    pub fn edit(
        &self,
        draft: PromotionDraft,
        now: Timestamp,
        salt: u64,
        find: FindCatalogue<'_, '_>,
    ) -> Result<Self, Refusal> {
        let allowed = &[
            State::Ended,
            State::Suspended,
            State::Scheduled,
            State::Active,
        ];
        terms_in(self, now, allowed)?;
        let edit = edit_of(self, now, salt);
        let edited = self.rewritten(draft, edit, find, &[&self.selection]);
        edited.map_err(Refusal::Invalid)
    }

    /// What it was at an earlier revision, also out of the archive. How it is measured stays as it
    /// is now, so that history never reshuffles the split.
    ///
    /// # Errors
    /// All complaints at once: markets may have gone since.
    pub fn restore(
        &self,
        earlier: &Self,
        now: Timestamp,
        find: FindCatalogue<'_, '_>,
    ) -> Result<Self, Vec<Complaint>> {
        let open = self.open_epoch().map(|epoch| epoch.settings);
        let draft = PromotionDraft {
            measurement: Some(MeasurementDraft::of(open)),
            ..earlier.draft()
        };
        let accepted = [&self.selection, &earlier.selection];
        self.rewritten(draft, edit_of(self, now, 0), find, &accepted)
    }

    /// The draft under the id, kind and origin of this promotion.
    fn rewritten(
        &self,
        mut draft: PromotionDraft,
        edit: Edit<'_>,
        find: FindCatalogue<'_, '_>,
        accepted: &[&Selection],
    ) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::after(std::mem::take(&mut draft.faults));
        let other_kind = |kind: &String| kind != self.kind.as_str();
        if draft.kind.as_ref().is_some_and(other_kind) {
            complaints.add("/kind", Fault::ReadOnly);
        }
        let read = read_terms(draft, Some(self.kind), find, accepted, &mut complaints);
        let Some((mut terms, wished)) = read else {
            return Err(complaints.into_vec());
        };
        terms.epochs = complaints
            .take_all("", edit.wish(wished))
            .unwrap_or_default();
        terms.id = self.id;
        terms.created_by.clone_from(&self.created_by);
        terms.created_at = self.created_at;
        complaints.finish(Some(terms)).and_then(Self::new)
    }

    /// The draft that reads as this promotion: what a merge patch is applied to.
    pub fn draft(&self) -> PromotionDraft {
        let texts = |marks: &[CategoryId]| marks.iter().map(ToString::to_string).collect();
        let settings = self.open_epoch().map(|epoch| epoch.settings);
        PromotionDraft {
            kind: Some(self.kind.as_str().to_owned()),
            level: (self.kind == Kind::Promotion).then(|| self.level.as_str().to_owned()),
            name: Some(self.name.clone()),
            markets: Some(self.markets.iter().map(ToString::to_string).collect()),
            start: Some(self.start.text().to_owned()),
            end: Some(self.end.text().to_owned()),
            time_zone: self.time_zone.as_ref().map(|zone| zone.name().to_owned()),
            selection: self.selection.draft(),
            include: texts(&self.restriction.include),
            exclude: texts(&self.restriction.exclude),
            measurement: Some(MeasurementDraft::of(settings)),
            suspended: self.suspended,
            note: self.note.clone(),
            faults: Vec::new(),
        }
    }

    /// The promotion after its dates were read by new zone rules; `None` if nothing changes.
    ///
    /// What is past at `now` stays as it was, and so does a period that would become empty.
    pub fn re_resolved(&self, now: Timestamp) -> Option<Self> {
        let ahead = |old: Timestamp, new: Option<Timestamp>| {
            new.filter(|new| now < old && now < *new).unwrap_or(old)
        };
        let zone = self.zone.as_ref();
        let start = ahead(self.period.start(), self.start.as_start(zone));
        let end = ahead(self.period.end(), self.end.as_end(zone));
        let period = Period::new(start, end).ok()?;
        if period == self.period {
            return None;
        }
        let mut terms = self.clone().into_terms();
        terms.period = period;
        Self::new(terms).ok()
    }
}

fn read_kind(draft: &PromotionDraft, complaints: &mut Complaints) -> Option<Kind> {
    complaints.take(
        "/kind",
        required(draft.kind.as_deref()).and_then(Kind::parse),
    )
}

/// Terms with the id, origin and epochs still to be filled in, and the measurement wished for.
fn read_terms(
    draft: PromotionDraft,
    kind: Option<Kind>,
    find: FindCatalogue<'_, '_>,
    accepted: &[&Selection],
    complaints: &mut Complaints,
) -> Option<(Terms, Option<Settings>)> {
    let level = read_level(kind, draft.level.as_deref(), complaints);
    let name = complaints.take("/name", required(draft.name.as_deref()).and_then(read_name));
    let (market_ids, markets) = read_markets(draft.markets.as_deref(), find, complaints);
    let times = read_times(&draft, &markets, complaints);
    let restriction = Restriction {
        include: read_marks("/categories/include", &draft.include, complaints),
        exclude: read_marks("/categories/exclude", &draft.exclude, complaints),
    };
    check_marks(&restriction, complaints);
    let wished = read_measurement(draft.measurement.as_ref(), &markets, complaints);
    let note = draft.note.as_deref().map(read_note).transpose();
    let note = complaints.take("/note", note);
    let selection = read_selection(draft.selection, &markets, accepted, complaints);
    let times = times?;
    let terms = Terms {
        id: PromotionId([0; 16]),
        kind: kind?,
        level: level?,
        name: name?,
        markets: market_ids,
        start: times.start,
        end: times.end,
        time_zone: times.time_zone,
        zone: times.zone,
        period: times.period,
        selection: selection?,
        restriction,
        epochs: Vec::new(),
        suspended: draft.suspended,
        archived: false,
        note: note?.filter(|note| !note.is_empty()),
        created_by: String::new(),
        created_at: Timestamp(0),
    };
    Some((terms, wished))
}

fn required(text: Option<&str>) -> Result<&str, Fault> {
    text.ok_or(Fault::Required)
}

fn read_level(
    kind: Option<Kind>,
    text: Option<&str>,
    complaints: &mut Complaints,
) -> Option<BoostLevel> {
    let level = match (kind, text) {
        (Some(Kind::Demotion), None) => Ok(BoostLevel::Demoted),
        (Some(Kind::Demotion), Some(_)) => Err(level_fault(Kind::Demotion)),
        (_, Some(text)) => BoostLevel::parse_boost(text),
        (Some(Kind::Promotion), None) => Err(level_fault(Kind::Promotion)),
        (None, None) => return None,
    };
    complaints.take("/level", level)
}

/// The markets named, and those of them that exist, each with its place in the list.
fn read_markets<'m>(
    texts: Option<&[String]>,
    find: FindCatalogue<'_, 'm>,
    complaints: &mut Complaints,
) -> (Vec<MarketId>, Vec<(usize, &'m Catalogue)>) {
    let Some(texts) = texts else {
        complaints.add("/markets", Fault::Required);
        return (Vec::new(), Vec::new());
    };
    let mut ids = Vec::new();
    let mut markets = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let pointer = format!("/markets/{place}");
        let Some(id) = complaints.take(&*pointer, MarketId::parse(text)) else {
            continue;
        };
        match find(&id) {
            Some(market) => markets.push((place, market)),
            None => complaints.add(
                pointer,
                Fault::UnknownReference {
                    what: "market",
                    value: id.to_string(),
                },
            ),
        }
        ids.push(id);
    }
    if texts.is_empty() || ids.len() == texts.len() {
        check_markets(&ids, complaints);
    }
    (ids, markets)
}

struct Times {
    start: GivenTime,
    end: GivenTime,
    time_zone: Option<Zone>,
    zone: Option<Zone>,
    period: Period,
}

fn read_times(
    draft: &PromotionDraft,
    markets: &[(usize, &Catalogue)],
    complaints: &mut Complaints,
) -> Option<Times> {
    let given = draft.time_zone.as_deref().map(Zone::parse).transpose();
    let time_zone = complaints.take("/time_zone", given);
    let read = |text: Option<&str>| required(text).and_then(GivenTime::parse);
    let start = complaints.take("/start", read(draft.start.as_deref()));
    let end = complaints.take("/end", read(draft.end.as_deref()));
    let time_zone = time_zone?;
    let zone = time_zone.clone().or_else(|| shared_zone(markets));
    if zone.is_none() && !markets.is_empty() {
        for (pointer, time) in [("/start", &start), ("/end", &end)] {
            if time.as_ref().is_some_and(GivenTime::is_date) {
                let zones = zone_names(markets);
                complaints.add(pointer, Fault::ZoneAmbiguous { zones });
            }
        }
    }
    let (start, end) = (start?, end?);
    let first = start.as_start(zone.as_ref())?;
    let last = end.as_end(zone.as_ref())?;
    let period = complaints.take("/end", Period::new(first, last))?;
    Some(Times {
        start,
        end,
        time_zone,
        zone,
        period,
    })
}

/// The zone of all markets, if they lie in one.
fn shared_zone(markets: &[(usize, &Catalogue)]) -> Option<Zone> {
    let (_, first) = markets.first()?;
    let zone = &first.locale().zone;
    let is_shared = |(_, market): &(usize, &Catalogue)| market.locale().zone.name() == zone.name();
    markets.iter().all(is_shared).then(|| zone.clone())
}

fn zone_names(markets: &[(usize, &Catalogue)]) -> String {
    let zones = markets
        .iter()
        .map(|(_, market)| market.locale().zone.name());
    let names: BTreeSet<&str> = zones.collect();
    Vec::from_iter(names).join(", ")
}

/// Marks without repeats.
fn read_marks(pointer: &str, texts: &[String], complaints: &mut Complaints) -> Vec<CategoryId> {
    if MARKS_MAX < texts.len() {
        let (have, max) = (texts.len(), MARKS_MAX);
        complaints.add(pointer, Fault::TooMany { have, max });
        return Vec::new();
    }
    let mut seen = BTreeSet::new();
    let mut marks = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let mark = complaints.take(format!("{pointer}/{place}"), CategoryId::parse(text));
        marks.extend(mark.filter(|mark| seen.insert(mark.clone())));
    }
    marks
}

/// The settings wished for, if any; a share not given is that of the first market.
fn read_measurement(
    draft: Option<&MeasurementDraft>,
    markets: &[(usize, &Catalogue)],
    complaints: &mut Complaints,
) -> Option<Settings> {
    let share = match markets.first() {
        Some((_, catalogue)) => catalogue.market().share_shown,
        None => Percent::from_basis_points(SHARE_SHOWN_PERCENT * 100)
            .expect("the default share is a percentage"),
    };
    complaints
        .take_all("/measurement", draft?.read(share))
        .flatten()
}

/// The selection, and whether its markets can read it.
fn read_selection(
    draft: SelectionDraft,
    markets: &[(usize, &Catalogue)],
    accepted: &[&Selection],
    complaints: &mut Complaints,
) -> Option<Selection> {
    let selection = complaints.take_all("/selection", Selection::new(draft))?;
    let catalogues: Vec<&Catalogue> = markets.iter().map(|(_, catalogue)| *catalogue).collect();
    if !catalogues.is_empty() {
        for misfit in misfits(&selection, &catalogues, accepted) {
            let Complaint { pointer, fault } = misfit.under("/selection");
            complaints.add(pointer, fault);
        }
    }
    if !selection.handpicked_cross_market().is_empty() {
        check_cross_market(markets, complaints);
    }
    Some(selection)
}

/// Multi-market handpicks need the attribute that says which article is the same, everywhere.
fn check_cross_market(markets: &[(usize, &Catalogue)], complaints: &mut Complaints) {
    for (place, catalogue) in markets {
        if catalogue.market().cross_market_attribute.is_none() {
            complaints.add(format!("/markets/{place}"), Fault::Required);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promotion::state::{archive, state};
    use crate::selection::sample::{self, by_rules, include, is_in};

    fn market(id: &str, zone: &str) -> Catalogue {
        let mut market = sample::market(id);
        market.locale.zone = Zone::parse(zone).unwrap();
        if id == "fi" {
            market.cross_market_attribute = None;
        }
        sample::catalogue(market, Vec::new(), &[])
    }

    fn markets() -> Vec<Catalogue> {
        vec![
            market("se", "Europe/Stockholm"),
            market("fi", "Europe/Helsinki"),
            market("de", "Europe/Berlin"),
            market("at", "Europe/Berlin"),
        ]
    }

    fn find_in<'m>(known: &'m [Catalogue], id: &MarketId) -> Option<&'m Catalogue> {
        known.iter().find(|catalogue| catalogue.market().id == *id)
    }

    fn text(text: &str) -> Option<String> {
        text.parse().ok()
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn warm_week() -> PromotionDraft {
        PromotionDraft {
            kind: text("promotion"),
            level: text("medium"),
            name: text("Warm week"),
            markets: Some(texts(&["se", "fi"])),
            start: text("2027-03-08T06:00:00+01:00"),
            end: text("2027-03-14"),
            time_zone: text("Europe/Stockholm"),
            measurement: Some(MeasurementDraft {
                measured: Some(true),
                share_shown_percent: text("80"),
                ..MeasurementDraft::default()
            }),
            include: texts(&["main:jackets"]),
            exclude: texts(&["rainwear"]),
            note: text("agreed with buying"),
            ..PromotionDraft::default()
        }
    }

    fn create(draft: PromotionDraft) -> Result<Promotion, Vec<Complaint>> {
        let known = markets();
        let made = Made {
            id: PromotionId([7; 16]),
            by: "key_a".to_owned(),
            at: time("2027-03-01T10:00:00Z"),
            salt: 11,
        };
        Promotion::create(draft, made, &|id| find_in(&known, id))
    }

    fn edit(promotion: &Promotion, draft: PromotionDraft, now: &str) -> Result<Promotion, Refusal> {
        let known = markets();
        promotion.edit(draft, time(now), 22, &|id| find_in(&known, id))
    }

    fn codes(complaints: &[Complaint]) -> Vec<(&str, &str)> {
        complaints
            .iter()
            .map(|complaint| (complaint.pointer.as_str(), complaint.fault.code()))
            .collect()
    }

    #[track_caller]
    fn check(draft: PromotionDraft, expected: &[(&str, &str)]) {
        let complaints = create(draft).err().unwrap_or_default();
        assert_eq!(codes(&complaints), expected);
    }

    #[test]
    fn the_example_of_the_api_is_created() {
        let promotion = create(warm_week()).unwrap();
        assert_eq!(promotion.period.start(), time("2027-03-08T05:00:00Z"));
        assert_eq!(promotion.period.end(), time("2027-03-14T23:00:00Z"));
        assert_eq!(promotion.restriction.exclude[0].as_str(), "main:rainwear");
        assert_eq!(promotion.open_epoch().map(|epoch| epoch.salt), Some(11));
        assert_eq!(promotion.end.text(), "2027-03-14");
    }

    #[test]
    fn a_date_needs_one_zone() {
        let no_zone = PromotionDraft {
            time_zone: None,
            ..warm_week()
        };
        check(no_zone.clone(), &[("/end", "zone-ambiguous")]);
        let both_dates = PromotionDraft {
            start: text("2027-03-08"),
            ..no_zone.clone()
        };
        check(
            both_dates,
            &[("/start", "zone-ambiguous"), ("/end", "zone-ambiguous")],
        );
        let berlin = PromotionDraft {
            markets: Some(texts(&["at", "de"])),
            end: text("2027-10-30"),
            ..no_zone
        };
        let promotion = create(berlin).unwrap();
        assert_eq!(promotion.period.end(), time("2027-10-30T22:00:00Z"));
        assert_eq!(promotion.time_zone, None);
        assert_eq!(promotion.zone.as_ref().unwrap().name(), "Europe/Berlin");
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let draft = PromotionDraft {
            kind: text("promotion"),
            level: None,
            name: text(&"x".repeat(57)),
            markets: Some(texts(&["se", "no", "se"])),
            start: text("2027-03-08T06:00:00Z"),
            end: text("2027-03-08T06:00:00Z"),
            include: texts(&["a", ":"]),
            exclude: texts(&["main:a"]),
            measurement: Some(MeasurementDraft {
                share_shown_percent: text("30"),
                ..MeasurementDraft::default()
            }),
            note: text("a\u{1}"),
            selection: SelectionDraft {
                handpicked: texts(&[""]),
                ..SelectionDraft::default()
            },
            ..PromotionDraft::default()
        };
        check(
            draft,
            &[
                ("/level", "required"),
                ("/name", "too-long"),
                ("/markets/1", "unknown-reference"),
                ("/markets/2", "duplicate"),
                ("/end", "out-of-range"),
                ("/categories/include/1", "bad-format"),
                ("/categories/exclude/0", "contradiction"),
                ("/measurement/share_shown_percent", "out-of-range"),
                ("/note", "bad-format"),
                ("/selection/handpicked/0", "too-short"),
            ],
        );
        check(
            PromotionDraft::default(),
            &[
                ("/kind", "required"),
                ("/name", "required"),
                ("/markets", "required"),
                ("/start", "required"),
                ("/end", "required"),
            ],
        );
    }

    #[test]
    fn a_demotion_has_one_strength() {
        let demotion = PromotionDraft {
            kind: text("demotion"),
            ..warm_week()
        };
        check(demotion.clone(), &[("/level", "level-not-allowed")]);
        let level = None;
        let created = create(PromotionDraft { level, ..demotion }).unwrap();
        assert_eq!(created.level, BoostLevel::Demoted);
        let upward = PromotionDraft {
            level: text("demoted"),
            ..warm_week()
        };
        check(upward, &[("/level", "unknown-value")]);
    }

    #[test]
    fn names_have_1_to_50_scalars() {
        let named = |name: &str| PromotionDraft {
            name: text(name),
            ..warm_week()
        };
        check(named(&"o\u{308}".repeat(50)), &[]);
        check(named(&"x".repeat(51)), &[("/name", "too-long")]);
        check(named("  "), &[("/name", "too-short")]);
        let names = ["Grün", "GRU\u{308}N "].map(|name| create(named(name)).unwrap());
        assert_eq!(names[0].caseless_name(), names[1].caseless_name());
    }

    #[test]
    fn multi_market_handpicks_need_the_attribute_in_each_market() {
        let selection = SelectionDraft {
            handpicked_cross_market: texts(&["EAN-7391"]),
            ..SelectionDraft::default()
        };
        let draft = PromotionDraft {
            selection,
            ..warm_week()
        };
        check(draft, &[("/markets/1", "required")]);
    }

    #[test]
    fn a_promotion_has_1_to_50_markets() {
        let none = PromotionDraft {
            markets: Some(Vec::new()),
            time_zone: None,
            ..warm_week()
        };
        check(none, &[("/markets", "too-few")]);
    }

    #[test]
    fn an_edit_keeps_kind_origin_and_split() {
        let promotion = create(warm_week()).unwrap();
        let later = PromotionDraft {
            name: text("Warmer week"),
            end: text("2027-03-15"),
            ..promotion.draft()
        };
        let edited = edit(&promotion, later, "2027-03-09T00:00:00Z").unwrap();
        assert_eq!(edited.name, "Warmer week");
        assert_eq!(edited.epochs, promotion.epochs);
        assert_eq!(edited.created_at, promotion.created_at);
        let other = PromotionDraft {
            kind: text("demotion"),
            measurement: Some(MeasurementDraft {
                share_shown_percent: text("90"),
                ..MeasurementDraft::default()
            }),
            ..promotion.draft()
        };
        let Err(Refusal::Invalid(complaints)) = edit(&promotion, other, "2027-03-09T00:00:00Z")
        else {
            panic!("another kind was taken");
        };
        assert_eq!(
            codes(&complaints),
            [
                ("/kind", "read-only"),
                ("/measurement/share_shown_percent", "read-only")
            ]
        );
    }

    #[test]
    fn an_archived_promotion_comes_back_by_restoring() {
        let promotion = create(warm_week()).unwrap();
        let now = time("2027-03-09T00:00:00Z");
        let archived = archive(&promotion, now).unwrap();
        assert_eq!(
            edit(&archived, promotion.draft(), "2027-03-09T00:00:00Z"),
            Err(Refusal::WrongState {
                state: State::Archived,
                allowed: &[
                    State::Ended,
                    State::Suspended,
                    State::Scheduled,
                    State::Active
                ],
            })
        );
        let known = markets();
        let restored = archived
            .restore(&promotion, now, &|id| find_in(&known, id))
            .unwrap();
        assert_eq!(state(&restored, now), State::Active);
        assert_eq!(restored.open_epoch(), None);
        assert_eq!(restored.epochs, archived.epochs);
    }

    #[test]
    fn a_draft_reads_as_what_it_came_from() {
        let promotion = create(warm_week()).unwrap();
        assert_eq!(create(promotion.draft()), Ok(promotion));
    }

    #[test]
    fn new_zone_rules_move_only_what_lies_ahead() {
        let mut terms = create(warm_week()).unwrap().into_terms();
        let meant = terms.period;
        let end_before = meant.end().plus_ms(-3_600_000);
        terms.period = Period::new(meant.start(), end_before).unwrap();
        let stale = Promotion::new(terms).unwrap();
        let resolved = stale.re_resolved(time("2027-03-09T00:00:00Z")).unwrap();
        assert_eq!(resolved.period, meant);
        assert_eq!(resolved.re_resolved(time("2027-03-09T00:00:00Z")), None);
        assert_eq!(stale.re_resolved(meant.end()), None);
    }

    #[test]
    fn rules_are_read_in_the_markets_of_the_promotion() {
        let unheard = PromotionDraft {
            selection: by_rules(vec![vec![include("materiel", is_in(&["wool"]))]]),
            name: None,
            ..warm_week()
        };
        check(
            unheard,
            &[
                ("/name", "required"),
                ("/selection/rule_sets/0/rules/0/attr", "unknown-attribute"),
            ],
        );
    }
}
