//! A difference of facts, as sentences and as the statements that remove it.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::state::{Fact, Kind};
use super::wanted;
use super::{Direction, Finding, Prefix, Role};
use crate::raw::{Sql, raw};

const GRANT_OPTION: &str = " WITH GRANT OPTION";

/// The kinds of rights, the widest first.
const GRANTS: [Kind; 6] = [
    Kind::DatabaseGrant,
    Kind::SchemaGrant,
    Kind::TableGrant,
    Kind::ColumnGrant,
    Kind::DefaultGrant,
    Kind::DefaultGrantEverywhere,
];

/// Where the rights are.
#[derive(Debug, QueryableByName)]
pub(super) struct Place {
    #[diesel(sql_type = Text)]
    pub(super) database: String,
    #[diesel(sql_type = Text)]
    pub(super) schema: String,
    /// Who has to become a member of the owner while the statements run.
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) outsider: Option<String>,
}

/// Says what is missing of the wanted facts, and what the extra ones are. Rights of one role on one thing are one
/// finding.
pub(super) fn findings(wanted: &BTreeSet<Fact>, found: &BTreeSet<Fact>, extra: &BTreeSet<Fact>) -> Vec<Finding> {
    let mut rights = BTreeMap::<_, Vec<&str>>::new();
    let mut findings = Vec::new();
    let missing = wanted.difference(found).map(|fact| (Direction::Missing, fact));
    for (difference, fact) in missing.chain(extra.iter().map(|fact| (Direction::Extra, fact))) {
        if fact.kind.is_grant() {
            rights.entry((difference, object(fact), &fact.subject)).or_default().push(&fact.what);
            continue;
        }
        findings.push(Finding::new(difference, &object(fact), &problem(difference, fact, found)));
    }
    findings.extend(rights.into_iter().map(|((difference, object, subject), rights)| {
        let has = if difference == Direction::Missing { "lacks" } else { "has" };
        Finding::new(difference, &object, &format!("{subject} {has} {}", rights.join(", ")))
    }));
    findings.sort();
    findings
}

fn object(fact: &Fact) -> String {
    match fact.kind {
        Kind::Role | Kind::Attribute | Kind::Membership | Kind::Setting | Kind::OtherSetting => {
            format!("role {}", fact.subject)
        }
        Kind::PlaceOwner => format!("the {}", fact.object),
        Kind::TableOwner | Kind::OwnerGrant | Kind::TableGrant | Kind::Policy => format!("table {}", fact.object),
        Kind::TypeOwner => format!("type {}", fact.object),
        Kind::FunctionOwner | Kind::Definer => format!("function {}", fact.object),
        Kind::DatabaseGrant => "the database".to_owned(),
        Kind::SchemaGrant => "the schema".to_owned(),
        Kind::ColumnGrant | Kind::Column => format!("column {}", fact.object),
        Kind::DefaultGrant => format!("tables that {} will create", fact.object),
        Kind::DefaultGrantEverywhere => format!("tables that {} will create in any schema", fact.object),
        Kind::View => format!("view {}", fact.object),
    }
}

fn problem(difference: Direction, fact: &Fact, found: &BTreeSet<Fact>) -> String {
    let Fact { object, subject, what, .. } = fact;
    match (fact.kind, difference) {
        (Kind::Role, _) => "is not there".to_owned(),
        (Kind::Attribute, Direction::Missing) => format!("lacks {what}"),
        (Kind::Attribute, Direction::Extra) => format!("has {what}"),
        (Kind::Membership, Direction::Missing) => format!("is no member of {object}"),
        (Kind::Membership, Direction::Extra) if what == "ADMIN" => format!("may make others members of {object}"),
        (Kind::Membership, Direction::Extra) => format!("is a member of {object}"),
        (Kind::Setting, Direction::Missing) => format!("does not become {what} when it logs in"),
        (Kind::Setting, Direction::Extra) => format!("becomes {what} when it logs in"),
        (Kind::OtherSetting, _) => format!("sets {what} when it logs in"),
        (Kind::PlaceOwner, _) => format!("belongs to {subject}, which can drop the tables in it"),
        (Kind::OwnerGrant, _) => format!("its owner lacks {what}, which foreign keys need"),
        (Kind::TableOwner | Kind::TypeOwner | Kind::FunctionOwner, _) => {
            format!("belongs to {}, not to {subject}", owner_of(fact, found).unwrap_or_default())
        }
        (Kind::Policy, Direction::Missing) => format!("has no policy {subject} {what}"),
        (Kind::Policy, Direction::Extra) => format!("has the policy {subject} {what}"),
        (Kind::View, _) => format!("gives {subject} the rights of its owner: make it WITH (security_invoker)"),
        (Kind::Definer, _) => format!("gives {subject} the rights of its owner: it is SECURITY DEFINER"),
        _ => format!("{subject} {what}"),
    }
}

