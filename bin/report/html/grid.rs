//! The tables of the page.

use optiinfra_db::stats::Report;

use crate::report::section::{Column, Section, Top, Value};
use crate::report::sections;
use crate::report::text::{self, Medium, capitalised};

/// Maximum of rows of a table, and of one that shows the largest of many.
const MOST_ROWS: usize = 50;
const MOST_OF_MANY: usize = 12;
/// Bytes of a name that is on one line.
const LONGEST_NAME: usize = 40;

/// What is wrong where it has a row: the section, and the title of its table.
pub const WRONG: [(&str, &str); 7] = [
    ("open_regressions", "Unresolved regressions"),
    ("failed_scaling_events", "Failed scaling events"),
    ("blocked_sessions", "Blocked sessions"),
    ("long_transactions", "Transactions over 60 s"),
    ("invalid_indexes", "Invalid indexes"),
    ("unused_indexes", "Unused indexes"),
    ("unindexed_foreign_keys", "Foreign keys without an index"),
];

/// What is there.
pub const THERE: [(&str, &str); 13] = [
    ("quality", "Models against their baseline"),
    ("newest_by_customer", "Customers"),
    ("agents", "Agents"),
    ("workflows", "Workflows by status"),
    ("instances", "Instances with most samples"),
    ("tables", "Tables"),
    ("partitions", "Partitions"),
    ("bloat", "Bloat, estimated"),
    ("indexes", "Largest indexes"),
    ("redundant_indexes", "Redundant indexes"),
    ("slowest_statements", "Slowest statements"),
    ("replicas", "Standbys"),
    ("health", "Figures of health"),
];

/// A table of the page.
pub struct Grid {
    pub id: String,
    pub title: String,
    /// Why there is no row.
    pub skipped: String,
    pub columns: Vec<Heading>,
    pub rows: Vec<Vec<Cell>>,
    /// How many more rows there are.
    pub more: usize,
}

pub struct Heading {
    pub text: &'static str,
    pub is_numeric: bool,
}

pub struct Cell {
    pub text: String,
    /// Whether it is a name, which is not broken.
    pub is_name: bool,
    /// What a sort goes by, where that is not the text.
    pub sort: Option<String>,
}

/// The tables: of each section the first under the page's title, further ones under their own.
pub fn of(report: &Report, list: &[(&'static str, &str)]) -> Vec<Grid> {
    let mut grids = Vec::new();
    for &(name, title) in list {
        for mut section in sections::of(report, Some(name)) {
            let most = if matches!(section.top, Top::By(_)) { MOST_OF_MANY } else { MOST_ROWS };
            let more = section.keep_top(most);
            for table in 0..=section.more_titles.len() {
                let title = if table == 0 { title } else { section.title(table) };
                grids.push(Grid::of(title, &section, table, more, Medium::Page(report.gathered_at)));
            }
        }
    }
    grids
}

impl Grid {
    pub fn of(title: &str, section: &Section, table: usize, more: usize, medium: Medium) -> Self {
        let text =
            |row: &[Value], (at, column): &(usize, &Column)| text::cell(&row[*at], column.unit, column.null, medium);
        let mut shown = section.shown(table);
        shown.retain(|column| section.rows.iter().any(|row| !text(row, column).is_empty()));
        let cell = |row: &[Value], column: &(usize, &Column)| {
            let text = text(row, column);
            Cell { is_name: text.len() <= LONGEST_NAME && !text.contains(' '), text, sort: sort(&row[column.0]) }
        };
        let heading =
            |(at, column): &(usize, &Column)| Heading { text: column.heading, is_numeric: section.is_numeric(*at) };
        Self {
            id: text::anchor(title),
            title: capitalised(title),
            skipped: section.skipped.clone().unwrap_or_default(),
            columns: shown.iter().map(heading).collect(),
            rows: section.rows.iter().map(|row| shown.iter().map(|column| cell(row, column)).collect()).collect(),
            more,
        }
    }
}

fn sort(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Unknown(_) => Some(String::new()),
        value if value.is_number() || matches!(value, Value::Time(_)) => value.sample(),
        _ => None,
    }
}
