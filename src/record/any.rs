//! Any record of each kind, for tests: optional parts absent and present, lists empty and not.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

use crate::access::key::{KeyDigest, KeyRecord, KeyTerms};
use crate::access::principal::{Actor, Grant, MarketScope, Principal, Role};
use crate::catalogue::market::{DisplaySource, HarmGuard, Market, PriceBasis};
use crate::domain::boost::BoostLevel;
use crate::domain::category::CategoryId;
use crate::domain::id::{KeyId, MarketId, PromotionId, SellerKey};
use crate::domain::metric::Metric;
use crate::domain::money::{Currency, Percent};
use crate::domain::text;
use crate::domain::time::{GivenTime, Period, Timestamp, Zone};
use crate::domain::value::Locale;
use crate::predicate::rule::{Attr, Op};
use crate::predicate::written::{WrittenMatcher, WrittenRule};
use crate::promotion::epoch::{Epoch, Plan, Settings};
use crate::promotion::terms::{Kind, Promotion, Restriction, Terms};
use crate::record::desk::{AnswerV1, AuditV1, CalendarV1, MetaV1, PastV1, ProbeV1, UsedV1};
use crate::record::import::{ImportV1, MappingV1, RowErrorV1};
use crate::record::market::{DeclaredV1, GoodsV1, MarketV1};
use crate::selection::definition::{Selection, SelectionDraft};

/// Text in normal form without control characters.
pub(super) fn any_text() -> impl Strategy<Value = String> {
    let raw = prop_oneof!["[a-z\"\\\\/:{} ]{1,12}", "\\PC{1,12}"];
    raw.prop_map(|raw| text::normal(&raw).into_owned())
        .prop_filter("bounded", |own| {
            text::bounded(own, 60).is_ok_and(|again| again == *own)
        })
}

pub(super) fn any_texts() -> impl Strategy<Value = Vec<String>> {
    btree_set(any_text(), 0..4).prop_map(Vec::from_iter)
}

pub(super) fn any_category() -> impl Strategy<Value = CategoryId> {
    any_text().prop_map(|key| CategoryId::parse(&format!("t:{}", key.replace(' ', "-"))).unwrap())
}

pub(super) fn any_attr() -> impl Strategy<Value = Attr> {
    any_text().prop_map(|name| Attr::parse(&name).unwrap())
}

fn any_percent(least: u32) -> impl Strategy<Value = Percent> {
    (least..=10_000).prop_map(|points| Percent::from_basis_points(points).unwrap())
}

fn any_zone() -> impl Strategy<Value = Zone> {
    prop::sample::select(vec!["Europe/Berlin", "Asia/Tokyo", "UTC"])
        .prop_map(|name| Zone::parse(name).unwrap())
}

pub(super) fn any_market_id() -> impl Strategy<Value = MarketId> {
    "[a-z0-9-]{1,32}".prop_map(|id| MarketId::parse(&id).unwrap())
}

fn any_currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(vec!["SEK", "JPY", "KWD"]).prop_map(|code| Currency::parse(code).unwrap())
}

prop_compose! {
    fn any_declared()(
        attr in any_text(),
        kind in prop::sample::select(vec!["text", "number", "money", "flag", "time"]),
        (variant_level, multi, facet, search) in any::<(bool, bool, bool, bool)>(),
    ) -> DeclaredV1 {
        DeclaredV1 { attr, kind: kind.to_owned(), variant_level, multi, facet, search }
    }
}

prop_compose! {
    fn any_goods()(
        generation in any::<u64>(),
        manifest in of(any::<[u8; 32]>()),
        deltas in vec(any::<[u8; 32]>(), 0..3),
        attributes in vec(any_declared(), 0..3),
    ) -> GoodsV1 {
        GoodsV1 { generation, manifest, deltas, attributes }
    }
}

prop_compose! {
    pub(super) fn any_market()(
        (id, name, currency, zone) in (any_market_id(), any_text(), any_currency(), any_zone()),
        country in of(Just("SE".to_owned())),
        locales in vec(Just("sv-SE".to_owned()), 0..2),
        (tax_inclusive, by_events) in any::<(bool, bool)>(),
        (search_attributes, cross_market_attribute) in (vec(any_attr(), 0..3), of(any_attr())),
        (share_shown, vanished, sold_out) in (any_percent(5_000), any_percent(0), any_percent(0)),
        handpick_import_max in 1_usize..10_000,
        goods in any_goods(),
    ) -> (Market, MarketV1) {
        let price_basis =
            if tax_inclusive { PriceBasis::TaxInclusive } else { PriceBasis::TaxExclusive };
        let display_source =
            if by_events { DisplaySource::Events } else { DisplaySource::Answer };
        let market = Market {
            id, name, country, locales, price_basis, search_attributes, cross_market_attribute,
            display_source, share_shown, handpick_import_max,
            locale: Locale { currency, zone },
            harm_guard: HarmGuard {
                vanished_percent_max: vanished,
                sold_out_percent_max: sold_out,
            },
        };
        let stored = MarketV1::new(&market, goods);
        (market, stored)
    }
}

