//! Stretches made by hand, each with one verdict.

use super::*;
use crate::domain::money::Percent;
use crate::measurement::moments::{FIGURES, Vector};

fn day(number: usize) -> Date {
    Date::parse(&format!("2027-03-{:02}", number + 1)).unwrap()
}

/// A session with these clicks, a display, and so much money, half of it profit.
fn session(clicks: i64, revenue: i64) -> Vector {
    let mut figures = [0; FIGURES];
    figures[Figure::Displays as usize] = 1;
    figures[Figure::Clicks as usize] = clicks;
    figures[Figure::Orders as usize] = i64::from(revenue > 0);
    figures[Figure::Revenue as usize] = revenue;
    figures[Figure::Profit as usize] = revenue / 2;
    Vector(figures)
}

/// Ten days of so many sessions in each arm; the i-th of a day did what `make` says.
fn stretch(n: [i64; 2], make: impl Fn(Arm, i64) -> Vector) -> EpochSums {
    let mut sums = EpochSums::default();
    for number in 0..10 {
        let day = sums.days.entry(day(number)).or_default();
        for (arm, n) in ARMS.into_iter().zip(n) {
            for i in 0..n {
                let vector = make(arm, i);
                for level in Trigger::ALL {
                    for scope in Scope::ALL {
                        day.change((level, arm, scope), None, Some(&vector));
                    }
                }
            }
        }
    }
    sums
}

fn question(sums: &EpochSums, primary: Metric) -> Question<'_> {
    Question {
        sums,
        share: Share::new(Percent::from_basis_points(8_000).unwrap()).unwrap(),
        primary,
        plan: Plan::Anytime,
        is_over: false,
        mature_before: day(8),
        level: Trigger::T2,
        scope: Scope::Promoted,
        is_capped: true,
        foreign: None,
        cost_known: None,
    }
}

fn judged(question: &Question<'_>) -> Verdict {
    let findings = find(question);
    findings.verdict(findings.p())
}

const FAIR: [i64; 2] = [400, 100];

/// Clicks of every second session, and of Shown ones so many more.
fn clicks(more: i64) -> impl Fn(Arm, i64) -> Vector {
    move |arm, i| session(2 + i % 2 + more * i64::from(arm == Arm::Shown), 0)
}

#[test]
fn clear_effects_are_told() {
    let helps = stretch(FAIR, clicks(1));
    assert_eq!(judged(&question(&helps, Metric::Clicks)), Verdict::Helps);
    let hurts = stretch(FAIR, clicks(-1));
    assert_eq!(judged(&question(&hurts, Metric::Clicks)), Verdict::Hurts);
    let findings = find(&question(&helps, Metric::Clicks));
    let compared = findings.primary().compared.unwrap();
    assert!((compared.difference.unwrap().value - 1.0).abs() < 1e-12);
    assert!((compared.lift.value.unwrap() - 0.4).abs() < 1e-12);
    // The correction over a market may take a finding back.
    assert!(matches!(
        findings.verdict(Some(0.06)),
        Verdict::NotEnoughData(_)
    ));
    // Mature are the first eight of ten days; the whole stretch counts all.
    let [shown, withheld] = findings.primary().mature;
    assert_eq!((shown.n, withheld.n), (3_200, 800));
    assert_eq!(findings.primary().whole[1].sum, 2_500);
}

#[test]
fn no_difference_is_told_with_its_bound() {
    let same = stretch([4_000, 1_000], clicks(0));
    let Verdict::NoDifferenceLargerThan(x) = judged(&question(&same, Metric::Clicks)) else {
        panic!("not told")
    };
    assert!(0.0 < x && x <= MARGIN);
}

#[test]
fn too_few_days_or_sessions_say_nothing() {
    let sums = stretch(FAIR, clicks(1));
    let early = Question {
        mature_before: day(6),
        ..question(&sums, Metric::Clicks)
    };
    let findings = find(&early);
    assert_eq!(findings.primary().compared, Err(Silence::StartRule));
    assert_eq!(findings.p(), None);
    let Verdict::NotEnoughData(need) = judged(&early) else {
        panic!("too early")
    };
    assert_eq!((need.have, need.need), (3_000, None));
    // Of ten days, eight with three Withheld sessions that bought: 24 of 50.
    let rare = stretch(FAIR, |arm, i| {
        session(0, 100 * i64::from(arm == Arm::Shown || i < 3))
    });
    let primary = find(&question(&rare, Metric::Orders));
    assert_eq!(primary.primary().compared, Err(Silence::StartRule));
}

