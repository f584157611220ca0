//! One list of cases over every kind of store: in memory, embedded, embedded over a disk that
//! can be made to fail.

use std::collections::BTreeSet;

use endcap::domain::time::Timestamp;
use endcap::store::chunk::{ChunkError, ChunkHash, KEPT_MS, Retained};
use endcap::store::codec::Value;
use endcap::store::commit::{COMMIT_BYTES_MAX, CommitError, Expected, FollowError, WRITES_MAX};
use endcap::store::commit::{Purpose, Write};
use endcap::store::key::Key;
use endcap::store::opened::Opened;
use endcap::store::seam::State;
use endcap::store::sim::{Dice, Fault, FaultKind, SimDisk, Survival};
use endcap::store::space::SpaceStore;
use endcap::store::{Identity, Mode, StoreId};

use crate::event_log::{
    a_read_is_bounded_by_bytes, a_read_says_where_the_next_goes_on,
    a_refused_call_leaves_no_partition, a_repeated_call_changes_nothing,
    events_are_read_by_partition_and_position, events_outlive_restarts_and_files,
    racing_calls_take_a_position_each, the_log_says_how_it_is, trimmed_events_are_compacted,
};
use crate::rig::{Rig, TIME, at, block_on, commit, delete, key, put};

/// Runs each case over every kind of store, each as a test of its own.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        mod memory { $(#[test] fn $name() { super::run(super::Rig::memory(), super::$name); })+ }
        mod embedded { $(#[test] fn $name() { super::run(super::Rig::embedded(), super::$name); })+ }
        mod simulated { $(#[test] fn $name() { super::run(super::Rig::simulated(), super::$name); })+ }
    };
}

cases! {
    a_fresh_store_is_at_zero,
    revisions_are_contiguous_and_spaces_apart,
    absent_holds_only_for_new_keys,
    at_holds_only_for_the_last_change,
    one_stale_guard_of_several_refuses_all,
    a_guard_on_a_missing_key_names_nothing,
    one_of_sixteen_racing_writers_wins,
    deleted_keys_can_be_made_again,
    two_keys_change_together,
    writes_are_bounded,
    bytes_are_bounded,
    keys_are_bounded,
    a_key_is_written_once,
    refused_commits_leave_no_trace,
    a_repeated_id_changes_nothing,
    ids_outlive_a_restart,
    everything_outlives_a_restart,
    follow_begins_anywhere,
    follow_beyond_the_end_is_regressed,
    follow_of_another_store_is_refused,
    follow_waits_for_what_comes,
    follow_crosses_restarts_and_files,
    a_slow_follower_misses_nothing,
    trimmed_changes_are_compacted,
    folded_states_differ_by_what_follow_says,
    cold_keys_are_read_by_key_and_prefix,
    cold_keys_are_guarded,
    cold_keys_outlive_a_restart,
    scans_page_through_hot_keys,
    many_cold_keys_page_in_order,
    commits_of_one_writer_stay_in_order,
    an_old_folded_state_stays,
    large_values_come_back,
    a_whole_state_is_handed_out_at_one_revision,
    a_commit_without_writes_takes_a_revision,
    a_guard_sees_earlier_commits_of_its_group,
    health_says_what_is_done,
    a_chunk_put_twice_is_one,
    an_absent_chunk_is_missing,
    chunks_outlive_a_restart,
    chunks_that_nobody_names_go_after_an_hour,
    a_put_begins_the_hour_anew,
    events_are_read_by_partition_and_position,
    a_read_says_where_the_next_goes_on,
    a_read_is_bounded_by_bytes,
    a_repeated_call_changes_nothing,
    events_outlive_restarts_and_files,
    trimmed_events_are_compacted,
    a_refused_call_leaves_no_partition,
    racing_calls_take_a_position_each,
    the_log_says_how_it_is,
}

fn run<F>(rig: Rig, case: impl FnOnce(Rig) -> F)
where
    F: Future<Output = ()>,
{
    block_on(case(rig));
}

/// All hot keys with the revision of their last change.
fn hot(space: &SpaceStore) -> Vec<(String, u64)> {
    let folded = space.folded();
    folded
        .iter()
        .map(|(key, value)| (key.to_string(), value.revision().0))
        .collect()
}

async fn a_fresh_store_is_at_zero(rig: Rig) {
    let store = rig.open();
    for space in [&store.config, &store.trade] {
        assert_eq!(space.revision(), at(0));
        assert!(space.folded().is_empty());
        assert!(space.follow(at(0)).unwrap().try_next().unwrap().is_none());
    }
    assert_eq!(store.config.identity().era, 1);
}

async fn revisions_are_contiguous_and_spaces_apart(rig: Rig) {
    let store = rig.open();
    for n in 1..=5 {
        let made = store
            .config
            .commit(commit(n, vec![put("promo.a", b"x")]))
            .await;
        assert_eq!(made, Ok(at(n)));
    }
    let made = store
        .trade
        .commit(commit(1, vec![put("use.a", b"x")]))
        .await;
    assert_eq!(made, Ok(at(1)));
    assert_eq!(
        (store.config.revision(), store.trade.revision()),
        (at(5), at(1))
    );
}

async fn absent_holds_only_for_new_keys(rig: Rig) {
    let store = rig.open();
    let new = |n| commit(n, vec![put("promo.a", b"x")]).guarded(key("promo.a"), Expected::Absent);
    assert_eq!(store.config.commit(new(1)).await, Ok(at(1)));
    let current = Some(at(1));
    let refused = CommitError::Conflict {
        key: key("promo.a"),
        current,
    };
    assert_eq!(store.config.commit(new(2)).await, Err(refused));
}

async fn at_holds_only_for_the_last_change(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    let edit = |n, seen| {
        commit(n, vec![put("promo.a", b"y")]).guarded(key("promo.a"), Expected::At(at(seen)))
    };
    space
        .commit(commit(1, vec![put("promo.a", b"x")]))
        .await
        .unwrap();
    space
        .commit(commit(2, vec![put("promo.b", b"x")]))
        .await
        .unwrap();
    assert_eq!(space.commit(edit(3, 1)).await, Ok(at(3)));
    let refused = CommitError::Conflict {
        key: key("promo.a"),
        current: Some(at(3)),
    };
    assert_eq!(space.commit(edit(4, 1)).await, Err(refused));
    assert_eq!(space.commit(edit(5, 3)).await, Ok(at(4)));
}

async fn one_stale_guard_of_several_refuses_all(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    space
        .commit(commit(1, vec![put("cal.se", b"1"), put("cal.no", b"1")]))
        .await
        .unwrap();
    space
        .commit(commit(2, vec![put("cal.no", b"2")]))
        .await
        .unwrap();
    let both = commit(3, vec![put("cal.se", b"2"), put("cal.no", b"3")])
        .guarded(key("cal.se"), Expected::At(at(1)))
        .guarded(key("cal.no"), Expected::At(at(1)));
    let refused = CommitError::Conflict {
        key: key("cal.no"),
        current: Some(at(2)),
    };
    assert_eq!(space.commit(both).await, Err(refused));
    assert_eq!(hot(space), [("cal.no".into(), 2), ("cal.se".into(), 1)]);
}

async fn a_guard_on_a_missing_key_names_nothing(rig: Rig) {
    let store = rig.open();
    let edit = commit(1, vec![put("promo.a", b"x")]).guarded(key("promo.a"), Expected::At(at(1)));
    let refused = CommitError::Conflict {
        key: key("promo.a"),
        current: None,
    };
    assert_eq!(store.config.commit(edit).await, Err(refused));
}

async fn one_of_sixteen_racing_writers_wins(rig: Rig) {
    let store = rig.open();
    store
        .config
        .commit(commit(1, vec![put("cal.no", b"0")]))
        .await
        .unwrap();
    let mut writers = Vec::new();
    for n in 2..18 {
        let space = store.config.clone();
        let edit = commit(n, vec![put("cal.no", b"1")]).guarded(key("cal.no"), Expected::At(at(1)));
        writers.push(tokio::spawn(async move { space.commit(edit).await }));
    }
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(revision) => {
                assert_eq!(revision, at(2));
                won += 1;
            }
            Err(error) => assert_eq!(
                error,
                CommitError::Conflict {
                    key: key("cal.no"),
                    current: Some(at(2))
                }
            ),
        }
    }
    assert_eq!((won, store.config.revision()), (1, at(2)));
}

