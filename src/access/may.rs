//! The one decision about who may do what.

use crate::access::principal::{Grant, MarketScope, Principal, Role};
use crate::domain::id::MarketId;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Get a page.
    Rank,
    /// Be told why.
    Explain,
    /// Rank at another instant or with forced arms.
    RankAt,
    /// Tell what shoppers did.
    SendEvents,
    /// Read markets, attributes, categories, variants.
    ReadCatalogue,
    /// Feed products, categories or scores; store mappings; redeclare attributes.
    Import,
    /// Read imports and their errors.
    ReadImports,
    /// Create or change a market.
    WriteMarkets,
    /// Read promotions, what they hold, previews.
    ReadPromotions,
    /// Create, change, stop promotions.
    WritePromotions,
    /// Make, list, revoke keys.
    ManageKeys,
    /// Move the test clock.
    MoveClock,
    /// Read the audit.
    ReadAudit,
    /// Write backups and exports of the store.
    Backup,
    /// Read metrics and status.
    Watch,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 15] = [
        Self::Rank,
        Self::Explain,
        Self::RankAt,
        Self::SendEvents,
        Self::ReadCatalogue,
        Self::Import,
        Self::ReadImports,
        Self::WriteMarkets,
        Self::ReadPromotions,
        Self::WritePromotions,
        Self::ManageKeys,
        Self::MoveClock,
        Self::ReadAudit,
        Self::Backup,
        Self::Watch,
    ];

    /// Whether a role holds it, grants aside.
    fn belongs_to(self, role: Role) -> bool {
        use Role::{
            Analyst, Merchandiser, Operator, Ops, Seller, StorefrontPublic, StorefrontServer,
        };
        let holders: &[Role] = match self {
            Self::Rank => &[StorefrontPublic, StorefrontServer, Merchandiser, Operator],
            Self::SendEvents => &[StorefrontPublic, StorefrontServer, Operator],
            Self::Explain => &[StorefrontServer, Merchandiser, Operator],
            Self::RankAt | Self::WritePromotions | Self::Import | Self::ReadImports => {
                &[Merchandiser, Operator]
            }
            Self::ReadCatalogue => &[StorefrontServer, Merchandiser, Analyst, Seller, Operator],
            Self::ReadPromotions => &[Merchandiser, Analyst, Operator],
            Self::WriteMarkets
            | Self::ManageKeys
            | Self::MoveClock
            | Self::ReadAudit
            | Self::Backup => &[Operator],
            Self::Watch => &[Operator, Ops],
        };
        holders.contains(&role)
    }

    /// The grant a role needs beside holding the verb; operators hold all.
    fn grant(self) -> Option<Grant> {
        (self == Self::Import).then_some(Grant::Import)
    }
}

/// What it is to be done to.
#[derive(Clone, Copy, Debug)]
pub enum Object<'a> {
    /// Nothing that lies in a market; the verb alone decides.
    Anywhere,
    /// Something in this market.
    Market(&'a MarketId),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A role or grant is missing.
    #[error("needs {needs}")]
    NotPermitted {
        /// The role or grant that would do.
        needs: &'static str,
    },
    /// The market lies outside the caller's scope, whether or not it exists.
    #[error("market {market} is outside this key's markets")]
    MarketForbidden {
        /// The market as asked for.
        market: MarketId,
    },
}

