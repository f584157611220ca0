//! The items of an RSS 2.0 or Atom document, each as a list of names and texts.
//!
//! Only what lies right below an item is read: a field that holds elements itself has no text.
//! Prefixes of names are left out, so `g:id` is `id`. There is no way to declare anything: a
//! document type is refused, and the only entities are the five of XML itself and characters by
//! number, so nothing can grow. Rows are physical lines, the one on which an item begins.

use std::io::{self, BufRead, Read};

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::domain::complaint::Fault;
use crate::feed::bytes::{Encoding, LINE_BYTES_MAX, windows_1252};
use crate::feed::mapping::COLUMNS_MAX;
use crate::feed::result::{FeedError, Refused, refuse};

/// Most elements around a text.
const DEPTH_MAX: usize = 32;

/// Bytes looked through for the declared encoding.
const HEAD_BYTES: usize = 256;

/// Bytes brought over at once.
const CHUNK_BYTES: usize = 16 << 10;

/// One field of an item: its name without prefix, and its text.
pub(super) type Field = (String, String);

/// Reads every item; `each` gets its row and its fields, or what is wrong with it.
///
/// # Errors
/// [`FeedError::Markup`] for what is no RSS or Atom, with the row; whatever stops the reading.
pub(super) fn items<R: BufRead>(
    mut input: R,
    encoding: Option<Encoding>,
    mut each: impl FnMut(u64, Result<&[Field], Refused>),
) -> Result<(), FeedError> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let n_head = HEAD_BYTES as u64;
    input.by_ref().take(n_head).read_to_end(&mut head)?;
    let encoding = match encoding {
        Some(encoding) => encoding,
        None => declared(&head)?,
    };
    let whole = io::Cursor::new(head).chain(input);
    let mut reader = Reader::from_reader(Source::new(whole, encoding));
    let mut buffer = Vec::new();
    let mut document = Document::default();
    loop {
        buffer.clear();
        let row = reader.get_ref().row;
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => return Err(unreadable(row, error)),
        };
        let is_end = event == Event::Eof;
        document
            .take(event, row, &mut each)
            .map_err(|why| FeedError::Markup { row, why })?;
        if is_end {
            return document.end(row);
        }
        if document.item.is_none() {
            reader.get_mut().n_left = LINE_BYTES_MAX;
        }
    }
}

/// Where in a document one is.
#[derive(Default)]
struct Document {
    /// Local names of the open elements.
    open: Vec<String>,
    /// Whether the root was RSS or Atom.
    is_known: bool,
    item: Option<Item>,
}

/// An item that is being read.
struct Item {
    row: u64,
    /// How many elements were open when it began, itself included.
    depth: usize,
    fields: Vec<Field>,
    /// The first thing wrong with it.
    refused: Option<Refused>,
}

