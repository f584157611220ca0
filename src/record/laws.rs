//! Every kind comes back as it was written, over bytes and over JSON.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::any::{
    any_answer, any_audit, any_calendar, any_import, any_key, any_mapping, any_market, any_meta,
    any_past, any_probe, any_promotion, any_used,
};
use super::any_goods::{any_node, any_operation, any_product};
use super::json::{FORMS, RecordForms};
use super::{RecordError, Stored};
use crate::access::key::KeyRecord;
use crate::catalogue::product::{CategoryRecord, FeedOperation, ProductRecord};
use crate::promotion::terms::Promotion;
use crate::record::access::KeyV1;
use crate::record::catalogue::{CategoryV1, ManifestV1, OperationV1, ProductV1};
use crate::record::promotion::PromotionV1;
use crate::store::Revision;
use crate::store::codec::{self, CodecError, Kind, Value};
use crate::store::key::Key;
use crate::store::seam::Forms;

/// Bytes to form, sealed value to form, bytes to JSON to bytes: nothing is lost.
fn comes_back<F: Stored + PartialEq + Debug>(form: &F) -> Result<(), TestCaseError> {
    let key = Key::parse("probe.n7").unwrap();
    let sealed = form.draft().unwrap().seal(&key, Revision(9));
    let value = Value::open(&key, sealed.bytes()).unwrap();
    prop_assert_eq!(&F::open(&value).unwrap(), form);
    let payload = value.payload().unwrap();
    let json = RecordForms.to_json(F::KIND, F::SCHEMA, &payload).unwrap();
    let text = serde_json::to_string(&json).unwrap();
    let read = serde_json::from_str(&text).unwrap();
    let again = RecordForms.to_bytes(F::KIND, F::SCHEMA, &read).unwrap();
    prop_assert_eq!(again.as_slice(), payload.as_ref(), "{}", text);
    Ok(())
}

/// Chunk forms have no JSON; lists of them are the content of a chunk.
fn in_chunks<A, F>(all: &[A]) -> Result<(), TestCaseError>
where
    A: PartialEq + Debug + TryFrom<F, Error = RecordError>,
    F: for<'a> From<&'a A> + Serialize + DeserializeOwned,
{
    let stored: Vec<F> = all.iter().map(Into::into).collect();
    let content = codec::encode_chunk(&stored).unwrap();
    let read: Vec<F> = codec::decode_chunk(&content).unwrap();
    let back: Result<Vec<A>, RecordError> = read.into_iter().map(A::try_from).collect();
    let back = back.unwrap();
    prop_assert_eq!(back.as_slice(), all);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn markets_come_back((market, stored) in any_market()) {
        comes_back(&stored)?;
        prop_assert_eq!(stored.market().unwrap(), market);
    }

    #[test]
    fn promotions_come_back(promotion in any_promotion()) {
        let stored = PromotionV1::from(&promotion);
        comes_back(&stored)?;
        prop_assert_eq!(Promotion::try_from(stored).unwrap(), promotion);
    }

    #[test]
    fn keys_come_back(key in any_key()) {
        let stored = KeyV1::from(&key);
        comes_back(&stored)?;
        prop_assert_eq!(KeyRecord::try_from(stored).unwrap(), key);
    }

    #[test]
    fn plain_records_come_back(
        (meta, calendar, used, probe) in (any_meta(), any_calendar(), any_used(), any_probe()),
        (audit, answer) in (any_audit(), any_answer()),
        (import, mapping, past) in (any_import(), any_mapping(), any_past()),
    ) {
        comes_back(&meta)?;
        comes_back(&calendar)?;
        comes_back(&used)?;
        comes_back(&probe)?;
        comes_back(&audit)?;
        comes_back(&answer)?;
        comes_back(&import)?;
        comes_back(&mapping)?;
        comes_back(&past)?;
    }

    #[test]
    fn goods_come_back(
        products in vec(any_product(), 0..3),
        nodes in vec(any_node(), 0..3),
        operations in vec(any_operation(), 0..4),
        manifest in any::<[Vec<([u8; 32], u32)>; 2]>(),
    ) {
        in_chunks::<ProductRecord, ProductV1>(&products)?;
        in_chunks::<CategoryRecord, CategoryV1>(&nodes)?;
        in_chunks::<FeedOperation, OperationV1>(&operations)?;
        let [products, categories] = manifest;
        let manifest = ManifestV1 { products, categories };
        let content = codec::encode_chunk(&manifest).unwrap();
        prop_assert_eq!(codec::decode_chunk::<ManifestV1>(&content).unwrap(), manifest);
    }

    #[test]
    fn any_bytes_are_read_or_refused(payload in vec(any::<u8>(), 0..200)) {
        for form in FORMS {
            let json = RecordForms.to_json(form.kind, form.schema, &payload);
            // What is read says all there was; only a constructor may still refuse it.
            if let Ok(again) = json.and_then(|json| RecordForms.to_bytes(form.kind, form.schema, &json)) {
                prop_assert_eq!(&again, &payload, "kind {}", form.kind.0);
            }
        }
    }
}