async fn deleted_keys_can_be_made_again(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    space
        .commit(commit(1, vec![put("promo.a", b"x")]))
        .await
        .unwrap();
    space
        .commit(commit(2, vec![delete("promo.a")]))
        .await
        .unwrap();
    assert_eq!(space.get(&key("promo.a")).await, Ok(None));
    let again = commit(3, vec![put("promo.a", b"y")]).guarded(key("promo.a"), Expected::Absent);
    assert_eq!(space.commit(again).await, Ok(at(3)));
    let value = space.get(&key("promo.a")).await.unwrap().unwrap();
    assert_eq!(value.payload().unwrap().as_ref(), b"y");
}

async fn two_keys_change_together(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    space
        .commit(commit(1, vec![put("promo.a", b"x"), put("cal.se", b"x")]))
        .await
        .unwrap();
    space
        .commit(commit(2, vec![delete("promo.a"), put("cal.se", b"y")]))
        .await
        .unwrap();
    assert_eq!(hot(space), [("cal.se".into(), 2)]);
    let record = space.follow(at(1)).unwrap().try_next().unwrap().unwrap();
    assert_eq!(record.writes.len(), 2);
}

async fn writes_are_bounded(rig: Rig) {
    let store = rig.open();
    let writes = |n: usize| (0..n).map(|n| put(&format!("promo.{n}"), b"")).collect();
    assert_eq!(
        store.config.commit(commit(1, writes(WRITES_MAX))).await,
        Ok(at(1))
    );
    let refused = CommitError::TooLarge {
        have: 1_025,
        max: 1_024,
    };
    assert_eq!(
        store.config.commit(commit(2, writes(WRITES_MAX + 1))).await,
        Err(refused)
    );
    assert_eq!(store.config.folded().len(), WRITES_MAX);
}

