//! What a native line says for one market alone.
//!
//! ```text
//! {"op":"replace","product":"P","markets":{"se":{"attributes":{"title":"Rock"}},"no":null},
//!  "variants":{"V":{"list_price":"10.00","markets":{"se":{"list_price":"99.00","stock":3}}},
//!              "W":{"markets":["no"]}}}
//! ```
//!
//! The market's own members stand in the place of the record's, its attributes beside the others.
//! `null`, or a list without the market, keeps the record out of it.

use crate::domain::complaint::Fault;
use crate::feed::json::{Json, Object};
use crate::feed::result::{Refused, refuse};

/// A line as one market reads it.
pub(super) enum Localised {
    /// Nothing is said for markets.
    AsItIs,
    /// With what is said for this one.
    Line(String),
    /// It is not for this market.
    Elsewhere,
}

/// What one market reads in a line, and how many of its variants are not for it.
///
/// # Errors
/// `wrong-type` where markets are neither an object nor a list.
pub(super) fn localise(row: u64, line: &str, market: &[&str]) -> Result<(Localised, u64), Refused> {
    if !line.contains("\"markets\"") {
        return Ok((Localised::AsItIs, 0));
    }
    let Ok(object) = Json::parse(line).and_then(Json::object) else {
        // Whoever reads the line says what is wrong with it.
        return Ok((Localised::AsItIs, 0));
    };
    let mut writer = Writer {
        row,
        market,
        n_elsewhere: 0,
    };
    let mut out = String::with_capacity(line.len());
    let is_here = writer.record(&object, "", &mut out)?;
    let localised = if is_here {
        Localised::Line(out)
    } else {
        Localised::Elsewhere
    };
    Ok((localised, writer.n_elsewhere))
}

struct Writer<'m> {
    row: u64,
    market: &'m [&'m str],
    n_elsewhere: u64,
}

impl Writer<'_> {
    /// Writes a record as the market reads it; false if it is not for the market.
    fn record(&mut self, object: &Object<'_>, at: &str, out: &mut String) -> Result<bool, Refused> {
        let own = match object.peek("markets") {
            None => None,
            Some(json) => match self.own(json, at)? {
                Own::Elsewhere => return Ok(false),
                Own::Nothing => None,
                Own::Members(own) => Some(own),
            },
        };
        let mut separator = '{';
        let names = object.rest().map(|(name, _)| name);
        let more = own.iter().flat_map(Object::rest).map(|(name, _)| name);
        let more = more.filter(|name| object.peek(name).is_none());
        for name in names.chain(more).filter(|name| *name != "markets") {
            let (base, over) = (
                object.peek(name),
                own.as_ref().and_then(|own| own.peek(name)),
            );
            let Some(json) = over.or(base) else { continue };
            out.push(separator);
            separator = ',';
            push_name(out, name);
            match (name, base.map(Json::object), over.map(Json::object)) {
                ("attributes", Some(Ok(base)), Some(Ok(over))) => push_both(out, &base, &over),
                ("variants", Some(Ok(base)), None) => {
                    let n_before = base.rest().count();
                    // A product none of whose variants is here is not here either.
                    if self.variants(&base, at, out)? == 0 && 0 < n_before {
                        return Ok(false);
                    }
                }
                _ => out.push_str(json.raw()),
            }
        }
        if separator == '{' {
            out.push('{');
        }
        out.push('}');
        Ok(true)
    }

    /// Writes the variants that are for the market; how many there are.
    fn variants(
        &mut self,
        variants: &Object<'_>,
        at: &str,
        out: &mut String,
    ) -> Result<usize, Refused> {
        let mut n_here = 0;
        let mut separator = '{';
        for (name, json) in variants.rest() {
            let before = out.len();
            out.push(separator);
            push_name(out, name);
            let is_here = if let Ok(object) = json.object() {
                self.record(&object, &format!("{at}/variants/{name}"), out)?
            } else {
                out.push_str(json.raw());
                true
            };
            if is_here {
                separator = ',';
                n_here += 1;
            } else {
                out.truncate(before);
                self.n_elsewhere += 1;
            }
        }
        if separator == '{' {
            out.push('{');
        }
        out.push('}');
        Ok(n_here)
    }

    /// What is said for this market.
    fn own<'a>(&self, json: Json<'a>, at: &str) -> Result<Own<'a>, Refused> {
        let is_own = |name: &str| self.market.first().is_some_and(|own| *own == name);
        let refused = |json: Json<'_>| {
            let fault = json.wrong("an object of markets, or a list of them");
            Err(refuse(
                self.row,
                &format!("{at}/markets"),
                &json.shown(),
                fault,
            ))
        };
        if let Some(entries) = json.list() {
            let texts = entries.iter().filter_map(|entry| entry.text().ok());
            let is_here = texts.into_iter().any(|text| is_own(&text));
            return Ok(if is_here {
                Own::Nothing
            } else {
                Own::Elsewhere
            });
        }
        let Ok(markets) = json.object() else {
            return refused(json);
        };
        let found = markets.rest().find(|(name, _)| is_own(name));
        let Some((_, own)) = found else {
            return Ok(Own::Nothing);
        };
        if own.is_null() {
            return Ok(Own::Elsewhere);
        }
        let members: Result<Object<'a>, Fault> = own.object();
        members.map_or_else(|_| refused(own), |own| Ok(Own::Members(own)))
    }
}

