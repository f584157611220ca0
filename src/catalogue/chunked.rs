//! A vector in shared chunks: a copy costs a pointer a chunk, an edit copies one chunk.

use std::sync::Arc;

/// Elements of a chunk.
const CHUNK: usize = 4_096;

/// A vector whose copies share the chunks that nobody edited since.
///
/// All chunks but the last are full.
#[derive(Clone, Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T: Clone> Chunked<T> {
    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The element at `idx`.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn at(&self, idx: usize) -> &T {
        &self.chunks[idx / CHUNK][idx % CHUNK]
    }

    /// The element at `idx` for editing; copies its chunk if another vector shares it.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn edit(&mut self, idx: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[idx / CHUNK])[idx % CHUNK]
    }

    /// Adds an element behind the last.
    pub(super) fn push(&mut self, element: T) {
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::new()));
        }
        if let Some(last) = self.chunks.last_mut() {
            Arc::make_mut(last).push(element);
            self.len += 1;
        }
    }

    /// Whether both have elements that are alike at every place; shared chunks are alike unseen.
    pub(super) fn agrees(&self, other: &Self, alike: impl Fn(&T, &T) -> bool) -> bool {
        self.len == other.len
            && self.chunks.iter().zip(&other.chunks).all(|(own, others)| {
                Arc::ptr_eq(own, others)
                    || own
                        .iter()
                        .zip(others.iter())
                        .all(|(own, other)| alike(own, other))
            })
    }

    /// Places at which the two differ, ascending; shared chunks are alike unseen. What only one of
    /// them reaches differs.
    pub(super) fn differing(&self, other: &Self, alike: impl Fn(&T, &T) -> bool) -> Vec<usize> {
        let mut places = Vec::new();
        for (chunk, own) in self.chunks.iter().enumerate() {
            let others = other.chunks.get(chunk);
            if others.is_some_and(|others| Arc::ptr_eq(own, others)) {
                continue;
            }
            let others = others.map_or(&[][..], |others| &others[..]);
            let is_other = |place: &usize| match others.get(*place) {
                Some(element) => !alike(&own[*place], element),
                None => true,
            };
            let first = chunk * CHUNK;
            places.extend((0..own.len()).filter(is_other).map(|place| first + place));
        }
        places.extend(self.len..other.len);
        places
    }

    /// The elements in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<T> FromIterator<T> for Chunked<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut elements = elements.into_iter();
        let (mut chunks, mut len) = (Vec::new(), 0);
        loop {
            let chunk: Vec<T> = elements.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Self { chunks, len };
            }
            len += chunk.len();
            chunks.push(Arc::new(chunk));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_share_what_nobody_edits() {
        let first: Chunked<usize> = (0..3 * CHUNK + 5).collect();
        let mut second = first.clone();
        *second.edit(CHUNK) = 7;
        second.push(9);
        assert_eq!((*first.at(CHUNK), *second.at(CHUNK)), (CHUNK, 7));
        assert_eq!((first.len(), second.len()), (3 * CHUNK + 5, 3 * CHUNK + 6));
        let shared = |chunk: usize| Arc::ptr_eq(&first.chunks[chunk], &second.chunks[chunk]);
        assert_eq!([0, 1, 2, 3].map(shared), [true, false, true, false]);
        assert_eq!(
            first.iter().copied().sum::<usize>(),
            (0..3 * CHUNK + 5).sum::<usize>()
        );
    }

    #[test]
    fn a_full_last_chunk_is_followed_by_a_new_one() {
        let mut vector: Chunked<usize> = (0..CHUNK).collect();
        vector.push(CHUNK);
        assert_eq!(*vector.at(CHUNK), CHUNK);
        assert_eq!(vector.iter().count(), CHUNK + 1);
    }
}