/// Bytes that no packing makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    Dice::new(5).fill(&mut noise);
    noise
}

async fn bytes_are_bounded(rig: Rig) {
    let store = rig.open();
    // A commit of three values: 32 bytes, and 8 + 1 + 24 for each value beside its payload.
    let writes = |bytes: usize| -> Vec<Write> {
        let left = bytes - 32 - 3 * 33;
        let sizes = [left / 3, left / 3, left - 2 * (left / 3)];
        ["a", "b", "c"]
            .iter()
            .zip(sizes)
            .map(|(key, n)| put(key, &noise(n)))
            .collect()
    };
    let fits = commit(1, writes(COMMIT_BYTES_MAX));
    assert_eq!(fits.encoded_bytes(), 524_288);
    assert_eq!(store.config.commit(fits).await, Ok(at(1)));
    let over = commit(2, writes(COMMIT_BYTES_MAX + 1));
    let refused = CommitError::TooLarge {
        have: 524_289,
        max: 524_288,
    };
    assert_eq!(store.config.commit(over).await, Err(refused));
    assert_eq!(store.config.revision(), at(1));
}

async fn keys_are_bounded(rig: Rig) {
    let store = rig.open();
    let longest = "k".repeat(255);
    let made = store
        .config
        .commit(commit(1, vec![put(&longest, b"x")]))
        .await;
    assert_eq!(made, Ok(at(1)));
    assert!(store.config.get(&key(&longest)).await.unwrap().is_some());
    assert!(Key::parse(&"k".repeat(256)).is_err());
}

async fn a_key_is_written_once(rig: Rig) {
    let store = rig.open();
    let twice = commit(1, vec![put("promo.a", b"x"), delete("promo.a")]);
    let refused = CommitError::TooLarge { have: 2, max: 1 };
    assert_eq!(store.config.commit(twice).await, Err(refused));
}

async fn refused_commits_leave_no_trace(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    space
        .commit(commit(1, vec![put("promo.a", b"x")]))
        .await
        .unwrap();
    let before = space.folded();
    let conflict = commit(2, vec![put("promo.a", b"y")]).guarded(key("promo.a"), Expected::Absent);
    space.commit(conflict.clone()).await.unwrap_err();
    space
        .commit(commit(3, vec![put("a", b""), put("a", b"")]))
        .await
        .unwrap_err();
    assert_eq!((space.folded(), space.revision()), (before, at(1)));
    // The id of a refused commit is not used up.
    let mut retried = conflict;
    retried.guards.clear();
    assert_eq!(space.commit(retried).await, Ok(at(2)));
    drop(store);
    assert_eq!(rig.open().config.revision(), at(2));
}

