//! A panic on the way to an answer is an answer too.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::http::counts::Counts;
use crate::http::problem::Problem;

/// The future's value.
///
/// # Errors
/// `internal`, with what it said, if it panicked. What it had borrowed is dropped with it, and
/// shared state must not be left half changed by a panic anyway.
pub(in crate::http) async fn caught<F: Future>(
    future: F,
    counts: &Counts,
) -> Result<F::Output, Problem> {
    let mut future = pin!(future);
    let said = poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(said) => Poll::Ready(Err(said)),
        },
    );
    said.await.map_err(|said| {
        counts.panics.inc();
        let text = said.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| said.downcast_ref::<String>().cloned());
        Problem::internal(format!(
            "panicked: {}",
            text.as_deref().unwrap_or("without a word")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::code::Code;
    use crate::telemetry::metrics::Metrics;

    #[tokio::test]
    async fn panics_are_problems_and_counted() {
        let counts = Counts::of(&Metrics::default());
        assert_eq!(caught(async { 7 }, &counts).await.ok(), Some(7));
        let n = 7;
        for text in ["7 too many", "plain"] {
            let panics = async {
                tokio::task::yield_now().await;
                match text {
                    "plain" => panic!("plain"),
                    _ => panic!("{n} too many"),
                }
            };
            let problem = caught::<_>(panics, &counts).await.err().unwrap();
            let cause = problem.cause().map(ToString::to_string);
            assert_eq!(
                (problem.code(), cause),
                (Code::Internal, Some(format!("panicked: {text}")))
            );
        }
        assert_eq!(counts.panics.get(), 2);
    }
}
