//! What is wrong with a selection in the markets it is meant for.

use crate::catalogue::Catalogue;
use crate::domain::complaint::{Complaint, Fault};
use crate::predicate::written::WrittenRule;
use crate::selection::compile::read_rule;
use crate::selection::definition::Selection;

/// Complaints about rules that cannot mean anything, with pointers below the selection.
///
/// An attribute that none of the markets has is refused; one that some lack is not, since a
/// promotion may be broader than a market. Where a market has the attribute but cannot read the
/// rule, it is refused: it would silently match nothing there. Each pointer is complained about
/// once, for the first such market.
pub fn misfits(selection: &Selection, catalogues: &[&Catalogue]) -> Vec<Complaint> {
    let rules = selection.rules();
    rules
        .flat_map(|(pointer, rule)| {
            let faults = misfits_of(rule, catalogues);
            faults.into_iter().map(move |fault| fault.under(&pointer))
        })
        .collect()
}

fn misfits_of(rule: &WrittenRule, catalogues: &[&Catalogue]) -> Vec<Complaint> {
    let mut unknown = Vec::new();
    let mut is_known = false;
    let mut complaints: Vec<Complaint> = Vec::new();
    for catalogue in catalogues {
        let Err(found) = read_rule(rule, catalogue) else {
            is_known = true;
            continue;
        };
        let is_unknown = |c: &Complaint| matches!(c.fault, Fault::UnknownAttribute { .. });
        if found.iter().any(is_unknown) {
            unknown.extend(found);
            continue;
        }
        is_known = true;
        for complaint in found {
            if complaints
                .iter()
                .all(|own| own.pointer != complaint.pointer)
            {
                complaints.push(complaint);
            }
        }
    }
    if is_known {
        return complaints;
    }
    // Of several suggestions the first market's that has one.
    let has_hint = |complaint: &Complaint| complaint.fault.did_you_mean().is_some();
    let best = unknown.iter().position(has_hint).unwrap_or(0);
    unknown.into_iter().nth(best).into_iter().collect()
}
