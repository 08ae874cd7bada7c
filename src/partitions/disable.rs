//! From a partitioned table back to a plain one, beside readers and writers: a second table takes every row, kept equal by
//! a trigger, and takes the place of the first when both are proven equal.

use super::create::{self, analyze};
use super::facts::{Facts, Live};
use super::objects::{self, LIKE, key_word, referenced};
use super::step::{ACCESS_EXCLUSIVE, SHARE_ROW_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, Step};
use crate::catalog::{Constraint, HotTable, Partition, Rule, contract, with_suffix};
use crate::error::Result;
use crate::raw::{Sql, raw};

/// What its name, and those of its indexes until the exchange, end in.
const WHOLE: &str = "_whole";
/// How many rows are copied in one transaction.
const BATCH: u32 = 20_000;

/// The steps that are left to do.
pub(super) fn steps(conn: &mut diesel::PgConnection, hot: &'static HotTable, live: &Live) -> Result<Vec<Step>> {
    if !live.is_partitioned(hot)? {
        return Ok(Vec::new());
    }
    let facts = Facts::read(conn, hot)?;
    let table = Partitioned { hot, live, facts: &facts, whole: whole(hot) };
    objects::refuse_obstacles(hot, live, &facts)?;
    let mut steps = Vec::new();
    if !table.is_begun() {
        steps.push(table.begin());
    }
    steps.extend(table.copies());
    steps.extend(table.build());
    steps.push(table.prove());
    steps.push(table.exchange());
    steps.push(analyze(hot));
    Ok(steps)
}

/// What removes the second table of a run that is not to be finished; `None` where there is none.
pub(super) fn abandon(hot: &'static HotTable, live: &Live) -> Option<Step> {
    live.catalog.table(&whole(hot))?;
    let (table, name, mirror) = (hot.name, Sql::identifier(&whole(hot)), mirror(hot));
    let statements = vec![
        raw!("DROP TRIGGER IF EXISTS {mirror} ON {table}", mirror = &mirror, table),
        raw!("DROP TRIGGER IF EXISTS {name} ON {table}", name = mirror_truncate(hot), table),
        raw!("DROP TABLE {name}", name),
        raw!("DROP FUNCTION IF EXISTS {mirror}()", mirror),
    ];
    let step = Step::transaction("remove the second table of an interrupted run", &statements);
    Some(step.locking(&whole(hot), ACCESS_EXCLUSIVE).locking(hot.name, ACCESS_EXCLUSIVE))
}

fn whole(hot: &HotTable) -> String {
    format!("{}{WHOLE}", hot.name)
}

/// The trigger that keeps the second table equal, and its function.
fn mirror(hot: &HotTable) -> Sql {
    Sql::identifier(&format!("{}_mirror", hot.name))
}

fn mirror_truncate(hot: &HotTable) -> Sql {
    Sql::identifier(&format!("{}_mirror_truncate", hot.name))
}

/// The columns of a key as the plain table has it.
fn plain_key(key: &Constraint) -> Option<&[String]> {
    let of_contract = contract().constraints().find(|it| it.table == key.table && it.name == key.name);
    of_contract.unwrap_or(key).key_columns()
}

/// A partitioned table and the second one.
struct Partitioned<'a> {
    hot: &'static HotTable,
    live: &'a Live,
    facts: &'a Facts,
    whole: String,
}

impl Partitioned<'_> {
    fn whole(&self) -> Sql {
        Sql::identifier(&self.whole)
    }

    /// The key of the second table while rows are copied: ids may be there twice.
    fn whole_key(&self) -> Sql {
        Sql::identifier(&format!("{}_key", self.whole))
    }

    fn key(&self) -> Sql {
        raw!("id, {time}", time = self.hot.time_in_sql())
    }

    fn columns(&self) -> Vec<Sql> {
        let columns = self.live.catalog.columns_of(self.hot.name).filter(|column| column.generated.is_none());
        columns.map(|column| Sql::identifier(&column.name)).collect()
    }

    fn is_begun(&self) -> bool {
        self.live.catalog.table(&self.whole).is_some()
    }

    /// Makes the second table, and the trigger that writes to it what is written to the first. It writes with the rights of
    /// the owner: nobody else has any on the second table.
    fn begin(&self) -> Step {
        let (table, whole, mirror, time) = (self.hot.name, self.whole(), mirror(self.hot), self.hot.time_in_sql());
        let columns = self.columns();
        let excluded = columns.iter().map(|column| raw!("excluded.{column}", column));
        let new = columns.iter().map(|column| raw!("NEW.{column}", column));
        let body = raw!(
            "BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE object_in_use USING MESSAGE = 'the table cannot be emptied while it becomes a plain one';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM {whole} WHERE id = OLD.id AND {time} = OLD.{time};
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {whole} ({columns}) VALUES ({new})
        ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded});
    END IF;
    RETURN NULL;
