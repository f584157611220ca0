//! Pages that explain each code to people, at `/problems/{code}`.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::header;

use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::http::problem::code::{Code, N_CODES};

/// What a code means, and what to do about it. Words of the API stand between back-ticks.
struct Page {
    code: Code,
    meaning: &'static str,
    remedy: &'static str,
}

/// The route of the pages; they need no key and wait in no queue.
pub(in crate::http) fn routes() -> Router {
    Router::new()
        .route("/problems/{code}", get(show))
        .route_layer(Route::open())
}

async fn show(Path(name): Path<String>) -> Result<Response, Problem> {
    let code = Code::parse(&name).ok_or_else(|| Problem::not_found("problem"))?;
    let page = &PAGES[code as usize];
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    Ok((headers, html(page)).into_response())
}

/// A page without style or script: it reads well in a browser and in a terminal.
fn html(page: &Page) -> String {
    let (name, title, status) = (page.code.as_str(), page.code.title(), page.code.status());
    let (meaning, remedy) = (words(page.meaning), words(page.remedy));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>{name}: {title}</title>\n<h1>{title}</h1>\n\
         <p>Code <code>{name}</code>, HTTP status {status}.</p>\n\
         <h2>What it means</h2>\n<p>{meaning}</p>\n\
         <h2>What to do</h2>\n<p>{remedy}</p>\n</html>\n"
    )
}

/// Text with every second piece between back-ticks set as code. Nothing in it needs escaping.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for (place, piece) in text.split('`').enumerate() {
        if place % 2 == 0 {
            out.push_str(piece);
        } else {
            out.push_str("<code>");
            out.push_str(piece);
            out.push_str("</code>");
        }
    }
    out
}

