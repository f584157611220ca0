//! Events come in.

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::engine::error::EngineError;
use crate::engine::events::draft::{Reading, Rejected, Sent, Taken};
use crate::engine::events::sequencer::Verdict;
use crate::engine::events::stamp::Stamper;
use crate::engine::start::Engine;

impl Engine {
    /// Gives each event its verdict, in the order sent; what is accepted is on disk.
    ///
    /// # Errors
    /// The caller may not send events at all; the log takes none, and the call may be repeated
    /// under its ids.
    pub async fn take_events(
        &self,
        principal: &Principal,
        sent: Vec<Sent>,
    ) -> Result<Taken, EngineError> {
        principal.may(Verb::SendEvents, &Object::Anywhere)?;
        let mut taken = Taken {
            received: sent.len(),
            ..Taken::default()
        };
        let snapshot = self.snapshot();
        let stamper = Stamper {
            snapshot: &snapshot,
            principal,
            received: self.now(),
        };
        let mut stamped = Vec::with_capacity(sent.len());
        let mut places = Vec::with_capacity(sent.len());
        for (index, Sent { id, event }) in sent.into_iter().enumerate() {
            let draft = match event {
                Reading::Event(draft) => draft,
                Reading::Ignored => {
                    taken.ignored += 1;
                    continue;
                }
                Reading::Refused(refusal) => {
                    taken.rejected.push(Rejected { index, id, refusal });
                    continue;
                }
            };
            match stamper.stamp(*draft) {
                Ok(Some(event)) => {
                    places.push((index, id, event.is_rounded));
                    stamped.push(event);
                }
                Ok(None) => taken.ignored += 1,
                Err(refusal) => taken.rejected.push(Rejected { index, id, refusal }),
            }
        }
        if stamped.is_empty() {
            return Ok(self.noted(taken));
        }
        let verdicts = self.events().take(stamped).await?;
        for ((index, id, is_rounded), verdict) in places.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Accepted => {
                    taken.accepted += 1;
                    taken.rounded += usize::from(is_rounded);
                }
                Verdict::Duplicate => taken.duplicate += 1,
                Verdict::Refused(refusal) => taken.rejected.push(Rejected { index, id, refusal }),
            }
        }
        taken.rejected.sort_by_key(|rejected| rejected.index);
        Ok(self.noted(taken))
    }

    /// Notes what a call's events were told.
    fn noted(&self, taken: Taken) -> Taken {
        for (verdict, n) in [
            ("accepted", taken.accepted),
            ("duplicate", taken.duplicate),
            ("ignored", taken.ignored),
            ("refused", taken.rejected.len()),
        ] {
            self.metrics().events(verdict).inc_by(n as u64);
        }
        taken
    }
}
