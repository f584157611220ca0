//! From exact sums to means, variances and third moments: where integers become an estimate.
//!
//! Sums are moved to a whole number near their mean before anything is divided, in integers, so
//! nothing cancels: values of a thousand million that differ by tens keep all their figures.
//!
//! ```text
//! q = floor(S/n), r = S − nq      Q' = Σ(x−q)² = Q − qS − qr      s² = (Q' − r²/n)/(n−1)
//! C' = Σ(x−q)³ = C − 3qQ + 3q²S − nq³        μ₃ = C'/n − 3(r/n)(Q'/n) + 2(r/n)³
//! ```
#![expect(
    clippy::cast_precision_loss,
    reason = "here whole sums become estimates, to 53 bits"
)]

/// Sums of one figure over the sessions of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sessions.
    pub n: u64,
    /// Sum of the figure.
    pub sum: i128,
    /// Sum of its squares, if it is known.
    pub squares: Option<i128>,
    /// Sum of its cubes, if it is known.
    pub cubes: Option<i128>,
}

/// Sums of two figures over the sessions of one arm, for their ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairSums {
    /// Sessions.
    pub n: u64,
    /// Sum of the numerator and of its squares.
    pub num: (i128, i128),
    /// Sum of the denominator and of its squares.
    pub den: (i128, i128),
    /// Sum of the products.
    pub products: i128,
}

/// Sums that no figures can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// Squares are smaller, or products larger, than the sums allow.
    #[error("no sessions have these sums")]
    Impossible,
    /// The exact steps need more than 128 bits.
    #[error("the sums are too large")]
    Overflow,
}

/// What one arm's sessions look like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Sessions.
    pub n: f64,
    /// Mean, or ratio of sums; `None` without a session or denominator.
    pub mean: Option<f64>,
    /// Variance between sessions, of a ratio after linearising it; `None` where it is unknown or
    /// nothing varies.
    pub variance: Option<f64>,
    /// Third central moment, if cubes are known.
    pub third: Option<f64>,
}

impl Summary {
    /// Mean and moments of a figure.
    ///
    /// # Errors
    /// [`SumsError`].
    pub fn of_mean(sums: &Sums) -> Result<Self, SumsError> {
        let Some(near) = Near::of(sums.n, sums.sum) else {
            return Ok(Self::empty());
        };
        let n = near.n as f64;
        let mut summary = Self {
            n,
            mean: Some(near.q as f64 + near.rest()),
            variance: None,
            third: None,
        };
        let Some(squares) = sums.squares else {
            return Ok(summary);
        };
        let moved = near.squares(squares).ok_or(SumsError::Overflow)?;
        let spread = moved as f64 - near.rest() * near.r as f64;
        if moved < 0 || spread < -1e-6 * moved as f64 {
            return Err(SumsError::Impossible);
        }
        summary.variance = varies(spread / (n - 1.0), sums.n);
        if let Some(cubes) = sums.cubes {
            let cubes = near
                .cubes(sums.sum, squares, cubes)
                .ok_or(SumsError::Overflow)?;
            let rest = near.rest();
            let third = cubes as f64 / n - 3.0 * rest * (moved as f64 / n) + 2.0 * rest.powi(3);
            summary.third = Some(third);
        }
        Ok(summary)
    }

    /// Share of sessions with a yes; its variance is p(1 − p).
    ///
    /// # Errors
    /// [`SumsError::Impossible`] unless 0 ≤ `sum` ≤ n.
    pub fn of_share(n: u64, sum: i128) -> Result<Self, SumsError> {
        if sum < 0 || i128::from(n) < sum {
            return Err(SumsError::Impossible);
        }
        if n == 0 {
            return Ok(Self::empty());
        }
        let (sessions, yes) = (n as f64, sum as f64);
        let no = (i128::from(n) - sum) as f64;
        Ok(Self {
            n: sessions,
            mean: Some(yes / sessions),
            variance: varies(yes / sessions * (no / sessions), n),
            third: None,
        })
    }

