//! One record of each kind without and one with everything optional, the same for ever.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::access::key::{KeyDigest, KeyRecord, KeyTerms};
use crate::access::principal::{Actor, Grant, MarketScope, Principal, Role};
use crate::catalogue::market::{Market, MarketDraft};
use crate::catalogue::product::{
    AttributeTexts, CategoryEdit, CategoryRecord, FeedOperation, ProductEdit, ProductFields,
    ProductRecord, VariantEdit, VariantRecord,
};
use crate::domain::boost::BoostLevel;
use crate::domain::category::CategoryId;
use crate::domain::id::{
    GroupKey, KeyId, MarketId, ProductKey, PromotionId, SellerKey, VariantKey,
};
use crate::domain::metric::Metric;
use crate::domain::money::{Minor, Percent};
use crate::domain::number::Score;
use crate::domain::time::{GivenTime, Period, Timestamp, Zone};
use crate::predicate::rule::{Attr, Op};
use crate::predicate::written::{WrittenMatcher, WrittenRule};
use crate::promotion::epoch::{Epoch, Plan, Settings};
use crate::promotion::terms::{Kind, Promotion, Restriction, Terms};
use crate::record::access::KeyV1;
use crate::record::catalogue::{CategoryV1, ManifestV1, OperationV1, ProductV1};
use crate::record::desk::{AnswerV1, AuditV1, CalendarV1, MetaV1, PastV1, ProbeV1, UsedV1};
use crate::record::import::{ImportV1, MappingV1, RowErrorV1};
use crate::record::market::{DeclaredV1, GoodsV1, MarketV1};
use crate::record::promotion::PromotionV1;
use crate::selection::definition::{Selection, SelectionDraft};
use crate::store::codec;

#[expect(clippy::unnecessary_wraps, reason = "samples fill optional fields")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn texts(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// `[n, n + 1, …]`
pub(super) fn bytes<const N: usize>(n: u8) -> [u8; N] {
    let mut next = n;
    [(); N].map(|()| {
        next = next.wrapping_add(1);
        next.wrapping_sub(1)
    })
}

pub(super) fn metas() -> [MetaV1; 2] {
    let meta = |created, test_clock| MetaV1 {
        created,
        split_key: bytes(0),
        ticket_key: bytes(16),
        cursor_key: bytes(32),
        hash_key: bytes(48),
        test_clock,
    };
    [meta(0, false), meta(1_767_225_600_250, true)]
}

pub(super) fn calendars() -> [CalendarV1; 2] {
    let full = CalendarV1 {
        changes: 513,
        bookings: 97,
        places: 5_000,
    };
    [CalendarV1::default(), full]
}

