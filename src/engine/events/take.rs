//! Events come in.

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::engine::error::EngineError;
use crate::engine::events::draft::{Reading, Rejected, Sent, Taken};
use crate::engine::start::Engine;

impl Engine {
    /// Gives each event its verdict, in the order sent.
    ///
    /// # Errors
    /// The caller may not send events at all.
    #[expect(
        clippy::unused_async,
        reason = "replaced on merge: it waits for the log"
    )]
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
        for (index, Sent { id, event }) in sent.into_iter().enumerate() {
            match event {
                // replaced on merge
                Reading::Event(_) => taken.accepted += 1,
                Reading::Ignored => taken.ignored += 1,
                Reading::Refused(refusal) => {
                    taken.rejected.push(Rejected { index, id, refusal });
                }
            }
        }
        Ok(taken)
    }
}
