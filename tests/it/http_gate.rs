//! What stands before every handler: bodies, keys, origins, limits.

use std::io::Write as _;

use endcap::access::principal::{Actor, Role};
use endcap::domain::id::KeyId;
use endcap::engine::refusals::RefusedWrite;
use endcap::http::quota::Quota;

use crate::http_rig::{Server, expired_key, key, request};

/// A request with this key, or none.
fn with_key(method: &str, path: &str, key: Option<&str>, rest: &str) -> String {
    let key = key
        .map(|key| format!("Authorization: Bearer {key}\r\n"))
        .unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{key}{rest}\r\n")
}

#[track_caller]
fn is(answer: &crate::http_rig::Answer, status: u16, code: &str) {
    assert_eq!(answer.code(), (status, code.to_owned()));
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_unread() {
    let server = Server::plain().await;
    for (path, limit, rest) in [
        ("/size", 1 << 20, ""),
        ("/rank", 256 << 10, ""),
        ("/cart", 1 << 20, ""),
        ("/lines", 2 << 20, "Content-Type: application/x-ndjson\r\n"),
        ("/feed", 8_u64 << 30, ""),
    ] {
        let mut raw = server.connect().await;
        let length = format!(
            "Content-Length: {}\r\nExpect: 100-continue\r\n{rest}",
            limit + 1
        );
        raw.send(request("POST", path, &length, "")).await;
        let answer = raw.answer().await;
        is(&answer, 413, "body-too-large");
        assert_eq!(answer.problem()["limit_bytes"], limit);
        assert_eq!(answer.header("connection"), "close");
        assert_eq!(raw.ended().await, b"");
    }
    let whole = "x".repeat(1 << 20);
    assert_eq!(
        server
            .ask(request("POST", "/size", "", &whole))
            .await
            .text(),
        "1048576"
    );
}

#[tokio::test]
async fn a_body_in_time_is_asked_for() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    raw.send(request(
        "POST",
        "/size",
        "Content-Length: 3\r\nExpect: 100-continue\r\n",
        "",
    ))
    .await;
    assert_eq!(raw.answer().await.status, 100);
    raw.send("abc").await;
    assert_eq!(raw.answer().await.text(), "3");
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_is_refused() {
    let server = Server::plain().await;
    let chunked = |n: usize| {
        let head = request("POST", "/rank", "Transfer-Encoding: chunked\r\n", "");
        format!("{head}{n:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(n))
    };
    assert_eq!(server.ask(chunked(256 << 10)).await.text(), "262144");
    is(
        &server.ask(chunked((256 << 10) + 1)).await,
        413,
        "body-too-large",
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn packed(server: &Server, path: &str, rest: &str, body: &[u8]) -> crate::http_rig::Answer {
    let rest = format!("{rest}Content-Length: {}\r\n", body.len());
    let mut bytes = request("POST", path, &rest, "").into_bytes();
    bytes.extend(body);
    server.ask(bytes).await
}

#[tokio::test]
async fn packed_bodies_are_unpacked_within_their_limits() {
    let server = Server::plain().await;
    let rest = "Content-Encoding: gzip\r\n";
    assert_eq!(
        packed(&server, "/json", rest, &gzip(b"{\"a\":1}"))
            .await
            .text(),
        "{\"a\":1}"
    );
    let full = gzip(&vec![b' '; 1 << 20]);
    assert_eq!(
        packed(&server, "/size", rest, &full).await.text(),
        "1048576"
    );
    let over = gzip(&vec![b' '; (1 << 20) + 1]);
    is(
        &packed(&server, "/size", rest, &over).await,
        413,
        "body-too-large",
    );
    let bomb = gzip(&vec![0; 64 << 20]);
    is(
        &packed(&server, "/feed", rest, &bomb).await,
        413,
        "body-too-large",
    );
    is(
        &packed(&server, "/json", rest, b"{\"a\":1}").await,
        415,
        "unsupported-media-type",
    );
}

#[tokio::test]
async fn other_types_and_codings_are_refused() {
    let server = Server::plain().await;
    for rest in [
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json; charset=latin1\r\n",
        "Content-Type: application/jsonx\r\n",
        "Content-Encoding: br\r\n",
        "Content-Encoding: deflate\r\n",
        "Content-Encoding: gzip, gzip\r\n",
        "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
    ] {
        let answer = server.ask(request("POST", "/json", rest, "{}")).await;
        is(&answer, 415, "unsupported-media-type");
    }
    for rest in [
        "",
        "Content-Type: application/json\r\n",
        "Content-Type: Application/JSON; charset=\"UTF-8\"\r\n",
        "Content-Type: application/merge-patch+json\r\nContent-Encoding: identity\r\n",
    ] {
        assert_eq!(
            server
                .ask(request("POST", "/json", rest, "{}"))
                .await
                .text(),
            "{}",
            "{rest}"
        );
    }
}

#[tokio::test]
async fn json_is_read_strictly() {
    let server = Server::plain().await;
    let answer = server
        .ask(request("POST", "/json", "", "{\"a\":1,\n \"a\":2}"))
        .await;
    is(&answer, 400, "malformed-json");
    let problem = answer.problem();
    assert_eq!(
        (problem["line"].as_u64(), problem["column"].as_u64()),
        (Some(2), Some(4))
    );
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    is(
        &server.ask(request("POST", "/json", "", &deep)).await,
        400,
        "malformed-json",
    );
    let deep = format!("{}{}", "[".repeat(32), "]".repeat(32));
    assert_eq!(
        server.ask(request("POST", "/json", "", &deep)).await.text(),
        deep
    );
}

#[tokio::test]
async fn callers_are_known_by_their_key() {
    let server = Server::plain().await;
    let answer = server.ask(request("GET", "/who", "", "")).await;
    let (who, id) = (KeyId([6; 16]), answer.header("x-request-id"));
    assert_eq!(answer.text(), format!("{who} 127.0.0.1 {id}"));
    assert_eq!(answer.header("x-endcap-revision"), "7");
    let ask = async |key: Option<&str>| server.ask(with_key("GET", "/who", key, "")).await;
    for (key, code) in [
        (None, "key-missing"),
        (Some("ec_opr_garbage"), "key-unknown"),
        (Some(""), "key-missing"),
        (Some(&*expired_key()), "key-expired"),
    ] {
        let answer = ask(key).await;
        is(&answer, 401, code);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let basic = "Authorization: Basic YTpi\r\n";
    is(
        &server.ask(with_key("GET", "/who", None, basic)).await,
        401,
        "key-missing",
    );
    let operator = key(Role::Operator);
    let twice = format!("Authorization: Bearer {operator}\r\n");
    is(
        &server
            .ask(with_key("GET", "/who", Some(&operator), &twice))
            .await,
        400,
        "bad-header",
    );
    is(
        &server.ask(request("GET", "/bare", "", "")).await,
        500,
        "internal",
    );
}

#[tokio::test]
async fn only_public_keys_travel_in_the_address() {
    let server = Server::plain().await;
    let public = key(Role::StorefrontPublic);
    let ask = async |path: String| server.ask(with_key("GET", &path, None, "")).await;
    assert_eq!(ask(format!("/rank?key={public}&q=x")).await.status, 200);
    let operator = key(Role::Operator);
    for path in [
        format!("/rank?key={operator}"),
        format!("/who?key={operator}"),
        format!("/who?key={public}"),
        "/rank?key=anything".to_owned(),
        "/rank?k%65y=anything".to_owned(),
    ] {
        let answer = ask(path).await;
        is(&answer, 401, "key-in-url");
    }
    // A key in the address is refused even beside a good one, and other keys are no API keys.
    let answer = server
        .ask(request("GET", &format!("/who?key={operator}"), "", ""))
        .await;
    is(&answer, 401, "key-in-url");
    assert_eq!(
        server
            .ask(request("GET", "/who?key=SKU-1", "", ""))
            .await
            .status,
        200
    );
    is(
        &server.ask(request("GET", "/who?key=%ff", "", "")).await,
        400,
        "bad-query",
    );
}

#[tokio::test]
async fn public_keys_are_used_from_their_own_pages() {
    let server = Server::plain().await;
    let public = key(Role::StorefrontPublic);
    let from = async |origin: &str| {
        let rest = format!("Origin: {origin}\r\n");
        server
            .ask(with_key("GET", "/rank", Some(&public), &rest))
            .await
    };
    let answer = from("https://shop.example").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://shop.example"
    );
    assert_eq!(answer.header("vary"), "origin");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    for foreign in [
        "https://shop.example:8443",
        "http://shop.example",
        "https://evil.example",
        "null",
    ] {
        let answer = from(foreign).await;
        is(&answer, 403, "origin-not-allowed");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    assert_eq!(
        server
            .ask(with_key("GET", "/rank", Some(&public), ""))
            .await
            .status,
        200
    );
    // A refusal can be read by the page that met it.
    let rest = "Origin: https://shop.example\r\n";
    let answer = server
        .ask(with_key("GET", "/rank", Some("ec_pub_x"), rest))
        .await;
    is(&answer, 401, "key-unknown");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "https://shop.example"
    );
}

#[tokio::test]
async fn preflights_are_answered_on_storefront_paths_only() {
    let server = Server::plain().await;
    let preflight = async |path: &str, method: &str| {
        let rest =
            format!("Origin: https://any.example\r\nAccess-Control-Request-Method: {method}\r\n");
        server.ask(with_key("OPTIONS", path, None, &rest)).await
    };
    for method in ["GET", "POST"] {
        let answer = preflight("/rank", method).await;
        assert_eq!((answer.status, answer.text()), (204, ""));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST");
        let allowed = "authorization, content-type, x-endcap-min-revision";
        assert_eq!(answer.header("access-control-allow-headers"), allowed);
        assert_eq!(answer.header("access-control-max-age"), "86400");
    }
    let answer = preflight("/rank", "DELETE").await;
    is(&answer, 405, "method-not-allowed");
    let answer = preflight("/who", "GET").await;
    is(&answer, 405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    assert_eq!(answer.header("access-control-allow-origin"), "");
    is(&preflight("/nowhere", "GET").await, 404, "not-found");
    is(
        &server.ask(with_key("OPTIONS", "/rank", None, "")).await,
        405,
        "method-not-allowed",
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_have_documents() {
    let server = Server::plain().await;
    let answer = server
        .ask(request("GET", "/nowhere?key=ec_opr_x", "", ""))
        .await;
    is(&answer, 404, "not-found");
    assert_eq!(answer.problem()["what"], "path");
    assert_eq!(answer.problem()["instance"], "/nowhere");
    let answer = server.ask(request("DELETE", "/size", "", "")).await;
    is(&answer, 405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "POST");
    let answer = server.ask(request("BREW", "/who", "", "")).await;
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn answers_are_counted_by_route_and_status() {
    let server = Server::plain().await;
    for (method, path) in [
        ("GET", "/open/a"),
        ("GET", "/open/b"),
        ("PUT", "/open/a"),
        ("GET", "/no"),
    ] {
        server.ask(request(method, path, "", "")).await;
    }
    server.ask("GET /who HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.ask(request("GET", "/panic", "", "")).await;
    server.ask("oops\r\n\r\n").await;
    for (pattern, status, n) in [
        ("/open/{name}", 200, 2),
        ("/who", 401, 1),
        ("/panic", 500, 1),
        ("none", 404, 1),
        ("none", 405, 1),
        ("none", 400, 1),
    ] {
        assert_eq!(server.answered(pattern, status), n, "{pattern} {status}");
    }
    assert_eq!(server.n_refused("unreadable"), 1);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    raw.send(request("HEAD", "/open/abc", "", "")).await;
    let answer = raw.answer_to("HEAD").await;
    assert_eq!((answer.status, answer.header("content-length")), (200, "3"));
    raw.send(request("HEAD", "/nowhere", "", "")).await;
    let answer = raw.answer_to("HEAD").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (404, "application/problem+json")
    );
    raw.send(request("GET", "/open/abc", "", "")).await;
    assert_eq!(raw.answer().await.text(), "abc");
}

#[tokio::test]
async fn awaited_revisions_come_or_are_behind() {
    let server = Server::plain().await;
    let ask = async |text: &str| {
        let rest = format!("x-endcap-min-revision: {text}\r\n");
        server.ask(request("GET", "/rank", &rest, "")).await
    };
    assert_eq!(ask("7").await.status, 200);
    let answer = ask("8").await;
    is(&answer, 503, "snapshot-behind");
    assert_eq!(answer.header("retry-after"), "1");
    is(&ask("seven").await, 400, "bad-header");
}

#[tokio::test]
async fn limited_routes_tell_what_is_left() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    let server_key = key(Role::StorefrontServer);
    raw.send(with_key("GET", "/rank", Some(&server_key), ""))
        .await;
    let answer = raw.answer().await;
    assert_eq!(answer.header("ratelimit-policy"), "\"rank\";q=2000;w=1");
    assert_eq!(answer.header("ratelimit"), "\"rank\";r=3999;t=1");
    // Reading at the desk is free, writing is not.
    assert_eq!(
        server
            .ask(request("GET", "/who", "", ""))
            .await
            .header("ratelimit"),
        ""
    );
}

/// 5 writes at once, and another one each hour: no second of the test's own time matters.
async fn frugal() -> Server {
    let writes = Quota {
        name: "writes",
        tokens: 1,
        window_s: 3_600,
        burst: 5,
    };
    Server::start(|settings| settings.rates.writes = writes).await
}

#[tokio::test]
async fn what_fits_passes_and_one_more_is_refused_whoever_else_calls() {
    let server = frugal().await;
    let mut raw = server.connect().await;
    let flood = key(Role::Merchandiser);
    for left in (0..5).rev() {
        raw.send(with_key("POST", "/who", Some(&flood), "")).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 200);
        let told = answer.header("ratelimit").to_owned();
        assert!(
            told.starts_with(&format!("\"writes\";r={left};t=")),
            "{told}"
        );
    }
    for n in 1..=20 {
        raw.send(with_key("POST", "/who", Some(&flood), "")).await;
        let refused = raw.answer().await;
        is(&refused, 429, "rate-limited");
        let wait_s: u64 = refused.header("retry-after").parse().unwrap();
        assert!((3_500..=3_600).contains(&wait_s));
        assert_eq!(
            refused.header("ratelimit"),
            format!("\"writes\";r=0;t={wait_s}")
        );
        assert_eq!(refused.header("ratelimit-policy"), "\"writes\";q=1;w=3600");
        assert_eq!(server.n_refused("rate-limited"), n);
    }
    // The connection stays, the key still reads, and other keys write.
    raw.send(with_key("GET", "/who", Some(&flood), "")).await;
    assert_eq!(raw.answer().await.status, 200);
    raw.send(request("POST", "/who", "", "")).await;
    let other = raw.answer().await;
    assert_eq!(other.status, 200);
    assert!(other.header("ratelimit").starts_with("\"writes\";r=4;t="));
}

#[tokio::test]
async fn refused_changes_of_known_callers_are_remembered_ten_a_second() {
    let server = Server::plain().await;
    let remembered = || std::mem::take(&mut *server.refused.lock().unwrap());
    let mer = key(Role::Merchandiser);
    let mut raw = server.connect().await;
    let malformed = format!(
        "POST /json?a=b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {mer}\r\nContent-Length: 1\r\n\r\n{{"
    );
    raw.send(&malformed).await;
    is(&raw.answer().await, 400, "malformed-json");
    let expected = RefusedWrite {
        by: Actor::Key(KeyId([Role::Merchandiser as u8 + 1; 16])),
        address: "127.0.0.1".to_owned(),
        action: "POST /json".to_owned(),
        path: "/json".to_owned(),
        code: "malformed-json",
    };
    assert_eq!(remembered(), [expected]);
    // Neither what is read, nor what succeeds, nor who is unknown, nor what was too much.
    raw.send(with_key(
        "GET",
        "/who",
        Some(&mer),
        "x-endcap-min-revision: x\r\n",
    ))
    .await;
    is(&raw.answer().await, 400, "bad-header");
    raw.send(with_key("POST", "/who", Some(&mer), "")).await;
    assert_eq!(raw.answer().await.status, 200);
    raw.send(with_key("POST", "/who", Some("ec_mer_x"), ""))
        .await;
    is(&raw.answer().await, 401, "key-unknown");
    raw.send(with_key(
        "POST",
        "/rank",
        Some(&mer),
        "x-endcap-min-revision: x\r\n",
    ))
    .await;
    is(&raw.answer().await, 400, "bad-header");
    assert_eq!(remembered(), []);
    let mut n = 0;
    while server.metrics.refusals_not_audited.get() < 3 {
        raw.send(&malformed).await;
        assert_ne!(raw.answer().await.status, 200);
        n += 1;
        assert!(n < 100_000, "ten a second");
    }
    assert!(9 <= remembered().len());
    // Another key's are remembered all the same.
    raw.send(request("POST", "/json", "", "{")).await;
    is(&raw.answer().await, 400, "malformed-json");
    assert_eq!(remembered().len(), 1);
}

#[tokio::test]
async fn a_key_in_an_address_is_remembered_as_its_owners() {
    let server = Server::plain().await;
    for (leaked, n) in [(key(Role::Analyst), 1), ("ec_ana_x".to_owned(), 0)] {
        let path = format!("/rank?key={leaked}");
        let answer = server.ask(with_key("GET", &path, None, "")).await;
        is(&answer, 401, "key-in-url");
        let remembered = std::mem::take(&mut *server.refused.lock().unwrap());
        assert_eq!(remembered.len(), n);
        for refused in remembered {
            assert_eq!(refused.by, Actor::Key(KeyId([Role::Analyst as u8 + 1; 16])));
            assert_eq!(
                (&*refused.action, &*refused.path, refused.code),
                ("GET /rank", "/rank", "key-in-url")
            );
        }
    }
}

#[tokio::test]
async fn a_hundred_wrong_keys_bar_their_address_even_for_a_right_one() {
    let server = Server::start(|settings| {
        settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let mut raw = server.connect().await;
    let from = |address: &str| format!("X-Forwarded-For: 198.51.100.7, {address}\r\n");
    for n in 0..100 {
        let wrong = format!("ec_opr_{n}");
        raw.send(with_key("GET", "/who", Some(&wrong), &from("192.0.2.1")))
            .await;
        is(&raw.answer().await, 401, "key-unknown");
    }
    raw.send(request("GET", "/who", &from("192.0.2.1"), ""))
        .await;
    let answer = raw.answer().await;
    is(&answer, 429, "rate-limited");
    let wait_s: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=600).contains(&wait_s));
    raw.send(request("GET", "/who", &from("192.0.2.2"), ""))
        .await;
    assert!(raw.answer().await.text().contains(" 192.0.2.2 "));
}

#[tokio::test]
async fn answers_are_packed_when_wished() {
    let server = Server::plain().await;
    let ask = async |path: &str, wish: &str| {
        let rest = format!("Accept-Encoding: {wish}\r\nConnection: close\r\n");
        let mut raw = server.connect().await;
        raw.send(request("GET", path, &rest, "")).await;
        let bytes = raw.ended().await;
        String::from_utf8_lossy(&bytes).to_lowercase()
    };
    for coding in ["gzip", "br", "zstd"] {
        let answer = ask("/text", coding).await;
        assert!(
            answer.contains(&format!("content-encoding: {coding}\r\n")),
            "{answer}"
        );
        assert!(answer.contains("vary: accept-encoding\r\n"));
        assert!(answer.len() < 1_000);
    }
    assert!(
        !ask("/open/short", "gzip")
            .await
            .contains("content-encoding")
    );
    assert!(!ask("/text", "deflate").await.contains("content-encoding"));
    let answer = ask("/text", "identity;q=0").await;
    assert!(answer.starts_with("http/1.1 406"), "{answer}");
}

#[tokio::test]
async fn every_code_has_a_page() {
    let server = Server::plain().await;
    let mut raw = server.connect().await;
    for code in endcap::http::problem::code::Code::all() {
        let path = format!("/problems/{}", code.as_str());
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().contains(code.title()), "{path}");
    }
    raw.send("GET /problems/none HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    is(&raw.answer().await, 404, "not-found");
}
