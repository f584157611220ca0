//! Trials of the measuring itself: how often is it wrong where the truth is known?
//!
//! Each trial draws experiments from a [`Crowd`] whose lift is set, lets
//! [`compare`](crate::measurement::compare) judge them and counts. The bounds are those that the
//! measurement is promised to keep; a few rows show what other ways would have done.

use rayon::prelude::*;

use crate::generator::traffic::{Crowd, Visit, Visits};
use crate::measurement::compare::{ArmSums, Asked, Comparison, compare};
use crate::measurement::many::benjamini_hochberg;
use crate::measurement::moments::{Figure, Moments, Overflow, Read, Vector};
use crate::measurement::power::Design;
use crate::measurement::ratio_check;
use crate::measurement::summary::Sums;

const ALPHA: f64 = 0.05;

/// Sessions of an experiment with one look.
const SESSIONS: usize = 20_000;

/// Days of an experiment with many looks, and those before the first.
const DAYS: usize = 28;
const DAYS_BEFORE: usize = 7;

/// Looks of such an experiment, and sessions between two.
const LOOKS: usize = 1_000;
const SESSIONS_A_LOOK: usize = 200;

/// Sessions with the figure that each arm needs before the first look.
const NONZERO_MIN: u64 = 50;

/// Sessions for whose end the always valid test is tuned.
const PLANNED: f64 = 100_000.0;

/// A crowd of a middling shop.
const CROWD: Crowd = Crowd {
    buyers: 0.03,
    sigma: 1.0,
    click_rate: 0.05,
    share_shown: 0.8,
    lift: 0.0,
};

/// What one trial found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was tried.
    pub what: String,
    /// Experiments.
    pub runs: usize,
    /// Share of them in which it happened.
    pub share: f64,
    /// Least and greatest share that is promised; `None` for a row that only compares.
    pub bounds: Option<[f64; 2]>,
}

impl Finding {
    /// Whether the promise is kept, allowing so many standard errors of the trial.
    pub fn keeps(&self, errors: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a number of runs")]
        let runs = self.runs as f64;
        self.bounds.is_none_or(|[least, most]| {
            let slack = |bound: f64| errors * (bound * (1.0 - bound) / runs).sqrt();
            least - slack(least) <= self.share && self.share <= most + slack(most)
        })
    }
}

/// All trials, `runs` experiments each; those with many looks or promotions take a tenth.
pub fn trials(runs: usize, seed: u64) -> Vec<Finding> {
    let few = (runs / 10).max(1);
    let mut all = Vec::new();
    all.extend(no_effect(runs, seed, 1.0));
    all.extend(no_effect(runs, seed + 1, 1.5));
    for (number, lift) in (2..).zip([0.0, 0.05, 0.2]) {
        all.extend(coverage(runs, seed + number, lift));
    }
    all.extend(peeking(few, seed + 5));
    all.extend(many_promotions(few, seed + 6));
    all.extend(ratio(runs, seed + 7));
    all.extend(power(runs, seed + 8));
    all
}

/// The sums of one experiment, by arm: Shown, then Withheld.
#[derive(Default)]
struct Experiment {
    moments: [Moments; 2],
    /// What each buyer paid.
    paid: [Vec<i64>; 2],
}

impl Experiment {
    fn of(crowd: Crowd, sessions: usize, seed: u64) -> Self {
        let mut own = Self::default();
        for visit in Visits::new(crowd, seed).take(sessions) {
            own.add(&visit);
        }
        own
    }

    fn add(&mut self, visit: &Visit) {
        let arm = usize::from(!visit.is_shown);
        let (displays, clicks) = (i64::from(visit.displays), i64::from(visit.clicks));
        let did = Vector([displays, clicks, 0, 0, visit.revenue, 0]);
        self.moments[arm].add(&did);
        if visit.revenue != 0 {
            self.paid[arm].push(visit.revenue);
        }
    }