#[test]
fn what_is_missing_is_planned_from_what_was_seen() {
    let noisy = stretch(FAIR, |_, i| session(if i % 10 == 0 { 9 } else { 0 }, 0));
    let Verdict::NotEnoughData(need) = judged(&question(&noisy, Metric::Clicks)) else {
        panic!("nothing is there to be found")
    };
    let design = Design {
        alpha: 0.05,
        mean: 0.9,
        sd: (7.29_f64 * 800.0 / 799.0).sqrt(),
        share_shown: 0.8,
    };
    let expected = design.sessions(0.05, 0.8);
    assert!((need.need.unwrap() / expected - 1.0).abs() < 1e-9);
    assert_eq!(need.have, 4_000);
    assert_eq!(need.days, Some(((expected - 4_000.0) / 500.0).ceil()));
}

#[test]
fn unsound_counts_are_not_trusted() {
    let distrust = |question: &Question<'_>| match judged(question) {
        Verdict::NotTrustworthy(reasons) => reasons,
        other => panic!("{other:?}"),
    };
    let even = stretch([250, 250], clicks(1));
    let reasons = distrust(&question(&even, Metric::Clicks));
    assert_eq!(reasons, [Distrust::SampleRatio]);
    let mut contradicting = stretch(FAIR, clicks(1));
    contradicting.contradicting = 1;
    let asked = question(&contradicting, Metric::Clicks);
    assert_eq!(distrust(&asked), [Distrust::Arms]);
    let fair = stretch(FAIR, clicks(1));
    let foreign = Question {
        foreign: Some(0.011),
        ..question(&fair, Metric::Clicks)
    };
    assert_eq!(distrust(&foreign), [Distrust::Foreign]);
    let of = |primary| Question {
        cost_known: Some(0.94),
        ..question(&fair, primary)
    };
    assert_eq!(distrust(&of(Metric::Profit)), [Distrust::CostUnknown]);
    assert_eq!(judged(&of(Metric::Clicks)), Verdict::Helps);
}

#[test]
fn money_waits_for_its_cap_and_is_capped_by_it() {
    let make = |_: Arm, i: i64| session(0, if i % 4 == 0 { 1_000 + i } else { 0 });
    // Eight days of five buyers: fewer than 200 in both arms.
    let few = stretch([16, 4], make);
    assert_eq!(find(&question(&few, Metric::Revenue)).primary().cap, None);
    let sums = stretch(FAIR, |arm, i| {
        // One whale that no other session comes near.
        let whale = arm == Arm::Shown && i == 1;
        if whale {
            session(0, 5_000_000)
        } else {
            make(arm, i)
        }
    });
    let capped = find(&question(&sums, Metric::Revenue));
    let uncapped = find(&Question {
        is_capped: false,
        ..question(&sums, Metric::Revenue)
    });
    let cap = capped.primary().cap.unwrap().minor();
    assert!((1_000..2_000).contains(&cap), "{cap}");
    let d = |findings: &Findings| {
        let compared = findings.primary().compared.unwrap();
        compared.difference.unwrap().value
    };
    assert!(d(&capped).abs() < 100.0 && d(&uncapped) > 10_000.0);
    // The sums on the page are never capped.
    assert_eq!(capped.primary().whole, uncapped.primary().whole);
    assert!(capped.primary().whole[0].sum > 50_000_000);
}

#[test]
fn a_planned_end_is_waited_for() {
    let sums = stretch(FAIR, clicks(1));
    let planned = Question {
        plan: Plan::Fixed,
        ..question(&sums, Metric::Clicks)
    };
    assert!(matches!(judged(&planned), Verdict::NotEnoughData(_)));
    let over = Question {
        is_over: true,
        ..planned
    };
    assert_eq!(judged(&over), Verdict::Helps);
}

#[test]
fn a_loss_of_the_whole_basket_is_a_loss() {
    let mut sums = stretch(FAIR, clicks(1));
    for day in sums.days.values_mut() {
        for i in 0..FAIR[0] {
            let was = clicks(1)(Arm::Shown, i);
            let place = (Trigger::T2, Arm::Shown, Scope::Basket);
            day.change(place, Some(&was), Some(&session(i % 2, 0)));
        }
    }
    assert_eq!(judged(&question(&sums, Metric::Clicks)), Verdict::Hurts);
}
