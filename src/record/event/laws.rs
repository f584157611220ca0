//! Entries come back as they were; damage is refused, whatever it is.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::measurement::log::{Trigger, What};
use crate::measurement::split::Arm;
use crate::record::any_event::{any_control, any_entry};
use crate::record::sample_events::{bare_entry, calls, full_entry, full_item, mark};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn events_come_back(
        entries in vec(any_entry(), 0..6),
        controls in vec(any_control(), 0..4),
    ) {
        let bytes = encode(&entries, &controls).unwrap();
        prop_assert_eq!(decode(SCHEMA, &bytes).unwrap(), (entries, controls));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok((entries, controls)) = decode(SCHEMA, &bytes) {
            let again = encode(&entries, &controls).unwrap();
            prop_assert_eq!(decode(SCHEMA, &again).unwrap(), (entries, controls));
        }
    }
}

#[test]
fn cut_bytes_are_refused_and_flipped_ones_never_panic() {
    let [_, (entries, controls)] = calls();
    let bytes = encode(&entries, &controls).unwrap();
    for end in 0..bytes.len() {
        assert!(decode(SCHEMA, &bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut odd = bytes.clone();
            odd[at] ^= flip;
            if let Ok((entries, controls)) = decode(SCHEMA, &odd) {
                encode(&entries, &controls).unwrap();
            }
        }
    }
}

/// What a batch is refused for, one field of which is changed.
#[track_caller]
fn refused(change: impl Fn(&mut BatchV1<'_>), expected: &str) {
    let [_, (entries, controls)] = calls();
    let bytes = encode(&entries, &controls).unwrap();
    let mut batch: BatchV1<'_> = codec::decode_dense(&bytes).unwrap();
    change(&mut batch);
    let odd = codec::encode_dense(&batch).unwrap();
    let error = decode(SCHEMA, &odd).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_batch_that_its_constructors_refuse_is_damage() {
    refused(|batch| batch.markets[0] = "Sweden", "market: ");
    refused(|batch| batch.groups[0] = "", "group: ");
    refused(
        |batch| batch.lists[1][0] = 9,
        "promotion: nothing has place 9",
    );
    refused(|batch| batch.epochs[0].promotion = 9, "promotion: nothing");
    refused(|batch| batch.epochs[0].share_bp = 4_999, "share: ");
    refused(|batch| batch.epochs[0].share_bp = 9_901, "share: ");
    refused(|batch| batch.epochs[0].share_bp = 10_001, "share: ");
    refused(|batch| batch.offers[0].window = i32::MAX, "window: ");
    refused(|batch| batch.controls[0].market = 9, "market: nothing");
    refused(|batch| batch.controls[0].epoch = 9, "epoch: nothing");
    refused(|batch| batch.entries[0].market = 9, "market: nothing");
    refused(|batch| batch.entries[0].group = Some(9), "group: nothing");
    refused(|batch| batch.entries[0].day = i32::MIN, "day: ");
    refused(|batch| batch.entries[0].booked = i32::MAX, "booked: ");
    refused(|batch| click(batch).variant = "\n", "variant: ");
    refused(|batch| click(batch).product = Some(""), "product: ");
    refused(|batch| click(batch).promotions = 9, "promotions: nothing");
    refused(|batch| click(batch).offer = Some(9), "offer: nothing");
    refused(|batch| marks(batch)[0].epoch = 9, "epoch: nothing");
    refused(|batch| marks(batch)[0].trigger = 3, "trigger: nothing");
}

fn click<'a, 'b>(batch: &'a mut BatchV1<'b>) -> &'a mut ItemV1<'b> {
    match &mut batch.entries[2].what {
        WhatV1::Click(item) => item,
        other => unreachable!("{other:?}"),
    }
}

fn marks<'a>(batch: &'a mut BatchV1<'_>) -> &'a mut [MarkV1] {
    match &mut batch.entries[0].what {
        WhatV1::Page { marks, .. } => marks,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn other_schemas_are_refused() {
    let bytes = encode(&[], &[]).unwrap();
    for schema in [0, 2] {
        let error = decode(schema, &bytes).unwrap_err();
        assert!(matches!(error, RecordError::TooNew { kind: 250, .. }));
    }
}

#[test]
fn more_different_things_than_places_are_refused() {
    let of_group = |n: u32| Entry {
        group: Some(n.to_string().into()),
        ..bare_entry(What::End)
    };
    let entries: Vec<_> = (0..=65_536).map(of_group).collect();
    let error = encode(&entries, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a batch has more than 65536 different groups"
    );
}

#[test]
fn what_is_equal_is_shared_again() {
    let marks = || {
        vec![
            mark(1, Arm::Shown, Trigger::T0),
            mark(2, Arm::Shown, Trigger::T0),
        ]
    };
    let display = || {
        full_entry(What::Display {
            marks: marks(),
            items: vec![full_item("P2-L"), full_item("P2-XL")],
        })
    };
    let bytes = encode(&[display(), display()], &[]).unwrap();
    let (entries, _) = decode(SCHEMA, &bytes).unwrap();
    let [
        What::Display { marks, items },
        What::Display { marks: later, .. },
    ] = [&entries[0].what, &entries[1].what]
    else {
        unreachable!("two displays were written")
    };
    assert!(Arc::ptr_eq(&marks[0].epoch, &later[0].epoch));
    assert!(Arc::ptr_eq(&items[0].promotions, &items[1].promotions));
}