    fn read(&self, arm: usize) -> Read<'_> {
        let read = self.moments[arm].read();
        read.expect("sums of some hundred thousand sessions are small")
    }

    fn clicks(&self, asked: &Asked) -> Comparison {
        let sums = |arm: usize| self.read(arm).figure(Figure::Clicks).map(ArmSums::Mean);
        judge([sums(0), sums(1)].map(counted), asked)
    }

    fn rate(&self, asked: &Asked) -> Comparison {
        let sums = |arm: usize| self.read(arm).ratio(Figure::Clicks, Figure::Displays);
        judge(
            [sums(0), sums(1)].map(|sums| counted(sums.map(ArmSums::Ratio))),
            asked,
        )
    }

    fn revenue(&self, cap: i64, asked: &Asked) -> Comparison {
        let arm = |arm: usize| {
            let mut sums = Sums {
                n: self.read(arm).n().unsigned_abs(),
                sum: 0,
                squares: Some(0),
                cubes: Some(0),
            };
            for paid in &self.paid[arm] {
                let paid = i128::from((*paid).min(cap));
                sums.sum += paid;
                sums.squares = sums.squares.map(|squares| squares + paid * paid);
                sums.cubes = sums.cubes.map(|cubes| cubes + paid * paid * paid);
            }
            ArmSums::Mean(sums)
        };
        judge([arm(0), arm(1)], asked)
    }

    /// The 99th percentile of what buyers of both arms paid.
    fn cap(&self) -> i64 {
        let mut paid: Vec<i64> = self.paid.concat();
        paid.sort_unstable();
        let place = (99 * paid.len()).div_ceil(100);
        paid.get(place.saturating_sub(1)).copied().unwrap_or(0)
    }
}

fn counted(sums: Result<ArmSums, Overflow>) -> ArmSums {
    sums.expect("sessions were added, none removed")
}

fn judge(arms: [ArmSums; 2], asked: &Asked) -> Comparison {
    compare([&arms[0], &arms[1]], asked).expect("sums of sessions are possible and small")
}

fn once() -> Asked {
    Asked {
        alpha: ALPHA,
        planned_sessions: None,
        days: None,
    }
}

/// Runs experiments, each under a seed of its own, and counts in how many each thing happened.
fn count<const N: usize>(
    runs: usize,
    seed: u64,
    run: impl Fn(u64) -> [bool; N] + Sync,
) -> [f64; N] {
    let sums = (0..runs as u64)
        .into_par_iter()
        .map(|number| run((seed << 32) + number).map(usize::from))
        .reduce(
            || [0; N],
            |one, other| std::array::from_fn(|place| one[place] + other[place]),
        );
    #[expect(clippy::cast_precision_loss, reason = "counts become shares")]
    sums.map(|sum| sum as f64 / runs as f64)
}

/// Told for a positive and for a negative difference; both together are the errors.
fn wrong(p: Option<f64>, difference: Option<f64>) -> [bool; 2] {
    let is_told = p.is_some_and(|p| p < ALPHA);
    let is_up = difference.is_some_and(|difference| 0.0 < difference);
    [is_told && is_up, is_told && !is_up]
}

/// No difference at all: how often is one told?
fn no_effect(runs: usize, seed: u64, sigma: f64) -> Vec<Finding> {
    let crowd = Crowd { sigma, ..CROWD };
    let found = count(runs, seed, |seed| {
        let own = Experiment::of(crowd, SESSIONS, seed);
        let (clicks, rate) = (own.clicks(&once()), own.rate(&once()));
        let (capped, raw) = (
            own.revenue(own.cap(), &once()),
            own.revenue(i64::MAX, &once()),
        );
        let value = |made: &Comparison| made.difference.map(|difference| difference.value);
        let welch =
            |made: &Comparison| wrong(made.difference.map(|difference| difference.p), value(made));
        let hall = wrong(capped.hall.map(|hall| hall.p), value(&capped));
        let all = [welch(&clicks), welch(&rate), hall, welch(&raw)];
        std::array::from_fn::<bool, 8, _>(|place| all[place / 2][place % 2])
    });
    let figures = [
        ("clicks, Welch", Some(([0.044, 0.056], [0.021, 0.029]))),
        (
            "click rate, sessions as unit",
            Some(([0.044, 0.056], [0.021, 0.029])),
        ),
        ("revenue, capped, Hall", Some(([0.04, 0.07], [0.015, 0.04]))),
        ("revenue, uncapped, Welch", None),
    ];
    let mut all = Vec::new();
    for (place, (name, bounds)) in figures.into_iter().enumerate() {
        let [up, down] = [found[2 * place], found[2 * place + 1]];
        let (both, tail) = bounds.unzip();
        for (side, share, bounds) in [
            ("", up + down, both),
            (", up", up, tail),
            (", down", down, tail),
        ] {
            all.push(Finding {
                what: format!("no effect, sigma {sigma}: {name}{side}"),
                runs,
                share,
                bounds,
            });
        }
    }
    all
}

