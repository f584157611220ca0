//! Laws: a tree is its twin in a map, through restarts; what a crash leaves is a whole checkpoint.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::cases::{Content, content, key, open, put, started};
use super::*;
use crate::store::index::plain::PlainIndex;
use crate::store::index::sled::SledHome;
use crate::store::index::{IndexHome, Rung};
use crate::store::sim::Dice;

#[derive(Clone, Debug)]
enum Act {
    Commit(Vec<(u8, usize)>, Vec<u8>, u64),
    Reopen,
    Clear,
}

fn act() -> impl Strategy<Value = Act> {
    let size = prop_oneof![0..20_usize, Just(40_000), Just(70_000)];
    let puts = prop::collection::vec((0..12_u8, size), 0..6);
    let deletes = prop::collection::vec(0..12_u8, 0..4);
    prop_oneof![
        8 => (puts, deletes, 0..9_u64).prop_map(|(a, b, c)| Act::Commit(a, b, c)),
        3 => Just(Act::Reopen),
        1 => Just(Act::Clear),
    ]
}

/// Plays the acts and compares with a twin in a map after each.
fn play(acts: Vec<Act>, home: &dyn IndexHome, dir: &Path) {
    let start = || {
        let index = home.open(&dir.join("index"), &dir.join("aside"), Rung::AsIs);
        started(index.unwrap(), 1, 1_000, Mode::Ok)
    };
    let mut store = start();
    let mut tree = open(&store);
    let (mut twin, mut position) = (Content::new(), 0);
    for act in acts {
        match act {
            Act::Commit(puts, deletes, more) => {
                position += more.max(1);
                let name = |n: u8| format!("k{}.{n}", n % 3);
                let value = |(n, size): (u8, usize)| {
                    let mut bytes = vec![0; size];
                    Dice::new(u64::from(n) + position).fill(&mut bytes);
                    (name(n), bytes)
                };
                let puts: Vec<_> = puts.into_iter().map(value).collect();
                let drafts = puts.iter().map(|(name, value)| put(name, value));
                let keys = deletes.iter().map(|n| key(&name(*n)));
                let (drafts, keys) = (drafts.collect(), keys.collect());
                tree.commit(drafts, keys, LogPosition(position)).unwrap();
                twin.retain(|key, _| !deletes.iter().any(|n| name(*n) == *key));
                twin.extend(puts);
            }
            Act::Reopen => {
                drop((tree, store));
                store = start();
                tree = open(&store);
            }
            Act::Clear => {
                store.clear(tree.partition()).unwrap();
                tree = open(&store);
                (twin, position) = (Content::new(), 0);
            }
        }
        assert_eq!(tree.position(), LogPosition(position));
        assert_eq!(content(&tree, ""), twin);
        let part = content(&tree, "k1.");
        assert!(
            part.iter()
                .eq(twin.iter().filter(|(key, _)| key.starts_with("k1.")))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_tree_in_memory_is_its_twin(acts in prop::collection::vec(act(), 0..40)) {
        play(acts, &PlainIndex::default(), Path::new(""));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_tree_in_sled_is_its_twin(acts in prop::collection::vec(act(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        play(acts, &SledHome { cache_bytes: 8 << 20 }, dir.path());
    }
}

/// What a power cut may have left of the files in `from`: now and then their ends are missing.
fn crash(from: &Path, to: &Path, dice: &mut Dice) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            crash(&entry.path(), &target, dice);
            continue;
        }
        // sled removes what it wrote a moment ago.
        let Ok(mut bytes) = fs::read(entry.path()) else {
            continue;
        };
        if dice.percent(50) {
            bytes.truncate(dice.place(bytes.len() + 1));
        }
        fs::write(target, bytes).unwrap();
    }
}

/// The index in `dir`, as gently as it opens.
fn climb(home: &dyn IndexHome, dir: &Path) -> Arc<dyn Index> {
    let opened = Rung::LADDER.iter().find_map(|rung| {
        home.open(&dir.join("index"), &dir.join("aside"), *rung)
            .ok()
    });
    opened.unwrap()
}

#[test]
fn a_crash_leaves_a_whole_checkpoint_or_none() {
    let home = SledHome {
        cache_bytes: 8 << 20,
    };
    let dir = tempfile::tempdir().unwrap();
    let index = climb(&home, dir.path());
    let store = started(index.clone(), 1, 1_000, Mode::Ok);
    let mut tree = open(&store);
    let mut dice = Dice::new(41);
    let mut states = vec![Content::new()];
    let mut n_kept = 0;
    for position in 1..=40 {
        let mut state = states.last().unwrap().clone();
        let gone = format!("k.{}", dice.below(300));
        state.remove(&gone);
        let mut puts = Vec::new();
        for _ in 0..dice.place(200) {
            let name = format!("k.{}", dice.below(300));
            let mut bytes = vec![0; if dice.percent(3) { 70_000 } else { 300 }];
            dice.fill(&mut bytes);
            puts.push(put(&name, &bytes));
            state.insert(name, bytes);
        }
        tree.commit(puts, vec![key(&gone)], LogPosition(position))
            .unwrap();
        states.push(state);
        if dice.percent(60) {
            index.flush().unwrap();
        }
        let image = dir.path().join(format!("image.{position}"));
        crash(&dir.path().join("index"), &image.join("index"), &mut dice);
        let left = open(&started(climb(&home, &image), 1, 1_000, Mode::Ok));
        let place = usize::try_from(left.position().0).unwrap();
        assert!(
            content(&left, "") == states[place],
            "at {place} of {position}"
        );
        n_kept += usize::from(0 < place);
    }
    assert!(0 < n_kept, "no image held a checkpoint");
}
