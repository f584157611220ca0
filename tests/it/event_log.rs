//! The event log: cases over every kind of store, named in the list of `conformance`, and power
//! cuts in the middle of a call.

use endcap::store::commit::{COMMIT_BYTES_MAX, CommitError, FollowError};
use endcap::store::event::{EVENTS, EventBatch, EventLog, LogPosition, Partition};
use endcap::store::sim::{Dice, Fault, FaultKind, SimDisk, Survival};
use endcap::store::{Mode, Space};

use crate::rig::{Rig, TIME, block_on, id, put};

fn partition(number: u8) -> Partition {
    Partition::new(number).unwrap()
}

fn batch(number: u8, events: &[u8]) -> EventBatch {
    EventBatch::new(partition(number), 1, events).unwrap()
}

async fn append(
    log: &EventLog,
    n: u64,
    batches: &[(u8, &[u8])],
) -> Result<LogPosition, CommitError> {
    let batches = batches
        .iter()
        .map(|(number, events)| batch(*number, events))
        .collect();
    log.append(id(n), TIME, batches).await
}

/// Position and events of each batch of a partition after a position.
async fn read(log: &EventLog, number: u8, after: u64) -> Vec<(u64, Vec<u8>)> {
    let page = log
        .read(partition(number), LogPosition(after), usize::MAX)
        .await
        .unwrap();
    assert_eq!(page.through, log.position());
    page.batches
        .iter()
        .map(|batch| {
            assert_eq!((batch.at, batch.events.kind()), (TIME, EVENTS));
            let events = batch.events.payload().unwrap();
            (batch.position.0, events.into_owned())
        })
        .collect()
}

/// Bytes that no packing makes smaller.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    Dice::new(seed).fill(&mut noise);
    noise
}

pub(crate) async fn events_are_read_by_partition_and_position(rig: Rig) {
    let store = rig.open();
    let log = &store.events;
    assert_eq!(log.identity().space, Space::Events);
    assert_eq!(log.position(), LogPosition(0));
    assert_eq!(read(log, 3, 0).await, []);
    assert_eq!(
        append(log, 1, &[(3, b"a"), (15, b"b")]).await,
        Ok(LogPosition(1))
    );
    assert_eq!(append(log, 2, &[(3, b"c")]).await, Ok(LogPosition(2)));
    assert_eq!(
        append(log, 3, &[(0, b"d"), (3, b"e")]).await,
        Ok(LogPosition(3))
    );
    let third = [(1, b"a".to_vec()), (2, b"c".to_vec()), (3, b"e".to_vec())];
    for after in 0..=3 {
        assert_eq!(
            read(log, 3, after).await,
            third[usize::try_from(after).unwrap()..]
        );
    }
    assert_eq!(read(log, 15, 0).await, [(1, b"b".to_vec())]);
    assert_eq!(read(log, 0, 0).await, [(3, b"d".to_vec())]);
    assert_eq!(read(log, 7, 0).await, []);
    let beyond = log.read(partition(3), LogPosition(4), 9).await;
    let last = endcap::store::Revision(3);
    assert_eq!(beyond, Err(FollowError::Regressed { last }));
}

pub(crate) async fn a_read_says_where_the_next_goes_on(rig: Rig) {
    let store = rig.open();
    let log = &store.events;
    for n in 1..=12 {
        let number = if n % 4 == 0 { 5 } else { 6 };
        append(log, n, &[(number, b"x")]).await.unwrap();
    }
    let mut after = LogPosition(0);
    let mut seen = Vec::new();
    loop {
        let page = log.read(partition(6), after, 2).await.unwrap();
        if page.batches.is_empty() {
            assert_eq!(page.through, LogPosition(12));
            break;
        }
        assert!(page.batches.len() <= 2 && after < page.through);
        after = page.through;
        seen.extend(page.batches.iter().map(|batch| batch.position.0));
    }
    assert_eq!(seen, [1, 2, 3, 5, 6, 7, 9, 10, 11]);
    let quiet = log.read(partition(9), LogPosition(4), 2).await.unwrap();
    assert_eq!(
        (quiet.batches.len(), quiet.through),
        (0, LogPosition(12)),
        "the next look need not begin at 4 again"
    );
    let none = log.read(partition(6), LogPosition(4), 0).await.unwrap();
    assert_eq!((none.batches.len(), none.through), (0, LogPosition(4)));
}

