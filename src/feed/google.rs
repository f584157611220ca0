//! Google's product data: a row, or an item, is a variant.
//!
//! | field | means |
//! |---|---|
//! | `id` · `item_group_id` | variant · product, its own if absent |
//! | `product_type` | category path, `Clothing > Rain Wear`; may repeat |
//! | `price` · `sale_price` · `cost_of_goods_sold` | `19.90 EUR` in the market's currency |
//! | `sale_price_effective_date` | `start/end`: outside of it there is no sale price |
//! | `availability` | `out_of_stock` is stock 0; else the stock is not known |
//! | `score` | the strategy score, if the shop adds such a column |
//!
//! Everything else is an attribute of its own name, also where it repeats. Texts that are too long
//! for an attribute, such as a `description`, are passed over and counted.

use std::borrow::Cow;
use std::io::BufRead;

use crate::catalogue::product::FeedOperation;
use crate::domain::complaint::Fault;
use crate::domain::money::Currency;
use crate::domain::time::{Date, Period, Timestamp, Zone};
use crate::domain::value::TEXT_CHARS_MAX;
use crate::feed::bytes::Lines;
use crate::feed::csv::Splitter;
use crate::feed::flat::{Cell, Plan, Row, Target};
use crate::feed::mapping::Mapping;
use crate::feed::member::attr_of;
use crate::feed::result::{Counts, Faults, FeedError, Refused, refuse};
use crate::feed::{Reading, Rows, xml};
use crate::predicate::rule::Attr;

/// What a field means.
#[derive(Clone, Debug)]
enum Meaning {
    Field(Target),
    /// An amount with its currency.
    Amount(Target),
    Availability,
    /// When the sale price holds.
    SalePeriod,
    Attribute(Attr),
}

/// A field of an item.
struct Field<'f> {
    name: &'f str,
    /// The name as [`spelled`].
    key: &'f str,
    meaning: &'f Meaning,
    text: &'f str,
}

/// What a name means, as it is [`spelled`].
fn meaning(name: &str) -> Result<Meaning, Fault> {
    Ok(match name {
        "id" => Meaning::Field(Target::Variant),
        "item_group_id" => Meaning::Field(Target::Product),
        "product_type" => Meaning::Field(Target::CategoryPath),
        "score" => Meaning::Field(Target::Score),
        "price" => Meaning::Amount(Target::ListPrice),
        "sale_price" => Meaning::Amount(Target::SalePrice),
        "cost_of_goods_sold" => Meaning::Amount(Target::Cost),
        "availability" => Meaning::Availability,
        "sale_price_effective_date" => Meaning::SalePeriod,
        _ => Meaning::Attribute(attr_of(name)?),
    })
}

/// Names are told apart neither by case nor by spaces or underscores.
fn spelled(name: &str) -> String {
    let name = name.trim().to_lowercase();
    let name = name.strip_prefix("g:").unwrap_or(&name);
    name.replace(' ', "_")
}

/// Reads rows of tab-separated values.
pub(super) fn read_tsv<R: BufRead, E: FnMut(u64, Result<FeedOperation, Refused>)>(
    lines: &mut Lines<R>,
    reading: &Reading<'_>,
    mapping: &Mapping,
    rows: &mut Rows<'_, E>,
) -> Result<(), FeedError> {
    let mut items = Items::new(reading, mapping)?;
    let mut splitter = Splitter::new(b'\t', Some(b'"'));
    if !splitter.next(lines)? {
        return Ok(());
    }
    let names = splitter.names()?;
    let mut passed_over = Faults::of_row(splitter.row);
    let keys: Vec<String> = names.iter().map(|name| spelled(name)).collect();
    let mut meanings = Vec::with_capacity(names.len());
    for (name, key) in names.iter().zip(&keys) {
        meanings.push(match meaning(key) {
            Ok(meaning) => Some(meaning),
            Err(fault) => {
                passed_over.add(name.as_str(), name, fault);
                None
            }
        });
    }
    check_header((&names, &keys), &meanings, splitter.row)?;
    if let Err(refused) = passed_over.finish() {
        rows.refuse(splitter.row, refused);
    }
    while splitter.next(lines)? {
        let outcome = splitter.cells(&names).and_then(|cells| {
            let columns = names.iter().zip(&keys).zip(&meanings);
            let fields = columns
                .zip(cells)
                .filter_map(|(((name, key), meaning), text)| {
                    let meaning = meaning.as_ref()?;
                    Some(Field {
                        name,
                        key,
                        meaning,
                        text,
                    })
                });
            let fields: Vec<Field<'_>> = fields.collect();
            items.read(
                splitter.row,
                &fields,
                (&mut rows.operations, &mut rows.counts),
            )
        });
        rows.finish(splitter.row, outcome, |target| column_of(target).to_owned());
    }
    Ok(())
}

