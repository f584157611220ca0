//! What the engine refuses, as problems.

use serde_json::{Value, json};

use crate::engine::error::{EngineError, RowError};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        let of = |code| Self::new(code, detail);
        match error {
            EngineError::Invalid(complaints) => Self::invalid(&complaints),
            EngineError::NotPermitted { needs } => of(Code::NotPermitted).with("needs", needs),
            EngineError::MarketForbidden { .. } => of(Code::MarketForbidden),
            EngineError::NotFound { what, .. } => of(Code::NotFound).with("what", what),
            EngineError::MarketFull {
                market,
                limit,
                first_full,
                free_from,
                promotions,
            } => of(Code::MarketFull)
                .with("market", market.as_str())
                .with("limit", limit)
                .with("first_full", first_full.to_string())
                .with("free_from", free_from.to_string())
                .with("promotions", promotions),
            EngineError::LimitReached { limit } => of(Code::LimitReached).with("limit", limit),
            EngineError::NameTaken { id } => of(Code::NameTaken).with("id", id),
            EngineError::WrongState { state, allowed } => of(Code::WrongState)
                .with("state", state)
                .with("allowed", allowed),
            EngineError::InUse { by } => of(Code::InUse).with("by", by),
            EngineError::ImportRunning { import } => {
                of(Code::ImportRunning).with("import", import.to_string())
            }
            EngineError::ImportHarmful { import, harms } => of(Code::ImportHarmful)
                .with("import", import.to_string())
                .with("harms", harms.iter().map(harm).collect::<Vec<Value>>()),
            EngineError::ImportInvalid {
                import,
                rows_rejected,
                errors,
            } => of(Code::ImportInvalid)
                .with("import", import.to_string())
                .with("rows_rejected", rows_rejected)
                .with(
                    "errors",
                    errors.iter().map(row_error).collect::<Vec<Value>>(),
                ),
            EngineError::BodyTooLarge { limit_bytes } => {
                Self::body_too_large(limit_bytes).closing()
            }
            EngineError::StaleRevision { current } => {
                of(Code::StaleRevision).with("current_revision", current)
            }
            EngineError::BadCursor => of(Code::BadCursor),
            EngineError::BadFeedHeader { .. } => of(Code::BadHeader),
            EngineError::SnapshotGone => of(Code::SnapshotGone),
            EngineError::ExportGone => of(Code::ExportGone),
            EngineError::IdempotencyKeyReused => of(Code::IdempotencyKeyReused),
            EngineError::IdempotencyInProgress => of(Code::IdempotencyInProgress),
            EngineError::Overloaded => of(Code::Overloaded),
            EngineError::OutcomeUnknown => of(Code::OutcomeUnknown),
            EngineError::SnapshotBehind => of(Code::SnapshotBehind),
            EngineError::StorageFull => of(Code::StorageFull),
            EngineError::EventLogFull => of(Code::EventLogFull),
            EngineError::StoreUnavailable => of(Code::StoreUnavailable),
            EngineError::GoodsDamaged { market } => {
                of(Code::StoreUnavailable).with("market", market.as_str())
            }
            EngineError::NotReady => of(Code::NotReady),
            EngineError::Internal(cause) => Self::internal(cause),
        }
    }
}

/// One harm, as every answer about imports spells it.
fn harm((code, text): &(String, String)) -> Value {
    json!({ "code": code, "text": text })
}

