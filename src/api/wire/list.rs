//! Lists: how much of one is asked for, where it goes on, and how a page of it is written.
//!
//! A cursor names the last key of the page before, so that what is inserted meanwhile is neither
//! repeated nor makes anything be skipped. It is sealed, and bound to the list and to all that
//! chooses and orders its items.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::response::{IntoResponse, Response};
use hyper::header::{HeaderValue, LINK};
use hyper::{HeaderMap, Uri};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, query, scalar};
use crate::engine::browse::Listed;
use crate::engine::error::EngineError;
use crate::engine::seal::{open_cursor, seal_cursor};
use crate::engine::start::Engine;
use crate::http::extract::Query;

/// Most items of a page.
pub(crate) const LIMIT_MAX: u32 = 500;

/// Items of a page, unless it is said otherwise.
pub(crate) const LIMIT_DEFAULT: u32 = 50;

/// Begins the bytes of a list's cursor; those of a page of ranks begin with a revision, and none
/// is that high.
const MARK: &[u8] = b"list";

/// What every list takes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "it is read field by field; this is its description"
)]
pub struct WindowParams {
    /// Items of a page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
}

/// How much of a list is asked for, and from where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Items of the page.
    pub(crate) limit: usize,
    cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listing<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last one.
    pub next_cursor: Option<String>,
}

impl Window {
    /// Reads `limit` and `cursor`.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let limit = fields.scalar("limit", query::whole(1, LIMIT_MAX));
        Self {
            limit: limit.unwrap_or(LIMIT_DEFAULT) as usize,
            cursor: fields.scalar("cursor", scalar::owned),
        }
    }

    /// A page of what comes.
    pub(crate) fn cut<T>(&self, mut items: impl Iterator<Item = T>) -> Listed<T> {
        let on_page = items.by_ref().take(self.limit).collect();
        Listed {
            items: on_page,
            has_more: items.next().is_some(),
        }
    }
}

/// A list as asked for.
#[derive(Clone, Copy)]
pub(crate) struct List<'a> {
    engine: &'a Engine,
    uri: &'a Uri,
    query: &'a Query,
}

impl<'a> List<'a> {
    /// The list at this path with these members.
    pub(crate) fn new(engine: &'a Engine, uri: &'a Uri, query: &'a Query) -> Self {
        Self { engine, uri, query }
    }

    /// The key behind which the page begins; `None` at the beginning.
    ///
    /// # Errors
    /// `bad-cursor` if it was altered or belongs to another list.
    pub(crate) fn after(self, window: &Window) -> Result<Option<String>, EngineError> {
        let Some(cursor) = &window.cursor else {
            return Ok(None);
        };
        let sealed = open_cursor(&self.engine.snapshot().secrets.cursor, cursor);
        let bytes = sealed.map_err(|_| EngineError::BadCursor)?;
        let key = bytes
            .strip_prefix(&*self.head())
            .ok_or(EngineError::BadCursor)?;
        let key = std::str::from_utf8(key).map_err(|_| EngineError::BadCursor)?;
        Ok(Some(key.to_owned()))
    }

    /// The number of items before the page, for lists whose order no key tells.
    ///
    /// # Errors
    /// As [`List::after`].
    pub(crate) fn skipped(self, window: &Window) -> Result<usize, EngineError> {
        match self.after(window)? {
            Some(skipped) => skipped.parse().map_err(|_| EngineError::BadCursor),
            None => Ok(0),
        }
    }

    /// The cursor behind `last`.
    pub(crate) fn cursor(self, last: &str) -> String {
        let mut bytes = self.head();
        bytes.extend_from_slice(last.as_bytes());
        seal_cursor(&self.engine.snapshot().secrets.cursor, &bytes)
    }

    /// Answers a page; `next` is the cursor behind it.
    pub(crate) fn answer<T: Serialize>(self, items: Vec<T>, next: Option<String>) -> Response {
        let listing = Listing {
            items,
            next_cursor: next,
        };
        self.answer_with(&listing, listing.next_cursor.as_deref())
    }

    /// Answers a page that has more members than its items.
    pub(crate) fn answer_with(self, body: &impl Serialize, next: Option<&str>) -> Response {
        let link = next.and_then(|next| self.link(next));
        (link_header(link), answer::ok(body)).into_response()
    }

    /// What a cursor is bound to.
    fn head(self) -> Vec<u8> {
        let is_choice = |name: &str| name != "limit" && name != "cursor";
        let mut choices: Vec<_> = self
            .query
            .0
            .iter()
            .filter(|(name, _)| is_choice(name))
            .collect();
        choices.sort_unstable();
        let mut hasher = DefaultHasher::new();
        (self.uri.path(), choices).hash(&mut hasher);
        [MARK, &hasher.finish().to_le_bytes()].concat()
    }

    fn link(self, next: &str) -> Option<HeaderValue> {
        let others = self.query.0.iter().filter(|(name, _)| name != "cursor");
        let members = others.map(|(name, value)| format!("{}={}&", escaped(name), escaped(value)));
        let members: String = members.collect();
        let link = format!("<{}?{members}cursor={next}>; rel=\"next\"", self.uri.path());
        HeaderValue::try_from(link).ok()
    }
}

fn link_header(link: Option<HeaderValue>) -> HeaderMap {
    link.map(|link| (LINK, link)).into_iter().collect()
}

/// A text as a query holds it: everything but unreserved characters (RFC 3986) as escapes.
fn escaped(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_for_queries() {
        assert_eq!(escaped("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(escaped("Fjäll & co=1"), "Fj%C3%A4ll%20%26%20co%3D1");
    }

    #[test]
    fn a_page_says_whether_more_follow() {
        let window = Window {
            limit: 2,
            cursor: None,
        };
        let cut = |n: u32| {
            let page = window.cut(0..n);
            (page.items.len(), page.last_if_more().copied())
        };
        assert_eq!(cut(0), (0, None));
        assert_eq!(cut(2), (2, None));
        assert_eq!(cut(3), (2, Some(1)));
    }
}