enum Own<'a> {
    Nothing,
    Elsewhere,
    Members(Object<'a>),
}

fn push_name(out: &mut String, name: &str) {
    out.push_str(&serde_json::Value::from(name).to_string());
    out.push(':');
}

/// The members of both, those of `over` instead of their namesakes.
fn push_both(out: &mut String, base: &Object<'_>, over: &Object<'_>) {
    let mut separator = '{';
    let kept = base.rest().filter(|(name, _)| over.peek(name).is_none());
    for (name, json) in kept.chain(over.rest()) {
        out.push(separator);
        separator = ',';
        push_name(out, name);
        out.push_str(json.raw());
    }
    if separator == '{' {
        out.push('{');
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::product::FeedOperation;
    use crate::domain::money::Minor;
    use crate::feed::trial::{Trial, texts};

    #[track_caller]
    fn check(line: &str, expected: Option<&str>) {
        let (localised, _) = localise(1, line, &["se", "Sweden"]).unwrap();
        match localised {
            Localised::AsItIs => assert_eq!(Some(line), expected),
            Localised::Line(found) => assert_eq!(Some(&*found), expected),
            Localised::Elsewhere => assert_eq!(None, expected),
        }
    }

    #[test]
    fn a_market_reads_its_own_members() {
        check(r#"{"product":"P"}"#, Some(r#"{"product":"P"}"#));
        check(
            r#"{"product":"P","score":0.10000000000000000001,"markets":{"no":{"score":1}}}"#,
            Some(r#"{"product":"P","score":0.10000000000000000001}"#),
        );
        check(
            r#"{"product":"P","attributes":{"a":"1","b":"2"},"markets":{"se":{"attributes":{"b":"3"},"stock":4}}}"#,
            Some(r#"{"product":"P","attributes":{"a":"1","b":"3"},"stock":4}"#),
        );
        check(r#"{"product":"P","markets":{"se":null}}"#, None);
        check(r#"{"product":"P","markets":["no"]}"#, None);
        check(r#"{"markets":["se","no"]}"#, Some("{}"));
        check(
            r#"{"product":"P","variants":{"V":{"markets":["no"]}}}"#,
            None,
        );
        check(
            r#"{"variants":{"V":{"markets":["no"]},"W":{"stock":1,"markets":{"se":{"stock":2}}}}}"#,
            Some(r#"{"variants":{"W":{"stock":2}}}"#),
        );
    }

    #[test]
    fn a_feed_of_several_markets_is_read_for_one() {
        let line = r#"{"op":"replace","product":"P","attributes":{"title":"Coat"},"markets":{"se":{"attributes":{"title":"Rock"}}},"variants":{"V":{"list_price":"10.00","markets":{"se":{"list_price":"99.00"}}},"W":{"markets":["no"]}}}"#;
        let taken = Trial::native().read(line.as_bytes()).unwrap();
        assert_eq!(taken.faults(), vec![]);
        let variants = taken.variants();
        assert_eq!(variants.len(), 1);
        assert_eq!(variants["V"].1.list_price, Some(Minor(9_900)));
        assert_eq!(taken.counts.other_markets, 1);
        let FeedOperation::ReplaceProduct(product) = &taken.operations[0].1 else {
            panic!("{:?}", taken.operations);
        };
        assert_eq!(&*product.attributes[0].texts[0], "Rock");
        let elsewhere = r#"{"op":"replace","product":"P","markets":["no"]}"#;
        let taken = Trial::native().read(elsewhere.as_bytes()).unwrap();
        assert_eq!((taken.operations.len(), taken.counts.other_markets), (0, 1));
        let flat = r#"{"op":"replace","variant":"V","stock":1,"markets":{"se":{"stock":7}}}"#;
        let taken = Trial::native().read(flat.as_bytes()).unwrap();
        assert_eq!(taken.variants()["V"].1.stock, Some(7));
        assert_eq!(
            texts(&taken.variants()["V"].1, "markets"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn markets_that_are_none_are_refused_with_their_place() {
        let line = r#"{"op":"replace","product":"P","variants":{"V":{"markets":"se"}}}"#;
        let taken = Trial::native().read(line.as_bytes()).unwrap();
        assert_eq!(
            taken.faults(),
            [(1, "/variants/V/markets".to_owned(), "wrong-type")]
        );
    }
}
