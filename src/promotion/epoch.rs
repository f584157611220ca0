//! Measured stretches of a promotion.

use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::metric::Metric;
use crate::domain::money::Percent;
use crate::domain::time::{Period, Timestamp};

/// Most epochs of one promotion.
pub const EPOCHS_MAX: usize = 100;

/// Least and greatest share of sessions that see a measured promotion, in whole percent.
pub const SHARE_SHOWN_PERCENT: (u32, u32) = (50, 99);

/// When a verdict may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plan {
    /// At any look, by the always-valid test.
    Anytime,
    /// Once, after the end.
    Fixed,
}

impl Plan {
    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "anytime" => Ok(Self::Anytime),
            "fixed" => Ok(Self::Fixed),
            _ => Err(Fault::unknown_value(text, &["anytime", "fixed"])),
        }
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anytime => "anytime",
            Self::Fixed => "fixed",
        }
    }
}

/// How a promotion is measured; all of it is fixed while an epoch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Share of sessions that see the promotion, 50 to 99 %.
    pub share_shown: Percent,
    /// The figure it is judged by; never a ratio with money.
    pub primary_metric: Metric,
    /// When a verdict may be given.
    pub plan: Plan,
    /// Splits the sessions but shows the promotion to all: a test of the measuring itself.
    pub aa: bool,
}

/// One measured stretch: sessions are split by this salt, and figures of two epochs never add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// From 1, ascending within the promotion.
    pub number: u32,
    /// Random bits that decide, with the session, who sees the promotion.
    pub salt: u64,
    /// How it is measured.
    pub settings: Settings,
    /// When measuring was switched on or restarted.
    pub opened: Timestamp,
    /// When measuring was switched off or restarted, or the promotion archived.
    pub closed: Option<Timestamp>,
}

impl Epoch {
    /// From the later of switching on and the promotion's start to the earlier of switching off
    /// and its end; `None` if that leaves nothing.
    pub fn runs(&self, promotion: Period) -> Option<Period> {
        let start = self.opened.max(promotion.start());
        let end = self.closed.unwrap_or(promotion.end()).min(promotion.end());
        Period::new(start, end).ok()
    }
}

/// The epoch that is not closed, if the promotion is measured.
pub fn open_epoch(epochs: &[Epoch]) -> Option<&Epoch> {
    epochs.last().filter(|epoch| epoch.closed.is_none())
}

/// What an edit finds and wants to leave.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    /// All epochs, ascending.
    pub epochs: &'a [Epoch],
    /// The promotion's period before the edit.
    pub period: Period,
    /// The instant of the edit.
    pub now: Timestamp,
    /// Fresh random bits, used if an epoch is opened.
    pub salt: u64,
}

impl Edit<'_> {
    /// The epochs after settings were wished for, or measuring was wished off.
    ///
    /// Unchanged settings keep the epoch, so that no edit of anything else reshuffles the split.
    /// One that has not begun gives way to a new one.
    ///
    /// # Errors
    /// `read-only` below `/measurement` for each setting of a running epoch that would change;
    /// `too-many`.
    pub fn wish(self, wished: Option<Settings>) -> Result<Vec<Epoch>, Vec<Complaint>> {
        match (open_epoch(self.epochs), wished) {
            (None, None) => Ok(self.epochs.to_vec()),
            (Some(open), Some(settings)) if open.settings == settings => Ok(self.epochs.to_vec()),
            (Some(open), Some(settings)) if self.has_begun(open) => {
                Err(fixed_settings(open.settings, settings))
            }
            (_, Some(settings)) => self.opened(settings),
            (Some(_), None) => Ok(self.closed()),
        }
    }

    /// The epochs after a new one was opened, the open one closed.
    ///
    /// # Errors
    /// `too-many` at `/measurement`.
    pub fn opened(self, settings: Settings) -> Result<Vec<Epoch>, Vec<Complaint>> {
        let mut epochs = self.closed();
        let have = epochs.len() + 1;
        if EPOCHS_MAX < have {
            let max = EPOCHS_MAX;
            return Err(vec![Fault::TooMany { have, max }.at("/measurement")]);
        }
        epochs.push(Epoch {
            number: epochs.last().map_or(1, |last| last.number + 1),
            salt: self.salt,
            settings,
            opened: self.now,
            closed: None,
        });
        Ok(epochs)
    }

    /// The epochs with the open one closed.
    pub fn closed(self) -> Vec<Epoch> {
        let mut epochs = self.epochs.to_vec();
        if let Some(last) = epochs.last_mut() {
            last.closed = last.closed.or(Some(self.now));
        }
        epochs
    }

    fn has_begun(&self, epoch: &Epoch) -> bool {
        epoch.opened.max(self.period.start()) <= self.now
    }
}

