//! Many results at once: of many promotions, or of one in many markets.

use crate::measurement::compare::Interval;
use crate::measurement::tails::normal_two_sided;

/// p values adjusted for being many, in the order given (Y. Benjamini and Y. Hochberg, J. R.
/// Statist. Soc. B 57, 1995): those below q hold a share of false finds of at most q.
///
/// On p = 1/e it is valid under any dependence.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 1.0_f64;
    for (worse, place) in order.into_iter().enumerate() {
        let own = p[place] * float(p.len()) / float(p.len() - worse);
        // Rounding must not make it less than it was.
        least = least.min(own.max(p[place]));
        adjusted[place] = least;
    }
    adjusted
}

/// A lift over markets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooled {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub stderr: f64,
    /// Where it lies, by the normal distribution.
    pub interval: Interval,
}

/// Lifts of several markets together. Money of several markets never adds up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Markets {
    /// As if one lift held everywhere.
    pub fixed: Pooled,
    /// As if markets differed.
    pub random: Pooled,
    /// How far apart they are: `Σw(y − ȳ)²`.
    pub q: f64,
    /// Variance between markets.
    pub tau2: f64,
}

/// Pools lifts by the inverse of their variances (R. DerSimonian and N. Laird, Controlled Clinical
/// Trials 7, 1986); `None` without a market.
pub fn markets(lifts: &[f64], variances: &[f64], alpha: f64) -> Option<Markets> {
    if lifts.is_empty() || lifts.len() != variances.len() {
        return None;
    }
    let weights: Vec<f64> = variances.iter().map(|variance| 1.0 / variance).collect();
    let fixed = pool(lifts, &weights, alpha);
    let apart = |(lift, weight): (&f64, &f64)| weight * (lift - fixed.value).powi(2);
    let q: f64 = lifts.iter().zip(&weights).map(apart).sum();
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let surplus = q - float(lifts.len()) + 1.0;
    let room = sum - squares / sum;
    let tau2 = if 0.0 < room {
        (surplus / room).max(0.0)
    } else {
        0.0
    };
    let weights: Vec<f64> = variances
        .iter()
        .map(|variance| 1.0 / (variance + tau2))
        .collect();
    Some(Markets {
        fixed,
        random: pool(lifts, &weights, alpha),
        q,
        tau2,
    })
}

fn pool(values: &[f64], weights: &[f64], alpha: f64) -> Pooled {
    let sum: f64 = weights.iter().sum();
    let weighted = values
        .iter()
        .zip(weights)
        .map(|(value, weight)| value * weight);
    let (value, stderr) = (weighted.sum::<f64>() / sum, sum.sqrt().recip());
    let half = normal_two_sided(alpha) * stderr;
    Pooled {
        value,
        stderr,
        interval: [value - half, value + half],
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of results")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Law 14, and the definition: the least q at which the step-up procedure takes it.
        #[test]
        fn adjusted_is_the_least_rate_that_takes_it(p in prop::collection::vec(0.0..1.0_f64, 1..30)) {
            let adjusted = benjamini_hochberg(&p);
            let m = float(p.len());
            let is_taken = |own: f64, q: f64| {
                let bound = |k: usize| float(k) * q / m;
                let fits = |k: usize| k <= p.iter().filter(|p| **p <= bound(k)).count();
                (1..=p.len()).rev().find(|k| fits(*k)).is_some_and(|k| own <= bound(k))
            };
            for (own, adjusted) in p.iter().zip(&adjusted) {
                prop_assert!(own <= adjusted && *adjusted <= 1.0);
                prop_assert!(is_taken(*own, adjusted * 1.000_001));
                prop_assert!(1.0 <= *adjusted || *adjusted <= 0.0 || !is_taken(*own, adjusted * 0.999_999));
            }
        }
    }
}
