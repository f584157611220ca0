//! **Did it help, and may we believe it?**
//!
//! A measured promotion is shown to most sessions and withheld from the rest; what both then do
//! is compared.
//!
//! - [`split`]: which [`Arm`](split::Arm) of a promotion a session is in
//! - [`log`]: what the event log says; [`tally`]: all [`sums`] of one of its partitions, with the
//!   [`orders`] that refunds come back to; [`kept`]: the same in parts, to be made again from
//! - [`moments`]: exact sums of what sessions did
//! - [`histogram`]: money in buckets, to be capped afterwards without an error
//! - [`summary`]: from exact sums to means, variances, third moments
//! - [`compare`]: Shown against Withheld; [`tails`] of the distributions behind it
//! - [`ratio_check`]: whether the arms hold the promised shares; [`power`]: how many sessions are
//!   needed; [`many`]: many results at once; [`verdict`]: what may be said of it all
//!
//! Invariants: the arm is a pure function of split key, session key, salt and share, so any node,
//! at any time, gives the same one, and nothing about it is stored; arms of different salts are
//! independent; no float decides.
//!
//! Cost: one `SipHash` of the session key per request (about 20 ns), then four multiplications and
//! one comparison per measured promotion, no allocation.

pub mod compare;
pub mod histogram;
pub mod kept;
#[cfg(test)]
mod laws;
pub mod log;
pub mod many;
pub mod moments;
pub mod orders;
pub mod power;
pub mod ratio_check;
pub mod session;
pub mod split;
pub mod summary;
pub mod sums;
pub mod tails;
pub mod tally;
pub mod verdict;
