//! What proves that a row is the same in a table and in a file: a hash of all its values as COPY has them.

use chrono::{DateTime, Utc};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamptz};

use crate::raw::{Sql, raw, sql_query};
use crate::transfer::{Kind, Table};

/// A number of rows and the sum of their hashes, whatever their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub rows: i64,
    hashes: i128,
}

impl Sums {
    pub fn add(&mut self, hash: &[u8]) {
        self.rows += 1;
        self.hashes += i128::from(hash.first_chunk().map_or(0, |first| i64::from_be_bytes(*first)));
    }
}

/// The hash of a row, of its values as COPY writes them in the binary format.
pub(super) fn hash(table: Table) -> Sql {
    let value = |column: &crate::transfer::Column| {
        let name = Sql::identifier(column.name);
        let bytes = match column.kind {
            Kind::Uuid | Kind::Customer | Kind::Agent => raw!("uuid_send({name})", name),
            Kind::Text { .. } | Kind::Label(_) => raw!("textsend({name}::text)", name),
            Kind::Float => raw!("float8send({name})", name),
            Kind::Integer => raw!("int4send({name})", name),
            Kind::Bool => raw!("boolsend({name})", name),
            Kind::Time => raw!("timestamptz_send({name})", name),
            Kind::Json => raw!("jsonb_send({name})", name),
        };
        raw!("coalesce(int4send(octet_length({bytes})) || {bytes}, int4send(-1))", bytes)
    };
    raw!("sha256({values})", values = Sql::join(table.columns().iter().map(value), " || "))
}

/// The sums of the rows of a table that has the columns of `table`, of those before a time.
pub(super) fn sums(conn: &mut PgConnection, table: Table, name: &str) -> QueryResult<Sums> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        rows: i64,
        #[diesel(sql_type = Text)]
        hashes: String,
    }
    let query = raw!(
        "SELECT count(*) AS rows,
             coalesce(sum(('x' || encode(substring(hash FROM 1 FOR 8), 'hex'))::bit(64)::bigint), 0)::text AS hashes
         FROM (SELECT {hash} AS hash FROM {name}) hashed",
        hash = hash(table),
        name = Sql::identifier(name)
    );
    let Found { rows, hashes } = sql_query(query).get_result(conn)?;
    let hashes = hashes.parse().map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?;
    Ok(Sums { rows, hashes })
}

/// Whether rows of a table are of a time from `from` on and before `to`.
pub(super) fn any(
    conn: &mut PgConnection,
    (name, time): (&str, &'static str),
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Any {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        any: bool,
    }
    let name = Sql::identifier(name);
    let query = raw!("SELECT EXISTS (SELECT 1 FROM {name} WHERE {time} >= $1 AND {time} < $2) AS any", name, time);
    let found: Any = sql_query(query).bind::<Timestamptz, _>(from).bind::<Timestamptz, _>(to).get_result(conn)?;
    Ok(found.any)
}
