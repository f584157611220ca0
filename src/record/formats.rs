//! Old bytes: each stored form ever released still opens, and is still written the same.
//!
//! `data/formats/<kind>-<schema>.hex` holds payloads in hex, each under a line that begins with `#`
//! and names it: `bare` without any optional part, `full` with all of them. Lists of goods, which
//! are chunks and have no kind, stand under their names. A file is never changed once its schema
//! was released; a new schema gets a new file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::Stored;
use super::json::{FORMS, RecordForms};
use super::{event, sample_events, samples};
use crate::store::codec::Kind;
use crate::store::seam::Forms;

/// Payloads of one file by name, in order.
type Payloads = Vec<(String, Vec<u8>)>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/formats")
}

fn read(text: &str) -> Payloads {
    let mut payloads = Payloads::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            payloads.push((name.to_owned(), Vec::new()));
            continue;
        }
        let bytes = super::hex::decode(line).expect("lines of hex");
        payloads
            .last_mut()
            .expect("a name before bytes")
            .1
            .extend(bytes);
    }
    payloads
}

fn written(payloads: &Payloads) -> String {
    let mut text = String::new();
    for (name, bytes) in payloads {
        writeln!(text, "# {name}").unwrap();
        for part in bytes.chunks(32) {
            let line: Vec<String> = part.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{}", line.concat()).unwrap();
        }
    }
    text
}

fn plain<F: Stored>(bare: &F, full: &F) -> (String, Payloads) {
    let payload = |form: &F| crate::store::codec::encode(form).unwrap();
    let payloads = vec![
        ("bare".to_owned(), payload(bare)),
        ("full".to_owned(), payload(full)),
    ];
    (format!("{}-{}", F::KIND.0, F::SCHEMA), payloads)
}

/// What this version writes, by file name without its ending.
fn newest() -> BTreeMap<String, Payloads> {
    let [bare, full] = samples::markets();
    let market = plain(&bare, &full);
    let [bare, full] = samples::promotions();
    let promotion = plain(&bare, &full);
    let [bare, full] = samples::keys();
    let key = plain(&bare, &full);
    let [bare, full] = samples::audits();
    let audit = plain(&bare, &full);
    let [bare, full] = samples::answers();
    let answer = plain(&bare, &full);
    let [bare, full] = samples::imports();
    let import = plain(&bare, &full);
    let [bare, full] = samples::metas();
    let meta = plain(&bare, &full);
    let [bare, full] = samples::calendars();
    let calendar = plain(&bare, &full);
    let [bare, full] = samples::mappings();
    let mapping = plain(&bare, &full);
    let [bare, full] = samples::days_of_use();
    let used = plain(&bare, &full);
    let [bare, full] = samples::pasts();
    let past = plain(&bare, &full);
    let [bare, full] = samples::probes();
    let probe = plain(&bare, &full);
    let [bare, full] = sample_events::calls()
        .map(|(entries, controls)| event::encode(&entries, &controls).unwrap());
    let events = vec![("bare".to_owned(), bare), ("full".to_owned(), full)];
    let events = (format!("250-{}", event::SCHEMA), events);
    let kinds = [
        meta, market, calendar, promotion, key, mapping, audit, answer, past, used, import, probe,
        events,
    ];
    let chunks = samples::chunks()
        .into_iter()
        .map(|(name, content)| (format!("{name}-1"), vec![("full".to_owned(), content)]));
    kinds.into_iter().chain(chunks).collect()
}

/// The files that are there, by name without ending.
fn golden() -> BTreeMap<String, Payloads> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).expect("data/formats is there") {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "hex", "{}", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let payloads = read(&text);
        assert_eq!(
            written(&payloads),
            text,
            "{name}.hex is not as it would be written"
        );
        files.insert(name, payloads);
    }
    files
}

#[test]
fn this_version_writes_the_golden_bytes() {
    let golden = golden();
    let mut faults = String::new();
    for (name, payloads) in newest() {
        if golden.get(&name) != Some(&payloads) {
            write!(
                faults,
                "\n== data/formats/{name}.hex should hold\n{}",
                written(&payloads)
            )
            .unwrap();
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn every_schema_ever_released_opens() {
    let golden = golden();
    for form in FORMS {
        let name = format!("{}-{}", form.kind.0, form.schema);
        let payloads = golden
            .get(&name)
            .unwrap_or_else(|| panic!("data/formats/{name}.hex is missing"));
        assert!(!payloads.is_empty());
        for (case, payload) in payloads {
            let json = RecordForms.to_json(form.kind, form.schema, payload);
            let again = RecordForms.to_bytes(form.kind, form.schema, &json.unwrap());
            assert_eq!(again.as_ref(), Ok(payload), "{name}, {case}");
        }
    }
    for (name, payloads) in golden {
        let (kind, schema) = name.split_once('-').expect("<kind>-<schema>.hex");
        match kind.parse() {
            Ok(kind) => {
                let known = RecordForms
                    .newest(Kind(kind))
                    .expect("a file of a known kind");
                assert!(schema.parse::<u16>().unwrap() <= known, "{name}");
            }
            Err(_) => assert!(
                payloads
                    .iter()
                    .all(|(_, content)| samples::opens(&name, content))
            ),
        }
    }
}

#[test]
fn old_events_are_read() {
    let golden = golden();
    let read = |(_, bytes): &(String, Vec<u8>)| event::decode(1, bytes).unwrap();
    let calls: Vec<_> = golden["250-1"].iter().map(read).collect();
    assert_eq!(calls, sample_events::calls());
}
