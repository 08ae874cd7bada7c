//! The sections as tables.

use optiinfra_db::stats::Report;

use super::section::{Column, Layout, Section, Shown, Unit, Value};
use super::sections;
use super::text::{self, Medium};
use crate::output::{Table, sparkline};

/// Sections that change while somebody looks, the first of a screen.
const LIVELY: [&str; 5] = ["skipped", "health", "blocked_sessions", "long_transactions", "latest_gpu_utilization"];

/// The tables that have something to show, the `first` ones before the others; of a list so many rows.
pub fn all(report: &Report, first: Vec<Section>, is_watched: bool, most: usize) -> Vec<Table> {
    let mut sections = first;
    sections.extend(sections::of(report, None));
    sections.retain(|section| section.shown != Shown::InData && !section.rows.is_empty());
    if is_watched {
        sections.sort_by_key(|section| !LIVELY.contains(&section.name));
    }
    // The upkeep of the tables comes behind what is in them.
    let tables = sections.into_iter().map(|section| of_section(section, most));
    let (first, more): (Vec<_>, Vec<_>) = tables.map(|mut of| (of.remove(0), of)).unzip();
    first.into_iter().chain(more.into_iter().flatten()).collect()
}

/// The tables of one section; a line where it has no row.
pub fn one(report: &Report, name: &str, most: usize) -> Vec<Table> {
    let shown = |section: Section| match &section.skipped {
        Some(reason) => vec![line(&format!("{}: skipped: {reason}", section.name))],
        None if section.rows.is_empty() => vec![line(&format!("{}: nothing to show", section.name))],
        None => of_section(section, most),
    };
    sections::of(report, Some(name)).into_iter().flat_map(shown).collect()
}

fn line(text: &str) -> Table {
    Table::new(&[]).titled(text)
}

fn of_section(mut section: Section, most: usize) -> Vec<Table> {
    match section.layout {
        Layout::Rows => {
            let more = section.keep_top(most);
            if more > 0 {
                section.title += &format!(", {most} of {} (--top N shows more)", most + more);
            }
            (0..=section.more_titles.len()).map(|table| rows(&section, table)).collect()
        }
        Layout::Record => vec![record(&section)],
        Layout::Lines => vec![lines(&section)],
    }
}

fn cells(row: &[Value], columns: &[(usize, &Column)]) -> Vec<String> {
    let cell = |(at, column): &(usize, &Column)| {
        row.get(*at).map(|value| text::cell(value, column.unit, column.null, Medium::Terminal)).unwrap_or_default()
    };
    columns.iter().map(cell).collect()
}

fn headed(title: &str, columns: &[(usize, &Column)]) -> Table {
    Table::new(&columns.iter().map(|(_, column)| column.heading).collect::<Vec<_>>()).titled(title)
}

fn rows(section: &Section, table: usize) -> Table {
    let columns = section.shown(table);
    let mut drawn = headed(section.title(table), &columns);
    section.rows.iter().for_each(|row| drawn.cells(cells(row, &columns)));
    drawn
}

fn record(section: &Section) -> Table {
    let columns = section.shown(0);
    let mut drawn = Table::new(&["field", "value"]).titled(&section.title);
    for row in &section.rows {
        for ((_, column), cell) in columns.iter().zip(cells(row, &columns)) {
            drawn.cells(vec![column.heading.to_owned(), cell]);
        }
    }
    drawn
}

/// A row for each line, with its values drawn in characters.
fn lines(section: &Section) -> Table {
    let columns: Vec<_> = section.shown(0).into_iter().filter(|(_, column)| column.name != "at").collect();
    let mut drawn = headed(&section.title, &columns);
    let whose: Vec<_> = columns.iter().copied().filter(|(_, column)| column.name != "value").collect();
    let values = section.at("value").unwrap_or_default();
    let (low, high) = range(section, values);
    for line in section.rows.chunk_by(|one, next| cells(one, &whose) == cells(next, &whose)) {
        let points: Vec<_> = line.iter().map(|row| real(&row[values])).collect();
        let cells = columns.iter().map(|(at, column)| match *at {
            at if at == values => sparkline(&points, low, high),
            at => text::cell(&line[0][at], column.unit, column.null, Medium::Terminal),
        });
        drawn.cells(cells.collect());
    }
    drawn
}

fn real(value: &Value) -> f64 {
    if let Value::Real(number) = value { *number } else { f64::NAN }
}

/// Percent have a range of their own; others that of the values.
fn range(section: &Section, values: usize) -> (f64, f64) {
    if section.columns[values].unit == Unit::Percent {
        return (0.0, 100.0);
    }
    let values = || section.rows.iter().map(|row| real(&row[values])).filter(|value| value.is_finite());
    (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
}
