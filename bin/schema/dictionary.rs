//! The tables with what is said of them, layer by layer.

use std::iter::once;

use optiinfra_db::catalog::{self, Catalog, OnDelete};
use optiinfra_db::layer::Layer;
use serde::Serialize;

/// The whole schema.
#[derive(Serialize)]
pub struct Dictionary {
    pub layers: Vec<OfLayer>,
    pub enums: Vec<Enum>,
}

#[derive(Serialize)]
pub struct OfLayer {
    pub layer: Layer,
    pub tables: Vec<Table>,
}

#[derive(Serialize)]
pub struct Table {
    pub name: &'static str,
    pub comment: String,
    /// Whether a session sees the rows of one customer only.
    pub row_security: bool,
    pub columns: Vec<Column>,
    /// UNIQUE and CHECK constraints, as PostgreSQL writes them.
    pub constraints: Vec<String>,
    pub indexes: Vec<Index>,
}

#[derive(Serialize)]
pub struct Column {
    pub name: String,
    pub data_type: String,
    pub is_enum: bool,
    pub nullable: bool,
    pub default: Option<String>,
    pub is_key: bool,
    pub is_unique: bool,
    pub references: Option<Reference>,
    pub comment: String,
}

#[derive(Serialize)]
pub struct Reference {
    pub table: String,
    pub column: String,
    pub on_delete: OnDelete,
}

#[derive(Serialize)]
pub struct Index {
    pub name: String,
    pub definition: String,
}

#[derive(Serialize)]
pub struct Enum {
    pub name: String,
    pub labels: Vec<String>,
}

impl Dictionary {
    /// That of the schema which this binary migrates to.
    pub fn of_contract() -> Self {
        let contract = catalog::contract();
        let of_layer = |layer: Layer| {
            let tables = layer.tables().iter().map(|table| Table::of(contract, table)).collect();
            OfLayer { layer, tables }
        };
        let enums = contract.enums().map(|it| Enum { name: it.name.clone(), labels: it.labels.clone() }).collect();
        Self { layers: Layer::ALL.into_iter().map(of_layer).collect(), enums }
    }

    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.layers.iter().flat_map(|layer| &layer.tables)
    }
}

impl OfLayer {
    pub fn diagram(&self) -> askama::Result<String> {
        super::diagram(&self.tables.iter().collect::<Vec<_>>(), true)
    }
}

impl Table {
    fn of(contract: &Catalog, name: &'static str) -> Self {
        let constraints = contract.constraints().filter(|it| it.table == name);
        let is_shown = |definition: &&String| definition.starts_with("UNIQUE") || definition.starts_with("CHECK");
        let of_constraint = |index: &&catalog::Index| !contract.constraints().any(|it| it.name == index.name);
        Self {
            name,
            comment: contract.comment(name, None).unwrap_or_default().to_owned(),
            row_security: contract.table(name).is_some_and(|table| table.row_security),
            columns: contract.columns_of(name).map(|column| Column::of(contract, column)).collect(),
            constraints: constraints.map(|it| &it.definition).filter(is_shown).cloned().collect(),
            indexes: contract.indexes().filter(|it| it.table == name).filter(of_constraint).map(Index::of).collect(),
        }
    }

    /// The references to other tables, each once.
    pub fn references(&self) -> impl Iterator<Item = (&Column, &Reference)> {
        self.columns.iter().filter_map(|column| Some((column, column.references.as_ref()?)))
    }
}

impl Column {
    fn of(contract: &Catalog, column: &catalog::Column) -> Self {
        let keys = |is_wanted: fn(&catalog::Rule) -> bool| {
            contract.constraints().any(|it| {
                it.table == column.table && is_wanted(&it.rule) && it.key_columns() == Some(&[column.name.clone()][..])
            })
        };
        let reference = contract.reference(&column.table, &column.name);
        Self {
            name: column.name.clone(),
            data_type: column.data_type.to_string(),
            is_enum: contract.enum_of(column).is_some(),
            nullable: !column.not_null,
            default: column.default().map(str::to_owned),
            is_key: keys(|rule| matches!(rule, catalog::Rule::PrimaryKey(_))),
            is_unique: keys(|rule| matches!(rule, catalog::Rule::Unique(_))),
            references: reference.map(|key| Reference {
                table: key.references.clone(),
                column: key.referenced_columns.concat(),
                on_delete: key.on_delete,
            }),
            comment: contract.comment(&column.table, Some(&column.name)).unwrap_or_default().to_owned(),
        }
    }

    /// The type as one word, which Mermaid needs.
    pub fn word(&self) -> String {
        let plain = self.data_type.split('(').next().unwrap_or_default();
        match plain {
            "character varying" => "varchar".to_owned(),
            "timestamp with time zone" => "timestamptz".to_owned(),
            "double precision" => "float8".to_owned(),
            other => other.replace(' ', "_"),
        }
    }

    /// What Mermaid calls its keys.
    pub fn keys(&self) -> String {
        let marks = [(self.is_key, "PK"), (self.references.is_some(), "FK"), (self.is_unique, "UK")];
        marks.into_iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| mark).collect::<Vec<_>>().join(", ")
    }

    /// Everything but the type and the comment, in words.
    pub fn rules(&self) -> String {
        let null = if self.nullable { "nullable" } else { "" };
        let default = self.default.as_ref().map(|default| format!("default `{default}`")).unwrap_or_default();
        let key = if self.is_key { "primary key" } else { "" };
        let unique = if self.is_unique { "unique" } else { "" };
        let words = [key, unique, null].into_iter().map(str::to_owned).chain(once(default));
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

impl Index {
    fn of(index: &catalog::Index) -> Self {
        Self { name: index.name.clone(), definition: index.definition.clone() }
    }
}
