//! Promotions and demotions as a list.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use hyper::Uri;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::merchandiser::promotion::PromotionRow;
use crate::api::wire::fields::Fields;
use crate::api::wire::list::{List, Window, WindowParams};
use crate::api::wire::{query, scalar};
use crate::domain::complaint::Fault;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::limits::ACTIVE_PER_MARKET_MAX;
use crate::domain::text::caseless;
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::promotions::PromotionFilter;
use crate::engine::snapshot::Held;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::promotion::state::State as PromotionState;
use crate::promotion::terms::{Kind, Promotion};

/// Which promotions to list, and in which order.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PromotionParams {
    /// Only those of this market.
    pub market: Option<String>,
    /// `scheduled`, `active`, `suspended`, `ended` or `archived`; archived ones only if asked for.
    pub state: Option<String>,
    /// `promotion` or `demotion`.
    pub kind: Option<String>,
    /// Only those whose name holds this text.
    pub q: Option<String>,
    /// Only measured, or only unmeasured ones.
    pub measured: Option<bool>,
    /// Only those active at this instant.
    pub active_at: Option<String>,
    /// `id`, the default, `name`, `start` or `end`, with `:asc` or `:desc` behind it.
    pub sort: Option<String>,
}

/// A page of promotions under the head of the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotionListing {
    /// Promotions and demotions active now, by market.
    active: BTreeMap<String, usize>,
    /// Most that may be active at once in a market.
    limit: usize,
    items: Vec<PromotionRow>,
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(list_promotions))
        .route_layer(Route::desk())
}

/// List promotions and demotions
///
/// Rows are promotions without selection, categories and counts; the head tells how many are active
/// in each of the caller's markets.
#[utoipa::path(
    get, path = "/v1/promotions", tag = "merchandiser",
    params(PromotionParams, WindowParams),
    responses((status = 200, description = "A page of promotions", body = PromotionListing)),
    extensions(("x-problems" = json!(["bad-cursor", "market-forbidden"]))),
)]
async fn list_promotions(
    State(engine): State<Engine>,
    caller: Caller,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let (window, filter, sort) = query::read(&members, read_choice)?;
    let list = List::new(&engine, &uri, &members);
    let after = list
        .after(&window)?
        .map(|place| Place::parse(&place))
        .transpose()?;
    let found = engine.promotions(&caller.principal, &filter)?;
    let sorted = sort.order(found.into_iter().map(|(held, _)| held));
    let is_behind = |place: &Place| {
        after
            .as_ref()
            .is_none_or(|after| sort.is_before(after, place))
    };
    let page = window.cut(sorted.into_iter().filter(|(place, _)| is_behind(place)));
    let next_cursor = page
        .last_if_more()
        .map(|(place, _)| list.cursor(&place.to_string()));
    let held = page.items.into_iter().map(|(_, held)| held).collect();
    let views = engine.promotion_views(held).await?;
    let active = engine.n_active(&caller.principal).into_iter();
    let listing = PromotionListing {
        active: active.map(|(market, n)| (market.to_string(), n)).collect(),
        limit: ACTIVE_PER_MARKET_MAX,
        items: views
            .iter()
            .map(|(view, at)| PromotionRow::of(view, at.0))
            .collect(),
        next_cursor,
    };
    Ok(list.answer_with(&listing, listing.next_cursor.as_deref()))
}

fn read_choice(fields: &mut Fields<'_>) -> (Window, PromotionFilter, Sort) {
    let q = fields.scalar("q", scalar::text);
    let filter = PromotionFilter {
        market: fields.scalar("market", scalar::parsed(MarketId::parse)),
        state: fields.scalar("state", scalar::parsed(PromotionState::parse)),
        kind: fields.scalar("kind", scalar::parsed(Kind::parse)),
        q: q.map(caseless),
        measured: fields.scalar("measured", query::flag),
        active_at: fields.scalar("active_at", scalar::parsed(Timestamp::parse)),
    };
    let sort = fields.scalar("sort", scalar::parsed(Sort::parse));
    (Window::read(fields), filter, sort.unwrap_or_default())
}

/// The order of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sort {
    by: By,
    descending: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    #[default]
    Id,
    Name,
    Start,
    End,
}

/// Where a promotion stands in the order: ids ascend with creation and break every tie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Sorts as text as it sorts by meaning.
    key: String,
    id: PromotionId,
}

impl Sort {
    fn parse(text: &str) -> Result<Self, Fault> {
        let known = ["id", "name", "start", "end"];
        let (name, direction) = text.split_once(':').unwrap_or((text, "asc"));
        let by = match name {
            "id" => By::Id,
            "name" => By::Name,
            "start" => By::Start,
            "end" => By::End,
            _ => return Err(Fault::unknown_value(name, &known)),
        };
        match direction {
            "asc" | "desc" => Ok(Self {
                by,
                descending: direction == "desc",
            }),
            _ => Err(Fault::unknown_value(direction, &["asc", "desc"])),
        }
    }

    fn order(self, held: impl Iterator<Item = Held<Promotion>>) -> Vec<(Place, Held<Promotion>)> {
        let mut placed: Vec<_> = held.map(|held| (self.place(&held.value), held)).collect();
        placed.sort_by(|(left, _), (right, _)| left.cmp(right));
        if self.descending {
            placed.reverse();
        }
        placed
    }

    fn place(self, promotion: &Promotion) -> Place {
        let key = match self.by {
            By::Id => String::new(),
            By::Name => promotion.caseless_name(),
            By::Start => promotion.period.start().to_string(),
            By::End => promotion.period.end().to_string(),
        };
        Place {
            key,
            id: promotion.id,
        }
    }

    fn is_before(self, one: &Place, other: &Place) -> bool {
        if self.descending {
            other < one
        } else {
            one < other
        }
    }
}

impl Place {
    /// Reads what a cursor holds.
    fn parse(text: &str) -> Result<Self, EngineError> {
        let (id, key) = text.split_once(' ').ok_or(EngineError::BadCursor)?;
        let id = PromotionId::parse(id).map_err(|_| EngineError::BadCursor)?;
        Ok(Self {
            key: key.to_owned(),
            id,
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_from_cursors() {
        let place = Place {
            key: "warm week ".to_owned(),
            id: PromotionId([7; 16]),
        };
        assert_eq!(Place::parse(&place.to_string()).unwrap(), place);
        assert!(Place::parse("warm week").is_err());
    }

    #[test]
    fn sorts_are_a_field_and_a_direction() {
        let by_name = Sort {
            by: By::Name,
            descending: true,
        };
        assert_eq!(Sort::parse("name:desc"), Ok(by_name));
        assert_eq!(Sort::parse("start:asc"), Sort::parse("start"));
        assert_eq!(
            Sort::parse("nmae").unwrap_err().did_you_mean(),
            Some("name")
        );
        assert_eq!(Sort::parse("name:up").unwrap_err().code(), "unknown-value");
    }
}
