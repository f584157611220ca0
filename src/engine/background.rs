//! Threads that fold and import: they stand back behind those that answer.
//!
//! A rebuild keeps every core busy for half a second. Were its threads equal to those that answer,
//! a rank that comes meanwhile would wait for its turn; so they ask the system for less.

use std::sync::Once;

use rustix::process::setpriority_process;

/// How far they stand back: of a core that both want, they get about a tenth.
const NICE: i32 = 10;

/// Makes the threads of parallel work, one a core. Call it before there is any; later it does
/// nothing.
pub fn gather() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|number| format!("parallel-{number}"))
            .start_handler(|_| stand_back());
        if let Err(error) = pool.build_global() {
            tracing::debug!(%error, "parallel work keeps the threads it has");
        }
    });
}

/// Lets the calling thread stand back, for as long as it lives. A blocking thread that did so goes
/// on to other blocking work, none of which a rank waits for.
pub fn stand_back() {
    // On Linux "the process" is the calling thread.
    if let Err(error) = setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}