    /// Ratio of two sums, its variance by the delta method over sessions:
    /// `(s_NN − 2r·s_ND + r²·s_DD) / m_D²`.
    ///
    /// Sessions are what was split, so they vary, not the displays inside them.
    ///
    /// # Errors
    /// [`SumsError`].
    pub fn of_ratio(sums: &PairSums) -> Result<Self, SumsError> {
        let num = Near::of(sums.n, sums.num.0);
        let den = Near::of(sums.n, sums.den.0);
        let (Some(num), Some(den), true) = (num, den, 0 < sums.den.0) else {
            return Ok(Self {
                n: sums.n as f64,
                ..Self::empty()
            });
        };
        let n = num.n as f64;
        let num_squares = num.squares(sums.num.1).ok_or(SumsError::Overflow)?;
        let den_squares = den.squares(sums.den.1).ok_or(SumsError::Overflow)?;
        let products = num.products(&den, sums).ok_or(SumsError::Overflow)?;
        if num_squares < 0 || den_squares < 0 {
            return Err(SumsError::Impossible);
        }
        let ratio = sums.num.0 as f64 / sums.den.0 as f64;
        let spread_num = num_squares as f64 - num.rest() * num.r as f64;
        let spread_den = den_squares as f64 - den.rest() * den.r as f64;
        let joint = products as f64 - num.rest() * den.r as f64;
        if spread_num * spread_den * (1.0 + 1e-9) < joint * joint {
            return Err(SumsError::Impossible);
        }
        let spread = spread_num - 2.0 * ratio * joint + ratio * ratio * spread_den;
        let mean_den = sums.den.0 as f64 / n;
        Ok(Self {
            n,
            mean: Some(ratio),
            variance: varies(spread / ((n - 1.0) * mean_den * mean_den), sums.n),
            third: None,
        })
    }

    /// Without a session.
    fn empty() -> Self {
        Self {
            n: 0.0,
            mean: None,
            variance: None,
            third: None,
        }
    }

    /// Variance of the mean.
    pub fn of_the_mean(&self) -> Option<f64> {
        Some(self.variance? / self.n)
    }
}

fn varies(variance: f64, n: u64) -> Option<f64> {
    (2 <= n && 0.0 < variance).then_some(variance)
}

/// A whole number near the mean, and what the sum has beyond n of it: 0 ≤ r < n.
struct Near {
    n: i128,
    q: i128,
    r: i128,
}

impl Near {
    fn of(n: u64, sum: i128) -> Option<Self> {
        let n = i128::from(n);
        (0 < n).then(|| Self {
            n,
            q: sum.div_euclid(n),
            r: sum.rem_euclid(n),
        })
    }

    /// Mean less q, from 0 to 1.
    fn rest(&self) -> f64 {
        self.r as f64 / self.n as f64
    }

    fn sum(&self) -> i128 {
        self.n * self.q + self.r
    }

    /// Σ(x − q)².
    fn squares(&self, squares: i128) -> Option<i128> {
        let both = self.sum().checked_add(self.r)?;
        squares.checked_sub(self.q.checked_mul(both)?)
    }

    /// `Σ(x − q)(y − q_y) = P − q·S_y − q_y·r`.
    fn products(&self, other: &Self, sums: &PairSums) -> Option<i128> {
        let first = self.q.checked_mul(other.sum())?;
        let second = other.q.checked_mul(self.r)?;
        sums.products.checked_sub(first)?.checked_sub(second)
    }