fn any_matcher() -> impl Strategy<Value = WrittenMatcher> {
    let shared = || any_text().prop_map(Arc::<str>::from);
    prop_oneof![
        vec(shared(), 1..4).prop_map(WrittenMatcher::In),
        (shared(), of(shared())).prop_map(|(min, max)| WrittenMatcher::Range {
            min: Some(min),
            max,
        }),
        shared().prop_map(|max| WrittenMatcher::Range {
            min: None,
            max: Some(max)
        }),
        any::<bool>().prop_map(WrittenMatcher::Exists),
        shared().prop_map(WrittenMatcher::Prefix),
        (of(0..9), of(9..99)).prop_map(|(min, max)| WrittenMatcher::AgeDays { min, max }),
    ]
}

fn any_rule() -> impl Strategy<Value = WrittenRule> {
    let op = prop::sample::select(vec![Op::Include, Op::Exclude]);
    (op, any_attr(), any_matcher()).prop_map(|(op, attr, matcher)| WrittenRule {
        op,
        attr,
        matcher,
    })
}

prop_compose! {
    fn any_selection()(
        handpicked in any_texts(),
        handpicked_cross_market in any_texts(),
        blocked in any_texts(),
        rules in vec(vec(any_rule(), 0..3), 0..3),
    ) -> Selection {
        let free = blocked.into_iter().filter(|key| !handpicked.contains(key)).collect();
        let rule_sets = rules.into_iter().map(|set| set.into_iter().map(Ok).collect()).collect();
        let draft =
            SelectionDraft { handpicked, handpicked_cross_market, blocked: free, rule_sets };
        Selection::new(draft).unwrap()
    }
}

prop_compose! {
    fn any_epochs()(
        salts in vec(any::<u64>(), 0..3),
        is_open in any::<bool>(),
        share_shown in any_percent(5_000),
        metric in prop::sample::select(Metric::ALL.map(|(metric, _)| metric).to_vec()),
        (fixed, aa) in any::<(bool, bool)>(),
    ) -> Vec<Epoch> {
        let plan = if fixed { Plan::Fixed } else { Plan::Anytime };
        let settings = Settings { share_shown, primary_metric: metric, plan, aa };
        let numbers = (1_u32..).zip(&salts);
        let epochs = numbers.map(|(number, salt)| {
            let opened = Timestamp(i64::from(number) * 100);
            let last = number as usize == salts.len();
            let closed = (!(last && is_open)).then(|| opened.plus_ms(50));
            Epoch { number, salt: *salt, settings, opened, closed }
        });
        epochs.collect()
    }
}

prop_compose! {
    pub(super) fn any_promotion()(
        id in any::<[u8; 16]>(),
        level in prop::sample::select(BoostLevel::BY_PRECEDENCE.to_vec()),
        name in any_text().prop_filter("short", |name| name.chars().count() <= 50),
        markets in btree_set(any_market_id(), 1..3),
        (start_ms, length_ms) in (0_i64..4_000_000_000_000, 1_i64..100_000_000_000),
        (by_date, time_zone, zone) in (any::<bool>(), of(any_zone()), of(any_zone())),
        selection in any_selection(),
        (include, exclude) in (btree_set(any_category(), 0..3), btree_set(any_category(), 0..3)),
        epochs in any_epochs(),
        (suspended, archived) in any::<(bool, bool)>(),
        (note, created_by, created_at) in (of(any_text()), any_text(), any::<i64>()),
    ) -> Promotion {
        let (start, end) = (Timestamp(start_ms), Timestamp(start_ms + length_ms));
        let given = |at: Timestamp| if by_date {
            GivenTime::parse("2027-10-30").unwrap()
        } else {
            GivenTime::from_instant(at)
        };
        let exclude: Vec<_> = exclude.difference(&include).cloned().collect();
        Promotion::new(Terms {
            id: PromotionId(id),
            kind: if level == BoostLevel::Demoted { Kind::Demotion } else { Kind::Promotion },
            level, name, time_zone, zone, selection, epochs, suspended, archived, note, created_by,
            markets: markets.into_iter().collect(),
            start: given(start),
            end: given(end),
            period: Period::new(start, end).unwrap(),
            restriction: Restriction { include: include.into_iter().collect(), exclude },
            created_at: Timestamp(created_at),
        }).unwrap()
    }
}