/// A lift that is there: how often does the interval hold it?
fn coverage(runs: usize, seed: u64, lift: f64) -> Vec<Finding> {
    let crowd = Crowd { lift, ..CROWD };
    let holds = |interval: Option<[f64; 2]>| {
        interval.is_some_and(|[low, high]| low <= lift && lift <= high)
    };
    let found = count(runs, seed, |seed| {
        let own = Experiment::of(crowd, SESSIONS, seed);
        let capped = own.revenue(own.cap(), &once());
        let hall = capped.hall.and_then(|hall| hall.lift_interval);
        [holds(own.clicks(&once()).lift.interval), holds(hall)]
    });
    let row = |(name, share): (&str, f64)| Finding {
        what: format!("lift {} %, interval holds it: {name}", lift * 100.0),
        runs,
        share,
        bounds: Some([0.93, 0.96]),
    };
    let names = ["clicks, Fieller", "revenue, capped, Hall"];
    names.into_iter().zip(found).map(row).collect()
}

/// No difference, and somebody looks a thousand times: how often is one ever told?
fn peeking(runs: usize, seed: u64) -> Vec<Finding> {
    let asked = Asked {
        planned_sessions: Some(PLANNED),
        ..once()
    };
    let first = LOOKS * DAYS_BEFORE / DAYS;
    let found = count(runs, seed, |seed| {
        let mut own = Experiment::default();
        let mut visits = Visits::new(CROWD, seed);
        let (mut cap, mut ever) = (None, [false; 3]);
        for look in 0..LOOKS {
            for visit in visits.by_ref().take(SESSIONS_A_LOOK) {
                own.add(&visit);
            }
            let n_buyers = own.paid.each_ref().map(|paid| paid.len() as u64);
            if cap.is_none() && LOOKS / DAYS <= look && 200 <= n_buyers[0] + n_buyers[1] {
                cap = Some(own.cap());
            }
            let has_begun = first <= look && NONZERO_MIN <= n_buyers[0].min(n_buyers[1]);
            let Some(cap) = cap.filter(|_| has_begun) else {
                continue;
            };
            let clicks = own.clicks(&asked).difference;
            let revenue = own.revenue(cap, &asked).difference;
            let always = |made: Option<crate::measurement::compare::Effect>| {
                made.and_then(|made| made.always)
                    .is_some_and(|always| always.p < ALPHA)
            };
            ever[0] |= always(clicks);
            ever[1] |= always(revenue);
            ever[2] |= clicks.is_some_and(|clicks| clicks.p < ALPHA);
        }
        ever
    });
    let rows = [
        ("clicks, always valid", Some([0.0, 0.056])),
        ("revenue, capped, always valid", Some([0.0, 0.056])),
        ("clicks, Welch at each look", None),
    ];
    let row = |((name, bounds), share): ((&str, Option<[f64; 2]>), f64)| Finding {
        what: format!("no effect, {LOOKS} looks, ever told: {name}"),
        runs,
        share,
        bounds,
    };
    rows.into_iter().zip(found).map(row).collect()
}