    /// Σ(x − q)³.
    ///
    /// The terms may need 256 bits though the result does not: it is found modulo 2^128, which is
    /// exact if it fits, and floats tell whether it does.
    fn cubes(&self, sum: i128, squares: i128, cubes: i128) -> Option<i128> {
        let (q, n) = (self.q, self.n);
        let exact = cubes
            .wrapping_sub(q.wrapping_mul(squares).wrapping_mul(3))
            .wrapping_add(q.wrapping_mul(q).wrapping_mul(sum).wrapping_mul(3))
            .wrapping_sub(q.wrapping_mul(q).wrapping_mul(q).wrapping_mul(n));
        let terms = [
            cubes as f64,
            -3.0 * q as f64 * squares as f64,
            3.0 * (q as f64).powi(2) * sum as f64,
            -(n as f64) * (q as f64).powi(3),
        ];
        let about: f64 = terms.iter().sum();
        let error = terms.iter().map(|term| term.abs()).sum::<f64>() * 1e-14;
        (about.abs() + error < i128::MAX as f64).then_some(exact)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sums(values: &[i64]) -> Sums {
        let all = || values.iter().map(|value| i128::from(*value));
        Sums {
            n: values.len() as u64,
            sum: all().sum(),
            squares: Some(all().map(|value| value * value).sum()),
            cubes: Some(all().map(|value| value * value * value).sum()),
        }
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        let apart = (found - expected).abs();
        assert!(
            apart <= 1e-9 * expected.abs().max(1e-9),
            "{found} instead of {expected}"
        );
    }

    #[test]
    fn values_far_from_zero_keep_their_figures() {
        let summary = Summary::of_mean(&sums(&[1_000_000_007, 1_000_000_010, 1_000_000_030]));
        let summary = summary.unwrap();
        near(summary.mean.unwrap(), 1_000_000_015.666_666_7);
        near(summary.variance.unwrap(), 156.333_333_333_333);
        near(summary.third.unwrap(), 703.925_925_925_926);
    }

    #[test]
    fn what_does_not_vary_has_no_variance() {
        for values in [vec![], vec![5], vec![5, 5, 5]] {
            assert_eq!(Summary::of_mean(&sums(&values)).unwrap().variance, None);
        }
        assert_eq!(Summary::of_share(10, 0).unwrap().variance, None);
        assert_eq!(Summary::of_mean(&sums(&[])).unwrap().mean, None);
    }

    #[test]
    fn sums_that_nothing_has_are_refused() {
        let impossible = Sums {
            n: 2,
            sum: 10,
            squares: Some(49),
            cubes: None,
        };
        assert_eq!(Summary::of_mean(&impossible), Err(SumsError::Impossible));
        assert_eq!(Summary::of_share(3, 4), Err(SumsError::Impossible));
        let huge = Sums {
            n: 2,
            sum: i128::MAX,
            squares: Some(i128::MAX),
            cubes: None,
        };
        assert_eq!(Summary::of_mean(&huge), Err(SumsError::Overflow));
    }

    proptest! {
        #[test]
        fn moments_are_those_of_the_definition(
            center in -1_000_000_000_i64..1_000_000_000,
            apart in prop::collection::vec(-1_000_i64..1_000, 2..40),
        ) {
            let values: Vec<i64> = apart.iter().map(|value| center + value).collect();
            let summary = Summary::of_mean(&sums(&values)).unwrap();
            let n = apart.len() as f64;
            let mean = apart.iter().sum::<i64>() as f64 / n;
            let power = |k: i32| apart.iter().map(|value| (*value as f64 - mean).powi(k)).sum::<f64>();
            let close = |found: f64, expected: f64, scale: f64| (found - expected).abs() <= 1e-9 * scale;
            prop_assert!(close(summary.variance.unwrap_or(0.0), power(2) / (n - 1.0), 1e6));
            prop_assert!(close(summary.third.unwrap(), power(3) / n, 1e9));
        }

        #[test]
        fn a_ratio_varies_like_its_linearised_sessions(
            pairs in prop::collection::vec((0_i64..50, 1_i64..50), 2..40),
        ) {
            let sum = |of: &dyn Fn(&(i64, i64)) -> i64| pairs.iter().map(|pair| i128::from(of(pair))).sum::<i128>();
            let summary = Summary::of_ratio(&PairSums {
                n: pairs.len() as u64,
                num: (sum(&|pair| pair.0), sum(&|pair| pair.0 * pair.0)),
                den: (sum(&|pair| pair.1), sum(&|pair| pair.1 * pair.1)),
                products: sum(&|pair| pair.0 * pair.1),
            }).unwrap();
            let (n, ratio) = (pairs.len() as f64, summary.mean.unwrap());
            let mean_den = pairs.iter().map(|pair| pair.1).sum::<i64>() as f64 / n;
            let linear = pairs.iter().map(|pair| (pair.0 as f64 - ratio * pair.1 as f64) / mean_den);
            let variance = linear.map(|value| value * value).sum::<f64>() / (n - 1.0);
            prop_assert!((summary.variance.unwrap_or(0.0) - variance).abs() <= 1e-9 * variance.max(1e-3));
        }
    }
}
