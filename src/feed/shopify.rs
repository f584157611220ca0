//! Shopify's product export, in either generation of column names.
//!
//! | endcap | old | new |
//! |---|---|---|
//! | product | `Handle` | `URL handle` |
//! | variant | `Variant SKU` | `SKU` |
//! | list and sale price | `Variant Compare At Price`, `Variant Price` | `Compare-at price`, `Price` |
//! | stock | `Variant Inventory Qty` | `Inventory quantity` |
//! | cost | `Cost per item` | `Cost per item` |
//! | weight | `Variant Grams` | `Weight value (grams)` |
//! | brand, category path | `Vendor`, `Product Category` | `Vendor`, `Product category` |
//! | attributes | `Type`, `Tags`, `Option1 Name` and `Option1 Value` … | the same, `name`, `value` |
//! | for one market | `Price / X`, `Compare At Price / X`, `Included / X` | `Compare-at price / X` |
//!
//! Names are told apart without regard to case. The rows of a handle are one product: later ones
//! inherit what they leave blank of the product. A row without anything of a variant is a picture
//! and passed over. Without a SKU a variant's key is the handle and its option values. A compare-at
//! price counts where it is above the price: then it is the list price, and the price is a sale.
//! Every other column is an attribute of its own name; texts too long for one, such as a body, are
//! passed over and counted.

use std::borrow::Cow;
use std::io::BufRead;

use crate::catalogue::product::FeedOperation;
use crate::domain::complaint::Fault;
use crate::domain::money::Currency;
use crate::domain::value::TEXT_CHARS_MAX;
use crate::feed::bytes::Lines;
use crate::feed::csv::Splitter;
use crate::feed::flat::{Cell, Plan, Row, Target};
use crate::feed::mapping::Mapping;
use crate::feed::member::attr_of;
use crate::feed::result::{Counts, Faults, FeedError, Refused, refuse};
use crate::feed::{Reading, Rows};
use crate::predicate::rule::Attr;

/// What stands in a product without options.
const NO_OPTION: (&str, &str) = ("Title", "Default Title");

/// Options of a product.
const OPTIONS: usize = 3;

/// What a column means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Handle,
    Sku,
    Price,
    CompareAt,
    /// The same for the market that is fed.
    OwnPrice,
    OwnCompareAt,
    OwnIncluded,
    Grams,
    OptionName(usize),
    OptionValue(usize),
    /// Of the variant alone.
    Variant(Target),
    /// Of the product: later rows inherit it.
    Product(Target),
    Tags,
    Nothing,
}

fn meaning(name: &str, market: &[&str]) -> Result<Meaning, Fault> {
    let lower = name.trim().to_lowercase();
    if let Some(own) = of_market(&lower, market) {
        return Ok(own);
    }
    for place in 0..OPTIONS {
        let number = place + 1;
        if lower == format!("option{number} name") {
            return Ok(Meaning::OptionName(place));
        }
        if lower == format!("option{number} value") {
            return Ok(Meaning::OptionValue(place));
        }
        if lower == format!("option{number} linked to") {
            return Ok(Meaning::Nothing);
        }
    }
    let attribute = |name: &str| Ok::<_, Fault>(Target::Attribute(attr_of(name)?));
    Ok(match lower.as_str() {
        "handle" | "url handle" => Meaning::Handle,
        "variant sku" | "sku" => Meaning::Sku,
        "variant price" | "price" => Meaning::Price,
        "variant compare at price" | "compare-at price" => Meaning::CompareAt,
        "variant grams" | "weight value (grams)" => Meaning::Grams,
        "variant inventory qty" | "inventory quantity" => Meaning::Variant(Target::Stock),
        "cost per item" => Meaning::Variant(Target::Cost),
        "score" => Meaning::Variant(Target::Score),
        "title" => Meaning::Product(attribute("title")?),
        "vendor" => Meaning::Product(attribute("brand")?),
        "product category" => Meaning::Product(Target::CategoryPath),
        "tags" => Meaning::Tags,
        "image position" | "image alt text" => Meaning::Nothing,
        _ if lower.starts_with("variant ") => Meaning::Variant(attribute(name)?),
        _ => Meaning::Product(attribute(name)?),
    })
}

