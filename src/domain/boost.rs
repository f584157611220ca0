//! The strength with which a promotion moves what it holds.

use crate::domain::complaint::Fault;

/// What a ranking change does to the variants it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoostLevel {
    /// Overtakes about 90 % of the variants with a higher base score.
    Low,
    /// Overtakes about 99 % of the variants with a higher base score.
    Medium,
    /// Stands above every variant that is not boosted.
    High,
    /// Stands below every variant that is not demoted; beats every boost.
    Demoted,
}

impl BoostLevel {
    /// All levels, strongest first: the order in which a variant's level is decided.
    pub const BY_PRECEDENCE: [Self; 4] = [Self::Demoted, Self::High, Self::Medium, Self::Low];

    /// Reads the level of a promotion, as the wire spells it.
    ///
    /// # Errors
    /// `unknown-value`; `demoted` is no level one can ask for.
    pub fn parse_boost(text: &str) -> Result<Self, Fault> {
        match text {
            "low" => Ok(Self::Low),
            "medium" => Ok(Self::Medium),
            "high" => Ok(Self::High),
            _ => Err(Fault::unknown_value(text, &["high", "medium", "low"])),
        }
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Demoted => "demoted",
        }
    }

    /// As the wire spells the effective level of an item.
    pub fn name(level: Option<Self>) -> &'static str {
        level.map_or("none", Self::as_str)
    }
}
