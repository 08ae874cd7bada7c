//! The page of `stats --format html`, read as text and opened in a browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use diesel::connection::SimpleConnection;

use crate::support::{Dbctl, Server, TestDb, tool};

fn page(db: &TestDb, arguments: &str) -> String {
    let run = Dbctl::on(db).run(&format!("stats --format html {arguments}"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    run.stdout
}

fn seeded() -> TestDb {
    TestDb::seeded("2025-10-20T12:00:00Z".parse().unwrap())
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = page(&seeded(), "");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    for fetched in ["src=", "<link rel=\"stylesheet\"", "@import", "url(", "https:"] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(
        page.matches("<script").count() == 1
            && !page.contains(" style=\"")
            && page.contains("connect-src &#39;none&#39;")
    );
    assert!(!page.contains("http:"));
    // Every colour is the page's own, so that charts follow dark mode.
    let svg: String = page.split("<svg").skip(1).map(|rest| rest.split("</svg>").next().unwrap()).collect();
    assert!(svg.contains("var(--good)") && svg.contains("var(--s0)") && !svg.contains("=\"#"));
}

#[test]
fn each_table_has_its_size_in_figures_and_a_wide_one_can_be_scrolled() {
    let page = page(&seeded(), "");
    let chart = page.split("<h3>Size of the tables</h3>").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(chart.matches(" KiB</text></svg>").count(), 20);
    let scrolling = page.matches("class=\"scroll\" tabindex=\"0\" role=\"region\"").count();
    assert_eq!(scrolling, page.matches("<table>").count());
    for title in ["Tables", "Upkeep"] {
        let table = page.split(&format!("<h3>{title}</h3>")).nth(1).unwrap().split("</table>").next().unwrap();
        assert!(table.contains("<td class=\"w\">agent_configs</td>"), "{title}: a name is shown as it is: {table}");
    }
    assert!(page.contains("background-attachment: local"), "a shadow where there is more to the side");
}

#[test]
fn the_verdict_of_verify_comes_first() {
    let db = seeded();
    let clean = page(&db, "");
    assert!(clean.contains("class=\"verdict good\"") && !clean.contains("<details"));
    assert!(clean.find("checks passed</strong>").unwrap() < clean.find("<h2").unwrap());
    db.conn().batch_execute("DROP INDEX idx_event_type").unwrap();
    let drifted = page(&db, "");
    assert!(drifted.contains("class=\"verdict bad\"") && drifted.contains(" checks failed</strong>"));
    assert!(drifted.contains("idx_event_type") && !drifted.contains("<details"));
    let mut holder = db.conn();
    holder.batch_execute("BEGIN; LOCK TABLE quality_metrics IN ACCESS EXCLUSIVE MODE").unwrap();
    let locked = page(&db, "");
    assert!(
        locked.contains("verify was skipped") && locked.contains("table quality_metrics: locked by another session")
    );
}

#[test]
fn findings_stand_under_their_check_and_many_of_them_a_click_away() {
    let db = seeded();
    db.conn().batch_execute("DROP TABLE agent_capabilities").unwrap();
    let page = page(&db, "");
    let (at_a_glance, more) = page.split_once("<details id=\"findings\">").unwrap();
    let more = more.split("</details>").next().unwrap();
    assert_eq!(at_a_glance.matches("<dd>").count(), 8);
    let hidden = more.matches("<dd>").count();
    assert!(hidden > 8 && more.contains(&format!("<summary>{hidden} more</summary>")), "{more}");
    for part in [at_a_glance, more] {
        let checks: Vec<_> = part.split("<dt>").skip(1).map(|rest| rest.split("</dt>").next().unwrap()).collect();
        let mut once = checks.clone();
        once.dedup();
        assert_eq!(checks, once, "a check is named once");
    }
}

#[test]
fn a_check_that_was_skipped_is_not_one_that_passed() {
    let db = seeded();
    let reader = db.reader();
    db.conn().batch_execute(&format!("REVOKE SELECT ON quality_baselines FROM {}", reader.name)).unwrap();
    let run = Dbctl::new().env("DATABASE_URL", &db.url_as(&reader.name)).run("stats --format html");
    let page = run.stdout;
    let verdict = page.split("id=\"verdict\"").nth(1).unwrap().split("</div>").next().unwrap();
    assert!(page.contains("class=\"verdict unknown\" id=\"verdict\"") && !verdict.contains("All "), "{verdict}");
    assert!(verdict.contains("checks passed, ") && verdict.contains(" skipped</strong>"), "{verdict}");
    let reason = "skipped</dt>\n<dd>this role may not SELECT from quality_baselines</dd>";
    assert_eq!(verdict.matches(reason).count(), 1, "{verdict}");
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
    assert!(!page.contains("<script>alert") && page.contains("alert(1)"));
}

#[test]
fn an_empty_database_and_a_part_of_one_have_a_page_too() {
    let empty = page(&TestDb::migrated(), "");
    for said in ["No samples of utilisation.", "No scaling events.", "No judged answers.", "Size of the tables"] {
        assert!(empty.contains(said), "{said}");
    }
    for dangling in ["in percent, ", "0 events", "average overall score"] {
        assert!(!empty.contains(dangling), "{dangling}");
    }
    let db = seeded();
    let one = page(&db, "--since 2025-10-20T00:00:00Z");
    assert!(one.contains("since 20 Oct 2025, 00:00 UTC"));
}

#[test]
fn health_comes_first_then_what_is_wrong_then_what_is_there() {
    let db = seeded();
    db.conn().batch_execute("UPDATE agents SET status = 'failed' WHERE name = 'cost-agent-1'").unwrap();
    let page = page(&db, "");
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    let order = [
        " on this machine as ",
        "samples and answers from 19 Oct 2025, ",
        "id=\"verdict\"",
        "<strong>To look at</strong>",
        "class=\"figures\"",
        "<h2 id=\"wrong\">",
        "<h3>Unresolved regressions</h3>",
        "There are none of these: blocked sessions, ",
        "<h2>What is there</h2>",
        "<h3>Tables</h3>",
    ];
    assert!(order.map(at).is_sorted(), "{:?}", order.map(at));
    let concerns = &page[at("id=\"concerns\"")..at("class=\"figures\"")];
    for concern in [
        "1 regression is not resolved</a>",
        "1 of the newest 8 scaling events failed",
        "agent cost-agent-1 is failed",
        "the newest row of resource_metrics is ",
    ] {
        assert!(concerns.contains(concern), "{concern} in {concerns}");
    }
    // Each of them, and the contents, lead somewhere.
    let links: Vec<_> = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() > 15, "{links:?}");
    for link in links {
        assert_eq!(page.matches(&format!(" id=\"{link}\"")).count(), 1, "{link}");
    }
    let failed = &page[at("<h3>Failed scaling events</h3>")..];
    let failed = failed.split("</section>").next().unwrap();
    for cell in ["Acme Corp", "4 instances", "Requested by a user", "no H100 to be had in us-west-2a", "\u{a0}ago)"] {
        assert!(failed.contains(cell), "{cell} in {failed}");
    }
    assert!(page.contains("<title>20 Oct 2025, 10:30 UTC\nscale up, failed: no H100"), "what a mark is about");
}

#[test]
fn a_page_of_much_names_what_it_leaves_out() {
    let db = seeded();
    db.conn()
        .batch_execute(
            "INSERT INTO resource_metrics (agent_id, customer_id, instance_id, resource_type, metric_name, metric_value,
                 unit, timestamp)
             SELECT agent_id, customer_id, 'i-' || n, 'gpu', 'utilization', n, 'percent', '2025-10-20T12:00:00Z'
             FROM generate_series(1, 99) AS n, (SELECT agent_id, customer_id FROM resource_metrics LIMIT 1) AS r",
        )
        .unwrap();
    let page = page(&db, "");
    let instances = page.split("<h3>Instances with most samples</h3>").nth(1).unwrap();
    let instances = instances.split("</section>").next().unwrap();
    assert_eq!(instances.matches("<tr>").count(), 13);
    assert!(instances.contains("and 92 more") && instances.contains("data-v=\"64.25\""), "{instances}");
    assert!(page.contains("samples of 104 instances in percent"));
}