#[track_caller]
fn refused(kind: u16, json: &serde_json::Value) -> String {
    match RecordForms.to_bytes(Kind(kind), 1, json) {
        Err(CodecError::Form { why }) => why,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn json_says_neither_less_nor_more_than_its_form() {
    let bytes = RecordForms.to_bytes(Kind(240), 1, &serde_json::json!({"node": 7, "beat": 513}));
    assert_eq!(bytes.unwrap(), [7, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0]);
    refused(240, &serde_json::json!({"node": 7}));
    refused(240, &serde_json::json!({"node": 7, "beat": 513, "odd": 1}));
    refused(240, &serde_json::json!({"node": -7, "beat": 513}));
    refused(107, &serde_json::json!({"day": 1.5}));
    let bytes = RecordForms.to_bytes(Kind(250), 1, &serde_json::json!({"bytes": "00ff"}));
    assert_eq!(bytes.unwrap(), [0x00, 0xff]);
    refused(250, &serde_json::json!({"bytes": "00FF"}));
    refused(250, &serde_json::json!({"bytes": "00ff", "odd": 1}));
    refused(250, &serde_json::json!("00ff"));
    let mut answer = serde_json::json!({
        "at": 1, "request": "00".repeat(32), "status": 200, "location": null, "body": "0a"
    });
    assert!(RecordForms.to_bytes(Kind(32), 1, &answer).is_ok());
    answer["body"] = "0A".into();
    assert!(refused(32, &answer).contains("hex"));
    answer["body"] = "0a".into();
    answer["request"] = "00".into();
    assert!(refused(32, &answer).contains("32 bytes"));
    answer.as_object_mut().unwrap().remove("location");
    answer["request"] = "00".repeat(32).into();
    assert!(refused(32, &answer).contains("missing"));
}

#[test]
fn a_record_that_its_constructor_refuses_goes_out_but_not_in() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let key = any_key().new_tree(&mut runner).unwrap().current();
    let payload = codec::encode(&KeyV1::from(&key)).unwrap();
    let mut json = RecordForms.to_json(Kind(20), 1, &payload).unwrap();
    assert!(RecordForms.to_bytes(Kind(20), 1, &json).is_ok());
    json["roles"] = serde_json::json!([]);
    assert!(refused(20, &json).contains("/roles"));
    let odd: KeyV1 = serde_json::from_value(json).unwrap();
    let payload = codec::encode(&odd).unwrap();
    assert!(RecordForms.to_json(Kind(20), 1, &payload).is_ok());
}

#[test]
fn unknown_kinds_and_newer_schemas_are_refused() {
    assert_eq!(RecordForms.newest(Kind(4)), Some(1));
    assert_eq!(RecordForms.newest(Kind(9_999)), None);
    assert!(RecordForms.to_json(Kind(9_999), 1, &[]).is_err());
    assert!(RecordForms.to_json(Kind(240), 2, &[0; 12]).is_err());
    assert!(FORMS.is_sorted_by_key(|form| (form.kind, form.schema)));
}