prop_compose! {
    fn any_principal(id: KeyId)(
        public in any::<bool>(),
        roles in btree_set(prop::sample::select(Role::ALL[1..].to_vec()), 1..4),
        markets in of(btree_set(any_market_id(), 1..4)),
        sellers in btree_set(any_text(), 1..3),
        grants in btree_set(prop::sample::select(Grant::ALL.to_vec()), 0..3),
        origins in vec(Just("https://shop.example".to_owned()), 0..2),
        expires in any::<i64>(),
        ends in any::<bool>(),
        rate in of(1_u32..=100_000),
    ) -> Principal {
        let roles = if public {
            BTreeSet::from([Role::StorefrontPublic])
        } else {
            roles.into_iter().map(|(role, ..)| role).collect()
        };
        let sellers = sellers.iter().map(|key| SellerKey::parse(key).unwrap());
        Principal {
            by: Actor::Key(id),
            sellers: sellers.filter(|_| roles.contains(&Role::Seller)).collect(),
            roles,
            markets: markets.map_or(MarketScope::All, MarketScope::Only),
            grants: grants.into_iter().map(|(grant, _)| grant).collect(),
            origins,
            rate,
            expires: (ends || !public).then_some(Timestamp(expires)),
        }
    }
}

prop_compose! {
    pub(super) fn any_key()(id in any::<[u8; 16]>().prop_map(KeyId))(
        id in Just(id),
        principal in any_principal(id),
        name in any_text(),
        digests in vec((any::<[u8; 32]>(), of(any::<i64>())), 1..3),
        (created, created_by) in (any::<i64>(), any_text()),
    ) -> KeyRecord {
        let digests = digests.into_iter();
        KeyRecord::new(KeyTerms {
            id, name, created_by,
            principal: Arc::new(principal),
            digests: digests.map(|(own, end)| (KeyDigest(own), end.map(Timestamp))).collect(),
            created: Timestamp(created),
        }).unwrap()
    }
}

prop_compose! {
    pub(super) fn any_meta()(
        created in any::<i64>(),
        keys in any::<[[u8; 16]; 4]>(),
        test_clock in any::<bool>(),
    ) -> MetaV1 {
        let [split_key, ticket_key, cursor_key, hash_key] = keys;
        MetaV1 { created, split_key, ticket_key, cursor_key, hash_key, test_clock }
    }
}

pub(super) fn any_calendar() -> impl Strategy<Value = CalendarV1> {
    any::<(u64, u32, u32)>().prop_map(|(changes, bookings, places)| CalendarV1 {
        changes,
        bookings,
        places,
    })
}

prop_compose! {
    pub(super) fn any_audit()(
        at in any::<i64>(),
        (actor, action, object) in (any_text(), any_text(), any_text()),
        (address, refused) in (of(any_text()), of(any_text())),
        (before, after) in any::<(Option<[u8; 32]>, Option<[u8; 32]>)>(),
        version in of(vec(any::<u8>(), 0..9)),
        schema in any::<u16>(),
    ) -> AuditV1 {
        AuditV1 { at, actor, address, action, object, before, after, version, schema, refused }
    }
}

prop_compose! {
    pub(super) fn any_answer()(
        at in any::<i64>(),
        request in any::<[u8; 32]>(),
        status in any::<u16>(),
        location in of(any_text()),
        body in of(vec(any::<u8>(), 0..9)),
    ) -> AnswerV1 {
        AnswerV1 { at, request, status, location, body }
    }
}

pub(super) fn any_used() -> impl Strategy<Value = UsedV1> {
    any::<i64>().prop_map(|day| UsedV1 { day })
}

pub(super) fn any_past() -> impl Strategy<Value = PastV1> {
    any_text().prop_map(|entry| PastV1 { entry })
}

pub(super) fn any_probe() -> impl Strategy<Value = ProbeV1> {
    any::<(u32, u64)>().prop_map(|(node, beat)| ProbeV1 { node, beat })
}

pub(super) fn any_mapping() -> impl Strategy<Value = MappingV1> {
    (any_text(), any_text()).prop_map(|(name, json)| MappingV1 { name, json })
}

prop_compose! {
    fn any_row_error()(
        row in any::<u64>(),
        (column, value) in (any_text(), any_text()),
        (code, message) in (any_text(), any_text()),
    ) -> RowErrorV1 {
        RowErrorV1 { row, column, value, code, message }
    }
}

prop_compose! {
    pub(super) fn any_import()(
        id in any::<[u8; 16]>(),
        (market, kind, mode, state) in (any_text(), any_text(), any_text(), any_text()),
        (started, kept_until) in any::<(i64, i64)>(),
        counts in any::<[u64; 8]>(),
        errors in vec(any_row_error(), 0..3),
        all_errors in of(any::<[u8; 32]>()),
        warnings in vec((any_text(), any_text(), any::<u64>()), 0..3),
        harms in vec((any_text(), any_text()), 0..3),
        (revision, base) in any::<(Option<u64>, (u64, u32))>(),
        upload in vec(any::<[u8; 32]>(), 0..3),
    ) -> ImportV1 {
        let [took_ms, rows, added, changed, removed, unchanged, rejected, n_errors] = counts;
        ImportV1 {
            id, market, kind, mode, state, started, took_ms, rows, added, changed, removed,
            unchanged, rejected, errors, n_errors, all_errors, warnings, harms, revision, upload,
            kept_until, base,
        }
    }
}
