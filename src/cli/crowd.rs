//! Made-up shoppers of the sample shop, who speak to it as a shop front does.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::client::{Call, Client, Payload};
use crate::cli::output::Outcome;
use crate::engine::entropy::Entropy;

/// Sessions that come at once, and how many make one call of events.
const FIRST: u32 = 2_000;
const TOGETHER: u32 = 100;

/// Between two sessions afterwards.
const PAUSE: Duration = Duration::from_millis(200);

/// Of 1,000 shoppers, how many open the first item of a page; of the item at place `n` it is four
/// `n + 4`ths of them.
const OPENS: u64 = 250;

/// Of 1,000 opened products, how many are bought; of 1,000 orders, how many come back.
const BUYS: u64 = 120;
const RETURNS: u64 = 100;

/// Shoppers of one category page.
pub(in crate::cli) struct Crowd {
    client: Client,
    market: &'static str,
    category: &'static str,
    chance: Entropy,
}

impl Crowd {
    /// A crowd that looks at `category` and does the same for the same seed.
    pub(in crate::cli) fn new(
        client: Client,
        market: &'static str,
        category: &'static str,
        seed: u64,
    ) -> Self {
        Self {
            client,
            market,
            category,
            chance: Entropy::seeded(seed),
        }
    }

    /// Lets shoppers come on a thread of their own, until the shop is closed.
    pub(in crate::cli) fn come(self) {
        thread::spawn(move || {
            let mut number = 0;
            // The shop went away: so do they.
            while self.visits(number).is_ok() {
                number += if number < FIRST { TOGETHER } else { 1 };
            }
        });
    }

    /// The next sessions, and what they do.
    fn visits(&self, first: u32) -> Outcome<()> {
        let is_first = first < FIRST;
        let n = if is_first { TOGETHER } else { 1 };
        let mut events = Vec::new();
        for number in first..first + n {
            self.visit(number, &mut events)?;
        }
        for part in events.chunks(500) {
            let body = Payload::Json(json!({ "events": part }));
            self.client
                .call(Call::new("POST", "/v1/events").with(body))?;
        }
        if !is_first {
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn visit(&self, number: u32, events: &mut Vec<Value>) -> Outcome<()> {
        let session = format!("shopper-{number}");
        let asked = json!({ "session_key": session, "selected_category": self.category, "limit": 24,
            "fields": ["price", "cost"] });
        let path = format!("/v1/markets/{}/rank", self.market);
        let page = self
            .client
            .call(Call::new("POST", &path).with(Payload::Json(asked)))?;
        let items = page.body["items"].as_array().into_iter().flatten();
        for (place, item) in (0_u64..).zip(items) {
            if !self.happens(4 * OPENS / (place + 4)) {
                continue;
            }
            let ticket = &item["ticket"];
            events.push(json!({ "id": format!("c-{place}"), "type": "click",
                "session_key": session, "ticket": ticket }));
            if !self.happens(BUYS) {
                continue;
            }
            let order = format!("{session}-{place}");
            let fields = &item["fields"];
            let line = json!({ "variant": item["variant"], "quantity": 1,
                "line_paid": fields["price"], "line_cost": fields["cost"] });
            let back = json!({ "variant": item["variant"], "quantity": 1,
                "line_paid": fields["price"] });
            let of = |kind: &str, id: &str, line: Value| {
                json!({ "id": format!("{id}-{place}"), "type": kind, "session_key": session,
                    "market": self.market, "order_id": order, "currency": page.body["currency"],
                    "lines": [line] })
            };
            events.push(of("purchase", "o", line));
            if self.happens(RETURNS) {
                events.push(of("refund", "r", back));
            }
        }
        Ok(())
    }

    fn happens(&self, of_thousand: u64) -> bool {
        self.chance.salt() % 1_000 < of_thousand
    }
}