async fn a_repeated_id_changes_nothing(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    space
        .commit(commit(1, vec![put("promo.a", b"x")]))
        .await
        .unwrap();
    space
        .commit(commit(2, vec![put("promo.a", b"y")]))
        .await
        .unwrap();
    let again = space.commit(commit(1, vec![put("promo.a", b"x")])).await;
    assert_eq!(again, Err(CommitError::AlreadyDone(at(1))));
    assert_eq!(hot(space), [("promo.a".into(), 2)]);
    // Ids belong to a space.
    assert_eq!(
        store
            .trade
            .commit(commit(1, vec![put("use.a", b"x")]))
            .await,
        Ok(at(1))
    );
}

async fn ids_outlive_a_restart(rig: Rig) {
    let store = rig.open();
    store
        .config
        .commit(commit(9, vec![put("promo.a", b"x")]))
        .await
        .unwrap();
    drop(store);
    let store = rig.open();
    let again = store
        .config
        .commit(commit(9, vec![put("promo.a", b"x")]))
        .await;
    assert_eq!(again, Err(CommitError::AlreadyDone(at(1))));
}

async fn everything_outlives_a_restart(rig: Rig) {
    let store = rig.open();
    for n in 1..=40 {
        let writes = vec![
            put(&format!("promo.{}", n % 7), &[7; 200]),
            put("cal.se", b"x"),
        ];
        store.config.commit(commit(n, writes)).await.unwrap();
    }
    let before = store.config.folded();
    drop(store);
    for _ in 0..3 {
        let store = rig.open();
        assert_eq!(store.config.folded(), before);
    }
    let store = rig.open();
    assert_eq!(
        store
            .config
            .commit(commit(41, vec![delete("cal.se")]))
            .await,
        Ok(at(41))
    );
}

async fn fill(space: &SpaceStore, revisions: std::ops::RangeInclusive<u64>) {
    for n in revisions {
        let writes = vec![put(&format!("promo.{n}"), &n.to_le_bytes())];
        space.commit(commit(n, writes)).await.unwrap();
    }
}

/// Revisions that a follower is given after `after`.
fn followed(space: &SpaceStore, after: u64) -> Vec<u64> {
    let mut stream = space.follow(at(after)).unwrap();
    let mut revisions = Vec::new();
    while let Some(record) = stream.try_next().unwrap() {
        revisions.push(record.revision.0);
    }
    revisions
}

async fn follow_begins_anywhere(rig: Rig) {
    let store = rig.open();
    fill(&store.config, 1..=9).await;
    for after in 0..=9 {
        assert_eq!(
            followed(&store.config, after),
            (after + 1..=9).collect::<Vec<_>>()
        );
    }
}

async fn follow_beyond_the_end_is_regressed(rig: Rig) {
    let store = rig.open();
    fill(&store.config, 1..=3).await;
    let refused = store.config.follow(at(4)).err();
    assert_eq!(refused, Some(FollowError::Regressed { last: at(3) }));
}

async fn follow_of_another_store_is_refused(rig: Rig) {
    let store = rig.open();
    let ours = store.config.identity();
    assert!(store.config.follow_as(ours, at(0)).is_ok());
    let theirs = Identity {
        store: StoreId([9; 16]),
        ..ours
    };
    let later = Identity { era: 2, ..ours };
    for other in [theirs, later, store.trade.identity()] {
        let refused = store.config.follow_as(other, at(0)).err();
        assert_eq!(refused, Some(FollowError::StoreChanged));
    }
}

async fn follow_waits_for_what_comes(rig: Rig) {
    let store = rig.open();
    let mut stream = store.config.follow(at(0)).unwrap();
    let space = store.config.clone();
    let writer = tokio::spawn(async move { fill(&space, 1..=20).await });
    for n in 1..=20 {
        assert_eq!(stream.next().await.unwrap().revision, at(n));
    }
    writer.await.unwrap();
    assert_eq!(stream.position(), at(20));
}

async fn follow_crosses_restarts_and_files(rig: Rig) {
    let store = rig.open();
    fill(&store.config, 1..=60).await;
    drop(store);
    let store = rig.open();
    fill(&store.config, 61..=120).await;
    for after in [0, 17, 59, 60, 61, 119] {
        assert_eq!(
            followed(&store.config, after),
            (after + 1..=120).collect::<Vec<_>>()
        );
    }
}

