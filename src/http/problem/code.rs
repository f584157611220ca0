//! Every code of a problem, with its status and title.
//!
//! The spellings are those of the API's specification; none is ever renamed or used for something
//! else. Some wait for the use case that will answer them.

/// What went wrong, as a program tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 400 `malformed-json`.
    MalformedJson,
    /// 400 `bad-query`.
    BadQuery,
    /// 400 `bad-header`.
    BadHeader,
    /// 400 `bad-cursor`.
    BadCursor,
    /// 401 `key-missing`.
    KeyMissing,
    /// 401 `key-unknown`.
    KeyUnknown,
    /// 401 `key-expired`.
    KeyExpired,
    /// 401 `key-in-url`.
    KeyInUrl,
    /// 401 `session-expired`.
    SessionExpired,
    /// 403 `not-permitted`.
    NotPermitted,
    /// 403 `market-forbidden`.
    MarketForbidden,
    /// 403 `origin-not-allowed`.
    OriginNotAllowed,
    /// 403 `csrf`.
    Csrf,
    /// 403 `inline-not-allowed`.
    InlineNotAllowed,
    /// 404 `not-found`.
    NotFound,
    /// 405 `method-not-allowed`.
    MethodNotAllowed,
    /// 406 `not-acceptable`.
    NotAcceptable,
    /// 409 `market-full`.
    MarketFull,
    /// 409 `limit-reached`.
    LimitReached,
    /// 409 `name-taken`.
    NameTaken,
    /// 409 `wrong-state`.
    WrongState,
    /// 409 `in-use`.
    InUse,
    /// 409 `order-exists`.
    OrderExists,
    /// 409 `price-changed`.
    PriceChanged,
    /// 409 `limit-exhausted`.
    LimitExhausted,
    /// 409 `refund-exceeds`.
    RefundExceeds,
    /// 409 `sku-overlap`.
    SkuOverlap,
    /// 409 `product-in-plan`.
    ProductInPlan,
    /// 409 `segment-taken`.
    SegmentTaken,
    /// 409 `preview-stale`.
    PreviewStale,
    /// 409 `voucher-gone`.
    VoucherGone,
    /// 409 `import-running`.
    ImportRunning,
    /// 409 `import-harmful`.
    ImportHarmful,
    /// 409 `idempotency-in-progress`.
    IdempotencyInProgress,
    /// 410 `snapshot-gone`.
    SnapshotGone,
    /// 410 `quote-expired`.
    QuoteExpired,
    /// 410 `export-gone`.
    ExportGone,
    /// 412 `stale-revision`.
    StaleRevision,
    /// 413 `body-too-large`.
    BodyTooLarge,
    /// 414 `uri-too-long`.
    UriTooLong,
    /// 415 `unsupported-media-type`.
    UnsupportedMediaType,
    /// 422 `invalid`.
    Invalid,
    /// 422 `import-invalid`.
    ImportInvalid,
    /// 422 `idempotency-key-reused`.
    IdempotencyKeyReused,
    /// 428 `precondition-required`.
    PreconditionRequired,
    /// 429 `rate-limited`.
    RateLimited,
    /// 429 `login-throttled`.
    LoginThrottled,
    /// 431 `headers-too-large`.
    HeadersTooLarge,
    /// 500 `internal`.
    Internal,
    /// 503 `not-ready`.
    NotReady,
    /// 503 `overloaded`.
    Overloaded,
    /// 503 `outcome-unknown`.
    OutcomeUnknown,
    /// 503 `deadline`.
    Deadline,
    /// 503 `snapshot-behind`.
    SnapshotBehind,
    /// 503 `event-log-full`.
    EventLogFull,
    /// 503 `store-unavailable`.
    StoreUnavailable,
    /// 507 `storage-full`.
    StorageFull,
}

impl Code {
    /// Every code, in order of status.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The code of this spelling.
    pub fn parse(name: &str) -> Option<Self> {
        Self::all().find(|code| code.as_str() == name)
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        self.row().2
    }