pub(super) fn mappings() -> [MappingV1; 2] {
    let mapping = |name: &str, json: &str| MappingV1 {
        name: name.to_owned(),
        json: json.to_owned(),
    };
    [
        mapping("a", "{}"),
        mapping("Röd", r#"{"columns":{"variant":"ArtNr"}}"#),
    ]
}

pub(super) fn days_of_use() -> [UsedV1; 2] {
    [
        UsedV1 { day: 0 },
        UsedV1 {
            day: 1_767_225_600_000,
        },
    ]
}

pub(super) fn pasts() -> [PastV1; 2] {
    let past = |entry: &str| PastV1 {
        entry: entry.to_owned(),
    };
    [past(""), past("audit.019b769fe400.0badcafe")]
}

pub(super) fn probes() -> [ProbeV1; 2] {
    [ProbeV1 { node: 0, beat: 0 }, ProbeV1 { node: 7, beat: 513 }]
}

pub(super) fn markets() -> [MarketV1; 2] {
    let bare = MarketDraft {
        market: some("se"),
        name: some("Sweden"),
        currency: some("SEK"),
        time_zone: some("Europe/Stockholm"),
        ..MarketDraft::default()
    };
    let full = MarketDraft {
        country: some("SE"),
        locales: texts("sv-SE en"),
        price_basis: some("tax-exclusive"),
        search_attributes: texts("brand color"),
        cross_market_attribute: some("ean"),
        display_source: some("events"),
        share_shown_percent: some("75.5"),
        handpick_import_max: Some(900),
        vanished_percent_max: some("10"),
        sold_out_percent_max: some("30"),
        ..bare.clone()
    };
    let declared = |attr: &str, kind: &str, flag| DeclaredV1 {
        attr: attr.to_owned(),
        kind: kind.to_owned(),
        variant_level: flag,
        multi: !flag,
        facet: flag,
        search: !flag,
    };
    let goods = GoodsV1 {
        generation: 3,
        manifest: Some(bytes(1)),
        deltas: vec![bytes(33), bytes(65)],
        attributes: vec![
            declared("brand", "text", false),
            declared("ean", "number", true),
        ],
    };
    let stored = |draft, goods| MarketV1::new(&Market::read(draft).unwrap(), goods);
    [stored(&bare, GoodsV1::default()), stored(&full, goods)]
}

fn rule(op: Op, attr: &str, matcher: WrittenMatcher) -> WrittenRule {
    WrittenRule {
        op,
        attr: Attr::parse(attr).unwrap(),
        matcher,
    }
}

/// One rule of each matcher, with each bound given and not.
fn rules() -> Vec<WrittenRule> {
    use WrittenMatcher::{AgeDays, Exists, In, Prefix, Range};
    vec![
        rule(Op::Include, "brand", In(vec!["Nord".into(), "Vela".into()])),
        rule(
            Op::Include,
            "price",
            Range {
                min: Some("40.00".into()),
                max: None,
            },
        ),
        rule(
            Op::Exclude,
            "stock",
            Range {
                min: None,
                max: Some("0".into()),
            },
        ),
        rule(Op::Include, "color", Exists(true)),
        rule(Op::Exclude, "title", Prefix("Rain".into())),
        rule(
            Op::Include,
            "released",
            AgeDays {
                min: None,
                max: Some(21),
            },
        ),
        rule(
            Op::Exclude,
            "released",
            AgeDays {
                min: Some(3),
                max: None,
            },
        ),
    ]
}

pub(super) fn promotions() -> [PromotionV1; 2] {
    [bare_terms(), full_terms()].map(|terms| PromotionV1::from(&Promotion::new(terms).unwrap()))
}

fn bare_terms() -> Terms {
    let start = GivenTime::parse("2027-10-01T06:00:00+02:00").unwrap();
    let end = GivenTime::parse("2027-10-31T06:00:00+01:00").unwrap();
    Terms {
        id: PromotionId(bytes(0)),
        kind: Kind::Demotion,
        level: BoostLevel::Demoted,
        name: "x".to_owned(),
        markets: vec![MarketId::parse("se").unwrap()],
        period: Period::new(start.as_start(None).unwrap(), end.as_end(None).unwrap()).unwrap(),
        start,
        end,
        time_zone: None,
        zone: None,
        selection: Selection::default(),
        restriction: Restriction::default(),
        epochs: Vec::new(),
        suspended: false,
        archived: false,
        note: None,
        created_by: String::new(),
        created_at: Timestamp(0),
    }
}

fn full_terms() -> Terms {
    let selection = SelectionDraft {
        handpicked: texts("P1 P2"),
        handpicked_cross_market: texts("7310500000019"),
        blocked: texts("P3"),
        rule_sets: vec![rules().into_iter().map(Ok).collect(), Vec::new()],
    };
    let epoch = |number, closed| Epoch {
        number,
        salt: 0x0123_4567_89ab_cdef,
        settings: Settings {
            share_shown: Percent::from_basis_points(8_000).unwrap(),
            primary_metric: Metric::RevenuePerDisplay,
            plan: Plan::Anytime,
            aa: number == 2,
        },
        opened: Timestamp(1_000 * i64::from(number)),
        closed,
    };
    let berlin = Some(Zone::parse("Europe/Berlin").unwrap());
    let start = GivenTime::parse("2027-10-01").unwrap();
    let end = GivenTime::parse("2027-10-30").unwrap();
    let first = start.as_start(berlin.as_ref()).unwrap();
    let last = end.as_end(berlin.as_ref()).unwrap();
    let mark = |key: &str| CategoryId::parse(key).unwrap();
    Terms {
        kind: Kind::Promotion,
        level: BoostLevel::Medium,
        name: "Warm week".to_owned(),
        markets: ["se", "no"]
            .map(|key| MarketId::parse(key).unwrap())
            .to_vec(),
        start,
        end,
        time_zone: berlin.clone(),
        zone: berlin,
        period: Period::new(first, last).unwrap(),
        selection: Selection::new(selection).unwrap(),
        restriction: Restriction {
            include: vec![mark("coats")],
            exclude: vec![mark("s:sale")],
        },
        epochs: vec![epoch(1, Some(Timestamp(1_500))), epoch(2, None)],
        suspended: true,
        archived: true,
        note: some("Two\nlines"),
        created_by: "key_00000000000000000000000000".to_owned(),
        created_at: Timestamp(1_767_225_600_250),
        ..bare_terms()
    }
}

pub(super) fn keys() -> [KeyV1; 2] {
    let id = KeyId(bytes(0));
    let bare = Principal {
        by: Actor::Key(id),
        roles: BTreeSet::from([Role::StorefrontPublic]),
        markets: MarketScope::All,
        sellers: BTreeSet::new(),
        grants: BTreeSet::new(),
        origins: Vec::new(),
        rate: None,
        expires: None,
    };
    let markets = ["se", "no"].map(|key| MarketId::parse(key).unwrap());
    let full = Principal {
        roles: Role::ALL[1..].iter().map(|(role, ..)| *role).collect(),
        markets: MarketScope::Only(markets.into()),
        sellers: BTreeSet::from([SellerKey::parse("fjord").unwrap()]),
        grants: Grant::ALL.iter().map(|(grant, _)| *grant).collect(),
        origins: vec!["https://shop.example:8443".to_owned(), "*".to_owned()],
        rate: Some(4_000),
        expires: Some(Timestamp(1_798_761_600_000)),
        ..bare.clone()
    };
    let bare = KeyTerms {
        id,
        name: "x".to_owned(),
        principal: Arc::new(bare),
        digests: vec![(KeyDigest(bytes(7)), None)],
        created: Timestamp(0),
        created_by: String::new(),
    };
    let full = KeyTerms {
        name: "Shop server".to_owned(),
        principal: Arc::new(full),
        digests: vec![
            (KeyDigest(bytes(7)), None),
            (KeyDigest(bytes(99)), Some(Timestamp(1_767_312_000_250))),
        ],
        created: Timestamp(1_767_225_600_250),
        created_by: "system".to_owned(),
        ..bare.clone()
    };
    [bare, full].map(|terms| KeyV1::from(&KeyRecord::new(terms).unwrap()))
}

pub(super) fn audits() -> [AuditV1; 2] {
    let bare = AuditV1 {
        at: 0,
        actor: String::new(),
        address: None,
        action: String::new(),
        object: String::new(),
        before: None,
        after: None,
        version: None,
        schema: 0,
        refused: None,
    };
    let full = AuditV1 {
        at: 1_767_225_600_250,
        actor: "system".to_owned(),
        address: some("192.0.2.1"),
        action: "promotion.create".to_owned(),
        object: "promo.prm_00000000000000000000000000".to_owned(),
        before: Some(bytes(1)),
        after: Some(bytes(33)),
        version: Some(vec![1, 2, 3]),
        schema: 1,
        refused: some("market-full"),
    };
    [bare, full]
}

pub(super) fn answers() -> [AnswerV1; 2] {
    let answer = |status, location, body| AnswerV1 {
        at: 1_767_225_600_250,
        request: bytes(9),
        status,
        location,
        body,
    };
    let location = some("/v1/promotions/prm_00000000000000000000000000");
    [
        answer(204, None, None),
        answer(201, location, Some(b"{}".to_vec())),
    ]
}

pub(super) fn imports() -> [ImportV1; 2] {
    let bare = ImportV1 {
        id: bytes(0),
        market: "se".to_owned(),
        kind: "catalogue".to_owned(),
        mode: "full".to_owned(),
        state: "applied".to_owned(),
        started: 0,
        took_ms: 0,
        rows: 0,
        added: 0,
        changed: 0,
        removed: 0,
        unchanged: 0,
        rejected: 0,
        errors: Vec::new(),
        n_errors: 0,
        all_errors: None,
        warnings: Vec::new(),
        harms: Vec::new(),
        revision: None,
        upload: Vec::new(),
        kept_until: 0,
        base: (0, 0),
    };
    let error = RowErrorV1 {
        row: 7,
        column: "list_price".to_owned(),
        value: "1,5".to_owned(),
        code: "bad-format".to_owned(),
        message: "expected a decimal amount".to_owned(),
    };
    let full = ImportV1 {
        state: "refused".to_owned(),
        started: 1_767_225_600_250,
        took_ms: 1,
        rows: 2,
        added: 3,
        changed: 4,
        removed: 5,
        unchanged: 6,
        rejected: 7,
        errors: vec![error],
        n_errors: 8,
        all_errors: Some(bytes(1)),
        warnings: vec![("no-list-price".to_owned(), "never priced".to_owned(), 9)],
        harms: vec![("vanished".to_owned(), "21 % of products".to_owned())],
        revision: Some(18_342),
        upload: vec![bytes(33), bytes(65)],
        kept_until: 1_767_312_000_250,
        base: (10, 11),
        ..bare.clone()
    };
    [bare, full]
}

fn attributes(attr: &str, own: &[&str]) -> Vec<AttributeTexts> {
    let texts = own.iter().map(|text| Arc::from(*text)).collect();
    vec![AttributeTexts {
        attr: Attr::parse(attr).unwrap(),
        texts,
    }]
}

fn bare_variant(key: &str) -> VariantRecord {
    VariantRecord {
        key: VariantKey::parse(key).unwrap(),
        list_price: None,
        sale_price: None,
        cost: None,
        stock: None,
        score: None,
        weight_g: None,
        attributes: Vec::new(),
    }
}

fn full_variant(key: &str) -> VariantRecord {
    VariantRecord {
        list_price: Some(Minor(229_000)),
        sale_price: Some(Minor(213_575)),
        cost: Some(Minor(-1)),
        stock: Some(14),
        score: Some(Score::parse("-41.75").unwrap()),
        weight_g: Some(640),
        attributes: attributes("size", &["L", "XL"]),
        ..bare_variant(key)
    }
}

fn products() -> Vec<ProductRecord> {
    let bare = ProductRecord {
        key: ProductKey::parse("P1").unwrap(),
        group: None,
        seller: None,
        categories: Vec::new(),
        score: None,
        attributes: Vec::new(),
        variants: vec![bare_variant("P1")],
    };
    let full = ProductRecord {
        key: ProductKey::parse("P2").unwrap(),
        group: Some(GroupKey::parse("G").unwrap()),
        seller: Some(SellerKey::parse("fjord").unwrap()),
        categories: vec![CategoryId::parse("jackets").unwrap()],
        score: Some(Score::parse("999999999999999999").unwrap()),
        attributes: attributes("title", &["Röd jacka"]),
        variants: vec![full_variant("P2-L"), bare_variant("P2-XL")],
    };
    vec![bare, full]
}

fn nodes() -> Vec<CategoryRecord> {
    let id = |key: &str| CategoryId::parse(key).unwrap();
    let bare = CategoryRecord {
        id: id("a"),
        name: None,
        parents: Vec::new(),
    };
    let full = CategoryRecord {
        id: id("t:b"),
        name: some("B"),
        parents: vec![id("a")],
    };
    vec![bare, full]
}

/// Every operation, each optional part absent, cleared and set.
fn operations() -> Vec<FeedOperation> {
    use FeedOperation as Is;
    let product = ProductKey::parse("P2").unwrap();
    let variant = VariantKey::parse("P2-L").unwrap();
    let category = CategoryId::parse("t:b").unwrap();
    let [bare_product, full_product] = products().try_into().unwrap();
    let [bare_node, full_node] = nodes().try_into().unwrap();
    let fields = ProductFields {
        group: full_product.group.clone(),
        seller: full_product.seller.clone(),
        categories: full_product.categories.clone(),
        attributes: full_product.attributes.clone(),
    };
    let mut all: Vec<_> = [bare_product, full_product].map(Is::ReplaceProduct).into();
    let flat = [
        (None, None),
        (Some(product.clone()), Some(ProductFields::default())),
    ];
    let flat = flat
        .into_iter()
        .chain([(Some(product.clone()), Some(fields))]);
    all.extend(flat.map(|(product, product_fields)| Is::ReplaceVariant {
        product,
        product_fields,
        variant: full_variant("P2-L"),
    }));
    for edit in product_edits() {
        all.push(Is::EditProduct {
            product: product.clone(),
            edit,
        });
    }
    for edit in variant_edits() {
        all.push(Is::EditVariant {
            variant: variant.clone(),
            edit,
        });
    }
    all.extend([
        Is::DeleteProduct(product),
        Is::DeleteVariant(variant.clone()),
    ]);
    all.extend([bare_node.clone(), full_node.clone()].map(Is::ReplaceCategory));
    all.extend([bare_node, full_node].map(Is::MentionCategory));
    let named = CategoryEdit {
        name: Some(some("B")),
        parents: Some(vec![category.clone()]),
    };
    let unnamed = CategoryEdit {
        name: Some(None),
        parents: Some(Vec::new()),
    };
    for edit in [CategoryEdit::default(), named, unnamed] {
        all.push(Is::EditCategory {
            category: category.clone(),
            edit,
        });
    }
    all.push(Is::DeleteCategory(category));
    for score in [None, Some(Score::from_integer(7))] {
        all.push(Is::SetScore {
            variant: variant.clone(),
            score,
        });
    }
    all
}

fn product_edits() -> [ProductEdit; 3] {
    let [_, full] = products().try_into().unwrap();
    let set = ProductEdit {
        group: Some(full.group),
        seller: Some(full.seller),
        categories: Some(full.categories),
        score: Some(full.score),
        attributes: attributes("title", &[]),
    };
    let cleared = ProductEdit {
        group: Some(None),
        seller: Some(None),
        score: Some(None),
        ..ProductEdit::default()
    };
    [ProductEdit::default(), cleared, set]
}

fn variant_edits() -> [VariantEdit; 3] {
    let edit = |own: VariantRecord| VariantEdit {
        list_price: Some(own.list_price),
        sale_price: Some(own.sale_price),
        cost: Some(own.cost),
        stock: Some(own.stock),
        score: Some(own.score),
        weight_g: Some(own.weight_g),
        attributes: own.attributes,
    };
    [
        VariantEdit::default(),
        edit(bare_variant("P2-L")),
        edit(full_variant("P2-L")),
    ]
}

/// Contents of chunks by what they hold.
pub(super) fn chunks() -> [(&'static str, Vec<u8>); 4] {
    let products: Vec<ProductV1> = products().iter().map(Into::into).collect();
    let nodes: Vec<CategoryV1> = nodes().iter().map(Into::into).collect();
    let operations: Vec<OperationV1> = operations().iter().map(Into::into).collect();
    let manifest = ManifestV1 {
        products: vec![(bytes(1), 2), (bytes(33), 1_024)],
        categories: vec![(bytes(65), 3)],
    };
    [
        ("products", codec::encode_chunk(&products).unwrap()),
        ("categories", codec::encode_chunk(&nodes).unwrap()),
        ("operations", codec::encode_chunk(&operations).unwrap()),
        ("manifest", codec::encode_chunk(&manifest).unwrap()),
    ]
}

/// Whether a chunk of that name holds what its name says, and is written the same again.
pub(super) fn opens(name: &str, content: &[u8]) -> bool {
    match name {
        "products-1" => {
            let stored: Vec<ProductV1> = codec::decode_chunk(content).unwrap();
            let again = codec::encode_chunk(&stored).unwrap();
            again == content
                && stored
                    .into_iter()
                    .all(|form| ProductRecord::try_from(form).is_ok())
        }
        "categories-1" => {
            let stored: Vec<CategoryV1> = codec::decode_chunk(content).unwrap();
            let again = codec::encode_chunk(&stored).unwrap();
            again == content
                && stored
                    .into_iter()
                    .all(|form| CategoryRecord::try_from(form).is_ok())
        }
        "operations-1" => {
            let stored: Vec<OperationV1> = codec::decode_chunk(content).unwrap();
            let again = codec::encode_chunk(&stored).unwrap();
            again == content
                && stored
                    .into_iter()
                    .all(|form| FeedOperation::try_from(form).is_ok())
        }
        "manifest-1" => {
            let stored: ManifestV1 = codec::decode_chunk(content).unwrap();
            codec::encode_chunk(&stored).unwrap() == content
        }
        _ => false,
    }
}
