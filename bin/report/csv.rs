//! `stats --format csv`: one section with its columns, or the whole report with a line for each field.

use optiinfra_db::stats::Report;

use super::section::{Section, Shown, Value};
use super::sections;

/// The whole report, or one section of it.
pub fn render(report: &Report, section: Option<&str>) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let sections = sections::of(report, section);
    if section.is_some() {
        sections.iter().try_for_each(|section| write_alone(&mut writer, section))?;
    } else {
        writer.write_record(["section", "row", "field", "value"])?;
        let in_data = sections.iter().filter(|section| section.shown != Shown::InTables);
        in_data.into_iter().try_for_each(|section| write_fields(&mut writer, section))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn write_alone(writer: &mut csv::Writer<Vec<u8>>, section: &Section) -> csv::Result<()> {
    let (columns, rows) = cells(section);
    writer.write_record(&columns)?;
    rows.iter().try_for_each(|row| writer.write_record(row))
}

fn write_fields(writer: &mut csv::Writer<Vec<u8>>, section: &Section) -> csv::Result<()> {
    let (columns, rows) = cells(section);
    for (at, row) in rows.iter().enumerate() {
        for (column, cell) in columns.iter().zip(row) {
            writer.write_record([section.name, &(at + 1).to_string(), column, cell])?;
        }
    }
    Ok(())
}

/// The columns, those that say what a row is about first and the others by name; and the rows. Of a section that was
/// skipped, that and why.
fn cells(section: &Section) -> (Vec<&'static str>, Vec<Vec<String>>) {
    if let Some(reason) = &section.skipped {
        return (vec!["outcome", "reason"], vec![vec!["skipped".to_owned(), reason.clone()]]);
    }
    let mut columns: Vec<_> = section.columns.iter().enumerate().collect();
    columns.sort_by_key(|(_, column)| (!column.is_key, if column.is_key { "" } else { column.name }));
    let row =
        |row: &Vec<Value>| columns.iter().map(|(at, _)| row.get(*at).map(Value::raw).unwrap_or_default()).collect();
    (columns.iter().map(|(_, column)| column.name).collect(), section.rows.iter().map(row).collect())
}