END",
            whole = &whole,
            time,
            columns = Sql::join(columns.iter().cloned(), ", "),
            new = Sql::join(new, ", "),
            key = self.key(),
            excluded = Sql::join(excluded, ", ")
        );
        let mut statements = vec![
            raw!(
                "CREATE TABLE {whole} (LIKE {table} {LIKE}){settings}{tablespace}",
                whole = &whole,
                table,
                LIKE,
                settings = create::settings(self.live, self.hot),
                tablespace = self.facts.tablespace()
            ),
            self.facts.give(&whole),
            raw!(
                "ALTER TABLE {whole} ADD CONSTRAINT {name} PRIMARY KEY ({key})",
                whole = &whole,
                name = self.whole_key(),
                key = self.key()
            ),
            raw!("COMMENT ON TABLE {whole} IS ''", whole = &whole),
        ];
        statements.extend(create::close(&whole, self.facts));
        statements.extend([
            raw!(
                "CREATE FUNCTION {mirror}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS {body}",
                mirror = &mirror,
                body = Sql::literal(body.as_str())
            ),
            raw!("ALTER FUNCTION {mirror}() OWNER TO {owner}", mirror = &mirror, owner = self.facts.owner()),
            raw!(
                "CREATE TRIGGER {mirror} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {mirror}()",
                mirror = &mirror,
                table
            ),
            raw!(
                "CREATE TRIGGER {name} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {mirror}()",
                name = mirror_truncate(self.hot),
                table,
                mirror
            ),
        ]);
        let step = Step::transaction("make a second table, and write to both from now on", &statements);
        step.locking(table, SHARE_ROW_EXCLUSIVE)
    }

    /// The partitions whose rows an interrupted run has copied. A trigger has kept them equal since.
    fn copied(&self) -> Vec<&str> {
        self.live.catalog.comment(&self.whole, None).map_or(Vec::new(), |comment| comment.split(' ').collect())
    }

    fn copies(&self) -> Vec<Step> {
        let mut copied: Vec<String> = self.copied().into_iter().map(str::to_owned).collect();
        let all = self.live.catalog.partitions(self.hot.name);
        let left: Vec<_> = all.filter(|partition| !copied.contains(&partition.name)).collect();
        let step = |partition: &&Partition| {
            copied.push(partition.name.clone());
            self.copy(partition, &copied.join(" "))
        };
        left.iter().map(step).collect()
    }

    /// Copies the rows of a partition, a batch a transaction. A row that is locked cannot be deleted before its copy is
    /// there for the trigger to delete; one that the trigger has written already is newer.
    fn copy(&self, partition: &Partition, copied: &str) -> Step {
        let (from, whole, time) = (Sql::identifier(&partition.name), self.whole(), self.hot.time_in_sql());
        let columns = Sql::join(self.columns(), ", ");
        let body = raw!(
            "DECLARE
    last record;
    upto record;
BEGIN
    SELECT '00000000-0000-0000-0000-000000000000'::uuid AS id, '-infinity'::timestamptz AS at INTO last;
    LOOP
        SELECT id, at INTO upto FROM (
            SELECT id, {time} AS at FROM {from} WHERE ({key}) >= (last.id, last.at) ORDER BY {key} LIMIT {BATCH}
        ) batch ORDER BY id DESC, at DESC LIMIT 1;
        EXIT WHEN upto.id IS NULL;
        INSERT INTO {whole} ({columns})
        SELECT {columns} FROM {from} WHERE ({key}) BETWEEN (last.id, last.at) AND (upto.id, upto.at) FOR KEY SHARE
        ON CONFLICT DO NOTHING;
        COMMIT;
        EXIT WHEN (upto.id, upto.at) = (last.id, last.at);
        last := upto;
    END LOOP;
END",
            time,
            from = &from,
            key = self.key(),
            BATCH,
            whole = &whole,
            columns
        );
        let statements = [
            raw!("DO {body}", body = Sql::literal(body.as_str())),
            raw!("COMMENT ON TABLE {whole} IS {copied}", whole, copied = Sql::literal(copied)),
        ];
        Step::each_alone(format!("copy the rows of {}", partition.name), &statements)
    }

    /// The keys and indexes of the plain table: name, `UNIQUE ` where it is, columns and condition.
    fn wanted_indexes(&self) -> impl Iterator<Item = (&str, &'static str, Sql)> {
        let catalog = &self.live.catalog;
        let keys = objects::constraints(catalog, self.hot.name).filter_map(|key| {
            let columns = Sql::identifiers(plain_key(key)?);
            Some((key.name.as_str(), "UNIQUE ", raw!("btree ({columns})", columns)))
        });
        let own = objects::indexes(catalog, self.hot.name).map(|index| {
            let unique = if index.unique { "UNIQUE " } else { "" };
            (index.name.as_str(), unique, Sql::of_server(&index.definition))
        });
        keys.chain(own)
    }

    /// Indexes and constraints, beside everybody.
    fn build(&self) -> Vec<Step> {
        let build = |(name, unique, definition): (&str, &'static str, Sql)| {
            let (name, whole) = (with_suffix(name, WHOLE), self.whole());
            let does = format!("build the index {name} of the second table");
            objects::build(&self.live.catalog, &self.whole, &name, does, |index| {
                raw!(
                    "CREATE {unique}INDEX CONCURRENTLY {index} ON {whole} USING {definition}",
                    unique,
                    index,
                    whole,
                    definition
                )
            })
        };
        let mut steps: Vec<_> = self.wanted_indexes().flat_map(build).collect();
        let others = objects::constraints(&self.live.catalog, self.hot.name);
        for constraint in others.filter(|it| matches!(it.rule, Rule::ForeignKey(_) | Rule::Check)) {
            steps.extend(self.constraint(constraint));
        }
        steps
    }

    fn constraint(&self, constraint: &Constraint) -> Vec<Step> {
        let (whole, name) = (self.whole(), Sql::identifier(&constraint.name));
        let found = objects::constraints(&self.live.catalog, &self.whole).find(|it| it.name == constraint.name);
        let mut steps = Vec::new();
        if found.is_none() {
            let definition = constraint.definition.strip_suffix(" NOT VALID").unwrap_or(&constraint.definition);
            let add = raw!(
                "ALTER TABLE {whole} ADD CONSTRAINT {name} {definition} NOT VALID",
                whole = &whole,
                name = &name,
                definition = Sql::of_server(definition)
            );
            let step = Step::transaction(format!("add constraint {} for new rows", constraint.name), &[add]);
            let step = step.locking(&self.whole, SHARE_ROW_EXCLUSIVE);
            steps.push(match constraint.foreign_key() {
                Some(key) => step.locking(&key.references, SHARE_ROW_EXCLUSIVE),
                None => step,
            });
        }
        if constraint.validated && !found.is_some_and(|found| found.validated) {
            let validate = raw!("ALTER TABLE {whole} VALIDATE CONSTRAINT {name}", whole, name);
            let step = Step::alone(format!("see that every row keeps {}", constraint.name), validate);
            steps.push(step.locking(&self.whole, SHARE_UPDATE_EXCLUSIVE));
        }
        steps
    }

    /// Both tables in one snapshot: a writer changes both or none.
    fn prove(&self) -> Step {
        let of = |table: Sql| {
            raw!("(SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t)", table)
        };
        let body = raw!(
            "BEGIN
    IF {first} <> {second} THEN
        RAISE data_corrupted USING MESSAGE = 'the second table does not hold the same rows';
    END IF;
END",
            first = of(self.hot.name.into()),
            second = of(self.whole())
        );
        Step::alone("see that both tables hold the same rows", raw!("DO {body}", body = Sql::literal(body.as_str())))
    }

    fn exchange(&self) -> Step {
        let (table, whole) = (self.hot.name, self.whole());
        let mut statements = objects::lock(&self.live.catalog, self.hot);
        statements.push(raw!("DROP TABLE {table}", table));
        statements.push(raw!("DROP FUNCTION {mirror}()", mirror = mirror(self.hot)));
        statements.push(raw!("ALTER TABLE {whole} DROP CONSTRAINT {key}", whole = &whole, key = self.whole_key()));
        for (name, ..) in self.wanted_indexes() {
            let (built, name) = (Sql::identifier(&with_suffix(name, WHOLE)), Sql::identifier(name));
            statements.push(raw!("ALTER INDEX {built} RENAME TO {name}", built, name));
        }
        for key in objects::constraints(&self.live.catalog, table) {
            let Some(word) = key_word(key) else { continue };
            let name = Sql::identifier(&key.name);
            statements.push(raw!(
                "ALTER TABLE {whole} ADD CONSTRAINT {name} {word} USING INDEX {name}",
                whole = &whole,
                name,
                word
            ));
        }
        statements.push(raw!("ALTER TABLE {whole} DISABLE ROW LEVEL SECURITY", whole = &whole));
        statements.push(raw!("ALTER TABLE {whole} RENAME TO {table}", whole, table));
        statements.extend(objects::dress(self.hot, self.live));
        statements.extend(self.facts.grants());
        statements.extend(self.facts.join_publications(&table.into()));
        Step::transaction("exchange: the second table takes the place of the first, which goes", &statements)
            .locking_each(referenced(&self.live.catalog, self.hot), SHARE_ROW_EXCLUSIVE)
            .locking(&self.whole, ACCESS_EXCLUSIVE)
            .locking(table, ACCESS_EXCLUSIVE)
    }
}