    /// HTTP status of an answer with this code.
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// One line for people, the same for every problem of this code.
    pub fn title(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

/// A code, its status, its spelling, its title.
type Row = (Code, u16, &'static str, &'static str);

/// How many codes there are; tables of this length without a row for each do not compile.
pub(in crate::http) const N_CODES: usize = Code::StorageFull as usize + 1;

/// Rows in the order of the variants.
static TABLE: [Row; N_CODES] = [
    (
        Code::MalformedJson,
        400,
        "malformed-json",
        "body is not readable JSON",
    ),
    (Code::BadQuery, 400, "bad-query", "query cannot be read"),
    (Code::BadHeader, 400, "bad-header", "request cannot be read"),
    (Code::BadCursor, 400, "bad-cursor", "cursor does not fit"),
    (Code::KeyMissing, 401, "key-missing", "no key"),
    (Code::KeyUnknown, 401, "key-unknown", "key is not known"),
    (Code::KeyExpired, 401, "key-expired", "key has expired"),
    (
        Code::KeyInUrl,
        401,
        "key-in-url",
        "key does not belong into the address",
    ),
    (
        Code::SessionExpired,
        401,
        "session-expired",
        "session is over",
    ),
    (Code::NotPermitted, 403, "not-permitted", "not permitted"),
    (
        Code::MarketForbidden,
        403,
        "market-forbidden",
        "market is outside the key's scope",
    ),
    (
        Code::OriginNotAllowed,
        403,
        "origin-not-allowed",
        "web origin is not allowed",
    ),
    (
        Code::Csrf,
        403,
        "csrf",
        "no proof that the console made the call",
    ),
    (
        Code::InlineNotAllowed,
        403,
        "inline-not-allowed",
        "facts may not be sent with this key",
    ),
    (Code::NotFound, 404, "not-found", "not found"),
    (
        Code::MethodNotAllowed,
        405,
        "method-not-allowed",
        "method is not allowed here",
    ),
    (
        Code::NotAcceptable,
        406,
        "not-acceptable",
        "no acceptable form",
    ),
    (Code::MarketFull, 409, "market-full", "market is full"),
    (Code::LimitReached, 409, "limit-reached", "limit reached"),
    (Code::NameTaken, 409, "name-taken", "name is taken"),
    (Code::WrongState, 409, "wrong-state", "not in this state"),
    (Code::InUse, 409, "in-use", "in use"),
    (Code::OrderExists, 409, "order-exists", "order exists"),
    (
        Code::PriceChanged,
        409,
        "price-changed",
        "price has changed",
    ),
    (
        Code::LimitExhausted,
        409,
        "limit-exhausted",
        "a limit is used up",
    ),
    (
        Code::RefundExceeds,
        409,
        "refund-exceeds",
        "refund exceeds the order",
    ),
    (
        Code::SkuOverlap,
        409,
        "sku-overlap",
        "article is in another promotion",
    ),
    (
        Code::ProductInPlan,
        409,
        "product-in-plan",
        "product is in another plan",
    ),
    (Code::SegmentTaken, 409, "segment-taken", "segment is taken"),
    (
        Code::PreviewStale,
        409,
        "preview-stale",
        "preview is out of date",
    ),
    (Code::VoucherGone, 409, "voucher-gone", "voucher is gone"),
    (
        Code::ImportRunning,
        409,
        "import-running",
        "another import is running",
    ),
    (
        Code::ImportHarmful,
        409,
        "import-harmful",
        "import was held back",
    ),
    (
        Code::IdempotencyInProgress,
        409,
        "idempotency-in-progress",
        "first request is still running",
    ),
    (Code::SnapshotGone, 410, "snapshot-gone", "pages are gone"),
    (
        Code::QuoteExpired,
        410,
        "quote-expired",
        "quote has expired",
    ),
    (Code::ExportGone, 410, "export-gone", "export is gone"),
    (
        Code::StaleRevision,
        412,
        "stale-revision",
        "object has changed",
    ),
    (
        Code::BodyTooLarge,
        413,
        "body-too-large",
        "body is too large",
    ),
    (Code::UriTooLong, 414, "uri-too-long", "address is too long"),
    (
        Code::UnsupportedMediaType,
        415,
        "unsupported-media-type",
        "media type or coding is not taken",
    ),
    (Code::Invalid, 422, "invalid", "request is not valid"),
    (
        Code::ImportInvalid,
        422,
        "import-invalid",
        "rows of the import are wrong",
    ),
    (
        Code::IdempotencyKeyReused,
        422,
        "idempotency-key-reused",
        "Idempotency-Key was used before",
    ),
    (
        Code::PreconditionRequired,
        428,
        "precondition-required",
        "If-Match is required",
    ),
    (Code::RateLimited, 429, "rate-limited", "too many requests"),
    (
        Code::LoginThrottled,
        429,
        "login-throttled",
        "too many failed logins",
    ),
    (
        Code::HeadersTooLarge,
        431,
        "headers-too-large",
        "headers are too large",
    ),
    (Code::Internal, 500, "internal", "internal error"),
    (Code::NotReady, 503, "not-ready", "not ready"),
    (Code::Overloaded, 503, "overloaded", "overloaded"),
    (
        Code::OutcomeUnknown,
        503,
        "outcome-unknown",
        "outcome is unknown",
    ),
    (Code::Deadline, 503, "deadline", "deadline has passed"),
    (
        Code::SnapshotBehind,
        503,
        "snapshot-behind",
        "awaited revision has not come",
    ),
    (
        Code::EventLogFull,
        503,
        "event-log-full",
        "event log is full",
    ),
    (
        Code::StoreUnavailable,
        503,
        "store-unavailable",
        "store takes no writes",
    ),
    (Code::StorageFull, 507, "storage-full", "storage is full"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_stand_where_their_codes_point() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, place, "{}", row.2);
            assert_eq!(Code::parse(row.2), Some(row.0));
        }
        assert!(TABLE.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        let names: BTreeSet<&str> = TABLE.iter().map(|row| row.2).collect();
        assert_eq!(names.len(), N_CODES);
    }

    /// The list of the API's specification, status by status.
    #[test]
    fn every_specified_code_is_here() {
        let specified = [
            (400, "malformed-json bad-query bad-header bad-cursor"),
            (
                401,
                "key-missing key-unknown key-expired key-in-url session-expired",
            ),
            (
                403,
                "not-permitted market-forbidden origin-not-allowed csrf inline-not-allowed",
            ),
            (404, "not-found"),
            (405, "method-not-allowed"),
            (406, "not-acceptable"),
            (
                409,
                "market-full limit-reached name-taken wrong-state in-use order-exists",
            ),
            (
                409,
                "price-changed limit-exhausted refund-exceeds sku-overlap product-in-plan",
            ),
            (
                409,
                "segment-taken preview-stale voucher-gone import-running import-harmful",
            ),
            (409, "idempotency-in-progress"),
            (410, "snapshot-gone quote-expired export-gone"),
            (412, "stale-revision"),
            (413, "body-too-large"),
            (414, "uri-too-long"),
            (415, "unsupported-media-type"),
            (422, "invalid import-invalid idempotency-key-reused"),
            (428, "precondition-required"),
            (429, "rate-limited login-throttled"),
            (431, "headers-too-large"),
            (500, "internal"),
            (
                503,
                "not-ready overloaded outcome-unknown deadline snapshot-behind",
            ),
            (503, "event-log-full store-unavailable"),
            (507, "storage-full"),
        ];
        let named = specified
            .iter()
            .flat_map(|(status, names)| names.split(' ').map(move |name| (*status, name)));
        let table = TABLE.iter().map(|row| (row.1, row.2));
        assert_eq!(named.collect::<Vec<_>>(), table.collect::<Vec<_>>());
    }
}
