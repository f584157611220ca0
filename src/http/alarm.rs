//! A timer for something that rarely takes so long.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set when it is first needed, and again only when it would come too late.
#[derive(Debug, Default)]
pub(in crate::http) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Whether `deadline` has passed; if not, the task is woken by then.
    pub(in crate::http) fn has_come(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        loop {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            if timer.deadline() < deadline {
                timer.as_mut().reset(deadline);
            } else {
                return true;
            }
        }
    }
}