/// What a column of one market means; those of others mean nothing here.
fn of_market(lower: &str, market: &[&str]) -> Option<Meaning> {
    let (what, whose) = lower.split_once(" / ")?;
    let meaning = match what.trim() {
        "price" => Meaning::OwnPrice,
        "compare at price" | "compare-at price" => Meaning::OwnCompareAt,
        "included" => Meaning::OwnIncluded,
        _ => return None,
    };
    let whose = whose.trim();
    let is_own = market.iter().any(|own| own.to_lowercase() == whose);
    Some(if is_own { meaning } else { Meaning::Nothing })
}

/// Reads a product export.
pub(super) fn read<R: BufRead, E: FnMut(u64, Result<FeedOperation, Refused>)>(
    lines: &mut Lines<R>,
    reading: &Reading<'_>,
    mapping: &Mapping,
    rows: &mut Rows<'_, E>,
) -> Result<(), FeedError> {
    let mut splitter = Splitter::new(b',', Some(b'"'));
    if !splitter.next(lines)? {
        return Ok(());
    }
    let names = splitter.names()?;
    let (columns, refused) = header(&names, reading.market, splitter.row)?;
    if let Some(refused) = refused {
        rows.refuse(splitter.row, refused);
    }
    let mut export = Export {
        plan: Plan::new(reading, mapping)?,
        currency: reading.locale.currency,
        columns,
        product: Vec::new(),
    };
    while splitter.next(lines)? {
        let cells = splitter.cells(&names).map(Iterator::collect::<Vec<_>>);
        let outcome = cells.and_then(|cells| {
            let out = (&mut rows.operations, &mut rows.counts);
            export.row(splitter.row, &cells, out)
        });
        rows.finish(splitter.row, outcome, |target| export.column_of(target));
    }
    Ok(())
}

/// A column: its name, and what it means unless it is passed over.
struct Column {
    name: String,
    meaning: Meaning,
}

fn header(
    names: &[String],
    market: &[&str],
    row: u64,
) -> Result<(Vec<Column>, Option<Refused>), FeedError> {
    let lower: Vec<String> = names
        .iter()
        .map(|name| name.trim().to_lowercase())
        .collect();
    let has = |name: &str| lower.iter().any(|own| own == name);
    if has("handle") && has("url handle") {
        return Err(FeedError::TwoHeaders);
    }
    let mut fatal = Vec::new();
    if !has("handle") && !has("url handle") {
        let found = names.join(", ").chars().take(80).collect();
        fatal.extend(refuse(row, "Handle", "", Fault::RequiredColumn { found }).errors);
    }
    for (place, name) in lower.iter().enumerate() {
        if lower[..place].contains(name) {
            let value = names[place].clone();
            fatal.extend(
                refuse(
                    row,
                    &names[place],
                    &value,
                    Fault::Duplicate {
                        value: value.clone(),
                    },
                )
                .errors,
            );
        }
    }
    if !fatal.is_empty() {
        return Err(FeedError::Header(fatal));
    }
    let mut passed_over = Faults::of_row(row);
    let columns = names.iter().map(|name| Column {
        name: name.clone(),
        meaning: meaning(name, market).unwrap_or_else(|fault| {
            passed_over.add(name.as_str(), name, fault);
            Meaning::Nothing
        }),
    });
    let columns = columns.collect();
    Ok((columns, passed_over.finish().err()))
}

/// An export that is being read.
struct Export<'m> {
    plan: Plan<'m>,
    currency: Currency,
    columns: Vec<Column>,
    /// Cells of the product at hand, its handle among them; later rows inherit them.
    product: Vec<String>,
}

