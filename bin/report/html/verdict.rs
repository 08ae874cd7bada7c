//! What `verify` says, on the page.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use optiinfra_db::verify;

use crate::report::Verified;
use crate::report::text::{capitalised, with_age};

/// Maximum of findings of `verify` that are shown without expanding.
const AT_A_GLANCE: usize = 8;
/// Maximum of findings of `verify` on the page.
const MOST_FINDINGS: usize = 200;

#[derive(Default)]
pub struct Verdict {
    pub class: &'static str,
    pub title: String,
    pub detail: String,
    /// What stands under it.
    pub shown: Vec<Findings>,
    /// How many lines are a click away.
    pub hidden: usize,
    pub more: Vec<Findings>,
}

/// The findings of a check, a line each; or how many checks were skipped, and why.
pub struct Findings {
    pub check: String,
    pub lines: Vec<String>,
}

/// The verdict on a page of this time.
pub fn of(verified: &Verified, now: DateTime<Utc>) -> Verdict {
    let report = match &verified.outcome {
        Ok(report) => report,
        Err(reason) => {
            let title = "verify was skipped".to_owned();
            return Verdict { class: "unknown", title, detail: reason.clone(), ..Verdict::default() };
        }
    };
    let class = match (report.failed, report.skipped) {
        (0, 0) => "good",
        (0, _) => "unknown",
        _ => "bad",
    };
    let at = with_age(verified.at, now);
    let verify::Report { passed, failed, skipped, .. } = report;
    let detail = format!("verify at {at}: {passed} passed, {failed} failed, {skipped} skipped");
    let mut shown = findings(report);
    shown.extend(not_made(report));
    let mut more = shown.split_off(shown.len().min(AT_A_GLANCE));
    let hidden = more.len();
    if hidden > MOST_FINDINGS {
        more.truncate(MOST_FINDINGS);
        more.push(("...".to_owned(), format!("and {} more: see `optiinfra-dbctl verify`", hidden - MOST_FINDINGS)));
    }
    Verdict {
        class,
        title: capitalised(&report.verdict()),
        detail,
        shown: by_check(shown),
        hidden,
        more: by_check(more),
    }
}

/// The findings, each with its check.
fn findings(report: &verify::Report) -> Vec<(String, String)> {
    let of = |check: &verify::Check| {
        check.findings.iter().map(|finding| (check.id.clone(), finding.to_string())).collect::<Vec<_>>()
    };
    report.checks.iter().flat_map(of).collect()
}

/// Why checks were not made, and how many each reason kept away.
fn not_made(report: &verify::Report) -> Vec<(String, String)> {
    let mut reasons = BTreeMap::<&str, usize>::new();
    for check in &report.checks {
        if let verify::Outcome::Skipped { reason } = &check.outcome {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    reasons.into_iter().map(|(reason, count)| (format!("{count} skipped"), reason.to_owned())).collect()
}

fn by_check(lines: Vec<(String, String)>) -> Vec<Findings> {
    let mut found: Vec<Findings> = Vec::new();
    for (check, line) in lines {
        match found.last_mut().filter(|last| last.check == check) {
            Some(last) => last.lines.push(line),
            None => found.push(Findings { check, lines: vec![line] }),
        }
    }
    found
}