/// The column of a key is there, and what can be there once is.
fn check_header(
    (names, keys): (&[String], &[String]),
    meanings: &[Option<Meaning>],
    row: u64,
) -> Result<(), FeedError> {
    let mut fatal = Vec::new();
    let once = |meaning: &Option<Meaning>| {
        !matches!(
            meaning,
            None | Some(Meaning::Attribute(_) | Meaning::Field(Target::CategoryPath))
        )
    };
    for (place, name) in names
        .iter()
        .enumerate()
        .filter(|(at, _)| once(&meanings[*at]))
    {
        if keys[..place].contains(&keys[place]) {
            let value = name.clone();
            fatal.extend(refuse(row, name, name, Fault::Duplicate { value }).errors);
        }
    }
    let has_id = meanings
        .iter()
        .any(|own| matches!(own, Some(Meaning::Field(Target::Variant))));
    if !has_id {
        let found = names.join(", ").chars().take(80).collect();
        fatal.extend(refuse(row, "id", "", Fault::RequiredColumn { found }).errors);
    }
    if fatal.is_empty() {
        Ok(())
    } else {
        Err(FeedError::Header(fatal))
    }
}

/// Reads the items of an RSS or Atom document.
pub(super) fn read_xml<R: BufRead, E: FnMut(u64, Result<FeedOperation, Refused>)>(
    input: R,
    reading: &Reading<'_>,
    mapping: &Mapping,
    rows: &mut Rows<'_, E>,
) -> Result<(), FeedError> {
    let mut items = Items::new(reading, mapping)?;
    xml::items(input, reading.encoding, |row, item| {
        let outcome = item.and_then(|fields| {
            let mut refused = Faults::of_row(row);
            let mut known = Vec::with_capacity(fields.len());
            for (name, text) in fields {
                let key = spelled(name);
                match meaning(&key) {
                    Ok(meaning) => known.push((name, key, meaning, text)),
                    Err(fault) => refused.add(name.as_str(), text, fault),
                }
            }
            refused.finish()?;
            let known = known.iter().map(|(name, key, meaning, text)| Field {
                name,
                key,
                meaning,
                text,
            });
            let known: Vec<Field<'_>> = known.collect();
            items.read(row, &known, (&mut rows.operations, &mut rows.counts))
        });
        rows.finish(row, outcome, |target| column_of(target).to_owned());
    })
}

/// The field that a key is read from.
fn column_of(target: &str) -> &str {
    match target {
        "variant" => "id",
        "product" => "item_group_id",
        other => other,
    }
}

/// How items become rows.
struct Items<'m> {
    plan: Plan<'m>,
    currency: Currency,
    zone: &'m Zone,
    now: Timestamp,
}

impl<'m> Items<'m> {
    fn new(reading: &Reading<'m>, mapping: &'m Mapping) -> Result<Self, FeedError> {
        Ok(Self {
            plan: Plan::new(reading, mapping)?.keyed("id"),
            currency: reading.locale.currency,
            zone: &reading.locale.zone,
            now: reading.now,
        })
    }

