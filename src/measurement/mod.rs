//! **Did it help, and may we believe it?**
//!
//! A measured promotion is shown to most sessions and withheld from the rest; what both then do
//! is compared. Here stands the first half, the split; the sums and their judgement are to come.
//!
//! - [`split`]: which [`Arm`](split::Arm) of a promotion a session is in
//!
//! Invariants: the arm is a pure function of split key, session key, salt and share, so any node,
//! at any time, gives the same one, and nothing about it is stored; arms of different salts are
//! independent; no float decides.
//!
//! Cost: one `SipHash` of the session key per request (about 20 ns), then four multiplications and
//! one comparison per measured promotion, no allocation.

pub mod split;