/// A hundred promotions of which ten help: what share of those told helps not?
fn many_promotions(runs: usize, seed: u64) -> Vec<Finding> {
    const N: usize = 100;
    const REAL: usize = 10;
    let asked = Asked {
        planned_sessions: Some(PLANNED),
        ..once()
    };
    let shares: Vec<[f64; 2]> = (0..runs as u64)
        .into_par_iter()
        .map(|number| {
            let p: Vec<f64> = (0..N)
                .map(|place| {
                    let lift = if place < REAL { 0.2 } else { 0.0 };
                    let seed = ((seed << 32) + number) * N as u64 + place as u64;
                    let own = Experiment::of(Crowd { lift, ..CROWD }, SESSIONS / 2, seed);
                    let made = own.clicks(&asked).difference.and_then(|made| made.always);
                    made.map_or(1.0, |always| always.p)
                })
                .collect();
            let told: Vec<bool> = benjamini_hochberg(&p).iter().map(|p| *p <= ALPHA).collect();
            let real = share_of(told[..REAL].iter().filter(|told| **told).count(), REAL);
            let all = told.iter().filter(|told| **told).count();
            let false_ones = told[REAL..].iter().filter(|told| **told).count();
            [share_of(false_ones, all.max(1)), real]
        })
        .collect();
    let mean =
        |place: usize| shares.iter().map(|own| own[place]).sum::<f64>() / share_of(shares.len(), 1);
    vec![
        Finding {
            what: "100 promotions, 10 help: false ones of those told".into(),
            runs,
            share: mean(0),
            bounds: Some([0.0, 0.06]),
        },
        Finding {
            what: "100 promotions, 10 help: of these told".into(),
            runs,
            share: mean(1),
            bounds: None,
        },
    ]
}

/// Shares of the split that hold, and that do not: how often is the alarm raised?
fn ratio(runs: usize, seed: u64) -> Vec<Finding> {
    const WEIGHTS: [f64; 2] = [0.8, 0.2];
    let alarms = |share_shown: f64| {
        move |seed: u64| {
            let mut visits = Visits::new(
                Crowd {
                    share_shown,
                    ..CROWD
                },
                seed,
            );
            let days: Vec<Vec<u64>> = (0..DAYS)
                .map(|_| {
                    let shown = (0..100_000 / DAYS).filter(|_| visits.arm()).count() as u64;
                    vec![shown, (100_000 / DAYS) as u64 - shown]
                })
                .collect();
            let sums = [0, 1].map(|arm| days.iter().map(|day| day[arm]).sum());
            let last = ratio_check::once(&WEIGHTS, &sums);
            let sequential = ratio_check::sequential(&WEIGHTS, &days);
            [
                last.is_some_and(|last| last.is_alarm()),
                sequential.is_alarm(),
            ]
        }
    };
    let [once_false, ever_false] = count(runs, seed, alarms(0.8));
    let [once_true, ever_true] = count(runs, seed, alarms(0.806));
    let row = |what: &str, share: f64, bounds: [f64; 2]| Finding {
        what: what.into(),
        runs,
        share,
        bounds: Some(bounds),
    };
    vec![
        row(
            "shares hold: alarm, one look at the end",
            once_false,
            [0.0, 0.001],
        ),
        row(
            "shares hold: alarm ever, 28 day ends",
            ever_false,
            [0.0, 0.001],
        ),
        row(
            "19.4 % instead of 20 %: alarm, one look at the end",
            once_true,
            [0.9, 1.0],
        ),
        row("19.4 % instead of 20 %: alarm ever", ever_true, [0.5, 1.0]),
    ]
}

/// As many sessions as are said to be needed: how often is the lift seen?
fn power(runs: usize, seed: u64) -> Vec<Finding> {
    const LIFT: f64 = 0.05;
    let known = Experiment::of(CROWD, 400_000, seed);
    let sums = counted(known.read(0).figure(Figure::Clicks).map(ArmSums::Mean));
    let summary = sums
        .summary()
        .expect("sums of sessions are possible and small");
    let figure = summary
        .mean
        .zip(summary.variance)
        .map(|(mean, variance)| Design {
            alpha: ALPHA,
            mean,
            sd: variance.sqrt(),
            share_shown: CROWD.share_shown,
        });
    let needed = figure.map_or(0.0, |figure| figure.sessions(LIFT, 0.8));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some ten thousand sessions"
    )]
    let sessions = needed.ceil() as usize;
    let [share] = count(runs, seed, |seed| {
        let own = Experiment::of(
            Crowd {
                lift: LIFT,
                ..CROWD
            },
            sessions,
            seed,
        );
        [own.clicks(&once())
            .difference
            .is_some_and(|made| made.p < ALPHA)]
    });
    vec![Finding {
        what: format!(
            "lift 5 % of clicks with the {sessions} sessions said to show it in 80 %: seen"
        ),
        runs,
        share,
        bounds: Some([0.78, 0.82]),
    }]
}

#[expect(clippy::cast_precision_loss, reason = "counts become a share")]
fn share_of(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}