async fn a_slow_follower_misses_nothing(rig: Rig) {
    let store = rig.open();
    let mut slow = store.config.follow(at(0)).unwrap();
    let mut writers = Vec::new();
    for n in 1..=1_500 {
        let space = store.config.clone();
        writers.push(tokio::spawn(async move {
            space
                .commit(commit(n, vec![put("promo.a", &n.to_le_bytes())]))
                .await
        }));
    }
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    for n in 1..=1_500 {
        assert_eq!(slow.next().await.unwrap().revision, at(n));
    }
}

async fn trimmed_changes_are_compacted(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    for n in 1..=1_100 {
        let writes = vec![put("promo.a", &[7; 300])];
        space.commit(commit(n, writes)).await.unwrap();
    }
    space.trim(at(50)).unwrap();
    let refused = space.follow(at(0)).err();
    let Some(FollowError::Compacted { first }) = refused else {
        panic!("{refused:?}");
    };
    assert!(at(1) < first && first <= at(50), "{first}");
    assert_eq!(followed(space, 49).len(), 1_100 - 49);
    drop(store);
    let store = rig.open();
    assert_eq!(store.config.revision(), at(1_100));
}

async fn folded_states_differ_by_what_follow_says(rig: Rig) {
    let store = rig.open();
    let space = &store.config;
    let mut dice = Dice::new(3);
    let mut states = vec![space.folded()];
    for n in 1..=40 {
        let name = format!("promo.{}", dice.below(9));
        let write = if dice.percent(30) {
            delete(&name)
        } else {
            put(&name, &u64::to_le_bytes(n))
        };
        space.commit(commit(n, vec![write])).await.unwrap();
        states.push(space.folded());
    }
    for from in 0..states.len() {
        let mut state = states[from].as_ref().clone();
        let mut stream = space.follow(state.revision()).unwrap();
        for later in &states[from + 1..] {
            let record = stream.try_next().unwrap().unwrap();
            state.apply(record.revision, &record.writes);
            assert_eq!(&state, later.as_ref());
        }
    }
}

async fn cold_keys_are_read_by_key_and_prefix(rig: Rig) {
    let store = rig.open();
    let space = &store.trade;
    let writes = vec![
        put("order.se.1", b"1"),
        put("order.se.2", b"2"),
        put("use.a", b"x"),
    ];
    space.commit(commit(1, writes)).await.unwrap();
    let second = commit(2, vec![put("order.no.1", b"3"), delete("order.se.1")]);
    space.commit(second).await.unwrap();
    assert_eq!(space.get(&key("order.se.1")).await, Ok(None));
    let value = space.get(&key("order.se.2")).await.unwrap().unwrap();
    assert_eq!(value.payload().unwrap().as_ref(), b"2");
    let found = space.scan("order.", None, 10).await.unwrap();
    let keys: Vec<&str> = found.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["order.no.1", "order.se.2"]);
    let after = space
        .scan("order.", Some(key("order.no.1")), 1)
        .await
        .unwrap();
    assert_eq!(after[0].key, key("order.se.2"));
    assert_eq!(hot(space), [("use.a".into(), 1)]);
}

async fn cold_keys_are_guarded(rig: Rig) {
    let store = rig.open();
    let space = &store.trade;
    let code = |n| commit(n, vec![put("code.r.x", b"")]).guarded(key("code.r.x"), Expected::Absent);
    assert_eq!(space.commit(code(1)).await, Ok(at(1)));
    let refused = CommitError::Conflict {
        key: key("code.r.x"),
        current: Some(at(1)),
    };
    assert_eq!(space.commit(code(2)).await, Err(refused.clone()));
    drop(store);
    let store = rig.open();
    assert_eq!(store.trade.commit(code(3)).await, Err(refused));
}

async fn cold_keys_outlive_a_restart(rig: Rig) {
    let store = rig.open();
    for n in 1..=30 {
        let writes = vec![put(&format!("audit.{n:02}"), &[7; 300])];
        store.config.commit(commit(n, writes)).await.unwrap();
    }
    drop(store);
    let store = rig.open();
    let found = store.config.scan("audit.", None, 100).await.unwrap();
    assert_eq!(found.len(), 30);
    assert!(store.config.folded().is_empty());
}

