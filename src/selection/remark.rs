//! What lint says, as data and in words.

use crate::catalogue::Catalogue;
use crate::domain::id::MarketId;

/// What a remark is about; spelled on the wire as in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LintCode {
    /// Two includes of one set ask for values of the same attribute.
    IncludeSameAttribute,
    /// An exclude stands before an include.
    ExcludeBeforeInclude,
    /// A rule set asks nothing about stock.
    NoInStockRule,
    /// The first rule after which a set is empty.
    EmptyAfterRule,
    /// Nothing is selected.
    Empty,
    /// One of the markets lacks the attribute, so that the rule matches nothing there.
    UnknownAttribute,
    /// One of the markets cannot read the rule any more, so that it matches nothing there; spelled
    /// as the field code that says why.
    Unreadable(&'static str),
    /// No variant has the value.
    UnknownValue,
    /// No market has the product.
    UnknownHandpick,
    /// A market has no product for the cross-market key.
    CrossKeyUnmatched,
    /// A product is blocked by its key and picked by a cross-market key; the pick wins.
    BlockedButHandpicked,
    /// Everything selected is out of stock.
    SoldOut,
    /// No selected variant lies in a category that the promotion is restricted to.
    CategoriesWithoutSelection,
    /// No variant at all lies in a marked category.
    CategoryWithoutVariant,
    /// Categories are reached over an include and an exclude, so that the promotion is off there.
    CategoryPathsDisagree,
    /// Nobody will know whether it helped.
    Unmeasured,
    /// It shares variants with other promotions.
    Overlaps,
    /// Many promotions are active at once.
    ManyActive,
    /// Its end is past.
    AlreadyEnded,
}

impl LintCode {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IncludeSameAttribute => "include-same-attribute",
            Self::ExcludeBeforeInclude => "exclude-before-include",
            Self::NoInStockRule => "no-in-stock-rule",
            Self::EmptyAfterRule => "empty-after-rule",
            Self::Empty => "empty",
            Self::UnknownAttribute => "unknown-attribute",
            Self::Unreadable(field_code) => field_code,
            Self::UnknownValue => "unknown-value",
            Self::UnknownHandpick => "unknown-handpick",
            Self::CrossKeyUnmatched => "cross-key-unmatched",
            Self::BlockedButHandpicked => "blocked-but-handpicked",
            Self::SoldOut => "sold-out",
            Self::CategoriesWithoutSelection => "categories-without-selection",
            Self::CategoryWithoutVariant => "category-without-variant",
            Self::CategoryPathsDisagree => "category-paths-disagree",
            Self::Unmeasured => "unmeasured",
            Self::Overlaps => "overlaps",
            Self::ManyActive => "many-active",
            Self::AlreadyEnded => "already-ended",
        }
    }

    /// What that means, to the merchandiser.
    pub fn words(self) -> &'static str {
        match self {
            Self::IncludeSameAttribute => {
                "two includes ask for the same attribute, and only what fits both is selected: \
                 put all values into one rule"
            }
            Self::ExcludeBeforeInclude => "includes read better before excludes",
            Self::NoInStockRule => "no rule asks for stock, so sold out goods are lifted as well",
            Self::EmptyAfterRule => "nothing is left after this rule",
            Self::Empty => "nothing is selected",
            Self::UnknownAttribute => "there is no such attribute, so this rule matches nothing",
            Self::Unreadable(_) => "this rule no longer fits its attribute, so it matches nothing",
            Self::UnknownValue => "no variant has this value",
            Self::UnknownHandpick => "no market has this product",
            Self::CrossKeyUnmatched => "no product has this cross-market key",
            Self::BlockedButHandpicked => {
                "blocked by its key and picked by a cross-market key: the pick wins"
            }
            Self::SoldOut => "everything selected is out of stock",
            Self::CategoriesWithoutSelection => "nothing that is selected lies in this category",
            Self::CategoryWithoutVariant => "no variant lies in this category",
            Self::CategoryPathsDisagree => {
                "categories below both an include and an exclude do not get the promotion"
            }
            Self::Unmeasured => "not measured, so nobody will know whether it helped",
            Self::Overlaps => "shares variants with other promotions",
            Self::ManyActive => "many are active at once, so results are hard to foresee",
            Self::AlreadyEnded => "its end is past",
        }
    }
}

/// One remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// What it is about.
    pub code: LintCode,
    /// JSON pointer into the selection, or into whatever holds it.
    pub pointer: String,
    /// The market concerned, if it is not all of them.
    pub market: Option<MarketId>,
    /// Figures by name, for example `variants`.
    pub counts: Vec<(&'static str, u32)>,
    /// The nearest thing that would have been right, where one is near.
    pub did_you_mean: Option<String>,
}

impl Lint {
    /// A remark on all markets.
    pub fn new(code: LintCode, pointer: impl Into<String>) -> Self {
        Self {
            code,
            pointer: pointer.into(),
            market: None,
            counts: Vec::new(),
            did_you_mean: None,
        }
    }

    /// The remark about one market.
    #[must_use]
    pub fn in_market(mut self, catalogue: &Catalogue) -> Self {
        self.market = Some(catalogue.market().id.clone());
        self
    }

    /// The remark with one more figure.
    #[must_use]
    pub fn with(mut self, name: &'static str, count: u32) -> Self {
        self.counts.push((name, count));
        self
    }

    /// The remark seen from a document that holds the selection at `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}
