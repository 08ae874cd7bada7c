//! SQL as text: the only module in which a statement may come from anywhere else than the query builder.
//!
//! [`Sql`] is made of constants of this program, of whole numbers, of ids, of quoted identifiers and literals, of what the
//! server wrote of its own catalog, and of nothing else: there is no way by accident from a `String` into it, so no user's
//! text can become a part of a statement. A value goes to the server as a bound parameter. Everywhere else `clippy.toml` forbids Diesel's functions for raw SQL; those here
//! have the same names and take an [`Sql`].

#![expect(clippy::disallowed_methods, reason = "the module that everybody else has to go through")]

use std::borrow::Cow;
use std::fmt;

use diesel::connection::SimpleConnection;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::query_builder::SqlQuery;
use uuid::Uuid;

/// A piece of SQL that holds nothing but what this program put there.
///
/// Text that came from outside does not compile:
///
/// ```compile_fail,E0277
/// let name = std::env::args().next().unwrap_or_default();
/// optiinfra_db::raw::sql_query(name);
/// ```
///
/// ```compile_fail,E0716
/// optiinfra_db::raw::sql_query(format!("SELECT {}", 1).as_str());
/// ```
///
/// ```
/// use optiinfra_db::raw::{Sql, sql_query};
/// sql_query("SELECT 1");
/// sql_query(Sql::join(["a", "b\"; DROP TABLE c; --"].map(Sql::identifier), ", "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Sql(Cow<'static, str>);

impl Sql {
    /// A name as SQL takes it, always in quotes: whatever it holds, it is one identifier.
    ///
    /// The server cuts a name to 63 bytes; one that comes from its catalogue is no longer than that. It takes no empty
    /// name, and the driver refuses a text with a zero byte, so neither can become another statement.
    pub fn identifier(name: &str) -> Self {
        Self(Cow::Owned(format!("\"{}\"", name.replace('"', "\"\""))))
    }

    /// A text as a literal that the server reads in the same way whatever the session's settings are: in plain quotes
    /// where it needs no escape, else between dollar quotes with a tag that does not end it early.
    pub fn literal(text: &str) -> Self {
        if !text.contains(['\'', '\\']) {
            return Self(Cow::Owned(format!("'{text}'")));
        }
        let ends_it = |tag: &String| format!("{text}{tag}").find(tag.as_str()) == Some(text.len());
        let tag = (0_u32..).map(|n| format!("$text{n}$")).find(ends_it).unwrap_or_default();
        Self(Cow::Owned(format!("{tag}{text}{tag}")))
    }

    /// What the server itself wrote of an object of its catalog, such as `pg_get_constraintdef`: it quotes every name in it.
    #[cfg(feature = "partitions")]
    pub(crate) fn of_server(definition: &str) -> Self {
        Self(Cow::Owned(definition.to_owned()))
    }

    /// Names, separated by commas.
    pub fn identifiers(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::join(names.into_iter().map(|name| Self::identifier(name.as_ref())), ", ")
    }

    /// The pieces with a constant between them.
    #[must_use]
    pub fn join(pieces: impl IntoIterator<Item = Self>, between: &'static str) -> Self {
        let pieces: Vec<_> = pieces.into_iter().map(|piece| piece.0).collect();
        Self(Cow::Owned(pieces.join(between)))
    }

    /// For [`raw!`] only, which sees to it that every argument is an [`Sql`].
    pub(crate) fn assembled(text: fmt::Arguments<'_>) -> Self {
        Self(Cow::Owned(text.to_string()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&'static str> for Sql {
    fn from(constant: &'static str) -> Self {
        Self(Cow::Borrowed(constant))
    }
}

impl From<&Self> for Sql {
    fn from(piece: &Self) -> Self {
        piece.clone()
    }
}

impl From<Uuid> for Sql {
    /// As a literal, in quotes.
    fn from(id: Uuid) -> Self {
        Self(Cow::Owned(format!("'{id}'")))
    }
}

/// Unsigned ones: a minus that meets another begins a comment.
macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl From<$number> for Sql {
            fn from(number: $number) -> Self {
                Self(Cow::Owned(number.to_string()))
            }
        }
    )+};
}
numbers!(u32, u64, u128, usize);

/// Puts an [`Sql`] together: `raw!("SELECT count(*) FROM {table}", table)`, `raw!("{id}", id = key.id)`. Every name
/// in the text has to be listed after it, and its value must be something that an [`Sql`] can be made from.
macro_rules! raw {
    (@piece $name:ident) => { $crate::raw::Sql::from($name) };
    (@piece $name:ident = $value:expr) => { $crate::raw::Sql::from($value) };
    // `concat!` keeps the text from capturing variables that are not listed.
    ($text:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::raw::Sql::assembled(format_args!(concat!($text) $(, $name = $crate::raw::raw!(@piece $name $(= $value)?))*))
    };
}
pub(crate) use raw;

/// The bytes of a text: in a database in SQL_ASCII they may be no UTF-8, and the server refuses to send them as text.
#[cfg(feature = "stats")]
pub(crate) fn bytes_of(text: impl Into<Sql>) -> Sql {
    raw!(
        "convert_to({text}, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)",
        text = text.into()
    )
}

/// A text that every client can read: a database in SQL_ASCII takes bytes of any encoding, which need not be UTF-8.
pub(crate) fn readable(text: &'static str) -> Sql {
    raw!(
        "CASE current_setting('server_encoding')
            WHEN 'SQL_ASCII' THEN regexp_replace({text}, E'[\\\\x80-\\\\xff]', '?', 'g')
            ELSE {text}
        END",
        text
    )
}

/// Diesel's `sql_query` for text that is known to be harmless.
pub fn sql_query(text: impl Into<Sql>) -> SqlQuery {
    diesel::sql_query(text.into().0)
}

/// Diesel's `sql` for text that is known to be harmless.
pub fn sql<ST>(text: impl Into<Sql>) -> SqlLiteral<ST>
where
    ST: diesel::expression::TypedExpressionType,
{
    diesel::dsl::sql(text.into().as_str())
}

/// Statements that are sent as they are, several at once if need be.
pub trait RunSql {
    /// Diesel's `batch_execute` for text that is known to be harmless.
    ///
    /// # Errors
    ///
    /// When the server refuses one of them.
    fn batch(&mut self, text: impl Into<Sql>) -> QueryResult<()>;
}

impl<C: SimpleConnection + ?Sized> RunSql for C {
    fn batch(&mut self, text: impl Into<Sql>) -> QueryResult<()> {
        self.batch_execute(text.into().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_put_together_in_their_places() {
        let column = Sql::identifier("a\"; DROP TABLE customers; --");
        let id = Uuid::nil();
        let condition = raw!("{column} = {id} AND {{}} <> {n}", column = &column, id, n = 7_u32);
        assert_eq!(
            condition.as_str(),
            "\"a\"\"; DROP TABLE customers; --\" = '00000000-0000-0000-0000-000000000000' AND {} <> 7"
        );
        assert_eq!(Sql::join([column, Sql::from("b")], ", ").as_str(), "\"a\"\"; DROP TABLE customers; --\", b");
        assert_eq!(Sql::join([], ", ").as_str(), "");
        for (text, literal) in [
            ("", "''"),
            ("a; b", "'a; b'"),
            ("it's \\", "$text0$it's \\$text0$"),
            ("'$text0$; DROP TABLE a", "$text1$'$text0$; DROP TABLE a$text1$"),
            ("'$text0", "$text1$'$text0$text1$"),
        ] {
            assert_eq!(Sql::literal(text).as_str(), literal);
        }
    }
}
