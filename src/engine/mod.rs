//! **What happens when somebody asks for X?**
//!
//! Floor 3: use cases. Each function of [`Engine`](start::Engine) is one: permission → state →
//! logic → commit → count. Whatever is decided is decided in a pure room below; here stand the
//! clock, the randomness, the one door for writes and the snapshot that everybody reads.
//!
//! ```text
//! write: may → snapshot → room's constructor → calendar → commit (guards, audit, answer) → published
//! read:  may → snapshot → room's function
//! ```
//!
//! - [`start`]: the engine: what it is made of, how it starts and stops
//! - [`clock`], [`entropy`], [`seal`]: time, chance, sealed tokens
//! - [`commit`]: the one door for writes; [`fold`]: changes → the next [`snapshot`] (the last ones are [`kept`]), through
//!   [`view`], [`goods`] and, where goods are lost, their [`standing`], on threads that stand back
//!   ([`background`])
//! - [`rank`]: a search panel asks for a page; [`idle`] says who would move it and does not,
//!   [`pages`] counts it
//! - [`promotions`], several at once and copies in [`bulk`], [`history`], [`picks`]: what
//!   merchandisers decide, what it was and what it holds; [`calendar`]: how full
//!   a market is; [`preview`]: what a page would look like after changes; [`check`]: what publishing a draft would run into, [`why`] what
//!   its selection says about one variant
//! - [`assignments`]: which arms sessions get
//! - [`markets`], [`mappings`], [`imports`] ([`feed_check`]) and their [`results`] ([`kept_imports`]), [`browse`]: shop fronts, feeds, looking around in the goods
//! - [`keys`]: who may come in, [`uses`] when they last did; [`health`], [`jobs`], [`backups`], [`upkeep`]: keeping it running
//! - [`error`]: what is refused, [`refusals`] what remembers it, [`audit`] who reads all of it
//!
//! Invariants: an answer comes from one revision, which it names; a write answered with success is
//! durable and in the published snapshot; a write that is refused changes nothing; every write
//! carries guards for what it was decided upon, and its audit entry in the same commit.
//!
//! Cost: a rank is one `Arc` load, one hash of the session and what `ranking` costs. A write is its
//! share of one sync, and the fold of what it touches: the variants that come to a promotion or leave
//! it; of changed goods the dictionaries of their attributes, the chunks they lie in, and a question
//! to each promotion per changed variant.

mod arms;
mod asked;
pub mod assignments;
pub mod audit;
pub mod background;
pub mod backups;
pub mod browse;
pub mod bulk;
pub mod calendar;
mod chain;
pub mod check;
pub mod clock;
pub mod commit;
pub mod entropy;
pub mod error;
pub mod events;
mod feed_check;
mod fold;
mod goods;
mod harm;
pub mod health;
pub mod history;
pub mod idle;
pub mod imports;
pub mod jobs;
pub mod kept;
mod kept_imports;
pub mod keys;
#[cfg(test)]
mod laws;
pub mod mappings;
pub mod markets;
mod page_cursor;
pub mod pages;
pub mod picks;
pub mod preview;
pub mod promotions;
pub mod rank;
pub mod refusals;
pub mod results;
pub mod seal;
pub mod snapshot;
pub mod standing;
pub mod start;
mod unsaved;
pub mod upkeep;
pub mod uses;
mod view;
pub mod why;
