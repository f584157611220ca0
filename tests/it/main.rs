//! Whole rooms and whole servers, in one binary.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "what was not run says so")]

mod app;
mod audit;
mod authorization;
mod backup;
mod conformance;
mod damage;
mod datasets;
mod desk;
mod event_log;
mod events;
mod feeds;
mod folds;
mod full_disk;
mod golden;
mod history;
mod house;
mod http_framing;
mod http_gate;
mod http_h2;
mod http_load;
mod http_rig;
mod http_times;
mod index_compaction;
mod lost_goods;
mod measured;
mod merchandiser;
mod model;
mod nth_io;
mod nth_io_script;
mod operator;
mod ops;
mod preview;
mod restore;
mod retail;
mod rig;
mod scrub;
mod sim_disk;
mod storefront;
mod twin;