/// Who owns the object of an ownership now.
pub(super) fn owner_of(wanted: &Fact, found: &BTreeSet<Fact>) -> Option<String> {
    found.iter().find(|fact| fact.kind == wanted.kind && fact.object == wanted.object).map(|fact| fact.subject.clone())
}

/// What does not belong to the owner role, one finding for each owner.
pub(super) fn owned_by_others(wanted: &BTreeSet<Fact>, found: &BTreeSet<Fact>) -> Vec<Finding> {
    let mut counts = BTreeMap::<(String, &str), usize>::new();
    for fact in wanted.difference(found).filter(|fact| fact.kind.is_ownership()) {
        *counts.entry((owner_of(fact, found).unwrap_or_default(), &fact.subject)).or_default() += 1;
    }
    let finding = |((owner, wanted), count): ((String, &str), usize)| {
        let problem = format!("belong to {owner}, not to {wanted}");
        Finding::new(Direction::Missing, &format!("{count} tables, types and functions"), &problem)
    };
    counts.into_iter().map(finding).collect()
}

/// Whether a right on a column goes when one of these rights on tables is revoked.
pub(super) fn is_revoked_with(fact: &Fact, revoked: &BTreeSet<Fact>) -> bool {
    let Some((table, _)) = fact.object.split_once('.').filter(|_| fact.kind == Kind::ColumnGrant) else {
        return false;
    };
    revoked.contains(&Fact::new(Kind::TableGrant, table, &fact.subject, &fact.what))
}

/// The statements that make the missing facts come true and the extra ones untrue, in order.
pub(super) fn statements(place: &Place, prefix: &Prefix, missing: &BTreeSet<Fact>, extra: &BTreeSet<Fact>) -> Vec<Sql> {
    let write = Writer { place, prefix };
    let of = |facts: &BTreeSet<Fact>, kind: Kind| -> Vec<Fact> {
        facts.iter().filter(|fact| fact.kind == kind).cloned().collect()
    };
    let mut all = write.roles(missing, extra);
    let by_outsider = place.outsider.as_deref().filter(|_| !missing.is_empty() || !extra.is_empty());
    let membership = by_outsider.map(|outsider| Fact::new(Kind::Membership, &Role::Owner.name(prefix), outsider, ""));
    all.extend(membership.iter().map(|fact| write.membership(fact, true)));
    all.extend(of(extra, Kind::Membership).iter().map(|fact| write.membership(fact, false)));
    all.extend(of(missing, Kind::Membership).iter().map(|fact| write.membership(fact, true)));
    let kept = |fact: &&Fact| !missing.iter().any(|other| other.kind == fact.kind && other.subject == fact.subject);
    all.extend(of(extra, Kind::Setting).iter().filter(kept).map(|fact| write.setting(fact, false)));
    all.extend(of(missing, Kind::Setting).iter().map(|fact| write.setting(fact, true)));
    for kind in GRANTS {
        all.extend(write.grants(&of(extra, kind), false));
    }
    // An owner must be able to create in the schema.
    all.extend(write.grants(&of(missing, Kind::SchemaGrant), true));
    // While it is still the owner: whoever comes after it takes its rights over.
    all.extend(write.grants(&of(missing, Kind::OwnerGrant), true));
    for kind in [Kind::TableOwner, Kind::TypeOwner, Kind::FunctionOwner] {
        all.extend(of(missing, kind).iter().map(|fact| write.owner(fact)));
    }
    for kind in [Kind::TableGrant, Kind::ColumnGrant, Kind::DefaultGrant] {
        all.extend(write.grants(&of(missing, kind), true));
    }
    all.extend(of(extra, Kind::Policy).iter().map(|fact| write.drop_policy(fact)));
    all.extend(of(missing, Kind::Policy).iter().map(|fact| write.create_policy(fact)));
    all.extend(membership.iter().map(|fact| write.membership(fact, false)));
    all
}

/// The words of a statement about rights.
struct Words {
    verb: &'static str,
    to: &'static str,
    end: &'static str,
}