async fn scans_page_through_hot_keys(rig: Rig) {
    let store = rig.open();
    fill(&store.config, 1..=25).await;
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.config.scan("promo.", after, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        seen.extend(page.into_iter().map(|entry| entry.key));
    }
    let folded = store.config.folded();
    assert!(seen.iter().eq(folded.iter().map(|(key, _)| key)));
}

async fn many_cold_keys_page_in_order(rig: Rig) {
    let store = rig.open();
    let writes = |from: u64| {
        (from..from + 500)
            .map(|n| put(&format!("order.se.{n:05}"), b"o"))
            .collect()
    };
    for n in 0..6 {
        store
            .trade
            .commit(commit(n + 1, writes(n * 500)))
            .await
            .unwrap();
    }
    drop(store);
    let store = rig.open();
    let mut after = None;
    let mut seen = 0;
    loop {
        let page = store.trade.scan("order.", after, 999).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for entry in &page {
            assert_eq!(entry.key.as_str(), format!("order.se.{seen:05}"));
            seen += 1;
        }
    }
    assert_eq!(seen, 3_000);
}

async fn commits_of_one_writer_stay_in_order(rig: Rig) {
    let store = rig.open();
    let (a, b) = (store.config.clone(), store.config.clone());
    let first = tokio::spawn(async move { a.commit(commit(1, vec![put("promo.a", b"1")])).await });
    assert_eq!(first.await.unwrap(), Ok(at(1)));
    assert_eq!(
        b.commit(commit(2, vec![put("promo.a", b"2")])).await,
        Ok(at(2))
    );
    assert_eq!(hot(&b), [("promo.a".into(), 2)]);
}

async fn an_old_folded_state_stays(rig: Rig) {
    let store = rig.open();
    fill(&store.config, 1..=10).await;
    let old = store.config.folded();
    fill(&store.config, 11..=20).await;
    assert_eq!((old.len(), old.revision()), (10, at(10)));
    assert_eq!(store.config.folded().len(), 20);
}

async fn large_values_come_back(rig: Rig) {
    let store = rig.open();
    let large = noise(200_000);
    for (n, name) in [(1, "promo.large"), (2, "report.large")] {
        store
            .trade
            .commit(commit(n, vec![put(name, &large)]))
            .await
            .unwrap();
    }
    let shrunk = commit(
        3,
        vec![
            put("report.other", &large),
            put("report.large", &large[..9]),
        ],
    );
    store.trade.commit(shrunk).await.unwrap();
    drop(store);
    let store = rig.open();
    for (name, bytes) in [
        ("promo.large", 200_000),
        ("report.other", 200_000),
        ("report.large", 9),
    ] {
        let value = store.trade.get(&key(name)).await.unwrap().unwrap();
        assert_eq!(value.payload().unwrap().as_ref(), &large[..bytes], "{name}");
    }
    assert_eq!(store.trade.scan("report.", None, 9).await.unwrap().len(), 2);
}

async fn a_whole_state_is_handed_out_at_one_revision(rig: Rig) {
    let store = rig.open();
    let writes = vec![
        put("use.b", b"1"),
        put("order.se.1", b"2"),
        put("code.r.1", b"3"),
    ];
    store.trade.commit(commit(1, writes)).await.unwrap();
    let mut taken = Vec::new();
    let points = store.with_states(|states| {
        let mut each = |key: Key, value: Value| {
            taken.push((key.to_string(), value.revision()));
            Ok(())
        };
        states[1].walk(&mut each).unwrap();
        [states[0].point(), states[1].point()]
    });
    let [config, trade] = points.unwrap();
    assert_eq!(
        taken,
        ["code.r.1", "order.se.1", "use.b"].map(|key| (key.into(), at(1)))
    );
    assert_eq!((config.revision, config.as_of), (at(0), None));
    assert_eq!((trade.revision, trade.as_of), (at(1), Some(TIME)));
    assert_eq!(trade.identity, store.trade.identity());
}

async fn a_commit_without_writes_takes_a_revision(rig: Rig) {
    let store = rig.open();
    assert_eq!(store.config.commit(commit(1, Vec::new())).await, Ok(at(1)));
    drop(store);
    assert_eq!(rig.open().config.revision(), at(1));
}

