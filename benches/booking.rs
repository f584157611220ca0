//! A million bookings opened, asked and taken.
//!
//! Data: nine and a half years in steps of 5 minutes, one booking beginning at each, of 1 to 96
//! steps, so that about 48 of a million hold at any instant and never more than 96.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use endcap::booking::Calendar;
use endcap::domain::time::{Period, Timestamp};

const N_BOOKINGS: u32 = 1_000_000;
const CAPACITY: u32 = 100;
const STEP_MS: i64 = 300_000;

/// The next number of a multiplicative stream, below `bound`.
fn draw(state: &mut u64, bound: u64) -> i64 {
    *state = state
        .wrapping_mul(0x5851_f42d_4c95_7f2d)
        .wrapping_add(0x1405_7b7e_f767_814f);
    i64::try_from((*state >> 33) % bound).unwrap_or(0)
}

fn period(step: i64, state: &mut u64) -> Period {
    let start = step * STEP_MS;
    let length = (1 + draw(state, 96)) * STEP_MS;
    Period::new(Timestamp(start), Timestamp(start + length)).expect("every length is positive")
}

fn booking(c: &mut Criterion) {
    let mut state = 7;
    let entries: Vec<(u32, Period)> = (0..N_BOOKINGS)
        .map(|key| (key, period(i64::from(key), &mut state)))
        .collect();
    let mut group = c.benchmark_group("booking");
    group.sample_size(10);
    group.bench_function("open/1000000", |b| {
        b.iter(|| Calendar::open(CAPACITY, black_box(entries.clone())).len());
    });
    let mut calendar = Calendar::open(CAPACITY, entries);
    group.bench_function("room/1000000", |b| {
        b.iter(|| {
            let step = draw(&mut state, u64::from(N_BOOKINGS));
            calendar.room(period(step, &mut state), None).is_ok()
        });
    });
    group.bench_function("move/1000000", |b| {
        b.iter(|| {
            let step = draw(&mut state, u64::from(N_BOOKINGS));
            let key = u32::try_from(step).unwrap_or(0);
            calendar.reserve(key, period(step, &mut state)).is_ok()
        });
    });
    group.finish();
}

criterion_group!(benches, booking);
criterion_main!(benches);
