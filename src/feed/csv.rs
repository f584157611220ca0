//! Cells between delimiters, under a line of column names.
//!
//! Quoting is that of RFC 4180, read as generously as spreadsheets write it: a quote inside a bare
//! cell is a character, what follows a closing quote belongs to the cell.

use std::borrow::Cow;
use std::io::BufRead;

use crate::catalogue::product::FeedOperation;
use crate::domain::complaint::Fault;
use crate::domain::text;
use crate::feed::bytes::{LINE_BYTES_MAX, Lines, split_terminator};
use crate::feed::flat::{Cell, Plan, Row, Target};
use crate::feed::mapping::{COLUMNS_MAX, Mapping};
use crate::feed::result::{Faults, FeedError, Refused, RowError, refuse};
use crate::feed::{Reading, Rows};
use crate::predicate::rule::Attr;

/// Reads a CSV feed.
pub(super) fn read<R: BufRead, E: FnMut(u64, Result<FeedOperation, Refused>)>(
    lines: &mut Lines<R>,
    reading: &Reading<'_>,
    mapping: &Mapping,
    rows: &mut Rows<'_, E>,
) -> Result<(), FeedError> {
    let mut plan = Plan::new(reading, mapping)?;
    let mut splitter = Splitter::new(mapping.delimiter, mapping.quote);
    if !splitter.next(lines)? {
        return Ok(());
    }
    let (columns, refused) = header(&plan, &splitter)?;
    if let Some(refused) = refused {
        rows.refuse(splitter.row, refused);
    }
    while splitter.next(lines)? {
        let number = splitter.row;
        let outcome = splitter.cells(&columns).and_then(|cells| {
            let mut row = Row::new(number);
            for (column, cell) in columns.iter().zip(cells) {
                for target in &column.targets {
                    row.set(
                        &plan,
                        target,
                        &column.name,
                        &Cell::Text(Cow::Borrowed(cell)),
                    );
                }
            }
            plan.finish(row, &mut rows.operations)
        });
        rows.finish(number, outcome, |target| plan.column_of(target));
    }
    Ok(())
}

/// A column and what it means.
struct Column {
    name: String,
    targets: Vec<Target>,
}

impl AsRef<str> for Column {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// Columns of the header, and a complaint about those that are passed over because they are named
/// like something built in.
fn header(
    plan: &Plan<'_>,
    splitter: &Splitter,
) -> Result<(Vec<Column>, Option<Refused>), FeedError> {
    let row = splitter.row;
    let names = splitter.names()?;
    let mut fatal: Vec<RowError> = Vec::new();
    let mut passed_over = Faults::of_row(row);
    let mut columns: Vec<Column> = Vec::new();
    for cell in &names {
        let name = match Attr::parse(cell) {
            Ok(name) => name.to_string(),
            Err(fault) => {
                fatal.extend(refuse(row, "", cell, fault).errors);
                continue;
            }
        };
        let targets = plan.bind(&name).unwrap_or_else(|fault| {
            passed_over.add(&*name, &name, fault);
            Vec::new()
        });
        let mut earlier = columns.iter();
        let is_repeated = earlier.any(|column| {
            let mut own = column.targets.iter();
            column.name == name || own.any(|target| targets.contains(target))
        });
        if is_repeated {
            let value = name.clone();
            fatal.extend(refuse(row, &name, &name, Fault::Duplicate { value }).errors);
        }
        columns.push(Column { name, targets });
    }
    for needed in plan.needed() {
        if !columns
            .iter()
            .any(|column| column.name == text::normal(needed))
        {
            let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
            let found = names.join(", ").chars().take(80).collect();
            fatal.extend(refuse(row, needed, "", Fault::RequiredColumn { found }).errors);
        }
    }
    if !fatal.is_empty() {
        return Err(FeedError::Header(fatal));
    }
    Ok((columns, passed_over.finish().err()))
}

/// Cuts records out of lines.
pub(super) struct Splitter {
    delimiter: u8,
    quote: Option<u8>,
    /// Physical line on which the record begins.
    pub(super) row: u64,
    /// All cells, unquoted, one after the other.
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// Whether the feed ended inside quotes.
    is_open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a cell.
    Start,
    /// In a cell without quotes, or behind its closing quote.
    Bare,
    /// Inside quotes.
    Quoted,
    /// Behind a quote that closes the cell unless another one follows.
    Closing,
}

impl Splitter {
    pub(super) fn new(delimiter: u8, quote: Option<u8>) -> Self {
        Self {
            delimiter,
            quote,
            row: 0,
            text: Vec::new(),
            ends: Vec::new(),
            is_open: false,
        }
    }

