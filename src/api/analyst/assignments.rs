//! The arms of sessions, and the function that decides them.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::fields::{Fields, read_list, whole};
use crate::api::wire::{answer, path, scalar};
use crate::domain::id::{PromotionId, SessionKey};
use crate::domain::money::Percent;
use crate::engine::assignments::{Assignment, AssignmentsAsked, PROMOTIONS_MAX, SESSIONS_MAX};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Json};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::measurement::split::{Arm, Coin, FUNCTION, Share, SplitKey};

/// Which sessions.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssignmentsBody {
    /// Up to 10,000 session keys.
    #[schema(examples(json!(["s-000001", "s-000011"])))]
    session_keys: Vec<String>,
    /// Measured promotions; every one that is active if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    promotions: Option<Vec<String>>,
}

/// The arms of sessions, in the order asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssignmentsAnswer {
    items: Vec<AssignmentBody>,
}

/// The arms of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssignmentBody {
    session_key: String,
    /// Promotions that it sees, by id.
    shown: Vec<String>,
    /// Promotions that do not exist for it, by id.
    withheld: Vec<String>,
}

/// The function that splits sessions, and what it gives for known input.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssignmentFunctionBody {
    /// Its name; figures of two functions never add up.
    #[schema(examples("split-1"))]
    function: &'static str,
    /// Step by step.
    definition: &'static [&'static str],
    vectors: Vec<VectorBody>,
}

/// What the function gives for one session and salt.
#[derive(Debug, Serialize, ToSchema)]
pub struct VectorBody {
    /// 16 bytes.
    split_key: String,
    session_key: &'static str,
    /// 16 bytes: the low half, then the high one, each little endian.
    digest: String,
    /// 64 bits.
    salt: String,
    /// Percent of sessions shown.
    share_shown: String,
    /// 64 bits; below the threshold the session is shown.
    number: String,
    /// `shown` or `withheld`.
    arm: &'static str,
}

const DEFINITION: [&str; 5] = [
    "(lo, hi) = SipHash-2-4-128(split key, bytes of the session key as received)",
    "mix(z): z = (z ^ z>>30) * 0xbf58476d1ce4e5b9; z = (z ^ z>>27) * 0x94d049bb133111eb; z ^ z>>31; \
     64 bits, wrapping",
    "number = mix(mix(lo ^ salt) ^ hi)",
    "threshold = floor(share in hundredths of a percent * 2^64 / 10000)",
    "shown if number < threshold, otherwise withheld",
];

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(assign_sessions))
        .route_layer(Route::desk().unlimited())
        .merge(
            OpenApiRouter::new()
                .routes(routes!(read_assignment_function))
                .route_layer(Route::open()),
        )
}

/// Tell the arms of sessions
///
/// What ranks of the market apply now. Nothing is counted.
#[utoipa::path(
    post, path = "/v1/markets/{market}/assignments", tag = "analyst",
    params(("market" = String, Path, description = "Its key")),
    request_body = AssignmentsBody,
    responses((status = 200, description = "Arms, in the order asked", body = AssignmentsAnswer)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found"]))),
)]
async fn assign_sessions(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let arms = engine.assign_sessions(&caller.principal, &market, read(&body))?;
    let items = arms.into_iter().map(AssignmentBody::from).collect();
    Ok(answer::ok(&AssignmentsAnswer { items }))
}

/// Read the function that splits sessions
///
/// Its definition, and vectors to check another implementation against.
#[utoipa::path(
    get, path = "/v1/assignment-function", tag = "analyst", security(()),
    responses((status = 200, description = "The function", body = AssignmentFunctionBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_assignment_function() -> Response {
    answer::ok(&AssignmentFunctionBody {
        function: FUNCTION,
        definition: &DEFINITION,
        vectors: vectors(),
    })
}

fn read(body: &Value) -> AssignmentsAsked {
    let (asked, faults) = Fields::gather(body, |fields| {
        let sessions = |value| {
            read_list(
                value,
                SESSIONS_MAX,
                whole(scalar::parsed(SessionKey::parse)),
            )
        };
        let promotion = whole(scalar::parsed(PromotionId::parse));
        AssignmentsAsked {
            sessions: fields
                .need_part("session_keys", sessions)
                .unwrap_or_default(),
            promotions: fields.list("promotions", PROMOTIONS_MAX, promotion),
            faults: Vec::new(),
        }
    });
    AssignmentsAsked { faults, ..asked }
}

impl From<Assignment> for AssignmentBody {
    fn from(own: Assignment) -> Self {
        let texts = |ids: Vec<PromotionId>| ids.iter().map(ToString::to_string).collect();
        Self {
            session_key: own.session.as_str().to_owned(),
            shown: texts(own.shown),
            withheld: texts(own.withheld),
        }
    }
}

fn vectors() -> Vec<VectorBody> {
    const SESSIONS: [&str; 5] = ["s-000001", "s-000004", "s-000011", "s-000015", "Sjö-🛒-17"];
    const SALTS: [u64; 2] = [0x0123_4567_89ab_cdef, 0x9e37_79b9_7f4a_7c15];
    let bytes: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
    let key = SplitKey::new(bytes);
    let share = Percent::from_basis_points(8_000);
    let share = share.and_then(|percent| Share::new(percent).ok());
    let Some(share) = share else {
        return Vec::new();
    };
    let of_session = |session: &'static str| {
        let digest = SessionKey::parse(session).map(|parsed| key.digest(&parsed));
        digest.into_iter().flat_map(move |digest| {
            SALTS.map(|salt| {
                let coin = Coin::new(salt, share);
                VectorBody {
                    split_key: hex(bytes),
                    session_key: session,
                    digest: hex(digest.to_bytes()),
                    salt: format!("{salt:016x}"),
                    share_shown: share.percent().to_string(),
                    number: format!("{:016x}", coin.number(digest)),
                    arm: match coin.toss(digest) {
                        Arm::Shown => "shown",
                        Arm::Withheld => "withheld",
                    },
                }
            })
        })
    };
    SESSIONS.into_iter().flat_map(of_session).collect()
}

/// The bytes one after the other.
fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}
