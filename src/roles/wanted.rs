//! The one list of what the roles are and may do. Everything else here compares with it.

use std::collections::BTreeSet;

use super::state::{Fact, HISTORIES, Kind, all_tables};
use super::{Options, Prefix, Role};
use crate::catalog::{self, CROSS_CUSTOMER_POLICIES, CROSS_CUSTOMER_READ};
use crate::raw::{Sql, raw};

const READ: &[&str] = &["SELECT"];
const APPEND: &[&str] = &["INSERT", "SELECT"];
const KEEP: &[&str] = &["INSERT", "SELECT", "UPDATE"];
const ALL_ROWS: &[&str] = &["DELETE", "INSERT", "SELECT", "UPDATE"];

/// Columns that only those may read who work with the secret.
const SECRETS: [(&str, &str); 1] = [("customers", "api_key")];

/// Every fact that should be there, about the tables that are.
pub(super) fn facts(options: &Options, found: &BTreeSet<Fact>) -> BTreeSet<Fact> {
    let prefix = &options.prefix;
    let mut wanted = BTreeSet::new();
    roles(prefix, &mut wanted);
    ownership(prefix, found, &mut wanted);
    for role in Role::ALL {
        let name = role.name(prefix);
        for privilege in on_schema(role) {
            wanted.insert(Fact::new(Kind::SchemaGrant, "", &name, privilege));
        }
        // Who owns a table has its rights as the owner.
        for table in tables(found).filter(|table| !found.contains(&Fact::new(Kind::TableOwner, table, &name, ""))) {
            grants(role, &name, table, found, &mut wanted);
        }
    }
    owners_rights(found, &mut wanted);
    defaults(options, found, &mut wanted);
    policies(prefix, found, &mut wanted);
    wanted
}

fn roles(prefix: &Prefix, wanted: &mut BTreeSet<Fact>) {
    let [owner, migrator, monitor] = [Role::Owner, Role::Migrator, Role::Monitor].map(|role| role.name(prefix));
    for role in Role::ALL {
        wanted.insert(Fact::new(Kind::Role, "", &role.name(prefix), ""));
        if role.may_log_in() {
            wanted.insert(Fact::new(Kind::Attribute, "", &role.name(prefix), "LOGIN"));
        }
    }
    wanted.insert(Fact::new(Kind::Membership, &owner, &migrator, ""));
    wanted.insert(Fact::new(Kind::Membership, "pg_monitor", &monitor, ""));
    // What the migrator creates belongs to the owner, with the owner's default privileges.
    wanted.insert(Fact::new(Kind::Setting, "", &migrator, &owner));
}

fn ownership(prefix: &Prefix, found: &BTreeSet<Fact>, wanted: &mut BTreeSet<Fact>) {
    let owner = Role::Owner.name(prefix);
    let owned = found.iter().filter(|fact| fact.kind.is_ownership());
    wanted.extend(owned.map(|fact| Fact::new(fact.kind, &fact.object, &owner, "")));
}

/// Foreign keys are checked as the owner of the table that they refer to.
fn owners_rights(found: &BTreeSet<Fact>, wanted: &mut BTreeSet<Fact>) {
    for Fact { object, subject, .. } in found.iter().filter(|fact| fact.kind == Kind::TableOwner) {
        wanted.extend(ALL_ROWS.iter().map(|privilege| Fact::new(Kind::OwnerGrant, object, subject, privilege)));
    }
}

const fn on_schema(role: Role) -> &'static [&'static str] {
    match role {
        Role::Owner => &["CREATE", "USAGE"],
        _ => &["USAGE"],
    }
}

/// What a role may do with the rows of a table; of tables to come, what it may do with those of any.
fn on_table(role: Role, table: Option<&str>) -> &'static [&'static str] {
    match role {
        // It owns them. The migrator is the owner while it works.
        Role::Owner | Role::Migrator => &[],
        _ if table.is_some_and(|table| HISTORIES.contains(&table)) => READ,
        Role::Readonly | Role::Monitor => READ,
        Role::Operator => ALL_ROWS,
        Role::App => match table {
            // Whatever hangs on a deleted agent goes with it, past row security: the rows of every customer.
            Some("agents") => KEEP,
            Some("agent_metrics") => APPEND,
            _ => ALL_ROWS,
        },
    }
}

/// A role that only reads does not read secrets.
fn is_kept_from(role: Role, table: &str) -> bool {
    matches!(role, Role::Readonly | Role::Monitor) && SECRETS.iter().any(|(secret, _)| *secret == table)
}

fn grants(role: Role, name: &str, table: &str, found: &BTreeSet<Fact>, wanted: &mut BTreeSet<Fact>) {
    for privilege in on_table(role, Some(table)) {
        if !is_kept_from(role, table) {
            wanted.insert(Fact::new(Kind::TableGrant, table, name, privilege));
            continue;
        }
        let columns = found.iter().filter(|fact| fact.kind == Kind::Column && fact.object == table);
        for column in columns.filter(|column| !SECRETS.contains(&(table, &*column.subject))) {
            let object = format!("{table}.{}", column.subject);
            wanted.insert(Fact::new(Kind::ColumnGrant, &object, name, privilege));
        }
    }
}

/// For tables of later migrations, whoever creates them: the owner, and whoever still owns the tables.
fn defaults(options: &Options, found: &BTreeSet<Fact>, wanted: &mut BTreeSet<Fact>) {
    let owner = Role::Owner.name(&options.prefix);
    let owners = found.iter().filter(|fact| fact.kind == Kind::TableOwner && !options.take_ownership);
    for creator in owners.map(|fact| fact.subject.as_str()).chain([owner.as_str()]) {
        for role in Role::ALL {
            for privilege in on_table(role, None) {
                wanted.insert(Fact::new(Kind::DefaultGrant, creator, &role.name(&options.prefix), privilege));
            }
        }
    }
}

/// Adds the policies for work across customers.
fn policies(prefix: &Prefix, found: &BTreeSet<Fact>, wanted: &mut BTreeSet<Fact>) {
    for table in catalog::tables_of_customers().filter(|table| is_there(found, table)) {
        for name in CROSS_CUSTOMER_POLICIES {
            // Names of ours need no quotes, and the server shows none.
            let definition = policy(prefix, name).as_str().replace('"', "");
            wanted.insert(Fact::new(Kind::Policy, table, name, &definition));
        }
    }
}

/// What follows the table in CREATE POLICY.
pub(super) fn policy(prefix: &Prefix, name: &str) -> Sql {
    let role = |role: Role| Sql::identifier(&role.name(prefix));
    if name == CROSS_CUSTOMER_READ {
        let readers = Sql::join([Role::Monitor, Role::Readonly].map(role), ", ");
        return raw!("FOR SELECT TO {readers} USING (true)", readers);
    }
    let operator = role(Role::Operator);
    raw!("FOR ALL TO {operator} USING (true) WITH CHECK (true)", operator)
}

/// The tables of ours that are there.
fn tables(found: &BTreeSet<Fact>) -> impl Iterator<Item = &'static str> {
    all_tables().filter(|table| is_there(found, table))
}

fn is_there(found: &BTreeSet<Fact>, table: &str) -> bool {
    found.iter().any(|fact| fact.kind == Kind::TableOwner && fact.object == table)
}