    /// Reads the next record that is not a blank line; false at the end of the feed.
    pub(super) fn next<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Result<bool, FeedError> {
        self.text.clear();
        self.ends.clear();
        self.is_open = false;
        let mut state = State::Start;
        while let Some((row, line)) = lines.next_line()? {
            let (body, terminator) = split_terminator(line);
            if state != State::Quoted {
                if body.is_empty() {
                    continue;
                }
                self.row = row;
            }
            state = self.take(body, state);
            if state != State::Quoted {
                self.ends.push(self.text.len());
                return Ok(true);
            }
            self.is_open = true;
            self.text.extend_from_slice(terminator);
            if LINE_BYTES_MAX < self.text.len() {
                return Err(FeedError::LineTooLong {
                    row: self.row,
                    limit_bytes: LINE_BYTES_MAX as u64,
                });
            }
        }
        if state == State::Quoted {
            self.ends.push(self.text.len());
            return Ok(true);
        }
        Ok(false)
    }

    fn take(&mut self, body: &[u8], mut state: State) -> State {
        for &byte in body {
            let is_quote = self.quote == Some(byte);
            state = match state {
                State::Quoted if is_quote => State::Closing,
                State::Quoted => self.push(byte, State::Quoted),
                State::Start if is_quote => State::Quoted,
                State::Closing if is_quote => self.push(byte, State::Quoted),
                State::Start | State::Bare | State::Closing if byte == self.delimiter => {
                    self.ends.push(self.text.len());
                    State::Start
                }
                State::Start | State::Bare | State::Closing => self.push(byte, State::Bare),
            };
        }
        if state != State::Quoted {
            self.is_open = false;
        }
        state
    }

    fn push(&mut self, byte: u8, next: State) -> State {
        self.text.push(byte);
        next
    }

    /// The names in a header.
    ///
    /// # Errors
    /// [`FeedError::Header`] if they cannot be read, or there are too many.
    pub(super) fn names(&self) -> Result<Vec<String>, FeedError> {
        let row = self.row;
        let text = str::from_utf8(&self.text);
        let Some(text) = text.ok().filter(|_| !self.is_open) else {
            let shown = String::from_utf8_lossy(&self.text);
            let fault = Fault::bad_format("column names in UTF-8", &shown);
            return Err(FeedError::Header(refuse(row, "", &shown, fault).errors));
        };
        if COLUMNS_MAX < self.ends.len() {
            let (have, max) = (self.ends.len(), COLUMNS_MAX);
            let fault = Fault::TooMany { have, max };
            return Err(FeedError::Header(refuse(row, "", "", fault).errors));
        }
        Ok(self.slices(text).map(str::to_owned).collect())
    }

    /// The cells of a record, one for each column.
    pub(super) fn cells<N: AsRef<str>>(
        &self,
        columns: &[N],
    ) -> Result<impl Iterator<Item = &str> + use<'_, N>, Refused> {
        let refused = |value: &[u8], fault: Fault| {
            Err(refuse(self.row, "", &String::from_utf8_lossy(value), fault))
        };
        if self.is_open {
            // The last cell ends where the feed does.
            let closed = self.ends.split_last().and_then(|(_, closed)| closed.last());
            let open = &self.text[closed.copied().unwrap_or_default()..];
            let fault = Fault::bad_format("a closing quote", &String::from_utf8_lossy(open));
            return refused(open, fault);
        }
        let (have, expected) = (self.ends.len(), columns.len());
        if have < expected {
            let min = expected;
            return refused(&self.text, Fault::TooFew { have, min });
        }
        if expected < have {
            let max = expected;
            return refused(&self.text, Fault::TooMany { have, max });
        }
        match str::from_utf8(&self.text) {
            Ok(text) => Ok(self.slices(text)),
            Err(error) => {
                let n_before = self.ends.partition_point(|&end| end <= error.valid_up_to());
                let start = n_before.checked_sub(1).map_or(0, |idx| self.ends[idx]);
                let cell = &self.text[start..self.ends[n_before]];
                let shown = String::from_utf8_lossy(cell);
                let fault = Fault::bad_format("UTF-8", &shown);
                Err(refuse(self.row, columns[n_before].as_ref(), &shown, fault))
            }
        }
    }

    fn slices<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(self.ends.iter().copied())
            .map(|(start, end)| text.get(start..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::product::VariantRecord;
    use crate::feed::bytes::{Encoding, unpack};
    use crate::feed::trial::{Taken, Trial};
    use crate::feed::{Format, Kind};

    const MAPPING: &str = r#"{"columns":{"variant":"ArtNr","list_price":"UVP","stock":"Bestand",
        "category_path":"Pfad","score":"Wert","material":"Stoff"},"delimiter":";","decimal":",",
        "list_separator":"|","constants":{"seller":"fjord","score":"0"}}"#;
    const HEADER: &str = "ArtNr;UVP;Bestand;Pfad;Wert;Stoff;Farbe\n";