/// The page as a browser shows it.
#[test]
fn a_browser_shows_the_page_and_says_nothing_on_its_console() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.html");
    let db = seeded();
    assert_eq!(page(&db, &format!("--output {}", file.display())), "");
    let Some(chromium) = tool("chromium") else { return };
    let browse = |file: &Path| browse(&chromium, file, dir.path());
    let (dom, log) = browse(&file);
    for text in [
        "checks passed</strong>",
        "samples of 5 instances in percent",
        "gpu, median",
        "gpu: median ",
        "i-0abc123def456",
        "utilisation, %",
        "time, UTC",
        "8 events, 1 failed",
        "auto scale triggered",
        "claude-3-opus",
        "open regression",
        "size on disk, KiB",
        "Redundant indexes",
        "toxicity increase",
    ] {
        assert!(dom.contains(text), "{text} is not on the page");
    }
    assert!(fs::read_to_string(&file).unwrap().len() > 20_000);
    let said: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(said, [""; 0]);
    // Served, with the policy of the headers: nothing is refused.
    let server = Server::start(Dbctl::on(&db), "--interval 1h");
    let (dom, log) = browse_url(&chromium, &format!("http://{}/", server.address), dir.path());
    assert!(dom.contains("data-refresh=\"3600\"") && dom.contains("checks passed</strong>"));
    let said: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(said, [""; 0]);
    // The same reading of the log does see what a page says there.
    let noisy = dir.path().join("noisy.html");
    fs::write(&noisy, "<script>console.error('heard')</script>").unwrap();
    assert!(browse(&noisy).1.lines().any(|line| line.contains("CONSOLE") && line.contains("heard")));
}