fn fixed_settings(own: Settings, wished: Settings) -> Vec<Complaint> {
    let changes = [
        (
            "/measurement/share_shown_percent",
            own.share_shown != wished.share_shown,
        ),
        (
            "/measurement/primary_metric",
            own.primary_metric != wished.primary_metric,
        ),
        ("/measurement/plan", own.plan != wished.plan),
        ("/measurement/aa", own.aa != wished.aa),
    ];
    changes
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(pointer, _)| Fault::ReadOnly.at(pointer))
        .collect()
}

/// Settings as sent; what is absent takes its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasurementDraft {
    /// Whether to measure; on, if the rest is given without it.
    pub measured: Option<bool>,
    /// Decimal string of a percentage.
    pub share_shown_percent: Option<String>,
    /// A metric's name.
    pub primary_metric: Option<String>,
    /// `anytime` or `fixed`.
    pub plan: Option<String>,
    /// Whether ranking ignores the split.
    pub aa: Option<bool>,
}

impl MeasurementDraft {
    /// The draft that reads as `settings`, or as not measured.
    pub fn of(settings: Option<Settings>) -> Self {
        let Some(settings) = settings else {
            return Self {
                measured: Some(false),
                ..Self::default()
            };
        };
        Self {
            measured: Some(true),
            share_shown_percent: Some(settings.share_shown.to_string()),
            primary_metric: Some(settings.primary_metric.as_str().to_owned()),
            plan: Some(settings.plan.as_str().to_owned()),
            aa: Some(settings.aa),
        }
    }

    /// Reads the settings; `None` if the promotion is not to be measured. Faulty settings are
    /// refused even then.
    ///
    /// # Errors
    /// All of them, with pointers such as `/share_shown_percent`.
    pub fn read(&self, share_default: Percent) -> Result<Option<Settings>, Vec<Complaint>> {
        let mut complaints = Complaints::new();
        let share = self.share_shown_percent.as_deref().map(read_share);
        let metric = self.primary_metric.as_deref().map(read_primary);
        let plan = self.plan.as_deref().map(Plan::parse);
        let share_shown = complaints.take("/share_shown_percent", share.transpose());
        let primary_metric = complaints.take("/primary_metric", metric.transpose());
        let plan = complaints.take("/plan", plan.transpose());
        let settings = Settings {
            share_shown: share_shown.flatten().unwrap_or(share_default),
            primary_metric: primary_metric.flatten().unwrap_or(Metric::Revenue),
            plan: plan.flatten().unwrap_or(Plan::Anytime),
            aa: self.aa.unwrap_or(false),
        };
        complaints.finish(Some(self.measured.unwrap_or(true).then_some(settings)))
    }
}

/// Reads the share of sessions that see a measured promotion.
///
/// # Errors
/// `bad-format`, `out-of-range`.
pub fn read_share(text: &str) -> Result<Percent, Fault> {
    let (min, max) = SHARE_SHOWN_PERCENT;
    let share = Percent::parse(text)?;
    if (min * 100..=max * 100).contains(&share.basis_points()) {
        return Ok(share);
    }
    Err(Fault::OutOfRange {
        found: text.to_owned(),
        allowed: format!("{min} to {max}"),
    })
}

