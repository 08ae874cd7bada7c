//! Names and texts as SQL writes them, and the statements that more than one fix needs.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::catalog::{Comment, Enum, Object, OtherType, TypeSort, contract};

/// A name. Those of the contract are plain words; any other may hold anything.
pub(in crate::verify) fn ident(name: &str) -> String {
    static PLAIN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let names = contract().objects().flat_map(|object| match object {
            // The only one whose name is more than a word: it is quoted already.
            Object::Function(_) => Vec::new(),
            other => other.name().split('.').map(str::to_owned).collect(),
        });
        names.collect()
    });
    if PLAIN.contains(name) || name.strip_suffix(BESIDE).is_some_and(|name| PLAIN.contains(name)) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text. With a backslash in it, what a plain literal means depends on a setting.
pub(in crate::verify) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', r"\\")) } else { format!("'{quoted}'") }
}

/// Creates what is made in one statement and holds no rows.
pub(in crate::verify) fn create(object: &Object) -> Option<String> {
    Some(match object {
        Object::Trigger(it) => format!("CREATE TRIGGER {} {}", ident(&it.name), it.definition),
        Object::Policy(it) => format!("CREATE POLICY {} ON {} {it}", ident(&it.name), ident(&it.table)),
        Object::Enum(it) => create_enum(it),
        Object::Function(it) => {
            let body = it.body.as_ref().filter(|body| !body.contains("$fix$"))?;
            format!("CREATE OR REPLACE FUNCTION {} {} AS $fix${body}$fix$", it.signature, it.head())
        }
        _ => return None,
    })
}

pub(super) fn create_enum(expected: &Enum) -> String {
    let labels: Vec<_> = expected.labels.iter().map(|label| literal(label)).collect();
    format!("CREATE TYPE {} AS ENUM ({})", ident(&expected.name), labels.join(", "))
}

/// Drops what holds no rows; indexes are for the caller, who knows whether somebody writes meanwhile.
pub(in crate::verify) fn drop(object: &Object) -> Option<String> {
    Some(match object {
        Object::Constraint(it) => format!("ALTER TABLE {} DROP CONSTRAINT {}", ident(&it.table), ident(&it.name)),
        Object::Trigger(it) => format!("DROP TRIGGER {} ON {}", ident(&it.name), ident(&it.table)),
        Object::Policy(it) => format!("DROP POLICY {} ON {}", ident(&it.name), ident(&it.table)),
        Object::Type(OtherType { name, sort: TypeSort::Domain(_) }) => format!("DROP DOMAIN {}", ident(name)),
        Object::Type(OtherType { name, .. }) | Object::Enum(Enum { name, .. }) => format!("DROP TYPE {}", ident(name)),
        Object::Function(it) => format!("DROP ROUTINE {}", it.signature),
        _ => return None,
    })
}

const BESIDE: &str = "_new";

/// The name of an index for as long as the one that it replaces is there.
pub(super) fn name_beside(name: &str) -> String {
    format!("{name}{BESIDE}")
}

/// Adds a key: shows the duplicates that stand in its way, builds its index while writers go on, and makes the index
/// the key's, in the same statement as what it replaces goes.
pub(in crate::verify) fn add_key(
    table: &str,
    name: &str,
    word: &str,
    columns: &[String],
    drop: Option<&str>,
) -> String {
    let columns = columns.iter().map(|column| ident(column)).collect::<Vec<_>>().join(", ");
    let index = if drop.is_some() { ident(&name_beside(name)) } else { ident(name) };
    let (name, drop) = (ident(name), drop.map(|drop| format!("{drop}, ")).unwrap_or_default());
    format!(
        "SELECT {columns}, count(*) AS duplicates FROM {table} GROUP BY {columns} HAVING count(*) > 1; \
         CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({columns}); \
         ALTER TABLE {table} {drop}ADD CONSTRAINT {name} {word} USING INDEX {index}"
    )
}

/// `None` for what the contract does not know: a view's comment has another syntax.
pub(super) fn comment_on(comment: &Comment, text: &str) -> Option<String> {
    if let Some(column) = &comment.column {
        contract().column(&comment.of, column)?;
        return Some(format!("COMMENT ON COLUMN {}.{} IS {text}", ident(&comment.of), ident(column)));
    }
    let is_enum = contract().enums().any(|known| known.name == comment.of);
    let word = if contract().table(&comment.of).is_some() { "TABLE" } else { is_enum.then_some("TYPE")? };
    Some(format!("COMMENT ON {word} {} IS {text}", ident(&comment.of)))
}

/// The statement that creates something, and the one that gives it its comment.
pub(super) fn with_comment(statement: String, of: &str, column: Option<&str>) -> String {
    let comment = contract().objects().find_map(|object| match object {
        Object::Comment(comment) if comment.of == of && comment.column.as_deref() == column => Some(comment),
        _ => None,
    });
    match comment.and_then(|comment| comment_on(comment, &literal(&comment.text))) {
        Some(comment) => format!("{statement}; {comment}"),
        None => statement,
    }
}