pub(crate) async fn a_read_is_bounded_by_bytes(rig: Rig) {
    let store = rig.open();
    let log = &store.events;
    let bulky = noise(1, 250_000);
    for n in 1..=70 {
        append(log, n, &[(1, &bulky)]).await.unwrap();
    }
    let first = log.read(partition(1), LogPosition(0), 1_000).await.unwrap();
    assert_eq!(first.batches.len(), 68, "68 × 250,024 reach 16 MiB");
    assert_eq!(first.through, LogPosition(68));
    let rest = log.read(partition(1), first.through, 1_000).await.unwrap();
    assert_eq!(rest.batches.len(), 2);
}

pub(crate) async fn a_repeated_call_changes_nothing(rig: Rig) {
    let store = rig.open();
    let call: [(u8, &[u8]); 2] = [(2, b"a"), (4, b"b")];
    assert_eq!(append(&store.events, 7, &call).await, Ok(LogPosition(1)));
    append(&store.events, 8, &[(2, b"c")]).await.unwrap();
    let known = Err(CommitError::AlreadyDone(endcap::store::Revision(1)));
    assert_eq!(append(&store.events, 7, &call).await, known);
    drop(store);
    let store = rig.open();
    assert_eq!(append(&store.events, 7, &call).await, known);
    assert_eq!(store.events.position(), LogPosition(2));
    let twice = [(1, b"a".to_vec()), (2, b"c".to_vec())];
    assert_eq!(read(&store.events, 2, 0).await, twice);
    // Ids belong to a space: the same one is new to the configuration.
    let other = crate::rig::commit(7, vec![put("promo.a", b"x")]);
    assert!(store.config.commit(other).await.is_ok());
}

pub(crate) async fn events_outlive_restarts_and_files(rig: Rig) {
    let events = noise(2, 300);
    for life in 0..4 {
        let store = rig.open();
        assert_eq!(store.events.position(), LogPosition(life * 30));
        for n in life * 30 + 1..=life * 30 + 30 {
            let number = u8::try_from(n % 16).unwrap();
            append(&store.events, n, &[(number, &events)])
                .await
                .unwrap();
        }
    }
    let store = rig.open();
    for number in 0..16 {
        for after in [0, 16, 29, 30, 31, 64, 100, 120] {
            let found = read(&store.events, number, after).await;
            let expected = (after + 1..=120).filter(|n| n % 16 == u64::from(number));
            assert!(found.iter().map(|(position, _)| *position).eq(expected));
            assert!(found.iter().all(|(_, content)| *content == events));
        }
    }
}

pub(crate) async fn trimmed_events_are_compacted(rig: Rig) {
    let store = rig.open();
    let events = noise(3, 300);
    for n in 1..=1_200 {
        append(&store.events, n, &[(1, &events)]).await.unwrap();
    }
    store.events.trim(LogPosition(60)).unwrap();
    drop(store);
    for _ in 0..2 {
        let store = rig.open();
        assert_eq!(store.events.position(), LogPosition(1_200));
        let refused = store.events.read(partition(1), LogPosition(0), 9).await;
        let Err(FollowError::Compacted { first }) = refused else {
            panic!("{refused:?}");
        };
        assert!(1 < first.0 && first.0 <= 60, "{first}");
        assert_eq!(read(&store.events, 1, first.0 - 1).await[0].0, first.0);
        assert_eq!(read(&store.events, 1, 59).await.len(), 1_200 - 59);
        // Whatever is asked, the newest file stays.
        store.events.trim(LogPosition(9_999)).unwrap();
        assert_eq!(
            read(&store.events, 1, 1_199).await,
            [(1_200, events.clone())]
        );
        store.events.trim(LogPosition(0)).unwrap();
        if let Err(FollowError::Compacted { first }) =
            store.events.read(partition(1), LogPosition(60), 9).await
        {
            assert!(60 < first.0);
            return;
        }
    }
    panic!("nothing was trimmed");
}

