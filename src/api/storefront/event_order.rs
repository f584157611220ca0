//! Reads orders of events: what was sold or came back, and for how much.
#![deny(clippy::float_arithmetic)]

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::storefront::event_item::{quantity, read_item, up_to};
use crate::api::wire::fields::{Fields, Read};
use crate::api::wire::scalar;
use crate::domain::complaint::Fault;
use crate::domain::money::{Currency, Minor};
use crate::domain::number::is_plain_decimal;
use crate::engine::events::draft::{AmountDraft, LineDraft, OrderDraft};

/// Most lines of an order.
pub(crate) const LINES_MAX: usize = 1_000;

/// Most characters of an order's id and of a line's.
pub(crate) const ORDER_CHARS_MAX: usize = 128;

/// Most minor units of a line.
const LINE_MINOR_MAX: i128 = 100_000_000_000;

/// The fields of an order, lying beside those of its event.
pub(crate) fn read_order(fields: &mut Fields<'_>) -> Option<OrderDraft> {
    let order = fields.need("order_id", up_to(ORDER_CHARS_MAX));
    let currency = fields.need("currency", scalar::parsed(Currency::parse));
    let is_list = fields.says("lines");
    let lines = fields.list("lines", LINES_MAX, |value| read_line(value, currency));
    match &lines {
        None if !is_list => fields.complain("lines", Fault::Required),
        Some(lines) if lines.is_empty() => {
            fields.complain("lines", Fault::TooFew { have: 0, min: 1 });
        }
        Some(lines) => refuse_repeats(lines, fields),
        None => {}
    }
    Some(OrderDraft {
        order: order?,
        currency: currency?.code().to_owned(),
        rounds: false,
        lines: lines?,
    })
}

/// Lines are told apart by their ids; one without is called by its place from 1.
fn refuse_repeats(lines: &[LineDraft], fields: &mut Fields<'_>) {
    let mut seen = BTreeSet::new();
    for (place, line) in lines.iter().enumerate() {
        let id = line.line.clone().unwrap_or_else(|| (place + 1).to_string());
        if let Some(value) = seen.replace(id) {
            let place = place.to_string();
            fields.complain_below(&["lines", &place, "line_id"], Fault::Duplicate { value });
        }
    }
}

fn read_line(value: &Value, currency: Option<Currency>) -> Read<LineDraft> {
    let mut fields = Fields::of(value)?;
    let line = fields.scalar("line_id", up_to(ORDER_CHARS_MAX));
    let item = read_item(&mut fields);
    let quantity = fields.need("quantity", quantity);
    let reader = Amounts { currency, quantity };
    let paid = reader.read(&mut fields, "unit_paid", "line_paid");
    if !fields.says("unit_paid") && !fields.says("line_paid") {
        let why = "unit_paid or line_paid is needed".to_owned();
        fields.complain("line_paid", Fault::Contradiction { why });
    }
    let cost = reader.read(&mut fields, "unit_cost", "line_cost");
    let line = item
        .zip(quantity)
        .zip(paid)
        .map(|((item, quantity), paid)| LineDraft {
            line,
            item,
            quantity,
            paid,
            cost,
        });
    fields.finish(line)
}

/// Reads the amounts of a line.
struct Amounts {
    currency: Option<Currency>,
    quantity: Option<u32>,
}

impl Amounts {
    /// An amount of one unit or of the whole line, not of both.
    fn read(
        &self,
        fields: &mut Fields<'_>,
        unit: &'static str,
        line: &'static str,
    ) -> Option<AmountDraft> {
        let of_unit = fields.scalar(unit, |value| self.amount(value, self.quantity.unwrap_or(1)));
        let of_line = fields.scalar(line, |value| self.amount(value, 1));
        if fields.says(unit) && fields.says(line) {
            let why = format!("{unit} and {line} exclude each other");
            fields.complain(line, Fault::Contradiction { why });
        }
        let of_unit = of_unit.map(AmountDraft::Unit);
        of_unit.or(of_line.map(AmountDraft::Line))
    }

