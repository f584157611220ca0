//! What may be said, and why not.

/// Why figures are not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// The arms do not hold the promised shares.
    SampleRatio,
    /// Pages were ranked for another arm than the split says.
    Arms,
    /// Too many tickets of other sessions: pages come from a cache that many share.
    Foreign,
    /// A sum needed more than 128 bits.
    Overflow,
    /// Too much was sold without a known cost.
    CostUnknown,
}

impl Distrust {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SampleRatio => "sample-ratio",
            Self::Arms => "arms",
            Self::Foreign => "foreign-tickets",
            Self::Overflow => "overflow",
            Self::CostUnknown => "cost-unknown",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::SampleRatio => "the arms do not hold the promised shares of sessions",
            Self::Arms => "pages were ranked for another arm than the split gives",
            Self::Foreign => "more than 1 % of tickets belong to other sessions",
            Self::Overflow => "a sum needed more than 128 bits",
            Self::CostUnknown => "less than 95 % of the revenue has a known cost",
        }
    }
}

/// What may be said.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing, for these reasons.
    NotTrustworthy(Vec<Distrust>),
    /// Nothing yet.
    NotEnoughData(Need),
    /// Without it the shop would do better.
    Hurts,
    /// With it the shop does better.
    Helps,
    /// If it does anything, it is no more than this; a fraction.
    NoDifferenceLargerThan(f64),
}

/// What is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// Mature sessions.
    pub have: u64,
    /// Sessions to find a lift of the margin with a chance of 80 %; `None`: nothing to plan by.
    pub need: Option<f64>,
    /// Days until then at the present pace.
    pub days: Option<f64>,
}

impl Verdict {
    /// As the wire spells it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotTrustworthy(_) => "not-trustworthy",
            Self::NotEnoughData(_) => "not-enough-data",
            Self::Hurts => "hurts",
            Self::Helps => "helps",
            Self::NoDifferenceLargerThan(_) => "no-difference-larger-than",
        }
    }
}
