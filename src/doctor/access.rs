//! The way to the server, and what the role may do there.

use super::Check;
use super::facts::Facts;
use crate::catalog;
use crate::connection::Target;
use crate::error::{Error, Result, plural};
use crate::migrate;

const NO_TABLE: &str = "no table is there yet";

pub(super) fn tls(facts: &Facts, target: &Target) -> Check {
    let found = match (&facts.tls, facts.is_socket) {
        (Some(tls), _) => tls.clone(),
        (None, true) => "none: a Unix socket".to_owned(),
        (None, false) => "none".to_owned(),
    };
    let weakness = target.weakness().map(|weakness| weakness.to_string());
    let found = weakness.iter().fold(found, |found, weakness| format!("{found}; {weakness}"));
    Check::of("tls", found)
        .problem_if(
            facts.tls.is_none() && weakness.is_some(),
            "set sslmode=verify-full: everybody on the way can read and change what is sent",
        )
        .note_if(weakness.is_some(), "set sslmode=verify-full: somebody else can answer in the server's place")
}

pub(super) fn pooler(looked: Result<()>) -> Result<Check> {
    let check = |found: &str| Check::of("pooler", found);
    Ok(match looked {
        Ok(()) => check("none that hands transactions to different sessions"),
        Err(Error::Migrate(migrate::Error::Pooler)) => check("one in transaction mode")
            .note_if(true, "migrate by the server's own address, or by a pooler in session mode; services may use it"),
        Err(Error::Migrate(migrate::Error::NoSecondConnection { source })) => {
            check(&format!("not known: a second connection was refused: {source}"))
                .note_if(true, "let the role have two connections")
        }
        Err(other) => return Err(other),
    })
}

/// Whether the rows of other customers are kept from this role.
pub(super) fn tenants(facts: &Facts) -> Check {
    let role = &facts.role;
    let is_seen =
        |table: &&str| facts.tables.iter().any(|name| name == table) && !facts.hidden.iter().any(|name| name == table);
    let seen: Vec<_> = catalog::tables_of_customers().filter(is_seen).collect();
    let why = match (facts.is_superuser, facts.bypasses_row_security) {
        (true, _) => "it is a superuser",
        (_, true) => "it has BYPASSRLS",
        _ => "it owns the tables, or a policy shows it every row",
    };
    let found = match (facts.tables.is_empty(), seen.is_empty()) {
        (true, _) => NO_TABLE.to_owned(),
        (false, true) => format!("{role} sees the rows of one customer at a time"),
        (false, false) => format!("{role} sees the rows of every customer in {}: {why}", plural(seen.len(), "table")),
    };
    Check::of("tenants", found)
        .note_if(!seen.is_empty(), "right for an administrator; a service connects as optiinfra_app or a role like it")
}

pub(super) fn rows(facts: &Facts) -> Check {
    let all = facts.tables.len();
    if all == 0 {
        return Check::of("rows", NO_TABLE);
    }
    let (read, written) = (all - facts.unreadable.len(), all - facts.unwritable.len());
    let mut found = format!("{} may read {read} and write {written} of {}", facts.role, plural(all, "table"));
    if !facts.unreadable.is_empty() {
        found += &format!("; not to be read: {}", facts.unreadable.join(", "));
    }
    Check::of("rows", found)
        .note_if(!facts.unreadable.is_empty(), "reports leave these out: GRANT SELECT, or a role that has it")
}

pub(super) fn schema(facts: &Facts) -> Check {
    let Facts { role, owned_by_others, .. } = facts;
    let Some(schema) = &facts.schema else {
        return Check::of("schema", format!("the search_path names no schema that {role} may use"))
            .problem_if(true, format!("GRANT USAGE ON SCHEMA ... TO {role}, or set search_path to one that exists"));
    };
    let found = match (facts.may_create, owned_by_others.as_slice()) {
        (false, _) => format!("{role} may not create anything in schema {schema}"),
        (true, []) => format!("{role} may create and change tables in schema {schema}"),
        (true, others) => {
            format!("{role} may create tables in schema {schema}, and owns not all: {}", others.join(", "))
        }
    };
    Check::of("schema", found).note_if(
        !facts.may_create || !owned_by_others.is_empty(),
        "migrate as the owner of the tables, as optiinfra_migrator, or as another role that has these rights",
    )
}
