//! Feeds in the formats that shops export, through the whole server.

use std::fmt::Write as _;

use endcap::catalogue::product::{FeedOperation, ProductRecord};
use endcap::feed::export::{Export, Written};
use endcap::feed::write::write;
use endcap::generator::shop::{Shop, shop};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{Answer, App};

/// A server with markets of the same currency.
async fn markets(names: &[&str]) -> App {
    let app = App::empty().await;
    for name in names {
        let market = json!({ "market": name, "name": "Sverige", "currency": "SEK", "time_zone": "Europe/Stockholm" });
        app.post("/v1/markets", &market).await.is(201);
    }
    app
}

async fn import(app: &App, market: &str, format: &str, feed: &str) -> Answer {
    let path = format!("/v1/markets/{market}/imports?kind=catalogue&mode=full&format={format}");
    app.ask("POST", &path, &[], feed).await
}

fn products(sample: &Shop) -> Vec<ProductRecord> {
    let operations = shop(sample);
    let products = operations.filter_map(|operation| match operation {
        FeedOperation::ReplaceProduct(product) => Some(product),
        _ => None,
    });
    products.collect()
}

fn exported(format: Written, sample: &Shop) -> String {
    let mut products = products(sample);
    for product in &mut products {
        product.categories.truncate(1);
    }
    let export = Export::new(format, sample.currency, &products);
    let mut feed = String::new();
    export.head(&mut feed);
    for product in &products {
        export.product(product, &mut feed);
    }
    export.foot(&mut feed);
    feed
}

/// The whole market in its order, and how often each brand and colour is there.
async fn seen(app: &App, market: &str) -> (Vec<[Value; 4]>, Value) {
    let mut items = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let body = json!({ "group_by": "variant", "limit": 600, "cursor": cursor, "facets": ["brand", "color", "price", "in_stock"],
            "fields": ["price", "sale_price", "product_key", "title", "size", "in_stock", "category"] });
        let page = app.post(&format!("/v1/markets/{market}/rank"), &body).await;
        page.is(200);
        for item in page.json["items"].as_array().unwrap() {
            let mut fields = item["fields"].clone();
            let categories = fields["category"].take();
            items.push([
                item["variant"].clone(),
                item["base_rank"].clone(),
                fields,
                categories,
            ]);
        }
        cursor = page.json["next_cursor"].clone();
        if cursor.is_null() {
            return (items, page.json["facets"].clone());
        }
    }
}

/// The category that a variant was put into: the one with the longest path. Further parents of its
/// ancestors are in native feeds alone.
fn deepest(categories: &Value) -> Option<&str> {
    let ids = categories.as_array()?.iter().filter_map(Value::as_str);
    ids.max_by_key(|id| id.matches('/').count())
}

/// The same shop natively, of its categories only what the others have a place for: the first.
fn native(sample: &Shop) -> String {
    let mut feed = Vec::new();
    for mut operation in shop(sample) {
        if let FeedOperation::ReplaceProduct(product) = &mut operation {
            product.categories.truncate(1);
        }
        write(&operation, sample.currency, &mut feed);
    }
    String::from_utf8(feed).unwrap()
}

#[tokio::test]
async fn a_shop_is_the_same_whichever_format_it_comes_in() {
    let app = markets(&["native", "tsv", "xml", "shopify"]).await;
    let sample = Shop::new(900, 11);
    import(&app, "native", "ndjson", &native(&sample))
        .await
        .is(200);
    let (items, facets) = seen(&app, "native").await;
    assert_eq!(items.len(), 900);
    for (market, format, written) in [
        ("tsv", "google-tsv", Written::GoogleTsv),
        ("xml", "google-xml", Written::GoogleXml),
        ("shopify", "shopify-csv", Written::ShopifyCsv),
    ] {
        let feed = exported(written, &sample);
        let done = import(&app, market, format, &feed).await;
        done.is(200);
        assert_eq!(done.json["state"], "applied");
        let found = seen(&app, market).await;
        for (own, expected) in found.0.iter().zip(&items) {
            assert_eq!(own[..3], expected[..3], "{format}");
            assert_eq!(deepest(&own[3]), deepest(&expected[3]), "{format}");
        }
        assert_eq!((found.0.len(), &found.1), (900, &facets), "{format}");
        // What stands already is fed again without a change.
        let again = import(&app, market, format, &feed).await;
        assert_eq!(
            (&again.json["changed"], &again.json["added"]),
            (&json!(0), &json!(0)),
            "{format}"
        );
    }
}