async fn a_guard_sees_earlier_commits_of_its_group(rig: Rig) {
    let store = rig.open();
    store
        .config
        .commit(commit(1, vec![put("promo.a", b"0")]))
        .await
        .unwrap();
    let edit =
        |n| commit(n, vec![put("promo.a", b"1")]).guarded(key("promo.a"), Expected::At(at(1)));
    let (first, second) = tokio::join!(store.config.commit(edit(2)), store.config.commit(edit(3)));
    let refused = CommitError::Conflict {
        key: key("promo.a"),
        current: Some(at(2)),
    };
    assert_eq!((first, second), (Ok(at(2)), Err(refused)));
}

async fn health_says_what_is_done(rig: Rig) {
    let store = rig.open();
    fill(&store.config, 1..=2).await;
    let health = store.config.health();
    assert_eq!((health.mode, health.revision), (Mode::Ok, at(2)));
    assert!(health.repairs.is_empty(), "{:?}", health.repairs);
    assert!(health.lag().is_some());
}

async fn a_chunk_put_twice_is_one(rig: Rig) {
    let store = rig.open();
    let content = noise(100_000);
    let hash = store.chunks.put(&content).unwrap();
    assert_eq!(hash, ChunkHash::of(&content));
    assert_eq!(store.chunks.put(&content).unwrap(), hash);
    assert_eq!(store.chunks.put(b"").unwrap(), ChunkHash::of(b""));
    assert_eq!(store.chunks.hashes().unwrap().len(), 2);
    assert_eq!(store.chunks.get(&hash).unwrap(), content);
    assert_eq!(store.chunks.get(&ChunkHash::of(b"")).unwrap(), b"");
}

async fn an_absent_chunk_is_missing(rig: Rig) {
    let store = rig.open();
    store.chunks.put(b"there").unwrap();
    let absent = ChunkHash::of(b"not there");
    let refused = store.chunks.get(&absent);
    assert!(matches!(refused, Err(ChunkError::Missing { hash }) if hash == absent));
}

async fn chunks_outlive_a_restart(rig: Rig) {
    let store = rig.open();
    let hash = store.chunks.put(b"content").unwrap();
    drop(store);
    let store = rig.open();
    assert_eq!(store.chunks.get(&hash).unwrap(), b"content");
    assert_eq!(store.chunks.put(b"content").unwrap(), hash);
}

async fn chunks_that_nobody_names_go_after_an_hour(rig: Rig) {
    let store = rig.open();
    let [a, b] = [b"a", b"b"].map(|content| store.chunks.put(content).unwrap());
    let live = BTreeSet::from([a]);
    let retain = |ms| store.chunks.retain(&live, Timestamp(ms)).unwrap();
    let counts = |live, waiting, forgotten| Retained {
        live,
        waiting,
        forgotten,
    };
    assert_eq!(retain(5), counts(1, 1, 0));
    assert_eq!(retain(5 + KEPT_MS - 1), counts(1, 1, 0));
    assert!(store.chunks.get(&b).is_ok());
    assert_eq!(retain(5 + KEPT_MS), counts(1, 0, 1));
    assert!(matches!(
        store.chunks.get(&b),
        Err(ChunkError::Missing { .. })
    ));
    assert_eq!(store.chunks.hashes().unwrap(), live);
    assert_eq!(store.chunks.put(b"b").unwrap(), b);
    assert!(store.chunks.get(&b).is_ok());
}

async fn a_put_begins_the_hour_anew(rig: Rig) {
    let store = rig.open();
    let hash = store.chunks.put(b"a").unwrap();
    let retain = |ms| {
        let retained = store.chunks.retain(&BTreeSet::new(), Timestamp(ms));
        retained.unwrap().forgotten
    };
    assert_eq!(retain(0), 0);
    store.chunks.put(b"a").unwrap();
    assert_eq!(retain(KEPT_MS), 0);
    assert_eq!(retain(2 * KEPT_MS - 1), 0);
    assert_eq!(store.chunks.get(&hash).unwrap(), b"a");
    assert_eq!(retain(2 * KEPT_MS), 1);
}

/// A store over a disk that fails on demand, with one commit made.
async fn on_a_failing_disk() -> (Rig, SimDisk, Opened) {
    let rig = Rig::simulated();
    let Rig::Simulated(disk, _) = &rig else {
        unreachable!("as made")
    };
    let disk = disk.clone();
    let store = rig.open();
    fill(&store.config, 1..=1).await;
    (rig, disk, store)
}