const GRANT: Words = Words { verb: "GRANT", to: "TO", end: "" };
const REVOKE: Words = Words { verb: "REVOKE", to: "FROM", end: "" };
const REVOKE_GRANT_OPTION: Words = Words { verb: "REVOKE GRANT OPTION FOR", to: "FROM", end: " CASCADE" };

impl Words {
    fn statement(&self, rights: Vec<Sql>, on: &Sql, role: &Sql) -> Sql {
        let rights = Sql::join(rights, ", ");
        raw!(
            "{verb} {rights} ON {on} {to} {role}{end}",
            verb = self.verb,
            rights,
            on,
            to = self.to,
            role,
            end = self.end
        )
    }
}

/// Writes statements about the rights of one place.
struct Writer<'a> {
    place: &'a Place,
    prefix: &'a Prefix,
}

impl Writer<'_> {
    fn schema(&self) -> Sql {
        Sql::identifier(&self.place.schema)
    }

    fn in_schema(&self, name: &str) -> Sql {
        raw!("{schema}.{name}", schema = self.schema(), name = Sql::identifier(name))
    }

    /// One statement a role.
    fn roles(&self, missing: &BTreeSet<Fact>, extra: &BTreeSet<Fact>) -> Vec<Sql> {
        let mut roles = BTreeMap::<&str, (bool, Vec<Sql>)>::new();
        for fact in missing.iter().filter(|fact| fact.kind == Kind::Role) {
            roles.entry(&fact.subject).or_default().0 = true;
        }
        let attributes = missing.iter().map(|fact| (fact, true)).chain(extra.iter().map(|fact| (fact, false)));
        for (fact, has) in attributes.filter(|(fact, _)| fact.kind == Kind::Attribute) {
            roles.entry(&fact.subject).or_default().1.push(attribute(&fact.what, has));
        }
        let statement = |(name, (is_new, attributes)): (&str, (bool, Vec<Sql>))| {
            let name = Sql::identifier(name);
            let attributes = Sql::join(attributes, " ");
            match (is_new, attributes.as_str()) {
                (true, "") => raw!("CREATE ROLE {name} NOLOGIN", name),
                (true, _) => raw!("CREATE ROLE {name} {attributes}", name, attributes),
                (false, _) => raw!("ALTER ROLE {name} {attributes}", name, attributes),
            }
        };
        roles.into_iter().map(statement).collect()
    }

    fn membership(&self, fact: &Fact, grant: bool) -> Sql {
        let (group, member) = (Sql::identifier(&fact.object), Sql::identifier(&fact.subject));
        match (grant, fact.what.as_str()) {
            (true, _) => raw!("GRANT {group} TO {member}", group, member),
            (false, "ADMIN") => raw!("REVOKE ADMIN OPTION FOR {group} FROM {member}", group, member),
            (false, _) => raw!("REVOKE {group} FROM {member}", group, member),
        }
    }

    fn setting(&self, fact: &Fact, set: bool) -> Sql {
        let (role, database) = (Sql::identifier(&fact.subject), Sql::identifier(&self.place.database));
        if set {
            let to = Sql::identifier(&fact.what);
            return raw!("ALTER ROLE {role} IN DATABASE {database} SET role = {to}", role, database, to);
        }
        raw!("ALTER ROLE {role} IN DATABASE {database} RESET role", role, database)
    }

    fn owner(&self, fact: &Fact) -> Sql {
        let (name, owner) = (self.in_schema(&fact.object), Sql::identifier(&fact.subject));
        match fact.kind {
            Kind::TypeOwner => raw!("ALTER TYPE {name} OWNER TO {owner}", name, owner),
            // One that a trigger calls has no arguments.
            Kind::FunctionOwner => raw!("ALTER FUNCTION {name}() OWNER TO {owner}", name, owner),
            _ => raw!("ALTER TABLE {name} OWNER TO {owner}", name, owner),
        }
    }

    /// Grants or revokes rights of one kind, as few statements as may be.
    fn grants(&self, facts: &[Fact], grant: bool) -> Vec<Sql> {
        let mut rights = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
        let mut options = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
        for fact in facts {
            let key = (fact.object.as_str(), fact.subject.as_str());
            match fact.what.strip_suffix(GRANT_OPTION) {
                Some(right) => options.entry(key).or_default().insert(right),
                None => rights.entry(key).or_default().insert(&fact.what),
            };
        }
        let Some(kind) = facts.first().map(|fact| fact.kind) else { return Vec::new() };
        // Whoever got a right from one who may not grant it loses it too, and before the right itself goes.
        let mut statements = self.of_kind(kind, &REVOKE_GRANT_OPTION, options);
        statements.extend(self.of_kind(kind, if grant { &GRANT } else { &REVOKE }, rights));
        statements
    }

    /// One right to one role on several things is one statement.
    fn of_kind(&self, kind: Kind, words: &Words, rights: BTreeMap<(&str, &str), BTreeSet<&str>>) -> Vec<Sql> {
        let mut objects = BTreeMap::<(&str, &str, BTreeSet<&str>), BTreeSet<&str>>::new();
        for ((object, subject), rights) in rights {
            // Columns of one table stand behind the right; tables to come are a creator's.
            let apart = match kind {
                Kind::ColumnGrant => object.split_once('.').map(|(table, _)| table).unwrap_or_default(),
                Kind::DefaultGrant | Kind::DefaultGrantEverywhere => object,
                _ => "",
            };
            objects.entry((subject, apart, rights)).or_default().insert(object);
        }
        let statement = |((subject, apart, rights), objects): ((&str, &str, BTreeSet<&str>), BTreeSet<&str>)| {
            let rights = rights.into_iter().filter_map(privilege).map(Sql::from).collect();
            let role = if subject == "PUBLIC" { Sql::from("PUBLIC") } else { Sql::identifier(subject) };
            self.right(kind, words, rights, apart, &objects, &role)
        };
        objects.into_iter().map(statement).collect()
    }

    fn right(
        &self,
        kind: Kind,
        words: &Words,
        rights: Vec<Sql>,
        apart: &str,
        objects: &BTreeSet<&str>,
        role: &Sql,
    ) -> Sql {
        let place = self.place;
        let (creator, schema) = (Sql::identifier(apart), self.schema());
        match kind {
            Kind::DatabaseGrant => {
                words.statement(rights, &raw!("DATABASE {name}", name = Sql::identifier(&place.database)), role)
            }
            Kind::SchemaGrant => words.statement(rights, &raw!("SCHEMA {schema}", schema), role),
            Kind::DefaultGrant => {
                let what = words.statement(rights, &Sql::from("TABLES"), role);
                raw!("ALTER DEFAULT PRIVILEGES FOR ROLE {creator} IN SCHEMA {schema} {what}", creator, schema, what)
            }
            Kind::DefaultGrantEverywhere => {
                let what = words.statement(rights, &Sql::from("TABLES"), role);
                raw!("ALTER DEFAULT PRIVILEGES FOR ROLE {creator} {what}", creator, what)
            }
            Kind::ColumnGrant => {
                let columns = objects.iter().filter_map(|object| object.split_once('.')).map(|(_, column)| column);
                let columns = &Sql::join(columns.map(Sql::identifier), ", ");
                let rights = rights.into_iter().map(|right| raw!("{right} ({columns})", right, columns));
                words.statement(rights.collect(), &self.in_schema(apart), role)
            }
            _ => words.statement(rights, &Sql::join(objects.iter().map(|table| self.in_schema(table)), ", "), role),
        }
    }

    fn drop_policy(&self, fact: &Fact) -> Sql {
        let (name, table) = (Sql::identifier(&fact.subject), self.in_schema(&fact.object));
        raw!("DROP POLICY {name} ON {table}", name, table)
    }

    fn create_policy(&self, fact: &Fact) -> Sql {
        let (name, table) = (Sql::identifier(&fact.subject), self.in_schema(&fact.object));
        let definition = wanted::policy(self.prefix, &fact.subject);
        raw!("CREATE POLICY {name} ON {table} {definition}", name, table, definition)
    }
}

/// A privilege by the server's word for it.
fn privilege(word: &str) -> Option<&'static str> {
    const PRIVILEGES: [&str; 10] =
        ["CREATE", "DELETE", "INSERT", "MAINTAIN", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE", "USAGE"];
    PRIVILEGES.into_iter().find(|privilege| *privilege == word)
}

/// What gives a role an attribute, or takes it away.
fn attribute(word: &str, has: bool) -> Sql {
    Sql::from(match (word, has) {
        ("LOGIN", true) => "LOGIN",
        ("LOGIN", false) => "NOLOGIN",
        ("SUPERUSER", _) => "NOSUPERUSER",
        ("CREATEDB", _) => "NOCREATEDB",
        ("CREATEROLE", _) => "NOCREATEROLE",
        ("REPLICATION", _) => "NOREPLICATION",
        ("BYPASSRLS", _) => "NOBYPASSRLS",
        _ => "INHERIT",
    })
}