    /// The text of an amount that, taken so many times, is within what a line may come to. How many
    /// decimals it may have is known once the currency is.
    fn amount(&self, value: &Value, times: u32) -> Result<String, Fault> {
        let text = scalar::text(value)?;
        let Some(currency) = self.currency else {
            let is_amount = is_plain_decimal(text);
            let fault = || Fault::bad_format("a decimal amount", text);
            return is_amount.then(|| text.to_owned()).ok_or_else(fault);
        };
        let Minor(minor) = currency.parse_amount(text)?;
        let whole = i128::from(minor) * i128::from(times);
        if (0..=LINE_MINOR_MAX).contains(&whole) {
            return Ok(text.to_owned());
        }
        Err(Fault::OutOfRange {
            found: text.to_owned(),
            allowed: "0 or more, and at most 100,000,000,000 minor units a line".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::complaint::Complaint;
    use crate::domain::id::VariantKey;
    use crate::engine::events::draft::Named;

    fn read(order: &Value) -> (Option<OrderDraft>, Vec<Complaint>) {
        Fields::gather(order, read_order)
    }

    #[track_caller]
    fn check(order: &Value, expected: &[(&str, &str)]) {
        let (_, faults) = read(order);
        let found: Vec<_> = faults
            .iter()
            .map(|fault| (&*fault.pointer, fault.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    /// One line of an order in crowns, changed in these fields; null takes a field away.
    #[track_caller]
    fn check_line(change: &Value, expected: &[(&str, &str)]) {
        let mut line = json!({ "variant": "v", "quantity": 2, "line_paid": "10.00" });
        for (name, value) in change.as_object().unwrap() {
            line[name] = value.clone();
        }
        let order = json!({ "order_id": "o", "currency": "SEK", "lines": [line] });
        let places: Vec<_> = expected
            .iter()
            .map(|(name, _)| format!("/lines/0/{name}"))
            .collect();
        let codes = expected.iter().map(|(_, code)| *code);
        let expected: Vec<_> = places.iter().map(|place| &**place).zip(codes).collect();
        check(&order, &expected);
    }

    #[test]
    fn every_field_is_read() {
        let order = json!({ "order_id": "SE-70412", "currency": "SEK", "lines": [
            { "line_id": "a", "variant": "v", "quantity": 2, "line_paid": "4271.50",
              "unit_cost": "1180" },
            { "ticket": "t1", "quantity": 1, "unit_paid": "0", "line_cost": "0.5" },
        ] });
        let expected = OrderDraft {
            order: "SE-70412".to_owned(),
            currency: "SEK".to_owned(),
            rounds: false,
            lines: vec![
                LineDraft {
                    line: Some("a".to_owned()),
                    item: Named::Variant(VariantKey::parse("v").unwrap()),
                    quantity: 2,
                    paid: AmountDraft::Line("4271.50".to_owned()),
                    cost: Some(AmountDraft::Unit("1180".to_owned())),
                },
                LineDraft {
                    line: None,
                    item: Named::Ticket("t1".to_owned()),
                    quantity: 1,
                    paid: AmountDraft::Unit("0".to_owned()),
                    cost: Some(AmountDraft::Line("0.5".to_owned())),
                },
            ],
        };
        assert_eq!(read(&order), (Some(expected), vec![]));
    }

    #[test]
    fn an_order_names_all_that_is_wrong_with_it() {
        check(
            &json!({}),
            &[
                ("/order_id", "required"),
                ("/currency", "required"),
                ("/lines", "required"),
            ],
        );
        check(
            &json!({ "order_id": "x".repeat(129), "currency": "sek", "lines": [] }),
            &[
                ("/order_id", "too-long"),
                ("/currency", "unknown-value"),
                ("/lines", "too-few"),
            ],
        );
        check(
            &json!({ "order_id": 1, "currency": "XXX", "lines": {} }),
            &[
                ("/order_id", "wrong-type"),
                ("/currency", "unknown-value"),
                ("/lines", "wrong-type"),
            ],
        );
        let line = json!({ "variant": "v", "quantity": 1, "unit_paid": "1" });
        let order =
            |n| json!({ "order_id": "o", "currency": "SEK", "lines": vec![line.clone(); n] });
        check(&order(1_000), &[]);
        check(&order(1_001), &[("/lines", "too-many")]);
    }

    #[test]
    fn each_field_of_a_line_has_its_faults() {
        check_line(&json!({}), &[]);
        check_line(&json!({ "line_id": "" }), &[("line_id", "too-short")]);
        check_line(
            &json!({ "line_id": "x".repeat(129) }),
            &[("line_id", "too-long")],
        );
        check_line(&json!({ "variant": null }), &[("ticket", "contradiction")]);
        check_line(&json!({ "product": "p" }), &[("ticket", "contradiction")]);
        check_line(&json!({ "quantity": null }), &[("quantity", "required")]);
        check_line(&json!({ "quantity": 0 }), &[("quantity", "out-of-range")]);
        check_line(&json!({ "quantity": 1.5 }), &[("quantity", "out-of-range")]);
        check_line(&json!({ "price": "1" }), &[("price", "unknown-field")]);
    }

    #[test]
    fn a_line_has_one_amount_and_at_most_one_cost() {
        check_line(
            &json!({ "line_paid": null }),
            &[("line_paid", "contradiction")],
        );
        check_line(
            &json!({ "unit_paid": "5" }),
            &[("line_paid", "contradiction")],
        );
        check_line(&json!({ "unit_cost": "5" }), &[]);
        check_line(&json!({ "line_cost": "5" }), &[]);
        check_line(
            &json!({ "unit_cost": "5", "line_cost": "5" }),
            &[("line_cost", "contradiction")],
        );
    }

    #[test]
    fn amounts_are_decimal_texts_of_the_currency() {
        let paid = |amount: Value, code: &str| {
            let expected = [("line_paid", code)];
            let expected = if code.is_empty() {
                &[][..]
            } else {
                &expected[..]
            };
            check_line(&json!({ "line_paid": amount }), expected);
        };
        paid(json!("0"), "");
        paid(json!("1000000000.00"), "");
        paid(json!("1000000000.01"), "out-of-range");
        paid(json!("-0.01"), "out-of-range");
        paid(json!("1.005"), "money-precision");
        paid(json!("1,00"), "bad-format");
        paid(json!("1e2"), "bad-format");
        paid(json!(10), "wrong-type");
        paid(json!(10.5), "wrong-type");
        let unit = json!({ "line_paid": null, "unit_paid": "500000000.00" });
        check_line(&unit, &[]);
        let unit = json!({ "line_paid": null, "unit_paid": "500000000.01" });
        check_line(&unit, &[("unit_paid", "out-of-range")]);
        let cost = json!({ "unit_cost": "500000000.01" });
        check_line(&cost, &[("unit_cost", "out-of-range")]);
    }

    #[test]
    fn lines_are_told_apart() {
        let line =
            |id: Value| json!({ "line_id": id, "variant": "v", "quantity": 1, "unit_paid": "1" });
        let order = |lines: Value| json!({ "order_id": "o", "currency": "SEK", "lines": lines });
        check(&order(json!([line(json!("2")), line(json!("1"))])), &[]);
        let twice = &[("/lines/1/line_id", "duplicate")];
        check(&order(json!([line(json!("a")), line(json!("a"))])), twice);
        check(&order(json!([line(json!("2")), line(json!(null))])), twice);
    }
}
