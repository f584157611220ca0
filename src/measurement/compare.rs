//! Shown against Withheld: difference, lift, how sure one may be of them.
//!
//! - difference: Welch's test (B. L. Welch, Biometrika 34, 1947)
//! - lift: all ratios of means that the same test does not refuse (E. C. Fieller, J. R. Statist.
//!   Soc. B 16, 1954), so it leaves out 0 exactly where the difference does
//! - [`Hall`]: the same with the skew of the difference taken out (P. Hall, J. R. Statist. Soc. B 54,
//!   1992): with four shown sessions to one withheld, heavy tails make Welch find too many wins
//! - [`Always`]: valid at any number of looks (I. Waudby-Smith and others, Annals of Statistics 52,
//!   2024: asymptotic confidence sequences)
//! - [`Bayes`]: a flat prior, for people who think in chances; not a licence to peek
//! - `lift_delta`: for comparison with other tools, never for verdicts
//!
//! What cannot be told is `None` with its reason beside it, never 0 or p = 1.

use crate::measurement::summary::{PairSums, Summary, Sums, SumsError};
use crate::measurement::tails::{
    normal_above, normal_density, normal_two_sided, t_beyond, t_two_sided,
};

/// From a value to a value.
pub type Interval = [f64; 2];

/// Skew below which a difference counts as symmetric.
const SYMMETRIC: f64 = 1e-8;

/// Steps outward in search of an end of an interval, each wider by half than the one before.
const STEPS_MAX: u32 = 200;

/// One arm's sums, in the shape of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmSums {
    /// A figure per session.
    Mean(Sums),
    /// A yes or no per session.
    Share(Sums),
    /// A ratio of two figures.
    Ratio(PairSums),
}

/// What is asked beside the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// Chance of an error that is accepted.
    pub alpha: f64,
    /// Sessions that the measurement is planned for; the always valid test is tuned by them.
    pub planned_sessions: Option<f64>,
    /// Days that the sums cover.
    pub days: Option<f64>,
}

/// Why a difference has no error, or a lift is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// An arm has fewer than two sessions, or nothing varies in it.
    NoVariance,
    /// Nothing to relate to: the mean of Withheld is not positive.
    WithheldMean,
    /// The mean of Withheld is not told apart from 0, so neither is any lift.
    GTooLarge,
}

impl Unknown {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoVariance => "no-variance",
            Self::WithheldMean => "withheld-mean",
            Self::GTooLarge => "g-too-large",
        }
    }
}

/// Two arms compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Sessions that saw the promotion.
    pub shown: Summary,
    /// Sessions that did not.
    pub withheld: Summary,
    /// Mean over the sessions of both.
    pub all_mean: Option<f64>,
    /// Shown less Withheld.
    pub difference: Option<Effect>,
    /// Shown over Withheld, less 1, by linearising; for comparison with other tools.
    pub lift_delta: Option<Effect>,
    /// Shown over Withheld, less 1.
    pub lift: Lift,
    /// All over Withheld, less 1: what shops are used to.
    pub lift_customary: Option<f64>,
    /// Without the skew, if cubes are known.
    pub hall: Option<Hall>,
    /// Tuning of the always valid test, if sessions are planned.
    pub always: Option<Always>,
    /// The difference if everybody saw it, per day.
    pub per_day: Option<(f64, Interval)>,
    /// Why there is no difference.
    pub unknown: Option<Unknown>,
    /// Why there is no lift.
    pub unknown_lift: Option<Unknown>,
}

/// A figure with its error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The figure.
    pub value: f64,
    /// Its standard error.
    pub stderr: f64,
    /// Figure over error.
    pub t: f64,
    /// Degrees of freedom, after Welch and Satterthwaite.
    pub dof: f64,
    /// Chance of as much or more, were there nothing: for one look, planned before.
    pub p: f64,
    /// What that one look does not refuse.
    pub interval: Interval,
    /// The same at any number of looks.
    pub always: Option<AlwaysEffect>,
    /// For people who think in chances.
    pub bayes: Bayes,
}

/// An effect as seen at any number of looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlwaysEffect {
    /// Evidence against nothing; 20 of it refuse at 5 %.
    pub e: f64,
    /// min(1, 1/e).
    pub p: f64,
    /// What no look refuses.
    pub interval: Interval,
}

