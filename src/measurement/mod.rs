//! **Did it help, and may we believe it?**
//!
//! A measured promotion is shown to most sessions and withheld from the rest; what both then do
//! is compared. Here stand the split, the sums and the comparison; the counting itself is to come.
//!
//! - [`split`]: which [`Arm`](split::Arm) of a promotion a session is in
//! - [`moments`]: exact sums of what sessions did
//! - [`histogram`]: money in buckets, to be capped afterwards without an error
//! - [`summary`]: from exact sums to means, variances, third moments
//! - [`compare`]: Shown against Withheld; [`tails`] of the distributions behind it
//! - [`ratio_check`]: whether the arms hold the promised shares; [`power`]: how many sessions are
//!   needed; [`many`]: many results at once
//!
//! Invariants: the arm is a pure function of split key, session key, salt and share, so any node,
//! at any time, gives the same one, and nothing about it is stored; arms of different salts are
//! independent; no float decides.
//!
//! Cost: one `SipHash` of the session key per request (about 20 ns), then four multiplications and
//! one comparison per measured promotion, no allocation.

pub mod compare;
pub mod histogram;
pub mod log;
pub mod many;
pub mod moments;
pub mod power;
pub mod ratio_check;
pub mod split;
pub mod summary;
pub mod tails;