impl Export<'_> {
    fn row(
        &mut self,
        number: u64,
        cells: &[&str],
        (operations, counts): (&mut Vec<FeedOperation>, &mut Counts),
    ) -> Result<(), Refused> {
        let handle = self.cell(cells, &Meaning::Handle).trim().to_owned();
        if handle.is_empty() {
            let name = self.name_of(&Meaning::Handle);
            return Err(refuse(number, name, "", Fault::Required));
        }
        self.inherit(cells, &handle);
        if !self.is_variant(cells) {
            return Ok(());
        }
        if self
            .cell(cells, &Meaning::OwnIncluded)
            .trim()
            .eq_ignore_ascii_case("false")
        {
            counts.other_markets += 1;
            return Ok(());
        }
        let mut row = Row::new(number);
        self.set_keys(&mut row, cells, &handle);
        self.set_prices(&mut row, cells);
        self.set_options(&mut row, cells);
        for (place, column) in self.columns.iter().enumerate() {
            match &column.meaning {
                Meaning::Variant(target) => {
                    self.set(&mut row, target, (&column.name, cells[place]), counts);
                }
                Meaning::Product(target) => {
                    self.set(
                        &mut row,
                        target,
                        (&column.name, &self.product[place]),
                        counts,
                    );
                }
                Meaning::Tags => self.set_tags(&mut row, place),
                Meaning::Grams => self.set_grams(&mut row, (&column.name, cells[place])),
                _ => {}
            }
        }
        self.plan.finish(row, operations)
    }

    /// Keeps the product's cells; of another handle, all of them.
    fn inherit(&mut self, cells: &[&str], handle: &str) {
        let place = self.place_of(&Meaning::Handle);
        let same = place.and_then(|place| self.product.get(place));
        if same.is_none_or(|own| own.trim() != handle) {
            self.product = cells.iter().map(|cell| (*cell).to_owned()).collect();
            return;
        }
        for (own, cell) in self.product.iter_mut().zip(cells) {
            if !cell.trim().is_empty() {
                (*cell).clone_into(own);
            }
        }
    }

    /// Whether a row holds anything of a variant.
    fn is_variant(&self, cells: &[&str]) -> bool {
        let tells = |meaning: &Meaning| {
            matches!(
                meaning,
                Meaning::Sku
                    | Meaning::Price
                    | Meaning::OwnPrice
                    | Meaning::OptionValue(_)
                    | Meaning::Variant(Target::Stock | Target::Cost)
            )
        };
        let columns = self.columns.iter().zip(cells);
        columns
            .into_iter()
            .any(|(column, cell)| tells(&column.meaning) && !cell.trim().is_empty())
    }

    fn set_keys(&self, row: &mut Row, cells: &[&str], handle: &str) {
        let sku = self.cell(cells, &Meaning::Sku).trim();
        let key = if sku.is_empty() {
            let mut parts = vec![handle.to_owned()];
            parts.extend(self.options(cells).map(|(_, value)| value.to_owned()));
            parts.join("-")
        } else {
            sku.to_owned()
        };
        let name = self.name_of(&Meaning::Sku);
        put(&self.plan, row, &Target::Variant, (name, &key));
        put(
            &self.plan,
            row,
            &Target::Product,
            (self.name_of(&Meaning::Handle), handle),
        );
    }

    /// The options of a row: names of the product, values of its own.
    fn options<'c>(&'c self, cells: &'c [&str]) -> impl Iterator<Item = (&'c str, &'c str)> {
        (0..OPTIONS).filter_map(move |place| {
            let name = self.place_of(&Meaning::OptionName(place));
            let name = name.and_then(|at| self.product.get(at))?.trim();
            let value = self.cell(cells, &Meaning::OptionValue(place)).trim();
            let is_there = !value.is_empty() && !name.is_empty() && (name, value) != NO_OPTION;
            is_there.then_some((name, value))
        })
    }

    fn set_options(&self, row: &mut Row, cells: &[&str]) {
        for (name, value) in self.options(cells) {
            match attr_of(name) {
                Ok(attr) => put(&self.plan, row, &Target::Attribute(attr), (name, value)),
                Err(fault) => row.complain(name, value, fault),
            }
        }
    }

    /// A market's own price stands alone: what it is compared with is in another currency.
    fn set_prices(&self, row: &mut Row, cells: &[&str]) {
        let is_own = !self.cell(cells, &Meaning::OwnPrice).trim().is_empty();
        let (price, compare_at) = if is_own {
            (Meaning::OwnPrice, Meaning::OwnCompareAt)
        } else {
            (Meaning::Price, Meaning::CompareAt)
        };
        let amount = |meaning: &Meaning| {
            let text = self.cell(cells, meaning).trim();
            let read = (!text.is_empty()).then(|| self.currency.parse_amount(text));
            (self.name_of(meaning), text, read)
        };
        let (price, compare_at) = (amount(&price), amount(&compare_at));
        if let (Some(Ok(charged)), Some(Ok(regular))) = (&price.2, &compare_at.2)
            && charged < regular
        {
            put(
                &self.plan,
                row,
                &Target::ListPrice,
                (compare_at.0, compare_at.1),
            );
            put(&self.plan, row, &Target::SalePrice, (price.0, price.1));
            return;
        }
        put(&self.plan, row, &Target::ListPrice, (price.0, price.1));
        if let Some(Err(fault)) = compare_at.2 {
            row.complain(compare_at.0, compare_at.1, fault);
        }
    }

    fn set_tags(&self, row: &mut Row, place: usize) {
        let column = &self.columns[place];
        let tags = self.product[place].split(',').map(str::trim);
        let tags = tags.filter(|tag| !tag.is_empty()).map(Cow::Borrowed);
        match Attr::parse(&column.name) {
            Ok(attr) => {
                let target = Target::Attribute(attr);
                row.set(
                    &self.plan,
                    &target,
                    &column.name,
                    &Cell::List(tags.collect()),
                );
            }
            Err(fault) => row.complain(&column.name, &self.product[place], fault),
        }
    }

    /// Exports write whole grams with a point and zeros.
    fn set_grams(&self, row: &mut Row, (name, text): (&str, &str)) {
        let text = text.trim();
        let whole = match text.split_once('.') {
            Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
            _ => text,
        };
        put(&self.plan, row, &Target::WeightG, (name, whole));
    }

    fn set(&self, row: &mut Row, target: &Target, (name, text): (&str, &str), counts: &mut Counts) {
        let is_long = TEXT_CHARS_MAX < text.trim().chars().count();
        if is_long && matches!(target, Target::Attribute(_)) {
            counts.long_texts += 1;
        } else {
            put(&self.plan, row, target, (name, text));
        }
    }

    fn place_of(&self, meaning: &Meaning) -> Option<usize> {
        self.columns.iter().position(|own| own.meaning == *meaning)
    }

    fn cell<'c>(&self, cells: &[&'c str], meaning: &Meaning) -> &'c str {
        let place = self.place_of(meaning);
        place
            .and_then(|place| cells.get(place))
            .copied()
            .unwrap_or_default()
    }

    fn name_of(&self, meaning: &Meaning) -> &str {
        let place = self.place_of(meaning);
        place.map_or("", |place| &self.columns[place].name)
    }

    /// The column that a key is read from.
    fn column_of(&self, target: &str) -> String {
        match target {
            "variant" => self.name_of(&Meaning::Sku).to_owned(),
            _ => self.name_of(&Meaning::Handle).to_owned(),
        }
    }
}