/// A relative effect; a fraction, not percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lift {
    /// The lift.
    pub value: Option<f64>,
    /// Ratios that one look does not refuse.
    pub interval: Option<Interval>,
    /// Ratios that no look refuses.
    pub interval_always: Option<Interval>,
}

/// After taking the skew out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hall {
    /// Skewness of the difference.
    pub gamma: f64,
    /// The transformed t.
    pub t: f64,
    /// As for [`Effect`].
    pub p: f64,
    /// As for [`Effect`].
    pub interval: Interval,
    /// As for [`Lift`]; `None` where no end is found.
    pub lift_interval: Option<Interval>,
}

/// Tuning of the always valid test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Always {
    /// Variance of the mixture, fixed by the planned sessions.
    pub kappa2: f64,
    /// What stands in for the quantile at this number of sessions.
    pub q_n: f64,
}

/// A flat prior.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bayes {
    /// Chance that the effect is above 0.
    pub chance: f64,
    /// Where it lies with chance 1 − alpha.
    pub interval: Interval,
    /// Mean loss of showing it to all, where it harms.
    pub loss_ship: f64,
    /// Mean loss of showing it to none, where it helps.
    pub loss_keep: f64,
}

impl ArmSums {
    /// Sessions.
    pub fn n(&self) -> u64 {
        match self {
            Self::Mean(sums) | Self::Share(sums) => sums.n,
            Self::Ratio(sums) => sums.n,
        }
    }

    /// Mean and moments.
    ///
    /// # Errors
    /// [`SumsError`].
    pub fn summary(&self) -> Result<Summary, SumsError> {
        match self {
            Self::Mean(sums) => Summary::of_mean(sums),
            Self::Share(sums) => Summary::of_share(sums.n, sums.sum),
            Self::Ratio(sums) => Summary::of_ratio(sums),
        }
    }

    /// What its mean is made of: sum, and sessions or sum of the denominator.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn parts(&self) -> (f64, f64) {
        match self {
            Self::Mean(sums) | Self::Share(sums) => (sums.sum as f64, sums.n as f64),
            Self::Ratio(sums) => (sums.num.0 as f64, sums.den.0 as f64),
        }
    }
}

/// Compares two arms.
///
/// # Errors
/// [`SumsError`] of the arm at the place, 0 for Shown and 1 for Withheld.
pub fn compare(arms: [&ArmSums; 2], asked: &Asked) -> Result<Comparison, (usize, SumsError)> {
    let summary = |place: usize| arms[place].summary().map_err(|error| (place, error));
    let (shown, withheld) = (summary(0)?, summary(1)?);
    let ([sum_t, of_t], [sum_c, of_c]) = (arms[0].parts().into(), arms[1].parts().into());
    let all_mean = (0.0 < of_t + of_c).then(|| (sum_t + sum_c) / (of_t + of_c));
    let base = withheld.mean.filter(|mean| 0.0 < *mean);
    let over = |mean: Option<f64>| Some(mean? / base? - 1.0);
    let means = shown.mean.zip(withheld.mean);
    let mut made = Comparison {
        shown,
        withheld,
        all_mean,
        difference: None,
        lift_delta: None,
        lift: Lift {
            value: over(shown.mean),
            ..Lift::default()
        },
        lift_customary: over(all_mean),
        hall: None,
        always: None,
        per_day: None,
        unknown: Some(Unknown::NoVariance),
        unknown_lift: base.is_none().then_some(Unknown::WithheldMean),
    };
    let variances = shown.of_the_mean().zip(withheld.of_the_mean());
    if let Some(((m_t, m_c), (v_t, v_c))) = means.zip(variances) {
        let pair = Pair {
            means: [m_t, m_c],
            variances: [v_t, v_c],
            n: [shown.n, withheld.n],
            thirds: shown.third.zip(withheld.third),
        };
        made.unknown = None;
        pair.judge(asked, &mut made);
    }
    Ok(made)
}

/// Means of both arms, Shown first, and the variances of these means.
struct Pair {
    means: [f64; 2],
    variances: [f64; 2],
    n: [f64; 2],
    thirds: Option<(f64, f64)>,
}

