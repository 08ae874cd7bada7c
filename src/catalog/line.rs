//! The lines of `catalog.txt`: kind, name and definition of an object, separated by tabs.

use super::object::{Kind, Object};
use super::{
    Column, ColumnOrder, Comment, Constraint, Entry, Enum, Function, Index, OtherType, Policy, Table, Trigger,
};

/// A line that names no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number} cannot be read: '{line}'")]
pub struct UnreadableLine {
    /// Its number, from 1.
    pub number: usize,
    /// What it says.
    pub line: String,
}

/// Reads a line; `None` when it is none of ours.
pub(super) fn parse(line: &str) -> Option<Object> {
    let mut fields = line.splitn(3, '\t');
    let (kind, name, definition) = (fields.next()?, unescape(fields.next()?), unescape(fields.next()?));
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let of_table = name.split_once('.');
    Some(match kind {
        Kind::Table => Object::Table(Table::parse(&name, &definition)?),
        Kind::ColumnOrder => Object::ColumnOrder(ColumnOrder::parse(&name, &definition)),
        Kind::Column => Object::Column(Column::parse(of_table?, &definition)),
        Kind::Constraint => Object::Constraint(Constraint::parse(of_table?, &definition)?),
        Kind::Index => Object::Index(Index::parse(of_table?, &definition)),
        Kind::Trigger => Object::Trigger(Trigger::parse(of_table?, &definition)?),
        Kind::Policy => Object::Policy(Policy::parse(of_table?, &definition)?),
        Kind::Enum => Object::Enum(Enum::parse(&name, &definition)),
        Kind::Type => Object::Type(OtherType::parse(&name, &definition)?),
        Kind::Function => Object::Function(Function::parse(&name, &definition)?),
        Kind::Comment => Object::Comment(Comment {
            of: of_table.map_or(name.as_str(), |(table, _)| table).to_owned(),
            column: of_table.map(|(_, column)| column.to_owned()),
            text: definition,
        }),
        // Of live databases only.
        Kind::Partition => return None,
    })
}

impl Entry {
    /// The line of `catalog.txt`.
    pub fn to_line(&self) -> String {
        format!("{}\t{}\t{}", self.kind(), escape(&self.name()), escape(&self.definition))
    }
}

/// Keeps a text on one line and out of the way of the tabs between fields.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('\t', r"\t").replace('\r', r"\r")
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
            other => other,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_what_it_was_made_of() {
        let text = "RETURNS void LANGUAGE plpgsql AS \nBEGIN\n\tRETURN 'a\\n';\r\nEND\n";
        let function = Object::Function(Function::parse("f()", text).unwrap());
        let line = Entry::of(&function).to_line();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(parse(&line), Some(function));
    }
}
