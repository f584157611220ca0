//! Every figure of the source documents, once, with the sentence it comes from.
//!
//! Limits that a specification adds stand with their owner, not here.

/// "The maximum length of a promotion name is 50 characters."
pub const PROMOTION_NAME_CHARS_MAX: usize = 50;

/// "There is a limit of a total of 100 simultaneously active promotions and demotions in a
/// market."
pub const ACTIVE_PER_MARKET_MAX: usize = 100;

/// Medium: "higher than ~99% of the products that currently have a higher strategy score", so
/// one in this many may stay above.
pub const MEDIUM_STAYS_BELOW_ONE_IN: u32 = 100;

/// Low: "higher than ~90% of the products that currently have a higher strategy score", so one
/// in this many may stay above.
pub const LOW_STAYS_BELOW_ONE_IN: u32 = 10;

/// "When activating measurements, 80% of the sessions will show the promotion and 20% will not."
pub const SHARE_SHOWN_PERCENT: u32 = 80;

/// "Up to 700 products can also be imported" to the handpicked ones in one go.
pub const HANDPICK_IMPORT_MAX: usize = 700;