impl Pair {
    fn judge(&self, asked: &Asked, made: &mut Comparison) {
        let ([m_t, m_c], [v_t, v_c]) = (self.means, self.variances);
        let dof = self.dof();
        made.always = asked
            .planned_sessions
            .map(|planned| self.tuned(planned, asked.alpha));
        let estimate =
            |value: f64, stderr: f64| self.effect((value, stderr, dof), asked, made.always);
        let difference = estimate(m_t - m_c, (v_t + v_c).sqrt());
        made.difference = Some(difference);
        if let Some(days) = asked.days {
            let scale = (self.n[0] + self.n[1]) / days;
            let interval = difference.interval.map(|end| end * scale);
            made.per_day = Some((difference.value * scale, interval));
        }
        let q = t_two_sided(asked.alpha, dof);
        made.hall = self.hall(&difference, q);
        if m_c <= 0.0 {
            return;
        }
        let error = (v_t / (m_c * m_c) + v_c * m_t * m_t / m_c.powi(4)).sqrt();
        made.lift_delta = Some(estimate(m_t / m_c - 1.0, error));
        made.lift.interval = self.fieller(q);
        made.lift.interval_always = made.always.and_then(|always| self.fieller(always.q_n));
        if made.lift.interval.is_none() {
            made.lift = Lift::default();
            made.unknown_lift = Some(Unknown::GTooLarge);
        }
    }

    fn dof(&self) -> f64 {
        let ([v_t, v_c], [n_t, n_c]) = (self.variances, self.n);
        (v_t + v_c).powi(2) / (v_t * v_t / (n_t - 1.0) + v_c * v_c / (n_c - 1.0))
    }

    fn tuned(&self, planned: f64, alpha: f64) -> Always {
        let kappa2 = (-2.0 * alpha.ln() + (1.0 - 2.0 * alpha.ln()).ln()) / planned;
        let grown = (self.n[0] + self.n[1]) * kappa2;
        let bound = (0.5 * (grown + 1.0).ln() - alpha.ln()) * 2.0 * (grown + 1.0) / grown;
        Always {
            kappa2,
            q_n: bound.sqrt(),
        }
    }

    fn effect(
        &self,
        (value, stderr, dof): (f64, f64, f64),
        asked: &Asked,
        always: Option<Always>,
    ) -> Effect {
        let t = value / stderr;
        let around = |q: f64| [value - q * stderr, value + q * stderr];
        let seen = |always: Always| {
            let grown = (self.n[0] + self.n[1]) * always.kappa2;
            let ln_e = grown * t * t / (2.0 * (grown + 1.0)) - 0.5 * grown.ln_1p();
            AlwaysEffect {
                e: ln_e.exp(),
                p: (-ln_e).exp().min(1.0),
                interval: around(always.q_n),
            }
        };
        let loss_ship = stderr * normal_density(t) - value * normal_above(t);
        Effect {
            value,
            stderr,
            t,
            dof,
            p: t_beyond(t, dof),
            interval: around(t_two_sided(asked.alpha, dof)),
            always: always.map(seen),
            bayes: Bayes {
                chance: normal_above(-t),
                interval: around(normal_two_sided(asked.alpha)),
                loss_ship,
                loss_keep: loss_ship + value,
            },
        }
    }

    /// All ratios ρ with `(m_t − ρ·m_c)² ≤ q²(v_t + ρ²·v_c)`, less 1; `None` if they have no two
    /// ends.
    fn fieller(&self, q: f64) -> Option<Interval> {
        let ([m_t, m_c], [v_t, v_c]) = (self.means, self.variances);
        let c = m_c * m_c - q * q * v_c;
        if c <= 0.0 {
            return None;
        }
        // (m_t·m_c)² − c·(m_t² − q²v_t), with what is equal in both taken out.
        let square = q * q * (v_t * c + v_c * m_t * m_t);
        let half = square.max(0.0).sqrt();
        Some([m_t * m_c - half, m_t * m_c + half].map(|end| end / c - 1.0))
    }

