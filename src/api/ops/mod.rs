//! For machines that watch: health, metrics, version, the description itself, the test clock.

pub mod health;
pub mod test_clock;
pub mod version;
