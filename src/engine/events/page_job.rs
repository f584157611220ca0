//! A counted page on its way into the log: what differs in the other arm is found out here, behind
//! the answer, so that measuring never slows ranking.

use std::sync::Arc;

use crate::catalogue::market::DisplaySource;
use crate::domain::id::{GroupOfShoppers, MarketId, Shopper};
use crate::domain::time::Timestamp;
use crate::engine::events::stamp::{booked, promotions};
use crate::engine::snapshot::{MarketState, TimedView};
use crate::measurement::log::{Entry, Item, Mark, PageEntry, Trigger, What};
use crate::measurement::split::{Arm, SessionDigest};
use crate::promotion::slot::SlotMask;
use crate::ranking::differs::differs;
use crate::ranking::page::Page;
use crate::ranking::query::Query;

/// A page that was answered to a session.
#[derive(Debug)]
pub(in crate::engine) struct PageJob {
    pub(in crate::engine) market: MarketId,
    pub(in crate::engine) state: Arc<MarketState>,
    pub(in crate::engine) timed: Arc<TimedView>,
    /// What was asked, and under which slots it was answered.
    pub(in crate::engine) query: Query,
    pub(in crate::engine) page: Page,
    /// Slots that the category lets through, and those of them the session does not see.
    pub(in crate::engine) allowed: SlotMask,
    pub(in crate::engine) withheld: SlotMask,
    pub(in crate::engine) revision: u64,
    pub(in crate::engine) panel: u64,
    pub(in crate::engine) session: SessionDigest,
    pub(in crate::engine) shopper: Option<Shopper>,
    pub(in crate::engine) group: Option<GroupOfShoppers>,
    pub(in crate::engine) received: Timestamp,
}

impl PageJob {
    /// The entry; slots of `noted` differed for this session before, and are not asked again.
    pub(in crate::engine) fn entry(
        &self,
        shopper: Option<SessionDigest>,
        noted: SlotMask,
    ) -> Entry {
        let watched = self.timed.watched.iter();
        let all = watched.fold(SlotMask::EMPTY, |all, own| all | SlotMask::of(own.slot));
        let mask = self.allowed & !self.withheld;
        let asked = all & self.allowed & !noted;
        let compared = differs(&self.timed.view, &self.query, mask, &self.page, asked);
        let mark = |own: &crate::engine::snapshot::Watched| {
            let is_aa = self.timed.measured.iter().all(|slot| slot.slot != own.slot);
            let arm = if is_aa {
                own.epoch.arm(self.session)
            } else if self.withheld.contains(own.slot) {
                Arm::Withheld
            } else {
                Arm::Shown
            };
            let trigger = if compared.differing.contains(own.slot) {
                Trigger::T2
            } else if compared.reachable.contains(own.slot) {
                Trigger::T1
            } else {
                Trigger::T0
            };
            Mark {
                epoch: Arc::clone(&own.epoch),
                arm,
                trigger,
            }
        };
        let catalogue = &self.state.catalogue;
        let item = |shown: &crate::ranking::page::Item| Item {
            variant: catalogue.variant_key(shown.row).clone(),
            product: catalogue
                .product_key(catalogue.product_of(shown.row))
                .clone(),
            promotions: promotions(Some(&self.timed), &[shown.row]),
            offer: None,
        };
        let zone = &catalogue.locale().zone;
        let day = self.received.date_in(zone);
        let source = self.state.held().value.display_source;
        Entry {
            received: self.received,
            at: self.received,
            day,
            booked: booked(day, self.received, zone),
            market: self.market.clone(),
            session: self.session,
            shopper,
            group: self.group.as_ref().map(GroupOfShoppers::shared),
            id: 0,
            is_bot: false,
            is_foreign: false,
            what: What::Page(PageEntry {
                revision: self.revision,
                panel: self.panel,
                displays: source == DisplaySource::Answer,
                items: self.page.items.iter().map(item).collect(),
                marks: self.timed.watched.iter().map(mark).collect(),
            }),
        }
    }
}