impl Principal {
    /// Whether it may do `verb` to `object`.
    ///
    /// # Errors
    /// [`Refusal`]: the market first, so that nothing is told about what lies outside.
    pub fn may(&self, verb: Verb, object: &Object<'_>) -> Result<(), Refusal> {
        if let Object::Market(market) = object
            && !self.markets.holds(market)
        {
            return Err(Refusal::MarketForbidden {
                market: (*market).clone(),
            });
        }
        if self.is(Role::Operator) && verb.belongs_to(Role::Operator) {
            return Ok(());
        }
        if !self.roles.iter().any(|role| verb.belongs_to(*role)) {
            return Err(Refusal::NotPermitted {
                needs: least_role(verb).as_str(),
            });
        }
        match verb.grant() {
            Some(grant) if !self.grants.contains(&grant) => Err(Refusal::NotPermitted {
                needs: grant.as_str(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether it may see what goods cost the shop: the shop's own servers and those who decide
    /// about its goods may, analysts by grant, browsers and sellers never.
    ///
    /// # Errors
    /// [`Refusal`] naming what is missing.
    pub fn may_see_cost(&self) -> Result<(), Refusal> {
        let by_role = [Role::StorefrontServer, Role::Merchandiser, Role::Operator];
        let by_grant = self.is(Role::Analyst) && self.grants.contains(&Grant::Profit);
        if by_grant || by_role.into_iter().any(|role| self.is(role)) {
            return Ok(());
        }
        let needs = if self.is(Role::Analyst) {
            Grant::Profit.as_str()
        } else {
            Role::StorefrontServer.as_str()
        };
        Err(Refusal::NotPermitted { needs })
    }

    /// Whether it may hand out roles, grants and markets: only what it holds itself. An operator
    /// holds every role but `ops`, which it may hand out all the same.
    ///
    /// # Errors
    /// [`Refusal`] naming what is missing.
    pub fn may_grant(
        &self,
        roles: impl IntoIterator<Item = Role>,
        grants: impl IntoIterator<Item = Grant>,
        markets: &MarketScope,
    ) -> Result<(), Refusal> {
        let is_operator = self.is(Role::Operator);
        let lacking = roles
            .into_iter()
            .find(|role| !is_operator && !self.is(*role));
        if let Some(role) = lacking {
            return Err(Refusal::NotPermitted {
                needs: role.as_str(),
            });
        }
        let lacking = grants
            .into_iter()
            .find(|grant| !is_operator && !self.grants.contains(grant));
        if let Some(grant) = lacking {
            return Err(Refusal::NotPermitted {
                needs: grant.as_str(),
            });
        }
        if self.markets.covers(markets) {
            return Ok(());
        }
        let outside = match markets {
            MarketScope::Only(named) => named.iter().find(|market| !self.markets.holds(market)),
            MarketScope::All => None,
        };
        match outside {
            Some(market) => Err(Refusal::MarketForbidden {
                market: market.clone(),
            }),
            None => Err(Refusal::NotPermitted {
                needs: "all markets",
            }),
        }
    }
}

/// The role to ask for: the weakest one that holds the verb.
fn least_role(verb: Verb) -> Role {
    let mut holders = Role::ALL.iter().map(|(role, ..)| *role);
    holders
        .find(|role| verb.belongs_to(*role))
        .unwrap_or(Role::Operator)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn caller(role: Role, grants: &[Grant]) -> Principal {
        Principal {
            roles: BTreeSet::from([role]),
            markets: MarketScope::Only(BTreeSet::from([MarketId::parse("se").unwrap()])),
            grants: grants.iter().copied().collect(),
            ..Principal::system()
        }
    }

    /// Every verb by every role alone: `x` may, `g` may with the grant `import`, `-` may not.
    #[test]
    fn every_verb_is_decided_for_every_role() {
        let table = [
            (Verb::Rank, "xxx--x-"),
            (Verb::Explain, "-xx--x-"),
            (Verb::RankAt, "--x--x-"),
            (Verb::SendEvents, "xx---x-"),
            (Verb::ReadCatalogue, "-xxxxx-"),
            (Verb::Import, "--g--x-"),
            (Verb::ReadImports, "--x--x-"),
            (Verb::WriteMarkets, "-----x-"),
            (Verb::ReadPromotions, "--xx-x-"),
            (Verb::WritePromotions, "--x--x-"),
            (Verb::ManageKeys, "-----x-"),
            (Verb::MoveClock, "-----x-"),
            (Verb::ReadAudit, "-----x-"),
            (Verb::Backup, "-----x-"),
            (Verb::Watch, "-----xx"),
        ];
        assert_eq!(table.map(|(verb, _)| verb), Verb::ALL);
        let (se, no) = (
            MarketId::parse("se").unwrap(),
            MarketId::parse("no").unwrap(),
        );
        for (verb, columns) in table {
            for ((role, ..), expected) in Role::ALL.into_iter().zip(columns.chars()) {
                let plain = caller(role, &[]).may(verb, &Object::Market(&se)).is_ok();
                let granted = caller(role, &[Grant::Import])
                    .may(verb, &Object::Market(&se))
                    .is_ok();
                assert_eq!(
                    (plain, granted),
                    (expected == 'x', expected != '-'),
                    "{verb:?} {role:?}"
                );
                let outside = caller(role, &[Grant::Import]).may(verb, &Object::Market(&no));
                assert_eq!(
                    outside,
                    Err(Refusal::MarketForbidden { market: no.clone() })
                );
            }
        }
    }

    #[test]
    fn costs_are_for_those_who_decide_about_goods() {
        let sees = |role, grants: &[Grant]| caller(role, grants).may_see_cost().is_ok();
        let plain = Role::ALL.map(|(role, ..)| sees(role, &[]));
        assert_eq!(plain, [false, true, true, false, false, true, false]);
        let granted = Role::ALL.map(|(role, ..)| sees(role, &[Grant::Profit]));
        assert_eq!(granted, [false, true, true, true, false, true, false]);
    }

    #[test]
    fn nobody_grants_more_than_they_hold() {
        let operator = caller(Role::Operator, &[]);
        let own = operator.markets.clone();
        assert!(
            operator
                .may_grant([Role::Merchandiser], [Grant::Import], &own)
                .is_ok()
        );
        assert!(
            operator
                .may_grant([Role::Ops], [], &MarketScope::All)
                .is_err()
        );
        let merchandiser = caller(Role::Merchandiser, &[]);
        assert!(merchandiser.may_grant([Role::Operator], [], &own).is_err());
        assert!(
            merchandiser
                .may_grant([Role::Merchandiser], [Grant::Import], &own)
                .is_err()
        );
    }
}