/// One wrong row, as every answer about imports spells it.
fn row_error(error: &RowError) -> Value {
    json!({
        "row": error.row,
        "column": error.column,
        "value": error.value,
        "code": error.code,
        "message": error.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::complaint::Fault;
    use crate::domain::id::{ImportId, MarketId};
    use crate::domain::time::Timestamp;

    /// The document's members beside those that every problem has.
    #[track_caller]
    fn check(error: EngineError, status: u16, code: &str, members: &Value) {
        let problem = Problem::from(error);
        let document: Value = serde_json::from_slice(&problem.document(None, "req_1")).unwrap();
        let Value::Object(mut own) = document else {
            unreachable!("a document is an object")
        };
        for name in ["type", "title", "status", "code", "detail", "request_id"] {
            assert!(own.remove(name).is_some(), "{name}");
        }
        assert_eq!(
            (problem.code().status(), problem.code().as_str()),
            (status, code)
        );
        assert_eq!(&Value::Object(own), members, "{code}");
    }

    fn se() -> MarketId {
        MarketId::parse("se").unwrap()
    }

    #[test]
    fn refusals_of_a_caller_or_its_input() {
        let errors = json!({ "errors": [
            { "pointer": "/name", "code": "required", "message": "is required" },
        ] });
        check(
            EngineError::Invalid(vec![Fault::Required.at("/name")]),
            422,
            "invalid",
            &errors,
        );
        let needs = json!({ "needs": "operator" });
        check(
            EngineError::NotPermitted { needs: "operator" },
            403,
            "not-permitted",
            &needs,
        );
        let forbidden = EngineError::MarketForbidden { market: se() };
        check(forbidden, 403, "market-forbidden", &json!({}));
        let missing = EngineError::NotFound {
            what: "promotion",
            id: "prm_1".to_owned(),
        };
        check(missing, 404, "not-found", &json!({ "what": "promotion" }));
        let large = EngineError::BodyTooLarge { limit_bytes: 9 };
        check(large, 413, "body-too-large", &json!({ "limit_bytes": 9 }));
    }

    #[test]
    fn refusals_by_the_state_of_things() {
        let full = EngineError::MarketFull {
            market: se(),
            limit: 100,
            first_full: Timestamp(0),
            free_from: Timestamp(1_000),
            promotions: vec!["prm_1".to_owned()],
        };
        let members = json!({
            "market": "se", "limit": 100, "first_full": "1970-01-01T00:00:00.000Z",
            "free_from": "1970-01-01T00:00:01.000Z", "promotions": ["prm_1"],
        });
        check(full, 409, "market-full", &members);
        let limit = json!({ "limit": 200 });
        check(
            EngineError::LimitReached { limit: 200 },
            409,
            "limit-reached",
            &limit,
        );
        let taken = EngineError::NameTaken {
            id: "prm_1".to_owned(),
        };
        check(taken, 409, "name-taken", &json!({ "id": "prm_1" }));
        let state = EngineError::WrongState {
            state: "ended",
            allowed: vec!["active"],
        };
        check(
            state,
            409,
            "wrong-state",
            &json!({ "state": "ended", "allowed": ["active"] }),
        );
        let damaged = EngineError::GoodsDamaged { market: se() };
        let market = json!({ "market": "se" });
        check(damaged, 503, "store-unavailable", &market);
        let used = EngineError::InUse {
            by: "orders".to_owned(),
        };
        check(used, 409, "in-use", &json!({ "by": "orders" }));
        let stale = EngineError::StaleRevision { current: 18_342 };
        check(
            stale,
            412,
            "stale-revision",
            &json!({ "current_revision": 18_342 }),
        );
    }

    #[test]
    fn refusals_of_imports() {
        let import = ImportId([0; 16]);
        let named = "imp_00000000000000000000000000";
        let running = EngineError::ImportRunning { import };
        check(running, 409, "import-running", &json!({ "import": named }));
        let harmful = EngineError::ImportHarmful {
            import,
            harms: vec![("stock-drops".to_owned(), "half is gone".to_owned())],
        };
        let harms = json!([{ "code": "stock-drops", "text": "half is gone" }]);
        let members = json!({ "import": named, "harms": harms });
        check(harmful, 409, "import-harmful", &members);
        let row = RowError {
            row: 7,
            column: "price".to_owned(),
            value: "1,x".to_owned(),
            code: "bad-format".to_owned(),
            message: "expected money".to_owned(),
        };
        let invalid = EngineError::ImportInvalid {
            import,
            rows_rejected: 1,
            errors: vec![row],
        };
        let members = json!({
            "import": named, "rows_rejected": 1,
            "errors": [{ "row": 7, "column": "price", "value": "1,x", "code": "bad-format",
                         "message": "expected money" }],
        });
        check(invalid, 422, "import-invalid", &members);
    }

    #[test]
    fn refusals_without_members() {
        for (error, status, code) in [
            (EngineError::BadCursor, 400, "bad-cursor"),
            (
                EngineError::BadFeedHeader { why: String::new() },
                400,
                "bad-header",
            ),
            (EngineError::SnapshotGone, 410, "snapshot-gone"),
            (EngineError::ExportGone, 410, "export-gone"),
            (
                EngineError::IdempotencyKeyReused,
                422,
                "idempotency-key-reused",
            ),
            (
                EngineError::IdempotencyInProgress,
                409,
                "idempotency-in-progress",
            ),
            (EngineError::Overloaded, 503, "overloaded"),
            (EngineError::OutcomeUnknown, 503, "outcome-unknown"),
            (EngineError::SnapshotBehind, 503, "snapshot-behind"),
            (EngineError::StorageFull, 507, "storage-full"),
            (EngineError::EventLogFull, 503, "event-log-full"),
            (EngineError::StoreUnavailable, 503, "store-unavailable"),
            (EngineError::NotReady, 503, "not-ready"),
            (EngineError::internal("cause"), 500, "internal"),
        ] {
            check(error, status, code, &json!({}));
        }
    }
}