/// Tries faults at later and later calls until one hits what `fits` looks for.
fn fault_in(disk: &SimDisk, ahead: u64, kind: FaultKind) {
    disk.set_fault(Some(Fault {
        at_call: disk.calls() + ahead,
        kind,
    }));
}

#[test]
fn an_unknown_commit_may_have_happened() {
    run(Rig::memory(), |_| async {
        let (rig, disk, store) = on_a_failing_disk().await;
        // A group looks at the room, asks for the length, appends, syncs: the fourth call is
        // the sync, or close to it.
        let mut unknown = None;
        for ahead in 1..=6 {
            fault_in(&disk, ahead, FaultKind::LostSync);
            let again = commit(2 + ahead, vec![put("promo.u", b"x")]);
            if store.config.commit(again.clone()).await == Err(CommitError::Unknown) {
                unknown = Some(again);
                break;
            }
        }
        let unknown = unknown.unwrap();
        let before = store.config.revision();
        let later = store
            .config
            .commit(commit(99, vec![put("promo.v", b"x")]))
            .await;
        assert_eq!(later, Err(CommitError::ReadOnly));
        drop(store);
        // The page cache still shows the frame: it happened, and is durable now.
        disk.kill_process();
        let store = rig.open();
        let resolved = store.config.commit(unknown).await;
        assert_eq!(resolved, Err(CommitError::AlreadyDone(before.next())));
        drop(store);
        disk.cut_power(&mut Dice::new(1), Survival::None);
        assert_eq!(rig.open().config.revision(), before.next());
    });
}

#[test]
fn an_unknown_commit_may_not_have_happened() {
    run(Rig::memory(), |_| async {
        let (rig, disk, store) = on_a_failing_disk().await;
        let mut unknown = None;
        for ahead in 1..=6 {
            fault_in(&disk, ahead, FaultKind::LostSync);
            let again = commit(2 + ahead, vec![put("promo.u", b"x")]);
            if store.config.commit(again.clone()).await == Err(CommitError::Unknown) {
                unknown = Some(again);
                break;
            }
        }
        let before = store.config.revision();
        drop(store);
        disk.cut_power(&mut Dice::new(1), Survival::None);
        let store = rig.open();
        assert_eq!(store.config.revision(), before);
        assert_eq!(
            store.config.commit(unknown.unwrap()).await,
            Ok(before.next())
        );
    });
}

#[test]
fn a_full_disk_answers_full_and_recovers_without_restart() {
    run(Rig::memory(), |_| async {
        let (rig, disk, store) = on_a_failing_disk().await;
        disk.set_total_bytes(5 << 20);
        fill(&store.config, 2..=2).await;
        disk.set_total_bytes(3 << 20);
        let ordinary = commit(3, vec![put("promo.a", b"x")]);
        assert_eq!(
            store.config.commit(ordinary.clone()).await,
            Err(CommitError::Full)
        );
        let mut relief = commit(4, vec![delete("promo.1")]);
        relief.purpose = Purpose::Relief;
        assert_eq!(store.config.commit(relief.clone()).await, Ok(at(3)));
        disk.set_total_bytes(1 << 20);
        relief.id = crate::rig::id(5);
        assert_eq!(store.config.commit(relief).await, Err(CommitError::Full));
        assert_eq!(store.config.health().mode, Mode::Full);
        assert_eq!(store.config.folded().len(), 1);
        disk.set_total_bytes(1 << 30);
        assert_eq!(store.config.commit(ordinary).await, Ok(at(4)));
        drop(store);
        assert_eq!(rig.open().config.revision(), at(4));
    });
}

#[test]
fn a_second_process_is_refused() {
    run(Rig::memory(), |_| async {
        let dir = tempfile::tempdir().unwrap();
        let settings = crate::rig::settings(dir.path().into());
        let store = endcap::store::start::open(&settings, &crate::rig::real()).unwrap();
        let refused = endcap::store::start::open(&settings, &crate::rig::real())
            .err()
            .unwrap();
        let text = refused.to_string();
        assert!(
            text.contains(&format!("process {} since 2026", std::process::id())),
            "{text}"
        );
        store.close();
        assert!(endcap::store::start::open(&settings, &crate::rig::real()).is_ok());
    });
}