    fn hall(&self, difference: &Effect, q: f64) -> Option<Hall> {
        let skew = self.skew(1.0)?;
        let t = straightened(difference.t, skew);
        let end = |z: f64| difference.value - difference.stderr * bent(z, skew);
        let has_lift = 0.0 < self.means[1] && self.fieller(q).is_some();
        let lower = has_lift.then(|| self.ratio_at(q)).flatten();
        let upper = has_lift.then(|| self.ratio_at(-q)).flatten();
        Some(Hall {
            gamma: skew,
            t,
            p: t_beyond(t, difference.dof),
            interval: [end(q), end(-q)],
            lift_interval: lower.zip(upper).map(|(low, high)| [low - 1.0, high - 1.0]),
        })
    }

    /// Skewness of `m_t − ρ·m_c`.
    fn skew(&self, ratio: f64) -> Option<f64> {
        let ((third_t, third_c), [n_t, n_c]) = (self.thirds?, self.n);
        let joint = third_t / (n_t * n_t) - ratio.powi(3) * third_c / (n_c * n_c);
        Some(joint / (self.variances[0] + ratio * ratio * self.variances[1]).powf(1.5))
    }

    /// The straightened t of `m_t − ρ·m_c`.
    fn t_of(&self, ratio: f64) -> Option<f64> {
        let ([m_t, m_c], [v_t, v_c]) = (self.means, self.variances);
        let t = (m_t - ratio * m_c) / (v_t + ratio * ratio * v_c).sqrt();
        Some(straightened(t, self.skew(ratio)?))
    }

    /// The ratio nearest to the estimate whose straightened t is `q`.
    fn ratio_at(&self, q: f64) -> Option<f64> {
        let center = self.means[0] / self.means[1];
        let beyond = |ratio: f64| Some((self.t_of(ratio)?.abs() >= q.abs(), ratio));
        let error = (self.variances[0] + center * center * self.variances[1]).sqrt();
        let mut step = -q.signum() * error / self.means[1] / 16.0;
        let mut inside = center;
        for _ in 0..STEPS_MAX {
            let (is_beyond, outside) = beyond(inside + step)?;
            if is_beyond {
                return self.bisect(inside, outside, q.abs());
            }
            inside = outside;
            step *= 1.5;
        }
        None
    }

    fn bisect(&self, mut inside: f64, mut outside: f64, q: f64) -> Option<f64> {
        loop {
            let middle = 0.5 * (inside + outside);
            if middle <= inside.min(outside) || inside.max(outside) <= middle {
                return Some(middle);
            }
            if self.t_of(middle)?.abs() < q {
                inside = middle;
            } else {
                outside = middle;
            }
        }
    }
}

/// Hall's g: t + γt²/3 + γ²t³/27 + γ/6.
fn straightened(t: f64, gamma: f64) -> f64 {
    t + gamma * t * t / 3.0 + gamma * gamma * t.powi(3) / 27.0 + gamma / 6.0
}

/// The inverse of [`straightened`].
fn bent(z: f64, gamma: f64) -> f64 {
    if gamma.abs() < SYMMETRIC {
        return z;
    }
    3.0 / gamma * ((1.0 + gamma * (z - gamma / 6.0)).cbrt() - 1.0)
}

#[cfg(test)]
mod laws {
    use proptest::prelude::*;

    use super::*;

    const ASKED: Asked = Asked {
        alpha: 0.05,
        planned_sessions: Some(50_000.0),
        days: Some(7.0),
    };

    fn arm(values: &[i64], scale: i128) -> ArmSums {
        let all = || values.iter().map(|value| i128::from(*value) * scale);
        ArmSums::Mean(Sums {
            n: values.len() as u64,
            sum: all().sum(),
            squares: Some(all().map(|value| value * value).sum()),
            cubes: Some(all().map(|value| value * value * value).sum()),
        })
    }

    fn judged(shown: &[i64], withheld: &[i64], scale: i128) -> Comparison {
        compare([&arm(shown, scale), &arm(withheld, scale)], &ASKED).unwrap()
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= 1e-8 * expected.abs().max(1e-6)
    }

    /// What sessions spent: mostly nothing.
    fn sessions() -> impl Strategy<Value = Vec<i64>> {
        let spent = prop_oneof![2 => Just(0_i64), 3 => 1_i64..5_000];
        prop::collection::vec(spent, 8..120)
    }