#[tokio::test]
async fn a_hundred_bad_rows_of_thirty_five_thousand_are_all_named() {
    let app = markets(&["se"]).await;
    let is_bad = |at: usize| at % 350 == 7;
    let price = |at: usize| if is_bad(at) { "1.005" } else { "10.00" };
    let mut tsv = "id\tprice\tbrand\n".to_owned();
    let mut xml = "<rss><channel>\n".to_owned();
    let mut shopify = "Handle,Variant SKU,Variant Price,Vendor\n".to_owned();
    for at in 0..35_000 {
        let price = price(at);
        writeln!(tsv, "v{at}\t{price} SEK\tNord").unwrap();
        writeln!(
            xml,
            "<item><g:id>v{at}</g:id><g:price>{price} SEK</g:price><g:brand>Nord</g:brand></item>"
        )
        .unwrap();
        writeln!(shopify, "h{at},v{at},{price},Nord").unwrap();
    }
    xml.push_str("</channel></rss>\n");
    let before = app.revision().await;
    for (format, feed, column) in [
        ("google-tsv", &tsv, "price"),
        ("google-xml", &xml, "price"),
        ("shopify-csv", &shopify, "Variant Price"),
    ] {
        let refused = import(&app, "se", format, feed).await;
        refused.refuses(422, "import-invalid");
        assert_eq!(refused.json["rows_rejected"], 100, "{format}");
        let errors = refused.json["errors"].as_array().unwrap();
        let rows: Vec<u64> = errors
            .iter()
            .map(|own| own["row"].as_u64().unwrap())
            .collect();
        let expected: Vec<u64> = (0..35_000)
            .filter(|at| is_bad(*at))
            .map(|at| at as u64 + 2)
            .collect();
        assert_eq!(rows, expected, "{format}");
        assert!(
            errors
                .iter()
                .all(|own| own["column"] == column && own["code"] == "money-precision")
        );
    }
    assert_eq!(app.revision().await, before, "nothing is half applied");
    let path = "/v1/markets/se/imports?kind=catalogue&mode=full&format=google-tsv&max_errors=100";
    let some = app.ask("POST", path, &[], &tsv).await;
    some.is(200);
    assert_eq!(
        (&some.json["rejected"], &some.json["added"]),
        (&json!(100), &json!(34_900))
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_row_and_changes_nothing() {
    let app = markets(&["se"]).await;
    let before = app.revision().await;
    let check = async |format: &str, feed: &[u8], row: u64, part: &str| {
        let path = format!("/v1/markets/se/imports?kind=catalogue&mode=full&format={format}");
        let refused = app
            .exchange(app.operator(), "POST", &path, &[], feed.to_vec())
            .await;
        refused.refuses(422, "import-invalid");
        let error = &refused.json["errors"][0];
        assert_eq!(error["row"], row, "{}", refused.text);
        assert!(
            error["message"].as_str().unwrap().contains(part),
            "{}",
            refused.text
        );
    };
    check(
        "google-xml",
        b"<!DOCTYPE rss [<!ENTITY a 'aaaa'>]>\n<rss/>",
        1,
        "document type",
    )
    .await;
    check(
        "google-xml",
        b"<rss><channel>\n<item><g:id>a</g:id>\n<x></item>",
        3,
        "",
    )
    .await;
    check(
        "google-xml",
        b"<rss>\n<item><g:id>a</g:id><title>&big;</title></item></rss>",
        2,
        "entity",
    )
    .await;
    check(
        "google-tsv",
        b"id\tprice\na\t1.00 SEK\nb\n",
        3,
        "at least 2",
    )
    .await;
    check("google-tsv", b"id\tprice\na\t1,00 SEK\n", 2, "decimal").await;
    check("google-tsv", b"id\ttitle\na\tf\xfcr\n", 2, "UTF-8").await;
    check("google-tsv", b"\xff\xfei\0d\0", 1, "UTF-16").await;
    check(
        "shopify-csv",
        b"Handle,Variant SKU\na,V\nb,V\n",
        3,
        "more than once",
    )
    .await;
    check("shopify-csv", b"Title,Variant SKU\na,V\n", 1, "required").await;
    check("elevate", b"{\"edit\":{}}\n", 1, "replaces").await;
    check(
        "ndjson",
        b"{\"op\":\"replace\",\"product\":\"P\",\"markets\":3}\n",
        1,
        "markets",
    )
    .await;
    let long = [b"id\ttitle\na\t".to_vec(), vec![b'x'; 10 << 20]].concat();
    check("google-tsv", &long, 2, "longer than").await;
    assert_eq!(app.revision().await, before);
    // The byte order mark of UTF-8 is no fault.
    let path = "/v1/markets/se/imports?kind=catalogue&mode=full&format=google-tsv";
    app.ask("POST", path, &[], "\u{feff}id\ttitle\na\tCap\n")
        .await
        .is(200);
}

#[tokio::test]
async fn packed_feeds_are_known_by_their_first_bytes_and_bombs_are_refused() {
    let app = markets(&["se"]).await;
    let path = "/v1/markets/se/imports?kind=catalogue&mode=full&format=google-tsv";
    let zstd = zstd::encode_all(&b"id\ttitle\na\tCap\nb\tHat\n"[..], 3).unwrap();
    let done = app
        .exchange(app.operator(), "POST", path, &[], zstd.clone())
        .await;
    done.is(200);
    assert_eq!(done.json["added"], 2);
    // The same said by HTTP.
    let coded = app
        .exchange(
            app.operator(),
            "POST",
            path,
            &[("content-encoding", "zstd")],
            zstd,
        )
        .await;
    coded.is(200);
    assert_eq!(coded.json["unchanged"], 2);
    let before = app.revision().await;
    let bomb = zstd::encode_all(&*vec![b'\n'; 64 << 20], 3).unwrap();
    for headers in [&[][..], &[("content-encoding", "zstd")]] {
        let refused = app
            .exchange(app.operator(), "POST", path, headers, bomb.clone())
            .await;
        refused.refuses(413, "body-too-large");
    }
    assert_eq!(app.revision().await, before);
}

#[tokio::test]
async fn formats_say_what_they_cannot_be_asked_for() {
    let app = markets(&["se"]).await;
    app.ask("PUT", "/v1/markets/se/feed-mappings/erp", &[], "{}")
        .await
        .is(201);
    let path = "/v1/markets/se/imports?kind=scores&mode=full&format=google-xml&mapping=erp";
    let refused = app.ask("POST", path, &[], "").await;
    let expected = [("/mapping", "contradiction"), ("/kind", "contradiction")];
    assert_eq!(
        refused.complaints(),
        expected.map(|(at, code)| (at.to_owned(), code.to_owned()))
    );
    let both = import(&app, "se", "shopify-csv", "Handle,URL handle,SKU\na,a,V\n").await;
    both.refuses(400, "bad-header");
    let near = import(&app, "se", "google-xlm", "").await;
    near.refuses(422, "invalid");
    assert_eq!(near.json["errors"][0]["did_you_mean"], "google-xml");
    // Without a format the content type says it.
    let typed = "/v1/markets/se/imports?kind=catalogue&mode=validate";
    let xml = [("content-type", "application/rss+xml; charset=utf-8")];
    let told = app
        .ask("POST", typed, &xml, "<rss><item><id>a</id></item></rss>")
        .await;
    told.is(200);
    assert_eq!(
        (&told.json["state"], &told.json["rows"]),
        (&json!("valid"), &json!(1))
    );
}

#[tokio::test]
async fn one_feed_serves_several_markets() {
    let app = markets(&["se", "no"]).await;
    let shopify = "Handle,Title,Variant SKU,Variant Price,Price / no,Included / se\n\
                   cap,Cap,C,84.00,99.00,\nhat,Hat,H,50.00,,false\n";
    let elevate = "{\"replace\":{\"key\":\"G\",\"productGroup\":{\"products\":{\"P\":{\"markets\":[\"no\"],\"defaults\":{\"title\":\"Coat\"},\
                   \"variants\":{\"V\":{\"defaults\":{\"sellingPrice\":10,\"listPrice\":12}}}}}}}}\n";
    let price = async |market: &str, variant: &str| {
        let read = app
            .get(&format!("/v1/markets/{market}/variants/{variant}"))
            .await;
        (
            read.status,
            read.json["list_price"].clone(),
            read.json["sale_price"].clone(),
        )
    };
    for market in ["se", "no"] {
        import(&app, market, "shopify-csv", shopify).await.is(200);
    }
    assert_eq!(price("se", "C").await, (200, json!("84.00"), Value::Null));
    assert_eq!(price("no", "C").await, (200, json!("99.00"), Value::Null));
    assert_eq!(price("se", "H").await.0, 404);
    assert_eq!(price("no", "H").await, (200, json!("50.00"), Value::Null));
    let path = |market: &str| {
        format!("/v1/markets/{market}/imports?kind=catalogue&mode=full&format=elevate&force=true")
    };
    let told = app.ask("POST", &path("se"), &[], elevate).await;
    told.is(200);
    let warning = told.json["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|own| own["code"] == "other-markets");
    assert_eq!(warning.unwrap()["count"], 1);
    app.ask("POST", &path("no"), &[], elevate).await.is(200);
    assert_eq!(
        price("no", "V").await,
        (200, json!("12.00"), json!("10.00"))
    );
}

/// The head and the first half of a feed, on a connection that stays open.
async fn half_sent(app: &App, feed: &str) -> (TcpStream, String) {
    let head = format!(
        "POST /v1/markets/se/imports?kind=catalogue&mode=delta HTTP/1.1\r\nhost: endcap.test\r\n\
         authorization: Bearer {}\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        app.operator(),
        feed.len()
    );
    let (first, rest) = feed.split_at(feed.len() / 2);
    let mut socket = TcpStream::connect(app.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(first.as_bytes()).await.unwrap();
    (socket, rest.to_owned())
}

#[tokio::test]
async fn a_market_takes_one_import_at_a_time() {
    let app = App::shop(20).await;
    let dearer = r#"{"op":"edit","variant":"u000","list_price":"77.00"}"#;
    let (mut socket, rest) = half_sent(&app, &format!("{dearer}\n")).await;
    // Whoever comes before the server has read the head is first; that changes nothing.
    let same = r#"{"op":"edit","variant":"u001","score":"19"}"#;
    let mut refused = app.feed(same, "delta").await;
    while refused.status == 200 {
        refused = app.feed(same, "delta").await;
    }
    refused.refuses(409, "import-running");
    let first = format!("/v1/imports/{}", refused.json["import"].as_str().unwrap());
    let running = app.get(&first).await;
    running.is(200);
    assert_eq!(running.json["state"], "receiving");
    let price = json!({ "limit": 1, "group_by": "variant", "fields": ["price"] });
    let page = app.post("/v1/markets/se/rank", &price).await;
    assert_eq!(page.json["items"][0]["variant"], "u000");
    assert_ne!(page.json["items"][0]["fields"]["price"], "77.00");

    socket.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(app.get(&first).await.json["state"], "applied");
    let page = app.post("/v1/markets/se/rank", &price).await;
    assert_eq!(page.json["items"][0]["fields"]["price"], "77.00");
    app.feed(same, "delta").await.is(200);
}

#[tokio::test]
async fn a_feed_that_breaks_off_changes_nothing() {
    let app = App::shop(20).await;
    let lines = "{\"op\":\"edit\",\"variant\":\"u000\",\"list_price\":\"77.00\"}\n".repeat(2);
    let (socket, _) = half_sent(&app, &lines).await;
    drop(socket);
    // The market is free again as soon as the server has noticed.
    let same = r#"{"op":"edit","variant":"u001","score":"19"}"#;
    while app.feed(same, "delta").await.status == 409 {}
    let price = json!({ "limit": 1, "group_by": "variant", "fields": ["price"] });
    let page = app.post("/v1/markets/se/rank", &price).await;
    assert_ne!(page.json["items"][0]["fields"]["price"], "77.00");
}

#[tokio::test]
async fn a_feed_of_which_every_row_is_wrong_is_refused_like_any_other() {
    let app = markets(&["se"]).await;
    let mut feed = "id\tprice\n".to_owned();
    for at in 0..60_000 {
        let _ = writeln!(feed, "p{at}\t10.00 EUR");
    }
    let refused = import(&app, "se", "google-tsv", &feed).await;
    refused.refuses(422, "import-invalid");
    assert_eq!(refused.json["rows_rejected"], 60_000);
    let id = refused.json["import"].as_str().unwrap();
    let errors = app.get(&format!("/v1/imports/{id}/errors")).await;
    errors.is(200);
    // The first ones, and many of them.
    let rows: Vec<&str> = errors.text.lines().collect();
    assert!((20_000..60_000).contains(&rows.len()), "{}", rows.len());
    assert!(rows[0].contains("currency-mismatch"), "{}", rows[0]);
}

#[tokio::test]
async fn a_feed_that_cannot_be_read_on_names_what_was_wrong_before() {
    let app = markets(&["se"]).await;
    let item =
        |price: &str| format!("<item><g:id>{price}</g:id><g:price>{price}</g:price></item>\n");
    let items = ["1.00 SEK", "2,00 SEK", "3.00 EUR"].map(item).concat();
    let long = "x".repeat(2 << 20);
    for (format, feed, rows) in [
        (
            "google-xml",
            format!("<rss><channel>\n{items}"),
            vec![3, 4, 5],
        ),
        (
            "google-tsv",
            format!("id\tprice\na\tnothing\nb\t1.00 SEK\nc\t{long}\nd\tnothing\n"),
            vec![2, 4],
        ),
    ] {
        let refused = import(&app, "se", format, &feed).await;
        refused.refuses(422, "import-invalid");
        let named = refused.json["errors"].as_array().unwrap().iter();
        let named: Vec<u64> = named.map(|error| error["row"].as_u64().unwrap()).collect();
        assert_eq!(named, rows, "{}", refused.text);
        assert_eq!(refused.json["rows_rejected"], rows.len());
        let id = refused.json["import"].as_str().unwrap();
        let kept = app.get(&format!("/v1/imports/{id}")).await;
        assert_eq!(kept.json["state"], "refused");
        let errors = app.get(&format!("/v1/imports/{id}/errors")).await;
        assert_eq!(errors.text.lines().count(), rows.len());
    }
    let page = app
        .post("/v1/markets/se/rank", &json!({ "limit": 1 }))
        .await;
    assert_eq!(page.json["total"], 0);
}
