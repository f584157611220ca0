//! **What did the merchandiser decide, and where is it active now?**
//!
//! A [`Promotion`](terms::Promotion) is a time-bound ranking change: a boost, or, of kind
//! *demotion*, the opposite. This room knows its words and its life, books no place, reads no
//! clock, draws no random number and holds no result: instants and salts are arguments.
//!
//! - [`terms`]: the promotion and its invariants
//! - [`draft`]: reading one as sent, creating and editing, all complaints at once
//! - [`state`]: archived, ended, suspended, scheduled or active; the steps between them
//! - [`epoch`]: measured stretches: salt, share, primary metric, plan
//! - [`restriction`]: category marks, and where they switch a promotion on
//! - [`overlap`]: what two promotions mean for the variants that both hold
//! - [`lint`]: what is odd about one without being wrong
//! - [`slot`]: the promotions of one view as bits of a [`SlotMask`](slot::SlotMask)
//!
//! Invariants: the state is computed from record and instant, never stored; what a promotion is at
//! an instant depends on nothing else; a slot never leaves its view, stored facts carry the
//! [`PromotionId`](crate::domain::id::PromotionId).
//!
//! Cost: masks for all category nodes and all slots come from one pass over the graph, one OR per
//! edge.

pub mod draft;
pub mod epoch;
pub mod lint;
pub mod overlap;
pub mod restriction;
pub mod slot;
pub mod state;
pub mod terms;