    /// Reads an item.
    fn read(
        &mut self,
        number: u64,
        fields: &[Field<'_>],
        (operations, counts): (&mut Vec<FeedOperation>, &mut Counts),
    ) -> Result<(), Refused> {
        let mut row = Row::new(number);
        let mut sale = None;
        let mut is_on_sale = true;
        for (place, field) in fields.iter().enumerate() {
            let (name, text) = (field.name, field.text.trim());
            if text.is_empty() {
                continue;
            }
            match field.meaning {
                Meaning::Field(Target::CategoryPath) => {
                    self.set_all(&mut row, &Target::CategoryPath, &fields[..=place], fields);
                }
                Meaning::Field(target) => set(&self.plan, &mut row, target, name, text),
                Meaning::Amount(Target::SalePrice) => sale = Some((name, text)),
                Meaning::Amount(target) => self.set_amount(&mut row, target, name, text),
                Meaning::Availability => self.set_stock(&mut row, name, text),
                Meaning::SalePeriod => match period(text, self.zone) {
                    Ok(period) => {
                        is_on_sale = period.contains(self.now);
                        counts.later_sales += u64::from(self.now < period.end());
                    }
                    Err(fault) => row.complain(name, text, fault),
                },
                Meaning::Attribute(_) if TEXT_CHARS_MAX < text.chars().count() => {
                    counts.long_texts += 1;
                }
                Meaning::Attribute(attr) => {
                    let target = Target::Attribute(attr.clone());
                    self.set_all(&mut row, &target, &fields[..=place], fields);
                }
            }
        }
        if let Some((name, text)) = sale.filter(|_| is_on_sale) {
            self.set_amount(&mut row, &Target::SalePrice, name, text);
        }
        self.plan.finish(row, operations)
    }

    /// Sets a field that may repeat to all of its texts, when the first of them comes by.
    fn set_all(&self, row: &mut Row, target: &Target, until: &[Field<'_>], all: &[Field<'_>]) {
        let Some((first, earlier)) = until.split_last() else {
            return;
        };
        let same = |field: &&Field<'_>| {
            let text = field.text.trim();
            field.key == first.key && !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX
        };
        if earlier.iter().any(|field| same(&field)) {
            return;
        }
        let texts = all.iter().filter(same);
        let texts = texts
            .map(|field| Cow::Borrowed(field.text.trim()))
            .collect();
        row.set(&self.plan, target, first.name, &Cell::List(texts));
    }

    fn set_amount(&self, row: &mut Row, target: &Target, name: &str, text: &str) {
        match amount(text, self.currency) {
            Ok(amount) => set(&self.plan, row, target, name, amount),
            Err(fault) => row.complain(name, text, fault),
        }
    }

    fn set_stock(&self, row: &mut Row, name: &str, text: &str) {
        const KNOWN: [&str; 4] = ["in_stock", "out_of_stock", "preorder", "backorder"];
        match spelled(text).as_str() {
            "out_of_stock" => set(&self.plan, row, &Target::Stock, name, "0"),
            "in_stock" | "preorder" | "backorder" => {}
            _ => row.complain(name, text, Fault::unknown_value(text, &KNOWN)),
        }
    }
}

fn set(plan: &Plan<'_>, row: &mut Row, target: &Target, name: &str, text: &str) {
    row.set(plan, target, name, &Cell::Text(Cow::Borrowed(text)));
}

/// The number of `19.90 EUR`.
///
/// # Errors
/// `currency-mismatch`, or `bad-format`.
fn amount(text: &str, currency: Currency) -> Result<&str, Fault> {
    let refused = || Fault::bad_format("an amount such as 19.90 EUR", text);
    let (number, code) = text.split_once(char::is_whitespace).ok_or_else(refused)?;
    let code = code.trim();
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(refused());
    }
    if !code.eq_ignore_ascii_case(currency.code()) {
        return Err(Fault::CurrencyMismatch {
            expected: currency.code(),
            found: code.to_owned(),
        });
    }
    Ok(number)
}

