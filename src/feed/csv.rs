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

/// Columns of the header, and a complaint about those that are passed over because they are named
/// like something built in.
fn header(
    plan: &Plan<'_>,
    splitter: &Splitter,
) -> Result<(Vec<Column>, Option<Refused>), FeedError> {
    let row = splitter.row;
    let text = str::from_utf8(&splitter.text);
    let Some(text) = text.ok().filter(|_| !splitter.is_open) else {
        let shown = String::from_utf8_lossy(&splitter.text);
        let fault = Fault::bad_format("column names in UTF-8", &shown);
        return Err(FeedError::Header(refuse(row, "", &shown, fault).errors));
    };
    let mut fatal: Vec<RowError> = Vec::new();
    let mut passed_over = Faults::of_row(row);
    let mut columns: Vec<Column> = Vec::new();
    if COLUMNS_MAX < splitter.ends.len() {
        let have = splitter.ends.len();
        let fault = Fault::TooMany {
            have,
            max: COLUMNS_MAX,
        };
        return Err(FeedError::Header(refuse(row, "", "", fault).errors));
    }
    for cell in splitter.slices(text) {
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
            fatal.extend(refuse(row, needed, "", Fault::Required).errors);
        }
    }
    if !fatal.is_empty() {
        return Err(FeedError::Header(fatal));
    }
    Ok((columns, passed_over.finish().err()))
}

/// Cuts records out of lines.
struct Splitter {
    delimiter: u8,
    quote: Option<u8>,
    /// Physical line on which the record begins.
    row: u64,
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
    fn new(delimiter: u8, quote: Option<u8>) -> Self {
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
    fn next<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Result<bool, FeedError> {
        self.text.clear();
        self.ends.clear();
        self.is_open = false;
        let mut state = State::Start;
        while let Some((row, line)) = lines.next()? {
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

    /// The cells of a record, one for each column.
    fn cells(&self, columns: &[Column]) -> Result<impl Iterator<Item = &str>, Refused> {
        let refused = |value: &[u8], fault: Fault| {
            Err(refuse(self.row, "", &String::from_utf8_lossy(value), fault))
        };
        if self.is_open {
            let shown = String::from_utf8_lossy(&self.text);
            let fault = Fault::bad_format("a closing quote", &shown);
            return refused(&self.text, fault);
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
                Err(refuse(self.row, &columns[n_before].name, &shown, fault))
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