impl Document {
    fn take(
        &mut self,
        event: Event<'_>,
        row: u64,
        each: &mut impl FnMut(u64, Result<&[Field], Refused>),
    ) -> Result<(), String> {
        match event {
            Event::Start(start) => self.open(&start, row)?,
            Event::Empty(start) => {
                self.open(&start, row)?;
                self.close(each);
            }
            Event::End(_) => self.close(each),
            Event::Text(text) => self.add(&text.xml10_content()),
            Event::CData(text) => self.add(&text.xml10_content()),
            Event::GeneralRef(entity) => {
                let character = entity.resolve_char_ref();
                let character = character.map_err(|error| error.to_string())?;
                match (character, resolve_predefined_entity(&entity)) {
                    (Some(character), _) => self.add(character.encode_utf8(&mut [0; 4])),
                    (None, Some(text)) => self.add(text),
                    (None, None) => self.refuse_entity(&entity),
                }
            }
            Event::DocType(_) => return Err("a document type is not taken".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn open(&mut self, start: &BytesStart<'_>, row: u64) -> Result<(), String> {
        let name = start.local_name().as_ref().to_owned();
        if self.open.is_empty() {
            if self.is_known || !["rss", "feed", "RDF"].contains(&name.as_str()) {
                return Err(format!("<{name}> is neither RSS nor Atom"));
            }
            self.is_known = true;
        }
        if DEPTH_MAX <= self.open.len() {
            return Err(format!("more than {DEPTH_MAX} elements around a text"));
        }
        self.open.push(name.clone());
        let depth = self.open.len();
        match &mut self.item {
            None if name == "item" || name == "entry" => {
                self.item = Some(Item {
                    row,
                    depth,
                    fields: Vec::new(),
                    refused: None,
                });
            }
            Some(item) if depth == item.depth + 1 => {
                if COLUMNS_MAX <= item.fields.len() {
                    return Err(format!("more than {COLUMNS_MAX} fields in one item"));
                }
                // Atom has the address of a link as an attribute.
                let href = start.try_get_attribute("href").ok().flatten();
                let text = href.map_or(String::new(), |href| href.value.into_owned());
                item.fields.push((name, text));
            }
            // Elements inside a field leave it without a text.
            Some(item) if depth == item.depth + 2 => {
                if let Some((_, text)) = item.fields.last_mut() {
                    text.clear();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, each: &mut impl FnMut(u64, Result<&[Field], Refused>)) {
        let depth = self.open.len();
        self.open.pop();
        if let Some(item) = self.item.take_if(|item| item.depth == depth) {
            match item.refused {
                Some(refused) => each(item.row, Err(refused)),
                None => each(item.row, Ok(&item.fields)),
            }
        }
    }

    fn add(&mut self, text: &str) {
        let depth = self.open.len();
        if let Some(item) = &mut self.item
            && depth == item.depth + 1
            && let Some((_, own)) = item.fields.last_mut()
        {
            own.push_str(text);
        }
    }

    fn refuse_entity(&mut self, entity: &str) {
        if let Some(item) = &mut self.item {
            let column = item.fields.last().map_or("", |(name, _)| name);
            let shown = format!("&{entity};");
            let fault = Fault::bad_format("an entity of XML, or a character by number", &shown);
            let refused = || refuse(item.row, column, &shown, fault);
            item.refused.get_or_insert_with(refused);
        }
    }

    fn end(&self, row: u64) -> Result<(), FeedError> {
        let why = match self.open.last() {
            Some(name) => format!("the feed ends inside <{name}>"),
            None if !self.is_known => "the feed holds neither RSS nor Atom".to_owned(),
            None => return Ok(()),
        };
        Err(FeedError::Markup { row, why })
    }
}

fn unreadable(row: u64, error: quick_xml::Error) -> FeedError {
    match error {
        quick_xml::Error::Io(cause) => {
            let inner = cause.get_ref();
            if inner.is_some_and(|inner| inner.downcast_ref::<TooLong>().is_some()) {
                return FeedError::LineTooLong {
                    row,
                    limit_bytes: LINE_BYTES_MAX as u64,
                };
            }
            match std::sync::Arc::try_unwrap(cause) {
                Ok(cause) => cause.into(),
                Err(shared) => io::Error::new(shared.kind(), shared.to_string()).into(),
            }
        }
        quick_xml::Error::Encoding(_) => FeedError::Markup {
            row,
            why: "a text is not UTF-8; name the encoding of the feed".to_owned(),
        },
        other => FeedError::Markup {
            row,
            why: other.to_string(),
        },
    }
}

/// The encoding that the document declares for itself; UTF-8 without.
fn declared(head: &[u8]) -> Result<Encoding, FeedError> {
    let head = String::from_utf8_lossy(head);
    let declaration = head.trim_start_matches('\u{feff}');
    let Some((declaration, _)) = declaration
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split_once("?>"))
    else {
        return Ok(Encoding::Utf8);
    };
    let Some((_, label)) = declaration.split_once("encoding") else {
        return Ok(Encoding::Utf8);
    };
    let label = label.trim_start().trim_start_matches('=').trim_start();
    let label = label.trim_start_matches(['"', '\'']);
    let label = label.split(['"', '\'']).next().unwrap_or_default();
    Encoding::parse(label).map_err(|fault| FeedError::Markup {
        row: 1,
        why: format!("encoding: {fault}"),
    })
}

/// Why an item was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("an item is too long")]
struct TooLong;

/// The document in UTF-8, its lines counted, and bound while an item is read.
struct Source<R> {
    input: R,
    encoding: Encoding,
    chunk: Vec<u8>,
    place: usize,
    /// Physical line of the next byte, from 1.
    row: u64,
    /// Bytes that may be read before the item must have ended.
    n_left: usize,
}

impl<R: BufRead> Source<R> {
    fn new(input: R, encoding: Encoding) -> Self {
        Self {
            input,
            encoding,
            chunk: Vec::new(),
            place: 0,
            row: 1,
            n_left: LINE_BYTES_MAX,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.chunk.clear();
        self.place = 0;
        let bytes = self.input.fill_buf()?;
        let bytes = &bytes[..bytes.len().min(CHUNK_BYTES)];
        match self.encoding {
            Encoding::Utf8 => self.chunk.extend_from_slice(bytes),
            Encoding::Windows1252 => {
                let text: String = bytes.iter().copied().map(windows_1252).collect();
                self.chunk.extend_from_slice(text.as_bytes());
            }
        }
        let n_bytes = bytes.len();
        self.input.consume(n_bytes);
        Ok(())
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(buffer.len());
        buffer[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.n_left == 0 {
            return Err(io::Error::other(TooLong));
        }
        if self.place == self.chunk.len() {
            self.refill()?;
        }
        Ok(&self.chunk[self.place..])
    }

    fn consume(&mut self, n: usize) {
        let taken = &self.chunk[self.place..self.place + n];
        let n_lines = memchr::memchr_iter(b'\n', taken).count();
        self.row += n_lines as u64;
        self.place += n;
        self.n_left = self.n_left.saturating_sub(n);
    }
}
