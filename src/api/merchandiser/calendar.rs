//! How full a market is over time.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, path, query, scalar};
use crate::booking::Segment;
use crate::domain::limits::ACTIVE_PER_MARKET_MAX;
use crate::domain::time::GivenTime;
use crate::engine::calendar::{MarketCalendar, WishedPeriod};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::promotion::terms::Promotion;

/// Which period to tell about.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CalendarParams {
    /// A time with offset, or a date, which begins at the market's midnight; now if absent.
    #[param(example = "2027-03-01")]
    pub from: Option<String>,
    /// A time with offset, or a date, which is inclusive; 92 days after `from` if absent.
    #[param(example = "2027-05-31")]
    pub to: Option<String>,
}

/// How full a market is.
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarBody {
    /// First instant told about.
    from: String,
    /// First instant not told about.
    to: String,
    /// Most promotions and demotions active at once.
    limit: usize,
    /// How many hold a place, in maximal stretches that cover the period.
    segments: Vec<SegmentBody>,
    /// Who holds a place somewhere inside, by start, then id.
    bars: Vec<BarBody>,
    /// First instant inside without room; null if there is room throughout.
    first_full: Option<String>,
    /// When there is room again after `first_full`.
    free_from: Option<String>,
}

/// A stretch in which the number of holders does not change.
#[derive(Debug, Serialize, ToSchema)]
pub struct SegmentBody {
    start: String,
    /// First instant behind it.
    end: String,
    count: u32,
}

/// One promotion or demotion and its whole period.
#[derive(Debug, Serialize, ToSchema)]
pub struct BarBody {
    promotion: String,
    name: String,
    /// `high`, `medium`, `low` or `demoted`.
    level: &'static str,
    start: String,
    /// First instant behind it.
    end: String,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_calendar))
        .route_layer(Route::desk())
}

/// Read the calendar of a market
///
/// How many promotions and demotions hold a place when, against the hundred that may be active at
/// once: those neither suspended nor archived, over their whole periods, as they stand now.
#[utoipa::path(
    get, path = "/v1/markets/{market}/calendar", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market"), CalendarParams),
    responses((status = 200, description = "The calendar", body = CalendarBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_calendar(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    members: Query,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let wish = query::read(&members, read)?;
    let calendar = engine.calendar(&caller.principal, &market, &wish)?;
    Ok(answer::ok(&CalendarBody::of(&calendar)))
}

fn read(fields: &mut Fields<'_>) -> WishedPeriod {
    WishedPeriod {
        from: fields.scalar("from", scalar::parsed(GivenTime::parse)),
        to: fields.scalar("to", scalar::parsed(GivenTime::parse)),
    }
}

impl CalendarBody {
    fn of(calendar: &MarketCalendar) -> Self {
        let full = calendar.full.as_ref();
        Self {
            from: calendar.period.start().to_string(),
            to: calendar.period.end().to_string(),
            limit: ACTIVE_PER_MARKET_MAX,
            segments: calendar.segments.iter().map(SegmentBody::of).collect(),
            bars: calendar
                .bars
                .iter()
                .map(|held| BarBody::of(&held.value))
                .collect(),
            first_full: full.map(|full| full.first.to_string()),
            free_from: full.map(|full| full.free_from.to_string()),
        }
    }
}

impl SegmentBody {
    fn of(segment: &Segment) -> Self {
        Self {
            start: segment.start.to_string(),
            end: segment.end.to_string(),
            count: segment.count,
        }
    }
}

impl BarBody {
    fn of(promotion: &Promotion) -> Self {
        Self {
            promotion: promotion.id.to_string(),
            name: promotion.name.clone(),
            level: promotion.level.as_str(),
            start: promotion.period.start().to_string(),
            end: promotion.period.end().to_string(),
        }
    }
}
