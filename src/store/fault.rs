//! Places at which a test lets the process die.
//!
//! `fault!("name")` costs nothing unless the crate is built with feature `fail`. Then
//! `FAILPOINTS="name=7*off->return"` aborts the process when it comes there for the eighth time:
//! no destructor runs, nothing is flushed, as if it were killed between the two lines. `tests/kill`
//! finds all names in the sources and kills at each of them.

/// Dies here if a test says so.
macro_rules! fault {
    ($name:literal) => {
        #[cfg(feature = "fail")]
        crate::store::fault::reached($name);
    };
}

pub(crate) use fault;

/// Aborts if `FAILPOINTS` says so; its name goes to stderr, by which a test knows that it was here.
#[cfg(feature = "fail")]
pub(crate) fn reached(name: &'static str) {
    use std::io::Write;
    use std::sync::Once;

    static ARMED: Once = Once::new();
    // Dropped, the scenario would disarm the points; it is meant for the whole process.
    ARMED.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    fail::fail_point!(name, |_| {
        // In one write, so that no other thread's line comes between.
        let line = format!("dies at {name}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        std::process::abort();
    });
}
