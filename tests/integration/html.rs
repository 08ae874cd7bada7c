//! The page of `stats --format html`, read as text and opened in a browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use diesel::connection::SimpleConnection;

use crate::support::{Dbctl, TestDb};

fn page(db: &TestDb, arguments: &str) -> String {
    let run = Dbctl::on(db).run(&format!("stats --format html {arguments}"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    run.stdout
}

fn seeded() -> TestDb {
    let db = TestDb::migrated();
    assert_eq!(Dbctl::on(&db).run("seed --all --at 2025-10-20T12:00:00Z").code, Some(0));
    db
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = page(&seeded(), "");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    for fetched in ["src=", "<link rel=\"stylesheet\"", "@import", "url(", "<script", "https:"] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    // The namespace of SVG is the only address.
    assert_eq!(page.matches("http:").count(), page.matches("http://www.w3.org/2000/svg").count());
    // Every colour is the page's own, so that charts follow dark mode.
    let svg: String = page.split("<svg").skip(1).map(|rest| rest.split("</svg>").next().unwrap()).collect();
    assert!(svg.contains("var(--ink)") && svg.contains("var(--s0)") && !svg.contains("=\"#"));
}

#[test]
fn the_verdict_of_verify_comes_first() {
    let db = seeded();
    let clean = page(&db, "");
    assert!(clean.find("checks passed</strong>").unwrap() < clean.find("<h2>").unwrap());
    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let drifted = page(&db, "");
    assert!(drifted.contains("class=\"verdict bad\"") && drifted.contains("idx_event_type"));
    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE quality_metrics IN ACCESS EXCLUSIVE MODE").unwrap();
    let locked = page(&db, "");
    assert!(
        locked.contains("verify was skipped") && locked.contains("table quality_metrics: locked by another session")
    );
}

#[test]
fn what_is_in_the_database_cannot_become_markup() {
    let db = seeded();
    let planted = "<script>alert(1)</script>";
    db.conn()
        .batch_execute(&format!(
            "UPDATE resource_metrics SET instance_id = '{planted}' WHERE instance_id = 'i-0abc123def456';
             UPDATE quality_metrics SET model_name = '{planted}' WHERE model_name = 'gpt-4'"
        ))
        .unwrap();
    let page = page(&db, "");
    assert!(!page.contains("<script") && page.contains("alert(1)"));
}

#[test]
fn an_empty_database_and_a_part_of_one_have_a_page_too() {
    let empty = page(&TestDb::migrated(), "");
    for said in ["No samples of utilisation.", "No scaling events.", "No judged answers.", "Size of the tables"] {
        assert!(empty.contains(said), "{said}");
    }
    let db = seeded();
    let one = page(&db, "--since 2025-10-20T00:00:00Z");
    assert!(one.contains("since 20 Oct 2025, 00:00 UTC"));
}

/// The page as a browser shows it. Chromium is Debian's package of that name.
#[test]
fn a_browser_shows_the_page_and_says_nothing_on_its_console() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.html");
    let db = seeded();
    assert_eq!(page(&db, &format!("--output {}", file.display())), "");
    let Some((dom, log)) = browse(&file, dir.path()) else {
        eprintln!("skipped: chromium is not on PATH");
        return;
    };
    for text in [
        "checks passed</strong>",
        "Utilisation per instance",
        "i-0abc123def456 (gpu)",
        "utilisation, %",
        "time, UTC",
        "8 events, 1 failed",
        "auto scale triggered",
        "claude-3-opus",
        "open regression",
        "size on disk, KiB",
        "ix_scaling_events_workflow_execution_id",
        "toxicity increase",
    ] {
        assert!(dom.contains(text), "{text} is not on the page");
    }
    assert!(fs::read_to_string(&file).unwrap().len() > 20_000);
    let said: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(said, [""; 0]);
    // The same reading of the log does see what a page says there.
    let noisy = dir.path().join("noisy.html");
    fs::write(&noisy, "<script>console.error('heard')</script>").unwrap();
    assert!(
        browse(&noisy, dir.path()).unwrap().1.lines().any(|line| line.contains("CONSOLE") && line.contains("heard"))
    );
}

fn browse(file: &Path, dir: &Path) -> Option<(String, String)> {
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}