#[test]
fn a_click_on_a_heading_sorts_its_table_and_a_served_page_refreshes_itself() {
    let Some(chromium) = tool("chromium") else { return };
    let dir = tempfile::tempdir().unwrap();
    let db = seeded();
    // Somebody who clicks stands in the page's own file, which its policy would not let run.
    let clicked = |column: usize, clicks: usize| {
        let file = dir.path().join("clicked.html");
        let click = format!("document.querySelectorAll('#tables th button')[{column}].click();").repeat(clicks);
        let page = page(&db, "").replace("Content-Security-Policy", "X-None");
        fs::write(&file, page.replace("</body>", &format!("<script>{click}</script></body>"))).unwrap();
        let dom = browse(&chromium, &file, dir.path()).0;
        let table = dom.split("<section id=\"tables\">").nth(1).unwrap().split("</table>").next().unwrap().to_owned();
        let rows: Vec<_> = table.split("<tr>").skip(2).map(|row| row.split("<td").nth(2).unwrap().to_owned()).collect();
        let names = rows.iter().map(|row| row.split(['>', '<']).nth(1).unwrap().to_owned()).collect::<Vec<_>>();
        (names, table.contains("aria-sort=\"descending\""))
    };
    let (by_name, is_descending) = clicked(1, 1);
    assert!(by_name.is_sorted() && by_name.len() == 20 && !is_descending, "{by_name:?}");
    let (reversed, is_descending) = clicked(1, 2);
    assert!(reversed.iter().rev().eq(&by_name) && is_descending, "{reversed:?}");
    let (by_rows, is_descending) = clicked(2, 1);
    assert_eq!(
        (by_rows[0].as_str(), by_rows[1].as_str(), is_descending),
        ("quality_metrics", "resource_metrics", true)
    );

    let server = Server::start(Dbctl::on(&db), "--interval 0.1");
    let url = format!("http://{}/", server.address);
    let (dom, log) = browse_for(&chromium, &url, dir.path(), &["--virtual-time-budget=8000"]);
    assert!(dom.contains("id=\"stale\" hidden") && dom.contains("All "), "{dom}");
    assert!(!log.contains("CONSOLE"), "{log}");
    let collections = server.get("/metrics").series("optiinfra_db_collections_total");
    assert!(collections > Some(2.0), "it asked for itself again: {collections:?}");
}

fn browse(chromium: &Path, file: &Path, dir: &Path) -> (String, String) {
    browse_url(chromium, &format!("file://{}", file.display()), dir)
}

fn browse_url(chromium: &Path, url: &str, dir: &Path) -> (String, String) {
    browse_for(chromium, url, dir, &[])
}

fn browse_for(chromium: &Path, url: &str, dir: &Path, more: &[&str]) -> (String, String) {
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
