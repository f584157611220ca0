//! Orders as they stand: what was bought, and what of it has not come back.
//!
//! A refund says what came back; what that had cost, and which promotions held it, is known from
//! the order. So a refund entry is stamped from here before it is logged.
#![deny(clippy::float_arithmetic)]

use serde::{Deserialize, Serialize};

use crate::domain::id::VariantKey;
use crate::domain::money::Minor;
use crate::domain::time::Timestamp;
use crate::measurement::log::{Order, OrderLine};
use crate::measurement::split::SessionDigest;

/// A known order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRecord {
    /// The visit that placed it; its refunds count where it counts.
    pub session: SessionDigest,
    /// When it was placed, by the shop's clock.
    pub at: Timestamp,
    /// Whether it counts in the impact of promotions, and not in totals only.
    pub is_within: bool,
    /// What has not come back, with its share of paid and cost.
    pub left: Vec<OrderLine>,
}

/// Part of an order that came back, as the shop names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Digest of the line's id; `None`: the first line of the variant that has enough left.
    pub line: Option<u64>,
    /// The variant.
    pub variant: VariantKey,
    /// Units, from 1.
    pub quantity: u32,
    /// Paid back for all of them.
    pub paid: Minor,
}

/// More came back than was left; the index of the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeds(pub usize);

impl OrderRecord {
    /// A new order, of which nothing has come back.
    pub fn new(session: SessionDigest, at: Timestamp, is_within: bool, order: &Order) -> Self {
        Self {
            session,
            at,
            is_within,
            left: order.lines.clone(),
        }
    }

    /// What came back, as lines to be logged.
    ///
    /// The cost of q of n units left is floor(cost left · q / n), so that the last units take
    /// what is left and no cent is lost.
    ///
    /// # Errors
    /// [`Exceeds`] for the first part of which too few units or too little money is left.
    pub fn returned(&self, parts: &[Returned]) -> Result<Vec<OrderLine>, Exceeds> {
        let mut left = self.left.clone();
        let mut lines = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            let fits = |line: &&mut OrderLine| {
                let named = match part.line {
                    Some(id) => line.line == id,
                    None => line.item.variant == part.variant,
                };
                named && part.quantity <= line.quantity && part.paid.0 <= line.paid.0
            };
            let line = left.iter_mut().find(fits).ok_or(Exceeds(i))?;
            let cost = line
                .cost
                .map(|cost| share(cost, part.quantity, line.quantity));
            let back = OrderLine {
                line: line.line,
                item: line.item.clone(),
                quantity: part.quantity,
                paid: part.paid,
                cost,
            };
            take(line, &back);
            lines.push(back);
        }
        Ok(lines)
    }

    /// Lines of a refund came back; what is not left is not taken.
    pub fn give_back(&mut self, lines: &[OrderLine]) {
        for back in lines {
            if let Some(line) = self.left.iter_mut().find(|line| line.line == back.line) {
                take(line, back);
            }
        }
    }
}

fn share(cost: Minor, of: u32, all: u32) -> Minor {
    let share = i128::from(cost.0) * i128::from(of) / i128::from(all.max(1));
    Minor(i64::try_from(share).expect("a part of an i64 is one"))
}

fn take(line: &mut OrderLine, back: &OrderLine) {
    line.quantity = line.quantity.saturating_sub(back.quantity);
    line.paid = Minor(line.paid.0.saturating_sub(back.paid.0));
    line.cost = line
        .cost
        .zip(back.cost)
        .map(|(left, back)| Minor(left.0.saturating_sub(back.0)));
}
