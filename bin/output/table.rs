//! Tables for people, as wide as the terminal.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::text::printable;

const TITLE: Style = Style::new().bold();

/// Styles of the first cell of a row about something right, wrong, or skipped.
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const UNSURE: Style = AnsiColor::Yellow.on_default();

/// Spaces between two columns.
const GAP: usize = 3;

/// A table with a line above it. Its texts may come from outside: what would control a terminal is replaced.
pub struct Table {
    title: String,
    /// Printed as it is, however wide the terminal is.
    text: String,
    headers: Vec<String>,
    /// Headings of the columns that a terminal may be too narrow for, the least important first.
    dispensable: &'static [&'static str],
    rows: Vec<Row>,
}

struct Row {
    /// Of the first cell.
    style: Style,
    cells: Vec<String>,
}

/// How a column of a table is shown.
struct Column {
    at: usize,
    width: usize,
    /// What it takes at least: its longest word, because a name that is broken cannot be read or copied.
    least: usize,
    is_number: bool,
}

impl Table {
    /// A table with its headings.
    pub fn new(headers: &[&str]) -> Self {
        let headers = headers.iter().map(|header| printable(header).into_owned()).collect();
        Self { title: String::new(), text: String::new(), headers, dispensable: &[], rows: Vec::new() }
    }

    /// A text instead of rows, to be copied.
    pub fn of_text(text: &str) -> Self {
        Self { text: printable(text).into_owned(), ..Self::new(&[]) }
    }

    /// Puts a line above the table.
    #[must_use]
    pub fn titled(mut self, title: &str) -> Self {
        self.set_title(title);
        self
    }

    /// Puts another line above the table.
    pub fn set_title(&mut self, title: &str) {
        self.title = printable(title).into_owned();
    }

    /// Names columns that are left out where the terminal is too narrow, the least important first.
    #[must_use]
    pub const fn dispensing_with(mut self, headers: &'static [&'static str]) -> Self {
        self.dispensable = headers;
        self
    }

    /// Adds a row, a cell a heading.
    pub fn row<const N: usize>(&mut self, cells: [impl Into<String>; N]) {
        self.styled_row(Style::new(), cells);
    }

    /// Adds a row of as many cells as there are headings.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.add(Style::new(), cells);
    }

    /// Adds a row whose first cell has a colour.
    pub fn styled_row<const N: usize>(&mut self, style: Style, cells: [impl Into<String>; N]) {
        self.add(style, cells);
    }

    fn add(&mut self, style: Style, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells = cells.into_iter().map(|cell| printable(&cell.into()).into_owned()).collect();
        self.rows.push(Row { style, cells });
    }

    /// Whether it has nothing to show under its title.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.text.is_empty()
    }

    /// Prints it, no wider than `limit` where its words allow that.
    pub(super) fn print(&self, to: &mut impl Write, limit: Option<usize>) -> io::Result<()> {
        if !self.title.is_empty() {
            writeln!(to, "{TITLE}{}{TITLE:#}", self.title)?;
        }
        write!(to, "{}", self.text)?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let columns = self.columns(limit);
        print_row(to, &columns, &self.headers, Style::new())?;
        writeln!(to, "{}", rule(&columns, limit.is_some()))?;
        self.rows.iter().try_for_each(|row| print_row(to, &columns, &row.cells, row.style))
    }

    /// The columns that are shown, as wide as fits: texts are wrapped between words, then columns that can be spared
    /// are left out, then lines are longer than the terminal is wide.
    fn columns(&self, limit: Option<usize>) -> Vec<Column> {
        let mut columns: Vec<_> = (0..self.headers.len()).map(|at| self.column(at)).collect();
        let Some(limit) = limit else { return columns };
        for spared in self.dispensable {
            if total(&columns, |column| column.least) > limit {
                columns.retain(|column| self.headers[column.at] != *spared);
            }
        }
        while total(&columns, |column| column.width) > limit {
            let can_shrink = columns.iter_mut().filter(|column| column.width > column.least);
            let Some(widest) = can_shrink.max_by_key(|column| column.width) else { break };
            widest.width -= 1;
        }
        columns
    }

    fn column(&self, at: usize) -> Column {
        let header = cell(&self.headers, at);
        let cells = || self.rows.iter().map(|row| cell(&row.cells, at));
        let is_number = at > 0 && cells().all(is_number);
        let widest = cells().map(width).max().unwrap_or_default();
        // A number stays beside its unit.
        let longest = if is_number { widest } else { cells().map(longest_word).max().unwrap_or_default() };
        Column { at, width: width(header).max(widest), least: longest_word(header).max(longest), is_number }
    }
}

/// Tables with an empty line between them.
pub(super) fn print_all(tables: &[Table], to: &mut impl Write, limit: Option<usize>) -> io::Result<()> {
    for (at, table) in tables.iter().enumerate() {
        if at > 0 {
            writeln!(to)?;
        }
        table.print(to, limit)?;
    }
    Ok(())
}

/// The dashes below the headings: up to the next column but one space, and not beyond the edge of a terminal.
fn rule(columns: &[Column], is_limited: bool) -> String {
    let dashes = columns.iter().enumerate().map(|(at, column)| {
        let is_last = at + 1 == columns.len();
        "-".repeat(column.width + if is_last && is_limited { 0 } else { GAP - 1 })
    });
    dashes.collect::<Vec<_>>().join(" ")
}

