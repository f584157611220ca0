//! The engine as the house behind the shell.

use std::future::Future;
use std::pin::Pin;

use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::refusals::RefusedWrite;
use crate::engine::start::Engine;
use crate::http::shell::House;

impl House for Engine {
    fn now(&self) -> Timestamp {
        Engine::now(self)
    }

    fn revision(&self) -> Option<u64> {
        Some(self.snapshot().revision.0)
    }

    fn reached(
        &self,
        revision: u64,
    ) -> Pin<Box<dyn Future<Output = Result<(), EngineError>> + Send + '_>> {
        Box::pin(self.reached_revision(revision))
    }

    fn refused(&self, refused: RefusedWrite) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.note_refusal(refused))
    }
}
