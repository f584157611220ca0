//! Do the arms hold the shares that the split promises?
//!
//! If not, something loses sessions of one arm, and no other figure may be believed.

use statrs::function::gamma::ln_gamma;

use crate::measurement::tails::chi_square_above;

/// A p below it raises the alarm.
pub const ALARM_BELOW: f64 = 0.001;

/// Strength of the belief that the shares hold, in sessions.
const PRIOR_SESSIONS: f64 = 10_000.0;

/// One look at the counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatioCheck {
    /// Σ(O − E)²/E.
    pub chi_square: f64,
    /// Chance of as much or more if the shares hold.
    pub p: f64,
}

impl RatioCheck {
    /// Whether the shares do not hold.
    pub fn is_alarm(&self) -> bool {
        self.p < ALARM_BELOW
    }
}

/// Pearson's χ² of counts by arm against their weights; `None` without a count.
///
/// # Panics
/// If there are not as many weights as counts, or one is not positive.
pub fn once(weights: &[f64], observed: &[u64]) -> Option<RatioCheck> {
    let shares = shares(weights, observed.len());
    let n = total(observed);
    if n <= 0.0 {
        return None;
    }
    let apart = |(share, count): (&f64, &u64)| {
        let expected = share * n;
        (float(*count) - expected).powi(2) / expected
    };
    let chi_square = shares.iter().zip(observed).map(apart).sum();
    let dof = float(observed.len() as u64 - 1);
    Some(RatioCheck {
        chi_square,
        p: chi_square_above(chi_square, dof),
    })
}

/// Looks at the counts at the end of each day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequentialCheck {
    /// Logarithm of the evidence against the shares after the last day.
    pub ln_bayes_factor: f64,
    /// min(1, 1 over the greatest evidence of any day): valid however often one looked.
    pub p: f64,
}

impl SequentialCheck {
    /// Whether the shares do not hold.
    pub fn is_alarm(&self) -> bool {
        self.p < ALARM_BELOW
    }
}

/// Evidence of counts by arm and day against their weights (M. Lindon and A. Malek, Advances in
/// Neural Information Processing Systems 35, 2022): a Dirichlet prior around the shares, worth
/// 10,000 sessions.
///
/// # Panics
/// As [`once`].
pub fn sequential(weights: &[f64], days: &[Vec<u64>]) -> SequentialCheck {
    let mut counts = vec![0_u64; weights.len()];
    let (mut last, mut greatest) = (0.0, 0.0_f64);
    for day in days {
        let shares = shares(weights, day.len());
        for (count, more) in counts.iter_mut().zip(day) {
            *count = count.saturating_add(*more);
        }
        last = ln_evidence(&shares, &counts);
        greatest = greatest.max(last);
    }
    SequentialCheck {
        ln_bayes_factor: last,
        p: (-greatest).exp().min(1.0),
    }
}

fn ln_evidence(shares: &[f64], counts: &[u64]) -> f64 {
    let arms = shares.iter().zip(counts).map(|(share, count)| {
        let (prior, count) = (PRIOR_SESSIONS * share, float(*count));
        ln_gamma(prior + count) - ln_gamma(prior) - count * share.ln()
    });
    let together = ln_gamma(PRIOR_SESSIONS) - ln_gamma(PRIOR_SESSIONS + total(counts));
    together + arms.sum::<f64>()
}

fn shares(weights: &[f64], n: usize) -> Vec<f64> {
    assert_eq!(weights.len(), n, "one weight for each count");
    assert!(
        weights.iter().all(|weight| 0.0 < *weight),
        "weights are positive"
    );
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn total(counts: &[u64]) -> f64 {
    counts.iter().map(|count| float(*count)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts become an estimate")]
fn float(count: u64) -> f64 {
    count as f64
}