/// The period of `2027-03-01T13:00-0800/2027-03-11T15:30-0800`; without offsets, or of bare dates,
/// in the market's zone.
///
/// # Errors
/// `bad-format`, or `out-of-range` if it ends before it begins.
fn period(text: &str, zone: &Zone) -> Result<Period, Fault> {
    let refused = || {
        Fault::bad_format(
            "a period such as 2027-03-01T13:00-0800/2027-03-11T15:30-0800",
            text,
        )
    };
    let (start, end) = text.split_once('/').ok_or_else(refused)?;
    let start = instant(start.trim(), zone).ok_or_else(refused)?;
    let end = instant(end.trim(), zone).ok_or_else(refused)?;
    Period::new(start, end)
}

fn instant(text: &str, zone: &Zone) -> Option<Timestamp> {
    let Some((date, time)) = text.split_once('T') else {
        return Some(Date::parse(text).ok()?.midnight_in(zone));
    };
    let n_clock = time.find(['+', '-', 'Z', 'z']).unwrap_or(time.len());
    let (clock, offset) = time.split_at(n_clock);
    if offset.is_empty() {
        return zone.instant_of(text);
    }
    let seconds = if clock.matches(':').count() == 1 {
        ":00"
    } else {
        ""
    };
    // The basic form of ISO 8601 has no colon between hours and minutes.
    let offset = match offset.split_at_checked(3) {
        Some((hours, minutes)) if minutes.len() == 2 => format!("{hours}:{minutes}"),
        _ => offset.to_owned(),
    };
    Timestamp::parse(&format!("{date}T{clock}{seconds}{offset}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Minor;
    use crate::feed::trial::{Taken, Trial, texts};
    use crate::feed::{Format, Kind};

    fn tsv(feed: &str) -> Taken {
        let trial = Trial::of(Format::GoogleTsv, Kind::Catalogue);
        trial.read(feed.as_bytes()).unwrap()
    }

    fn xml(feed: &str) -> Result<Taken, FeedError> {
        Trial::of(Format::GoogleXml, Kind::Catalogue).read(feed.as_bytes())
    }

    /// An RSS document around items.
    fn rss(items: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<rss version=\"2.0\" xmlns:g=\"http://base.google.com/ns/1.0\">\n\
             <channel>\n<title>Shop</title>\n{items}</channel>\n</rss>\n"
        )
    }

    #[test]
    fn a_row_is_a_variant() {
        let taken = tsv(
            "id\ttitle\titem group id\tproduct_type\tprice\tsale_price\tcost_of_goods_sold\tavailability\tcolor\tscore\tdescription\n\
             K-1-S\tKelp boot\tK-1\tShoes > Rain Boots\t890.00 SEK\t623.50 SEK\t310.00 SEK\tin_stock\tmoss\t41.5\tsoft\n\
             K-2\tKelp cap\t\t\t120.00 sek\t\t\tout of stock\t\t\t\n",
        );
        assert_eq!(taken.faults(), vec![]);
        let variants = taken.variants();
        let (product, boot) = &variants["K-1-S"];
        assert_eq!(product.as_deref(), Some("K-1"));
        assert_eq!(
            (boot.list_price, boot.sale_price),
            (Some(Minor(89_000)), Some(Minor(62_350)))
        );
        assert_eq!((boot.cost, boot.stock), (Some(Minor(31_000)), None));
        assert_eq!(boot.score.as_ref().unwrap().to_string(), "41.5");
        assert_eq!(texts(boot, "color"), ["moss"]);
        assert_eq!(texts(boot, "title"), ["Kelp boot"]);
        assert_eq!(taken.categories("K-1-S"), ["main:shoes/rain-boots"]);
        let (product, cap) = &variants["K-2"];
        assert_eq!((product, cap.stock, cap.sale_price), (&None, Some(0), None));
    }

    #[test]
    fn what_is_wrong_is_named_with_row_and_column() {
        let taken = tsv("id\tprice\tavailability\tstock\n\
             a\t10.00 EUR\tin_stock\t1\n\
             b\t10,00 SEK\tsold\t1\n\
             \t10.00\tin_stock\t1\n\
             c\t1.005 SEK\tin_stock\t1\n\
             c\t1.00 SEK\tin_stock\t1\n\
             d\t1.00 SEK\n");
        let expected = [
            (1, "stock", "contradiction"),
            (2, "price", "currency-mismatch"),
            (3, "price", "bad-format"),
            (3, "availability", "unknown-value"),
            (4, "price", "bad-format"),
            (4, "id", "required"),
            (5, "price", "money-precision"),
            (7, "", "too-few"),
        ];
        let expected = expected
            .map(|(row, at, code)| (row, at.to_owned(), code))
            .to_vec();
        assert_eq!(taken.faults(), expected);
        assert_eq!(taken.variants().len(), 1, "the good c stands");
        let header = |header: &str| {
            let trial = Trial::of(Format::GoogleTsv, Kind::Catalogue);
            match trial.read(header.as_bytes()).unwrap_err() {
                FeedError::Header(errors) => errors[0].fault.code(),
                other => panic!("{other}"),
            }
        };
        assert_eq!(header("title\tprice\n"), "required");
        assert_eq!(header("id\tprice\tPrice\n"), "duplicate");
    }

    #[test]
    fn a_sale_price_holds_in_its_period() {
        let feed = |period: &str| {
            let taken = tsv(&format!(
                "id\tprice\tsale_price\tsale_price_effective_date\nv\t10.00 SEK\t8.00 SEK\t{period}\n"
            ));
            assert_eq!(taken.faults(), vec![], "{period}");
            let on_sale = taken.variants()["v"].1.sale_price.is_some();
            (on_sale, taken.counts.later_sales)
        };
        // Now is 2027-03-10 12:00 UTC, 13:00 in the market.
        assert_eq!(
            feed("2027-03-01T13:00-0800/2027-03-11T15:30-0800"),
            (true, 1)
        );
        assert_eq!(
            feed("2027-03-10T12:00:01Z/2027-03-11T00:00:00+01:00"),
            (false, 1)
        );
        assert_eq!(feed("2027-03-01/2027-03-10"), (false, 0));
        assert_eq!(feed("2027-03-10/2027-03-11"), (true, 1));
        assert_eq!(feed("2027-03-10T13:00/2027-03-10T14:00"), (true, 1));
        assert_eq!(feed("2027-03-10T13:01/2027-03-10T14:00"), (false, 1));
        let wrong = tsv("id\tsale_price_effective_date\nv\tsoon\nw\t2027-03-11/2027-03-10\n");
        let codes: Vec<_> = wrong
            .faults()
            .into_iter()
            .map(|(row, _, code)| (row, code))
            .collect();
        assert_eq!(codes, [(2, "bad-format"), (3, "out-of-range")]);
    }

    #[test]
    fn items_of_rss_and_entries_of_atom_are_rows() {
        let items = "<item>\n<g:id>A</g:id><title><![CDATA[Cap & scarf]]></title>\
            <g:price>99.00 SEK</g:price><g:product_type>Hats &gt; Caps</g:product_type>\
            <g:product_type>Sale</g:product_type>\
            <g:shipping><g:country>SE</g:country><g:price>49.00 SEK</g:price></g:shipping>\
            <g:color>moss &#38; sand</g:color><g:color>coal</g:color></item>\n\
            <item><g:id>B</g:id><g:availability>out_of_stock</g:availability></item>\n";
        let taken = xml(&rss(items)).unwrap();
        assert_eq!(taken.faults(), vec![]);
        let variants = taken.variants();
        let cap = &variants["A"].1;
        assert_eq!(texts(cap, "title"), ["Cap & scarf"]);
        assert_eq!(texts(cap, "color"), ["moss & sand", "coal"]);
        assert_eq!(texts(cap, "shipping"), Vec::<String>::new());
        assert_eq!(cap.list_price, Some(Minor(9_900)));
        assert_eq!(taken.categories("A"), ["main:hats/caps", "main:sale"]);
        assert_eq!(variants["B"].1.stock, Some(0));
        let rows: Vec<u64> = taken.good_rows().into_iter().collect();
        assert_eq!(rows, [5, 7], "the lines on which the items begin");

        let atom = "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:g=\"x\"><entry><title>Cap</title>\
            <link href=\"https://shop.example/cap\"/><g:id>A</g:id></entry></feed>";
        let taken = xml(atom).unwrap();
        let cap = &taken.variants()["A"].1;
        assert_eq!(texts(cap, "link"), ["https://shop.example/cap"]);
        assert_eq!(texts(cap, "title"), ["Cap"]);
    }

    #[test]
    fn documents_that_are_none_end_with_their_row() {
        #[track_caller]
        fn check(feed: &str, row: u64, part: &str) {
            match xml(feed) {
                Err(FeedError::Markup { row: found, why }) => {
                    assert_eq!(found, row, "{why}");
                    assert!(why.contains(part), "{why}");
                }
                other => panic!("{other:?}"),
            }
        }
        check(
            "<!DOCTYPE rss [<!ENTITY a \"b\">]>\n<rss></rss>",
            1,
            "document type",
        );
        check("<html>\n</html>", 1, "neither RSS nor Atom");
        check("", 1, "neither RSS nor Atom");
        check("<rss>\n<channel>\n<item><g:id>a</g:id>\n", 4, "ends inside");
        check("<rss>\n<item></rss>", 2, "");
        check(&format!("<rss>{}", "<a>".repeat(33)), 1, "more than 32");
        check(
            "<?xml version=\"1.0\" encoding=\"utf-16\"?><rss/>",
            1,
            "encoding",
        );
    }

    #[test]
    fn only_entities_of_xml_are_known() {
        let items = "<item><g:id>a</g:id><title>&lol9;</title></item><item><g:id>b</g:id></item>";
        let taken = xml(&rss(items)).unwrap();
        assert_eq!(taken.faults(), [(5, "title".to_owned(), "bad-format")]);
        assert_eq!(taken.variants().len(), 1);
    }

    #[test]
    fn an_item_has_a_bound_and_a_feed_on_one_line_has_none() {
        let long = rss(&format!(
            "<item><g:id>a</g:id><title>{}</title></item>",
            "x".repeat(2 << 20)
        ));
        assert!(matches!(xml(&long), Err(FeedError::LineTooLong { .. })));
        let many =
            rss(&"<item><g:id>a</g:id><title>Thing of the shop</title></item>".repeat(40_000));
        assert!(1 << 20 < many.len());
        let mut trial = Trial::of(Format::GoogleXml, Kind::Catalogue);
        trial.repeats = crate::feed::Repeats::Allowed;
        assert_eq!(trial.read(many.as_bytes()).unwrap().counts.rows, 40_000);
    }

    #[test]
    fn old_encodings_are_read_where_they_are_declared() {
        let feed = b"<?xml version='1.0' encoding='ISO-8859-1'?><rss><item><id>a</id><title>f\xfcr</title></item></rss>";
        let trial = Trial::of(Format::GoogleXml, Kind::Catalogue);
        let taken = trial.read(feed).unwrap();
        assert_eq!(texts(&taken.variants()["a"].1, "title"), ["f\u{fc}r"]);
        let undeclared = b"<rss>\n<item><id>a</id><title>f\xfcr</title></item></rss>";
        match trial.read(undeclared) {
            Err(FeedError::Markup { row: 2, why }) => assert!(why.contains("UTF-8"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}
