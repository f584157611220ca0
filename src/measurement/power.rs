//! How many sessions a lift of some size needs, and what can be seen with those there are.
//!
//! π = Φ(δ/se − z) + Φ(−δ/se − z), z = Φ⁻¹(1 − α/2), se² = s²(1/(f·n) + 1/((1 − f)·n)), f the share
//! shown. Of two arms the smaller decides: at 80/20 it takes 1.5625 times the sessions of 50/50.

use crate::measurement::tails::{normal_above, normal_two_sided};

/// What is known of a figure and its split before it is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Design {
    /// Chance of an error that is accepted.
    pub alpha: f64,
    /// Mean per session of Withheld; of a ratio, the ratio.
    pub mean: f64,
    /// Standard deviation between sessions; of a ratio, of the linearised sessions.
    pub sd: f64,
    /// Share of sessions that see the promotion, above 0 and below 1.
    pub share_shown: f64,
}

impl Design {
    /// Chance of seeing a true lift, a fraction, with so many sessions of both arms.
    pub fn power(&self, sessions: f64, lift: f64) -> f64 {
        self.power_at(lift * self.mean / self.stderr(sessions))
    }

    /// Sessions of both arms for a lift to be seen with this chance.
    pub fn sessions(&self, lift: f64, power: f64) -> f64 {
        let distance = lift.abs() * self.mean.abs() / self.distance(power);
        let shares = 1.0 / self.share_shown + 1.0 / (1.0 - self.share_shown);
        self.sd * self.sd * shares / (distance * distance)
    }

    /// The smallest lift that so many sessions show with this chance.
    pub fn lift(&self, sessions: f64, power: f64) -> f64 {
        self.distance(power) * self.stderr(sessions) / self.mean.abs()
    }

    fn stderr(&self, sessions: f64) -> f64 {
        let (shown, withheld) = (self.share_shown, 1.0 - self.share_shown);
        self.sd * (1.0 / (shown * sessions) + 1.0 / (withheld * sessions)).sqrt()
    }

    fn power_at(&self, distance: f64) -> f64 {
        let z = normal_two_sided(self.alpha);
        normal_above(z - distance) + normal_above(z + distance)
    }

    /// The true effect, in standard errors, that is seen with this chance; by bisection.
    fn distance(&self, power: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        while self.power_at(high) < power && high < 1e6 {
            high *= 2.0;
        }
        loop {
            let middle = 0.5 * (low + high);
            if middle <= low || high <= middle {
                return middle;
            }
            if self.power_at(middle) < power {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sessions_and_lift_lead_back_to_their_power(
            lift in 0.001..2.0_f64,
            power in 0.06..0.999_f64,
            share_shown in 0.5..0.99_f64,
            sd in 0.1..1_000.0_f64,
        ) {
            let design = Design { alpha: 0.05, mean: 90.0, sd, share_shown };
            let sessions = design.sessions(lift, power);
            prop_assert!((design.power(sessions, lift) - power).abs() < 1e-9);
            prop_assert!((design.lift(sessions, power) - lift).abs() < 1e-9 * lift);
            let even = Design { share_shown: 0.5, ..design };
            let times = 0.25 / (share_shown * (1.0 - share_shown));
            prop_assert!((sessions / even.sessions(lift, power) - times).abs() < 1e-9 * times);
        }
    }
}
