//! Made-up shoppers of the sample shop, who speak to it as a shop front does.

use std::thread;
use std::time::Duration;

use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::cli::client::{Call, Client, Payload};
use crate::cli::output::Outcome;

/// Sessions that come at once, and how many make one call of events.
const FIRST: u32 = 2_000;
const TOGETHER: u32 = 100;

/// Between two sessions afterwards.
const PAUSE: Duration = Duration::from_millis(200);

/// Chance that the first item of a page is opened; that of the item at place `n` is one `n/4 + 1`th.
const OPENS: f64 = 0.25;

/// Chance that an opened product is bought, and that an order comes back.
const BUYS: f64 = 0.12;
const RETURNS: f64 = 0.1;

/// Shoppers of one category page.
pub(in crate::cli) struct Crowd {
    client: Client,
    market: &'static str,
    category: &'static str,
    chance: ChaCha12Rng,
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
            chance: ChaCha12Rng::seed_from_u64(seed),
        }
    }

    /// Lets shoppers come on a thread of their own, until the shop is closed.
    pub(in crate::cli) fn come(mut self) {
        thread::spawn(move || {
            let mut number = 0;
            // The shop went away: so do they.
            while self.visits(number).is_ok() {
                number += if number < FIRST { TOGETHER } else { 1 };
            }
        });
    }

    /// The next sessions, and what they do.
    fn visits(&mut self, first: u32) -> Outcome<()> {
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

    fn visit(&mut self, number: u32, events: &mut Vec<Value>) -> Outcome<()> {
        let session = format!("shopper-{number}");
        let asked = json!({ "session_key": session, "selected_category": self.category, "limit": 24,
            "fields": ["price", "cost"] });
        let path = format!("/v1/markets/{}/rank", self.market);
        let page = self
            .client
            .call(Call::new("POST", &path).with(Payload::Json(asked)))?;
        let items = page.body["items"].as_array().into_iter().flatten();
        for (place, item) in (0_u32..).zip(items) {
            if !self
                .chance
                .random_bool(OPENS / (f64::from(place) / 4.0 + 1.0))
            {
                continue;
            }
            let ticket = &item["ticket"];
            events.push(json!({ "id": format!("c-{place}"), "type": "click",
                "session_key": session, "ticket": ticket }));
            if !self.chance.random_bool(BUYS) {
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
            if self.chance.random_bool(RETURNS) {
                events.push(of("refund", "r", back));
            }
        }
        Ok(())
    }
}