/// A page for every code, in their order.
static PAGES: [Page; N_CODES] = [
    Page {
        code: Code::MalformedJson,
        meaning: "The body is not JSON in UTF-8, or it nests deeper than 32 levels, names a \
                  field of one object twice, or holds half of a surrogate pair. `line` and \
                  `column` say where reading stopped.",
        remedy: "Send one JSON document in UTF-8. Most JSON libraries write nothing else; \
                  bodies put together by hand are the usual cause.",
    },
    Page {
        code: Code::BadQuery,
        meaning: "The part of the address behind the question mark is not made of `name=value` \
                  pairs in percent-encoded UTF-8, or a value in it has the wrong form.",
        remedy: "Encode names and values as `application/x-www-form-urlencoded` and check the \
                  value that the detail names.",
    },
    Page {
        code: Code::BadHeader,
        meaning: "A header or the framing of the request breaks the rules of HTTP, or a header \
                  of this API has the wrong form. Requests that two readers could understand \
                  differently are refused, and the connection is closed.",
        remedy: "Check the header that the detail names. If you wrote none of it yourself, look \
                  at the proxy in between.",
    },
    Page {
        code: Code::BadCursor,
        meaning: "The cursor was altered, or it was made for a request with other filters.",
        remedy: "Begin with the first page again and send the cursor back as it was answered, \
                  with the same filters.",
    },
    Page {
        code: Code::KeyMissing,
        meaning: "The call needs an API key, and none was sent.",
        remedy: "Send `Authorization: Bearer` and the key.",
    },
    Page {
        code: Code::KeyUnknown,
        meaning: "No key of this text exists. It may have been revoked or mistyped.",
        remedy: "Check the key; it is shown only once, when it is made. Ask an operator for a \
                  new one.",
    },
    Page {
        code: Code::KeyExpired,
        meaning: "The key was valid once; its time is over.",
        remedy: "Ask an operator for a new key.",
    },
    Page {
        code: Code::KeyInUrl,
        meaning: "Only public storefront keys may travel as `?key=`. Addresses end up in logs, \
                  histories and referrers.",
        remedy: "Send the key as `Authorization: Bearer`, and have this one replaced: it must \
                  be taken as known to others.",
    },
    Page {
        code: Code::SessionExpired,
        meaning: "The console session ended: by time, by logging out, or because an operator \
                  ended it.",
        remedy: "Log in again.",
    },
    Page {
        code: Code::NotPermitted,
        meaning: "The key lacks a role or an extra grant. `needs` names what would do.",
        remedy: "Use a key that has it, or ask an operator to grant it.",
    },
    Page {
        code: Code::MarketForbidden,
        meaning: "The key does not reach this market. The answer is the same whether the market \
                  exists or not.",
        remedy: "Use a key whose `markets` hold it.",
    },
    Page {
        code: Code::OriginNotAllowed,
        meaning: "The page that made the call comes from an origin that is not among the \
                  `origins` of its public key.",
        remedy: "Add scheme, host and port of the page to the key's origins.",
    },
    Page {
        code: Code::Csrf,
        meaning: "A call that changes something by cookie needs the header `x-csrf-token`, and \
                  an origin that is the console's own.",
        remedy: "Reload the console. Programs use an API key instead of a cookie.",
    },
    Page {
        code: Code::InlineNotAllowed,
        meaning: "A public key prices carts by the catalogue's facts only.",
        remedy: "Send the line without its own facts, or price the cart from a server.",
    },
    Page {
        code: Code::NotFound,
        meaning: "There is no such path or object, or none that this key may know of. `what` \
                  names the kind of object.",
        remedy: "Check path and id. Keys that hold a slash are sent in a query or body, never \
                  in a path.",
    },
    Page {
        code: Code::MethodNotAllowed,
        meaning: "The path exists, but not with this method. The header `Allow` lists those that \
                  do.",
        remedy: "Use one of the methods in `Allow`.",
    },
    Page {
        code: Code::NotAcceptable,
        meaning: "The answer exists in no media type or coding that the request accepts.",
        remedy: "Widen `Accept` or `Accept-Encoding`, or leave them out.",
    },
    Page {
        code: Code::MarketFull,
        meaning: "As many promotions and demotions as allowed are active at one instant of the \
                  wished period. `first_full` and `free_from` say when, `promotions` who holds \
                  the places.",
        remedy: "Choose another period, or end or suspend one of the promotions named.",
    },
    Page {
        code: Code::LimitReached,
        meaning: "There are as many of these as there may be; `limit` says how many.",
        remedy: "Remove one that is not needed any more.",
    },
    Page {
        code: Code::NameTaken,
        meaning: "An object of this name exists; `id` says which.",
        remedy: "Choose another name, or change the existing object.",
    },
    Page {
        code: Code::WrongState,
        meaning: "The object is in a state in which this cannot be done. `state` names it, \
                  `allowed` the states in which it can.",
        remedy: "Bring the object into one of the allowed states first.",
    },
    Page {
        code: Code::InUse,
        meaning: "Something else depends on it; `by` says what.",
        remedy: "Change or remove what depends on it first.",
    },
    Page {
        code: Code::OrderExists,
        meaning: "An order of this id exists with other content.",
        remedy: "Use a new order id, or read the existing order.",
    },
    Page {
        code: Code::PriceChanged,
        meaning: "The order's total is not the expected one. Nothing was reserved; `requote` \
                  holds today's figures.",
        remedy: "Show the new total and place the order again.",
    },
    Page {
        code: Code::LimitExhausted,
        meaning: "A discount of the cart has no uses, budget or units left. Nothing was \
                  reserved; `requote` holds today's figures.",
        remedy: "Show the new total and place the order again.",
    },
    Page {
        code: Code::RefundExceeds,
        meaning: "More would be given back than is left of the order; `lines` says where.",
        remedy: "Read the order and refund at most what is left.",
    },
    Page {
        code: Code::SkuOverlap,
        meaning: "An article would be in two seller promotions or campaigns at once; `clashes` \
                  says in which.",
        remedy: "Leave the article out, or choose another period.",
    },
    Page {
        code: Code::ProductInPlan,
        meaning: "A product would be in two smart plans at once.",
        remedy: "Leave the product out, or end the other plan.",
    },
    Page {
        code: Code::SegmentTaken,
        meaning: "Another plan already works on this kind of product; `clashes` says which.",
        remedy: "Change or end the other plan.",
    },
    Page {
        code: Code::PreviewStale,
        meaning: "What the preview showed has changed since. `preview` holds the present one.",
        remedy: "Look at the new preview and decide again.",
    },
    Page {
        code: Code::VoucherGone,
        meaning: "The voucher was claimed by somebody else, or its time or money is used up.",
        remedy: "There is nothing to repeat; offer another voucher.",
    },
    Page {
        code: Code::ImportRunning,
        meaning: "A market takes one import at a time; `import` names the one at work.",
        remedy: "Wait for it to finish and send yours again.",
    },
    Page {
        code: Code::ImportHarmful,
        meaning: "The import would remove or change so much that it looks like an accident; \
                  `harms` says what. It is kept for 24 hours.",
        remedy: "Check the feed. If it is right, apply the import named by `import` with \
                  `force`; no second upload is needed.",
    },
    Page {
        code: Code::IdempotencyInProgress,
        meaning: "A request with the same `Idempotency-Key` has not been answered yet.",
        remedy: "Wait a moment and repeat it.",
    },
    Page {
        code: Code::SnapshotGone,
        meaning: "The state that the cursor belongs to is kept for ten minutes, and these are \
                  over.",
        remedy: "Begin with the first page again.",
    },
    Page {
        code: Code::QuoteExpired,
        meaning: "Quotes hold for 30 minutes.",
        remedy: "Ask for a new quote and place the order on it.",
    },
    Page {
        code: Code::ExportGone,
        meaning: "Finished exports are kept for a limited time.",
        remedy: "Start the export again.",
    },
    Page {
        code: Code::StaleRevision,
        meaning: "Somebody changed the object after you read it. Nothing was written; \
                  `current_revision` is its revision now.",
        remedy: "Read it again, look at what changed, and repeat the change with the new \
                  `ETag`.",
    },
    Page {
        code: Code::BodyTooLarge,
        meaning: "The body, unpacked, is longer than this path takes (`limit_bytes`), holds more \
                  events than a call may (`limit_events`), or unpacks to more than a hundred \
                  times its size.",
        remedy: "Send less at once, in several calls.",
    },
    Page {
        code: Code::UriTooLong,
        meaning: "Path and query together may have 8 KiB.",
        remedy: "Use the POST form of the call, which takes the same in its body.",
    },
    Page {
        code: Code::UnsupportedMediaType,
        meaning: "The body's `Content-Type` is none that this path reads, or its `Content- \
                  Encoding` is neither gzip nor zstd, or it is not what it claims to be.",
        remedy: "Send `application/json` in UTF-8 unless the call says otherwise, plain or \
                  packed with gzip or zstd.",
    },
    Page {
        code: Code::Invalid,
        meaning: "The request could be read, but parts of it are wrong. `errors` lists all of \
                  them at once, each with a pointer to the field, a code and a message.",
        remedy: "Mend every field listed and send the request again.",
    },
    Page {
        code: Code::ImportInvalid,
        meaning: "More rows are wrong than `max_errors` allows, so nothing was imported. \
                  `errors` holds the first hundred; the import named by `import` has them all.",
        remedy: "Mend the rows, or raise `max_errors` to import the others.",
    },
    Page {
        code: Code::IdempotencyKeyReused,
        meaning: "A request with this `Idempotency-Key` was answered in the last 24 hours, and \
                  it had another body.",
        remedy: "Make a new key for every new request; repeat a key only with the very same \
                  request.",
    },
    Page {
        code: Code::PreconditionRequired,
        meaning: "Changes to an existing object name the revision they were made for, so that \
                  nobody overwrites what they have not seen.",
        remedy: "Read the object and send its `ETag` as `If-Match`.",
    },
    Page {
        code: Code::RateLimited,
        meaning: "The key or address makes more calls than it may, or sent too many wrong keys. \
                  `Retry-After` says when to come back.",
        remedy: "Slow down; the headers `RateLimit-Policy` and `RateLimit` tell what is left. \
                  Double the pause after every refusal.",
    },
    Page {
        code: Code::LoginThrottled,
        meaning: "Five logins failed within fifteen minutes for this address or account.",
        remedy: "Wait as long as `Retry-After` says.",
    },
    Page {
        code: Code::HeadersTooLarge,
        meaning: "Headers together may have 16 KiB and be 64 in number.",
        remedy: "Leave out what is not needed; cookies of other applications are the usual \
                  cause.",
    },
    Page {
        code: Code::Internal,
        meaning: "Something went wrong inside endcap. The cause is in its log under the \
                  `request_id`, not in this answer.",
        remedy: "Tell the operator the `request_id`. Repeating the call may help.",
    },
    Page {
        code: Code::NotReady,
        meaning: "The server is starting or stopping.",
        remedy: "Try again after `Retry-After`.",
    },
    Page {
        code: Code::Overloaded,
        meaning: "More calls are waiting than can be answered in time, so this one was refused \
                  at once. Nothing was done.",
        remedy: "Try again after `Retry-After`, and double the pause after every refusal.",
    },
    Page {
        code: Code::OutcomeUnknown,
        meaning: "The write may or may not have happened.",
        remedy: "Repeat the same request with the same `Idempotency-Key`: if it happened, the \
                  first answer comes again.",
    },
    Page {
        code: Code::Deadline,
        meaning: "The request did not arrive in time, waited too long for its turn, or took too \
                  long.",
        remedy: "Try again after `Retry-After`. Repeat writes with their `Idempotency-Key` or \
                  `If-Match`.",
    },
    Page {
        code: Code::SnapshotBehind,
        meaning: "The revision that `x-endcap-min-revision` names was not published within two \
                  seconds.",
        remedy: "Try again after `Retry-After`.",
    },
    Page {
        code: Code::EventLogFull,
        meaning: "There is no room for more events; none of these was taken.",
        remedy: "Keep them and send them again with the same ids after `Retry-After`.",
    },
    Page {
        code: Code::StoreUnavailable,
        meaning: "The store is read-only or being rebuilt, or the cluster cannot be reached. \
                  Ranks go on.",
        remedy: "Try again after `Retry-After`; an operator has been told.",
    },
    Page {
        code: Code::StorageFull,
        meaning: "There is no room on the disk for this write. Ranks go on, and suspending \
                  promotions still works.",
        remedy: "Try again after `Retry-After`; an operator must make room.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_of_its_own() {
        for (place, page) in PAGES.iter().enumerate() {
            assert_eq!(page.code as usize, place);
            for text in [page.meaning, page.remedy] {
                assert!(12 <= text.len(), "{}", page.code.as_str());
                assert_eq!(text.matches('`').count() % 2, 0, "{text}");
                assert!(!text.contains(['<', '>', '&']), "{text}");
            }
        }
    }

    #[test]
    fn pages_read_as_plain_html() {
        let page = html(&PAGES[Code::StaleRevision as usize]);
        assert!(page.contains("<h1>object has changed</h1>"));
        assert!(page.contains("<code>current_revision</code> is its revision now"));
    }
}