    fn mapped(rows: &str) -> Taken {
        let trial = Trial::of(Format::Csv, Kind::Catalogue).mapped(MAPPING);
        trial.read(format!("{HEADER}{rows}").as_bytes()).unwrap()
    }

    fn variants(taken: &Taken) -> Vec<&VariantRecord> {
        let operations = taken.operations.iter();
        operations
            .filter_map(|(_, operation)| match operation {
                FeedOperation::ReplaceVariant { variant, .. } => Some(variant),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn cells_are_read_as_the_mapping_says() {
        let taken =
            mapped("A1;1.299,50;1.200;Kleidung > Regen Jacken;;Wolle|Seide;rot\nA2;;;;;;\n");
        assert_eq!(taken.faults(), vec![]);
        let found = variants(&taken);
        assert_eq!(found[0].list_price.unwrap().0, 129_950);
        assert_eq!(found[0].stock, Some(1200));
        assert_eq!(found[0].score.unwrap().to_string(), "0");
        let texts: Vec<_> = found[0]
            .attributes
            .iter()
            .map(|own| (own.attr.as_str(), own.texts.join("+")))
            .collect();
        let expected = vec![
            ("Farbe", "rot".to_owned()),
            ("material", "Wolle+Seide".to_owned()),
        ];
        assert_eq!(texts, expected);
        assert_eq!(found[1].attributes, vec![]);
        assert_eq!(found[1].list_price, None);
    }

    #[test]
    fn paths_bring_their_ancestors() {
        let taken = mapped("A1;;;Kleidung > Regen Jacken;;;\nA2;;;Kleidung>Regen  jacken;;;\n");
        let mut categories = Vec::new();
        for (_, operation) in &taken.operations {
            match operation {
                FeedOperation::ReplaceVariant { product_fields, .. } => {
                    let fields = product_fields.as_ref().unwrap();
                    assert_eq!(fields.seller.as_ref().unwrap().as_str(), "fjord");
                    categories.push(format!("in {}", fields.categories[0]));
                }
                FeedOperation::MentionCategory(record) => categories.push(record.id.to_string()),
                other => panic!("{other:?}"),
            }
        }
        let expected = [
            "in main:kleidung/regen-jacken",
            "main:kleidung",
            "main:kleidung/regen-jacken",
            "in main:kleidung/regen-jacken",
            "main:kleidung",
            "main:kleidung/regen-jacken",
        ];
        assert_eq!(categories, expected);
    }

    #[test]
    fn every_bad_row_is_named() {
        let taken = mapped(
            "A1;12.99;;;;;\n\
             ;1,00;;;;;\n\
             A3;1,00;3,5;a>;x;;\n\
             A4;1,00\n\
             \n\
             \"A\n5\";;;;;;\n\
             A6;1,005;;;;;;\n\
             A7;1,005;;;;;\n\
             A8;;;;;;\"open\n",
        );
        let expected = [
            (2, "UVP", "bad-format"),
            (3, "ArtNr", "required"),
            (4, "Bestand", "bad-format"),
            (4, "Pfad", "bad-format"),
            (4, "Wert", "bad-format"),
            (5, "", "too-few"),
            (7, "ArtNr", "bad-format"),
            (9, "", "too-many"),
            (10, "UVP", "money-precision"),
            (11, "", "bad-format"),
        ];
        let expected: Vec<_> = expected
            .map(|(row, column, code)| (row, column.to_owned(), code))
            .into();
        assert_eq!(taken.faults(), expected);
        assert_eq!(taken.counts.rows, 8);
        assert_eq!(taken.counts.rejected, 8);
    }

    #[test]
    fn bytes_that_are_no_utf8_are_named_with_their_column() {
        let trial = Trial::of(Format::Csv, Kind::Catalogue);
        let taken = trial
            .read(b"variant,brand\nA,ok\nB,f\xfcr\nC,ok\n")
            .unwrap();
        let expected = vec![(3, "brand".to_owned(), "bad-format")];
        assert_eq!(taken.faults(), expected);
        assert_eq!(taken.good_rows().len(), 2);
        let latin = trial.mapped(r#"{"encoding":"iso-8859-1"}"#);
        let taken = latin.read(b"variant,brand\nB,f\xfcr\n").unwrap();
        assert_eq!(&*variants(&taken)[0].attributes[0].texts[0], "für");
    }

    #[test]
    fn a_column_named_like_something_built_in_is_a_fault_of_the_first_row() {
        let trial = Trial::of(Format::Csv, Kind::Catalogue);
        let taken = trial.read(b"variant,price,brand\nA,1,b\n").unwrap();
        let expected = vec![(1, "price".to_owned(), "contradiction")];
        assert_eq!(taken.faults(), expected);
        assert_eq!(variants(&taken)[0].attributes.len(), 1);
        assert_eq!((taken.counts.rows, taken.counts.rejected), (1, 1));
    }

    #[test]
    fn of_an_open_quote_the_open_cell_is_shown() {
        let trial = Trial::of(Format::Csv, Kind::Catalogue);
        let taken = trial
            .read(b"variant,brand,color\nA,b,c\nB,b,\"re,d\n")
            .unwrap();
        let found: Vec<_> = taken.errors.iter().map(|error| &*error.value).collect();
        assert_eq!(found, ["re,d\n"]);
    }

    #[track_caller]
    fn check_header(header: &str, expected: &[(&str, &str)]) {
        let trial = Trial::of(Format::Csv, Kind::Catalogue).mapped(MAPPING);
        let Err(FeedError::Header(errors)) = trial.read(header.as_bytes()) else {
            panic!("the header is taken");
        };
        let found: Vec<_> = errors
            .iter()
            .map(|error| (error.column.as_str(), error.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_header_that_would_lose_data_ends_the_feed() {
        check_header(
            "ArtNr;Bestand;Pfad;Wert;Stoff;",
            &[("", "too-short"), ("UVP", "required")],
        );
        check_header(
            "ArtNr;UVP;Bestand;Pfad;Wert;Stoff;Stoff",
            &[("Stoff", "duplicate")],
        );
        check_header(
            "ArtNr;UVP;Bestand;Pfad;Wert;Stoff;material",
            &[("material", "duplicate")],
        );
        check_header("\"ArtNr;UVP\n", &[("", "bad-format")]);
    }

    #[test]
    fn scores_and_categories_have_columns_of_their_own() {
        let scores = Trial::of(Format::Csv, Kind::Scores);
        let taken = scores.read(b"variant,score,note\nA,1.5,x\nB,,\n").unwrap();
        let expected = [("A", Some("1.5")), ("B", None)];
        for ((_, operation), (key, score)) in taken.operations.iter().zip(expected) {
            let FeedOperation::SetScore {
                variant,
                score: found,
            } = operation
            else {
                panic!("{operation:?}");
            };
            assert_eq!(variant.as_str(), key);
            assert_eq!(found.map(|found| found.to_string()).as_deref(), score);
        }
        let categories = Trial::of(Format::Csv, Kind::Categories)
            .mapped(r#"{"columns":{"category":"id","parents":"up"},"list_separator":" "}"#);
        let taken = categories.read(b"id,up\nc,a b\n").unwrap();
        let FeedOperation::ReplaceCategory(record) = &taken.operations[0].1 else {
            panic!("{taken:?}");
        };
        assert_eq!(record.name.as_deref(), Some("c"));
        assert_eq!(record.parents.len(), 2);
        let needs_score = scores
            .mapped(r#"{"columns":{"variant":"v"}}"#)
            .read(b"v\nA\n");
        assert!(matches!(needs_score, Err(FeedError::Mapping(list)) if list.len() == 1));
    }

    #[test]
    fn an_unclosed_quote_ends_at_the_bound_of_a_record() {
        let mut bytes = b"variant\n\"".to_vec();
        bytes.extend(b"0123456789\n".repeat(LINE_BYTES_MAX / 10));
        let refused = Trial::of(Format::Csv, Kind::Catalogue).read(&bytes);
        assert!(matches!(
            refused,
            Err(FeedError::LineTooLong { row: 2, .. })
        ));
    }

    fn split(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut lines = Lines::new(unpack(bytes).unwrap(), Encoding::Utf8);
        let mut splitter = Splitter::new(b',', Some(b'"'));
        let mut records = Vec::new();
        while splitter.next(&mut lines).unwrap() {
            let text = str::from_utf8(&splitter.text).unwrap();
            records.push(splitter.slices(text).map(str::to_owned).collect());
        }
        records
    }

    fn split_by_twin(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut builder = ::csv::ReaderBuilder::new();
        let mut reader = builder.has_headers(false).flexible(true).from_reader(bytes);
        let records = reader.records().map(|record| record.unwrap());
        records
            .map(|record| record.iter().map(str::to_owned).collect())
            .collect()
    }

    proptest! {
        #[test]
        fn records_are_cut_as_the_twin_cuts_them(text in "([a,\"é ]|\r\n|\n){0,40}") {
            prop_assert_eq!(split(text.as_bytes()), split_by_twin(text.as_bytes()));
        }
    }
}