    fn holds_zero([low, high]: Interval) -> bool {
        low <= 0.0 && 0.0 <= high
    }

    proptest! {
        /// Law 11, for every method.
        #[test]
        fn intervals_leave_out_zero_exactly_where_p_is_small(t in sessions(), c in sessions()) {
            let made = judged(&t, &c, 1);
            let Some(difference) = made.difference else { return Ok(()) };
            // Where p is alpha to the last bit either answer is right.
            prop_assume!((difference.p - 0.05).abs() > 1e-9);
            prop_assert_eq!(holds_zero(difference.interval), 0.05 <= difference.p);
            if let Some(lift) = made.lift.interval {
                prop_assert_eq!(holds_zero(lift), 0.05 <= difference.p);
            }
            let always = difference.always.unwrap();
            prop_assert_eq!(holds_zero(always.interval), 0.05 <= always.p);
            if let Some(lift) = made.lift.interval_always {
                prop_assert_eq!(holds_zero(lift), 0.05 <= always.p);
            }
            let hall = made.hall.unwrap();
            prop_assume!((hall.p - 0.05).abs() > 1e-9);
            prop_assert_eq!(holds_zero(hall.interval), 0.05 <= hall.p);
            if let Some(lift) = hall.lift_interval {
                prop_assert_eq!(holds_zero(lift), 0.05 <= hall.p);
            }
        }

        /// Law 12: a cent or a euro, the answer is the same.
        #[test]
        fn scaling_money_scales_only_money(t in sessions(), c in sessions(), scale in 2_u32..100_000) {
            let (made, scaled) = (judged(&t, &c, 1), judged(&t, &c, i128::from(scale)));
            let (Some(own), Some(theirs)) = (made.difference, scaled.difference) else { return Ok(()) };
            let factor = f64::from(scale);
            prop_assert!(close(theirs.value, own.value * factor));
            prop_assert!(close(theirs.stderr, own.stderr * factor));
            prop_assert!(close(theirs.t, own.t) && close(theirs.p, own.p));
            prop_assert!(close(made.hall.unwrap().p, scaled.hall.unwrap().p));
            if let (Some(own), Some(theirs)) = (made.lift.interval, scaled.lift.interval) {
                prop_assert!(close(theirs[0], own[0]) && close(theirs[1], own[1]));
            }
        }

        /// Law 13.
        #[test]
        fn swapping_arms_turns_the_sign(t in sessions(), c in sessions()) {
            let (made, swapped) = (judged(&t, &c, 1), judged(&c, &t, 1));
            let (Some(own), Some(theirs)) = (made.difference, swapped.difference) else { return Ok(()) };
            prop_assert!(close(theirs.value, -own.value) && close(theirs.p, own.p));
            let (own, theirs) = (made.hall.unwrap(), swapped.hall.unwrap());
            prop_assert!(close(theirs.interval[0], -own.interval[1]) && close(theirs.p, own.p));
        }

        /// The slow twin of Fieller: which ratios does the test itself not refuse?
        #[test]
        fn lifts_are_the_ratios_that_the_test_keeps(t in sessions(), c in sessions(), at in 0.0..1.0_f64) {
            let made = judged(&t, &c, 1);
            let Some(([low, high], difference)) = made.lift.interval.zip(made.difference) else {
                return Ok(());
            };
            let q = t_two_sided(0.05, difference.dof);
            let refuses = |lift: f64| {
                let (m_t, m_c) = (made.shown.mean.unwrap(), made.withheld.mean.unwrap());
                let (v_t, v_c) = (made.shown.of_the_mean().unwrap(), made.withheld.of_the_mean().unwrap());
                let ratio = lift + 1.0;
                q * q * (v_t + ratio * ratio * v_c) < (m_t - ratio * m_c).powi(2)
            };
            let wide = high - low;
            prop_assert!(!refuses(low + wide * (0.001 + 0.998 * at)));
            prop_assert!(refuses(low - wide * (0.001 + at)) && refuses(high + wide * (0.001 + at)));
        }

        #[test]
        fn straightening_is_undone_by_bending(z in -4.0..4.0_f64, gamma in -0.4..0.4_f64) {
            prop_assert!(close(straightened(bent(z, gamma), gamma), z));
        }
    }
}
