//! What sessions do, for trials of the measuring: many views, few purchases, heavy tails.
//!
//! Baskets are log-normal, so floats are drawn here; two machines may differ in a last cent, never
//! in what a trial shows.

use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

/// Most displays of one session.
const DISPLAYS_MAX: u32 = 60;

/// What the visitors of a shop are like.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Share of sessions that buy.
    pub buyers: f64,
    /// Spread of the logarithm of what a buyer pays; the median is 40.00.
    pub sigma: f64,
    /// Share of displays that are clicked, in the middle; sessions differ by half of it.
    pub click_rate: f64,
    /// Share of sessions that see the promotion.
    pub share_shown: f64,
    /// By how much more of these buy and click, a fraction.
    pub lift: f64,
}

/// What one session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Whether it saw the promotion.
    pub is_shown: bool,
    /// Items shown.
    pub displays: u32,
    /// Items opened.
    pub clicks: u32,
    /// What it paid, in minor units.
    pub revenue: i64,
}

/// Sessions without end.
pub struct Visits {
    crowd: Crowd,
    chance: ChaCha12Rng,
}

impl Visits {
    /// The sessions of a seed.
    pub fn new(crowd: Crowd, seed: u64) -> Self {
        Self {
            crowd,
            chance: ChaCha12Rng::seed_from_u64(seed),
        }
    }

    /// Whether one more session sees the promotion.
    pub fn arm(&mut self) -> bool {
        self.uniform() < self.crowd.share_shown
    }

    fn uniform(&mut self) -> f64 {
        self.chance.random::<f64>()
    }

    fn pays(&mut self) -> i64 {
        // Box and Muller; the first draw is never 0.
        let (first, second) = (1.0 - self.uniform(), self.uniform());
        let normal = (-2.0 * first.ln()).sqrt() * (std::f64::consts::TAU * second).cos();
        let paid = 4_000.0 * (self.crowd.sigma * normal).exp();
        #[expect(clippy::cast_possible_truncation, reason = "below 2^53 by the clamp")]
        let minor = paid.clamp(1.0, 1e11) as i64;
        minor
    }
}

impl Iterator for Visits {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        let is_shown = self.arm();
        let lift = if is_shown { 1.0 + self.crowd.lift } else { 1.0 };
        let displays = self.chance.random_range(1..=DISPLAYS_MAX);
        let rate = self.crowd.click_rate * lift * (0.5 + self.uniform());
        let mut clicks = 0;
        // Gaps between clicks are geometric.
        let ln_none = (1.0 - rate).ln();
        let mut at = 0.0;
        loop {
            at += 1.0 + ((1.0 - self.uniform()).ln() / ln_none).floor();
            if f64::from(displays) < at {
                break;
            }
            clicks += 1;
        }
        let buys = self.uniform() < self.crowd.buyers * lift;
        Some(Visit {
            is_shown,
            displays,
            clicks,
            revenue: if buys { self.pays() } else { 0 },
        })
    }
}