/// Any metric but a ratio with money, whose cap would not be fixed.
fn read_primary(text: &str) -> Result<Metric, Fault> {
    let is_primary = |metric: Metric| {
        !matches!(
            metric,
            Metric::RevenuePerDisplay | Metric::RevenuePerOrder | Metric::Margin
        )
    };
    Metric::parse(text).and_then(|metric| {
        let known = Metric::ALL
            .into_iter()
            .filter(|(known, _)| is_primary(*known));
        let names: Vec<&str> = known.map(|(_, name)| name).collect();
        if is_primary(metric) {
            Ok(metric)
        } else {
            Err(Fault::unknown_value(text, &names))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(share: &str) -> Settings {
        let draft = MeasurementDraft {
            share_shown_percent: Some(share.to_owned()),
            ..MeasurementDraft::default()
        };
        draft.read(Percent::parse("80").unwrap()).unwrap().unwrap()
    }

    fn period(start: i64, end: i64) -> Period {
        Period::new(Timestamp(start), Timestamp(end)).unwrap()
    }

    fn at(epochs: &[Epoch], now: i64) -> Edit<'_> {
        Edit {
            epochs,
            period: period(100, 200),
            now: Timestamp(now),
            salt: u64::try_from(now).unwrap(),
        }
    }

    #[test]
    fn unchanged_settings_keep_the_epoch() {
        let first = at(&[], 50).wish(Some(settings("80"))).unwrap();
        assert_eq!((first[0].number, first[0].salt), (1, 50));
        assert_eq!(at(&first, 150).wish(Some(settings("80"))), Ok(first));
    }

    #[test]
    fn the_share_of_a_running_epoch_is_fixed() {
        let first = at(&[], 50).wish(Some(settings("80"))).unwrap();
        let refused = at(&first, 100).wish(Some(settings("90"))).unwrap_err();
        assert_eq!(refused[0].pointer, "/measurement/share_shown_percent");
        assert_eq!(refused[0].fault, Fault::ReadOnly);
        assert_eq!(refused.len(), 1);
        let earlier = at(&first, 99).wish(Some(settings("90"))).unwrap();
        assert_eq!(earlier[0].closed, Some(Timestamp(99)));
        assert_eq!((earlier[1].number, earlier[1].salt), (2, 99));
        assert_eq!(earlier[0].runs(period(100, 200)), None);
    }

    #[test]
    fn an_epoch_runs_inside_the_promotion() {
        let epochs = at(&[], 150).opened(settings("80")).unwrap();
        assert_eq!(epochs[0].runs(period(100, 200)), Some(period(150, 200)));
        let off = at(&epochs, 180).wish(None).unwrap();
        assert_eq!(off[0].runs(period(100, 200)), Some(period(150, 180)));
        assert_eq!(open_epoch(&off), None);
        let again = at(&off, 190).wish(Some(settings("80"))).unwrap();
        assert_eq!(again[1].runs(period(100, 200)), Some(period(190, 200)));
    }

    #[test]
    fn epochs_are_bounded() {
        let mut epochs = Vec::new();
        for now in 0..100 {
            epochs = at(&epochs, now).opened(settings("80")).unwrap();
        }
        let refused = at(&epochs, 100).opened(settings("80")).unwrap_err();
        assert_eq!(refused[0].fault.code(), "too-many");
    }

    #[track_caller]
    fn check(draft: &MeasurementDraft, expected: &[(&str, &str)]) {
        let read = draft.read(Percent::parse("80").unwrap());
        let complaints = read.err().unwrap_or_default();
        let found: Vec<_> = complaints
            .iter()
            .map(|complaint| (complaint.pointer.as_str(), complaint.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn settings_are_checked_all_at_once() {
        let share = |share: &str| MeasurementDraft {
            share_shown_percent: Some(share.to_owned()),
            ..MeasurementDraft::default()
        };
        check(&share("50"), &[]);
        check(&share("99.00"), &[]);
        check(&share("49.99"), &[("/share_shown_percent", "out-of-range")]);
        check(&share("99.5"), &[("/share_shown_percent", "out-of-range")]);
        let all_wrong = MeasurementDraft {
            measured: Some(false),
            primary_metric: Some("margin".to_owned()),
            plan: Some("always".to_owned()),
            ..share("many")
        };
        check(
            &all_wrong,
            &[
                ("/share_shown_percent", "bad-format"),
                ("/primary_metric", "unknown-value"),
                ("/plan", "unknown-value"),
            ],
        );
    }

    #[test]
    fn a_draft_reads_as_what_it_came_from() {
        let default = Percent::parse("75").unwrap();
        for wished in [None, Some(settings("66.5"))] {
            assert_eq!(MeasurementDraft::of(wished).read(default), Ok(wished));
        }
        let share = MeasurementDraft::default().read(default).unwrap().unwrap();
        assert_eq!(share.share_shown, default);
    }
}
