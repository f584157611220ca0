//! Who asks.

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::complaint::Fault;
use crate::domain::id::{KeyId, MarketId, SellerKey, UserId};
use crate::domain::time::Timestamp;

/// What kind of caller it is; roles combine, except the public one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A shopper's browser: pages and browsing events, nothing that is not on the page anyway.
    StorefrontPublic,
    /// The shop's own servers.
    StorefrontServer,
    /// Decides promotions.
    Merchandiser,
    /// Reads results.
    Analyst,
    /// Acts for one or more sellers.
    Seller,
    /// Everything in its markets.
    Operator,
    /// Watches the process.
    Ops,
}

impl Role {
    /// Every role with its spelling on the wire and its tag in keys.
    pub const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::StorefrontPublic, "storefront-public", "pub"),
        (Self::StorefrontServer, "storefront-server", "srv"),
        (Self::Merchandiser, "merchandiser", "mer"),
        (Self::Analyst, "analyst", "ana"),
        (Self::Seller, "seller", "sel"),
        (Self::Operator, "operator", "opr"),
        (Self::Ops, "ops", "ops"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name, _)| *name == text);
        found
            .map(|(role, ..)| *role)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name, _)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(role, ..)| *role == self)
            .map_or("", |(_, name, _)| name)
    }

    /// What stands in a key of this role.
    pub fn tag(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(role, ..)| *role == self)
            .map_or("", |(.., tag)| tag)
    }
}

/// An extra right beside a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// A merchandiser may feed the catalogue.
    Import,
    /// An analyst sees profit and cost.
    Profit,
    /// A seller makes cart rules without review.
    CartRules,
}

impl Grant {
    /// Every grant with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Import, "import"),
        (Self::Profit, "profit"),
        (Self::CartRules, "cart-rules"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(grant, _)| *grant)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(grant, _)| *grant == self)
            .map_or("", |(_, name)| name)
    }
}

/// Markets that a caller may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarketScope {
    /// All, also those to come.
    All,
    /// These only.
    Only(BTreeSet<MarketId>),
}

impl MarketScope {
    /// Whether `market` lies in it.
    pub fn holds(&self, market: &MarketId) -> bool {
        match self {
            Self::All => true,
            Self::Only(markets) => markets.contains(market),
        }
    }

    /// Whether every market of `other` lies in it.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(_), Self::All) => false,
            (Self::Only(own), Self::Only(others)) => others.is_subset(own),
        }
    }
}

/// Who is behind a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An API key.
    Key(KeyId),
    /// A person at the console.
    User(UserId),
    /// The process itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::User(id) => id.fmt(f),
            Self::System => f.write_str("system"),
        }
    }
}

/// A known caller and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who it is.
    pub by: Actor,
    /// What it is; at least one role.
    pub roles: BTreeSet<Role>,
    /// Where.
    pub markets: MarketScope,
    /// For whom, if it acts for sellers.
    pub sellers: BTreeSet<SellerKey>,
    /// Extra rights.
    pub grants: BTreeSet<Grant>,
    /// Web origins a public key may be used from; `*` for any.
    pub origins: Vec<String>,
    /// Calls a second it is held to, where that is not what everybody is.
    pub rate: Option<u32>,
    /// First instant at which it is no longer known.
    pub expires: Option<Timestamp>,
}

impl Principal {
    /// Whether it has the role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it is a shopper's browser.
    pub fn is_public(&self) -> bool {
        self.is(Role::StorefrontPublic)
    }

    /// Its name in audits and in `created_by`.
    pub fn actor(&self) -> String {
        self.by.to_string()
    }

    /// The process acting for itself.
    pub fn system() -> Self {
        Self {
            by: Actor::System,
            roles: BTreeSet::from([Role::Operator, Role::Ops]),
            markets: MarketScope::All,
            sellers: BTreeSet::new(),
            grants: Grant::ALL.iter().map(|(grant, _)| *grant).collect(),
            origins: Vec::new(),
            rate: None,
            expires: None,
        }
    }

    /// Whoever reaches the socket for watching: what a key of the role `ops` for all markets is.
    pub fn watcher() -> Self {
        Self {
            roles: BTreeSet::from([Role::Ops]),
            grants: BTreeSet::new(),
            ..Self::system()
        }
    }
}