/// Prints a row on as many lines as its highest cell has, the first cell in its style.
fn print_row(to: &mut impl Write, columns: &[Column], cells: &[String], style: Style) -> io::Result<()> {
    let wrapped: Vec<_> = columns.iter().map(|column| wrap(cell(cells, column.at), column.width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or_default().max(1);
    for line in 0..height {
        // Spaces are written before what follows them, so that no line ends with one.
        let mut spaces = 0;
        for (column, lines) in columns.iter().zip(&wrapped) {
            let text = lines.get(line).map_or("", String::as_str);
            let padding = column.width.saturating_sub(width(text));
            let (before, after) = if column.is_number { (padding, 0) } else { (0, padding) };
            spaces += before;
            if !text.is_empty() {
                let style = if column.at == 0 { style } else { Style::new() };
                write!(to, "{:spaces$}{style}{text}{style:#}", "")?;
                spaces = 0;
            }
            spaces += after + GAP;
        }
        writeln!(to)?;
    }
    Ok(())
}

fn cell(cells: &[String], at: usize) -> &str {
    cells.get(at).map_or("", String::as_str)
}

/// How wide a line of these columns is.
fn total(columns: &[Column], of: fn(&Column) -> usize) -> usize {
    columns.iter().map(|column| of(column) + GAP).sum::<usize>().saturating_sub(GAP)
}

/// Breaks lines between words, where they are too long.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut wrapped = Vec::new();
    for line in text.lines() {
        if width(line) <= most {
            wrapped.push(line.to_owned());
            continue;
        }
        let mut words = line.split(' ');
        let mut begun = words.next().unwrap_or_default().to_owned();
        for word in words {
            if width(&begun) + 1 + width(word) > most {
                wrapped.push(std::mem::take(&mut begun));
            } else {
                begun.push(' ');
            }
            begun.push_str(word);
        }
        wrapped.push(begun);
    }
    wrapped
}

fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(width).max().unwrap_or_default()
}

/// How many columns of a terminal a text takes; of several lines, the longest.
fn width(text: &str) -> usize {
    text.lines().map(UnicodeWidthStr::width).max().unwrap_or_default()
}

/// Whether a cell holds a number, with or without a unit behind it, or nothing.
fn is_number(cell: &str) -> bool {
    cell.trim_start_matches('~').split_whitespace().next().is_none_or(|first| first.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use anstream::StripStream;

    use super::*;

    const NAME: &str = "agent_state.seed.counts";

    fn table() -> Table {
        let mut table = Table::new(&["outcome", "check", "found", "size", "document"]).dispensing_with(&["document"]);
        let prose = "no row of the documents is there, nor any of another customer";
        table.styled_row(BAD, ["FAILED", NAME, prose, "112 KiB", "deployed schema 005"]);
        table.row(["passed", "core.tables", "six", "9 KiB", "0.2a"]);
        table
    }

    fn printed(table: &Table, width: Option<usize>) -> String {
        let mut plain = StripStream::new(Vec::new());
        table.print(&mut plain, width).unwrap();
        String::from_utf8(plain.into_inner()).unwrap()
    }

    #[test]
    fn no_width_splits_a_name_or_parts_a_number_from_its_unit() {
        for (limit, has_document) in [(60, false), (80, true), (120, true)] {
            let text = printed(&table(), Some(limit));
            assert!(text.lines().all(|line| width(line) <= limit), "{limit}:\n{text}");
            assert!(text.contains(NAME) && text.contains("112 KiB") && text.contains("  9 KiB"), "{limit}:\n{text}");
            assert_eq!(text.contains("deployed"), has_document, "{limit}:\n{text}");
            let words: Vec<_> = text.split_whitespace().collect();
            for word in table().rows[0].cells[2].split(' ') {
                assert!(words.contains(&word), "{limit}: {word} in\n{text}");
            }
        }
    }

    #[test]
    fn a_file_has_a_row_a_line() {
        let text = printed(&table(), None);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("nor any of another customer") && text.contains("deployed schema 005"), "{text}");
    }

    #[test]
    fn a_line_is_too_long_before_a_name_is_broken() {
        let text = printed(&table(), Some(40));
        assert!(text.contains(NAME) && text.lines().any(|line| width(line) > 40), "{text}");
    }

    #[test]
    fn a_row_of_several_lines_is_coloured_in_its_first_cell_only() {
        let mut coloured = Vec::new();
        table().print(&mut coloured, Some(60)).unwrap();
        let coloured = String::from_utf8(coloured).unwrap();
        assert_eq!(coloured.matches('\u{1b}').count(), 3, "bold, red, and back: {coloured:?}");
        assert!(coloured.contains(&format!("\n{BAD}FAILED{BAD:#} ")), "{coloured:?}");
        let mut plain = StripStream::new(Vec::new());
        plain.write_all(coloured.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(plain.into_inner()).unwrap(), printed(&table(), Some(60)));
    }

    #[test]
    fn what_is_twice_as_wide_counts_twice() {
        assert_eq!((width("東京"), width("a\nabc"), width("")), (4, 3, 0));
        assert_eq!(wrap("東京 東京 x", 6), ["東京", "東京 x"]);
        assert_eq!(wrap("short\nand two lines", 8), ["short", "and two", "lines"]);
    }

    #[test]
    fn what_controls_a_terminal_is_replaced_in_every_text_of_a_table() {
        let evil = "\u{1b}]0;x\u{7}\u{9b}2J";
        let mut table = Table::new(&[evil]).titled(evil);
        table.row([evil]);
        let both = printed(&table, None) + &printed(&Table::of_text(evil), None);
        assert!(!both.contains(|c: char| c.is_control() && c != '\n'), "{both:?}");
    }
}
