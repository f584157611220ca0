//! `endcap simulate shop`: few experiments here, 400 in `tests/run`, 10,000 in `data/golden`.

use crate::rig::run;

#[test]
fn trials_are_seeded_and_say_what_is_promised() {
    let folder = tempfile::tempdir().unwrap();
    let simulate = |seed: &str| {
        let said = run(
            folder.path(),
            &[
                "simulate", "shop", "--runs", "10", "--seed", seed, "--format", "json",
            ],
        );
        said.ok();
        said.json()
    };
    let (first, again, other) = (simulate("7"), simulate("7"), simulate("8"));
    assert_eq!(first, again);
    assert_ne!(first, other);
    let items = first["items"].as_array().unwrap();
    assert!(30 < items.len(), "{} trials", items.len());
    for item in items {
        let share = item["share"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&share), "{item}");
        assert_eq!(item["bounds"].is_null(), item["kept"].is_null(), "{item}");
    }
}