fn put(plan: &Plan<'_>, row: &mut Row, target: &Target, (name, text): (&str, &str)) {
    row.set(plan, target, name, &Cell::Text(Cow::Borrowed(text)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Minor;
    use crate::feed::trial::{Taken, Trial, texts};
    use crate::feed::{Format, Kind};

    const OLD: &str = "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Option1 Name,Option1 Value,\
        Option2 Name,Option2 Value,Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,\
        Variant Compare At Price,Cost per item,Image Src,Included / se,Price / Sweden,\
        Compare At Price / Sweden,Price / no\n";
    const NEW: &str = "URL handle,Title,Vendor,Product category,Tags,Option1 name,Option1 value,SKU,\
        Weight value (grams),Inventory quantity,Price,Compare-at price,Cost per item\n";

    fn read(feed: &str) -> Taken {
        Trial::of(Format::ShopifyCsv, Kind::Catalogue)
            .read(feed.as_bytes())
            .unwrap()
    }

    #[test]
    fn rows_of_a_handle_are_one_product() {
        let taken = read(&format!(
            "{OLD}tern-tee,Tern tee,<p>soft</p>,Tern,Clothing > Shirts,Shirt,\"summer, cotton\",Size,S,Color,sand,T-S,180.0,4,84.00,120.00,31.50,https://x/1,,,,\n\
             tern-tee,,,,,,,,M,,sand,,190,-2,84.00,84.00,,,,,,\n\
             tern-tee,,,,,,,,,,,,,,,,,https://x/2,,,,\n\
             gift,Gift,,,,,,Title,Default Title,,,,,,50.00,,,,,,,\n"
        ));
        assert_eq!(taken.faults(), vec![]);
        let variants = taken.variants();
        assert_eq!(
            variants.keys().collect::<Vec<_>>(),
            ["T-S", "gift", "tern-tee-M-sand"]
        );
        let (product, small) = &variants["T-S"];
        assert_eq!(product.as_deref(), Some("tern-tee"));
        assert_eq!(
            (small.list_price, small.sale_price),
            (Some(Minor(12_000)), Some(Minor(8_400)))
        );
        assert_eq!(
            (small.cost, small.stock, small.weight_g),
            (Some(Minor(3_150)), Some(4), Some(180))
        );
        let medium = &variants["tern-tee-M-sand"].1;
        assert_eq!(
            (medium.list_price, medium.sale_price),
            (Some(Minor(8_400)), None)
        );
        assert_eq!(medium.stock, Some(-2));
        for variant in [small, medium] {
            assert_eq!(texts(variant, "title"), ["Tern tee"]);
            assert_eq!(texts(variant, "brand"), ["Tern"]);
            assert_eq!(texts(variant, "Tags"), ["summer", "cotton"]);
            assert_eq!(texts(variant, "Color"), ["sand"]);
        }
        assert_eq!(texts(medium, "Size"), ["M"]);
        assert_eq!(taken.categories("T-S"), ["main:clothing/shirts"]);
        assert_eq!(texts(&variants["gift"].1, "Title"), Vec::<String>::new());
        assert_eq!(
            taken.counts.rows, 4,
            "a picture is a row that changes nothing"
        );
    }

    #[test]
    fn the_new_generation_says_the_same() {
        let taken = read(&format!(
            "{NEW}tern-tee,Tern tee,Tern,Shirts,,Size,S,T-S,180,4,84.00,120.00,31.50\n"
        ));
        assert_eq!(taken.faults(), vec![]);
        let small = &taken.variants()["T-S"].1;
        assert_eq!(
            (small.list_price, small.sale_price),
            (Some(Minor(12_000)), Some(Minor(8_400)))
        );
        assert_eq!((small.weight_g, small.stock), (Some(180), Some(4)));
        assert_eq!(texts(small, "Size"), ["S"]);
        let both = Trial::of(Format::ShopifyCsv, Kind::Catalogue);
        let refused = both.read(b"Handle,URL handle\na,a\n");
        assert!(matches!(refused, Err(FeedError::TwoHeaders)));
    }

    #[test]
    fn a_market_has_prices_of_its_own() {
        let row = |rest: &str| {
            read(&format!(
                "{OLD}cap,Cap,,,,,,,,,,C,,,84.00,120.00,,,{rest}\n"
            ))
        };
        let own = row(",799.00,,9.00");
        let cap = &own.variants()["C"].1;
        assert_eq!(
            (cap.list_price, cap.sale_price),
            (Some(Minor(79_900)), None)
        );
        let sale = row("TRUE,799.00,999.00,9.00");
        let cap = &sale.variants()["C"].1;
        assert_eq!(
            (cap.list_price, cap.sale_price),
            (Some(Minor(99_900)), Some(Minor(79_900)))
        );
        let left_out = row("false,799.00,,");
        assert_eq!(left_out.variants().len(), 0);
        assert_eq!(left_out.counts.other_markets, 1);
    }

    #[test]
    fn what_is_wrong_is_named_with_row_and_column() {
        let taken = read(&format!(
            "{NEW},T,,,,,,X,,,1.00,,\n\
             a,T,,,,,,A,1.5,some,\"1,00\",x,y\n\
             b,T,,,,,,A,,,1.00,,\n\
             c,T,,,,,,A,,,1.00,,\n"
        ));
        let expected = [
            (2, "URL handle", "required"),
            (3, "Price", "bad-format"),
            (3, "Compare-at price", "bad-format"),
            (3, "Weight value (grams)", "bad-format"),
            (3, "Inventory quantity", "bad-format"),
            (3, "Cost per item", "bad-format"),
            (5, "SKU", "duplicate"),
        ];
        let expected = expected
            .map(|(row, at, code)| (row, at.to_owned(), code))
            .to_vec();
        assert_eq!(taken.faults(), expected);
    }
}