pub(crate) async fn a_refused_call_leaves_no_partition(rig: Rig) {
    let store = rig.open();
    let log = &store.events;
    let twice = append(log, 1, &[(1, b"a"), (2, b"b"), (1, b"c")]).await;
    assert_eq!(twice, Err(CommitError::TooLarge { have: 3, max: 2 }));
    let bulky = noise(4, 200_000);
    let over = append(log, 1, &[(1, &bulky), (2, &bulky), (3, &bulky)]).await;
    let Err(CommitError::TooLarge { have, max }) = over else {
        panic!("{over:?}");
    };
    assert!(max == COMMIT_BYTES_MAX && 600_000 < have);
    for number in 0..16 {
        assert_eq!(read(log, number, 0).await, []);
    }
    // The id of a refused call is not used up.
    assert_eq!(append(log, 1, &[(1, b"a")]).await, Ok(LogPosition(1)));
}

pub(crate) async fn racing_calls_take_a_position_each(rig: Rig) {
    let store = rig.open();
    let mut callers = Vec::new();
    for caller in 0..8_u64 {
        let log = store.events.clone();
        callers.push(tokio::spawn(async move {
            let mut positions = Vec::new();
            for n in 0..25 {
                let number = u8::try_from(caller).unwrap();
                let events = [u8::try_from(n).unwrap()];
                let call: [(u8, &[u8]); 2] = [(number, &events), (15, b"all")];
                positions.push(append(&log, caller * 100 + n, &call).await.unwrap().0);
            }
            positions
        }));
    }
    let mut answered = Vec::new();
    for caller in callers {
        answered.push(caller.await.unwrap());
    }
    let mut all = Vec::new();
    for (positions, number) in answered.into_iter().zip(0..) {
        let found = read(&store.events, number, 0).await;
        let expected = positions
            .iter()
            .zip(0_u8..)
            .map(|(position, n)| (*position, vec![n]));
        assert!(found.into_iter().eq(expected), "in the order of the caller");
        all.extend(positions);
    }
    all.sort_unstable();
    assert!(all.iter().copied().eq(1..=200));
    assert_eq!(read(&store.events, 15, 0).await.len(), 200);
}

pub(crate) async fn the_log_says_how_it_is(rig: Rig) {
    let store = rig.open();
    append(&store.events, 1, &[(1, b"a")]).await.unwrap();
    let health = store.events.health();
    assert_eq!((health.mode, health.revision.0), (Mode::Ok, 1));
}

/// Power goes at a later and later call to the disk, and any half of what was not synced is lost:
/// an acknowledged call is there in all its partitions, an unanswered one in all or in none.
#[test]
fn no_power_cut_tears_a_call() {
    for ahead in 1..60 {
        let disk = SimDisk::new(1 << 30);
        let rig = Rig::Simulated(
            disk.clone(),
            endcap::store::index::plain::PlainIndex::default(),
        );
        let mut dice = Dice::new(ahead);
        let acknowledged = block_on(async {
            let store = rig.open();
            disk.set_fault(Some(Fault {
                at_call: disk.calls() + ahead,
                kind: FaultKind::PowerOff,
            }));
            let mut done = 0;
            for n in 1..=12 {
                let events = noise(n, 700);
                let call: [(u8, &[u8]); 3] = [(1, &events), (8, &events), (15, &events)];
                match append(&store.events, n, &call).await {
                    Ok(position) => assert_eq!(position, LogPosition(n)),
                    Err(_) => break,
                }
                done = n;
            }
            done
        });
        disk.cut_power(&mut dice, Survival::Percent(50));
        block_on(async {
            let store = rig.open();
            let there = store.events.position().0;
            assert!(
                there == acknowledged || there == acknowledged + 1,
                "{acknowledged} acknowledged, {there} there, cut at {ahead}"
            );
            for number in [1, 8, 15] {
                let found = read(&store.events, number, 0).await;
                assert!(
                    found
                        .into_iter()
                        .eq((1..=there).map(|n| (n, noise(n, 700))))
                );
            }
        });
    }
}
