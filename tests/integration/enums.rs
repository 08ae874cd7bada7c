//! The enums of the library: as text, as JSON and through the server.
//!
//! That they are the types of the server, label for label, stands in `schema_rules`.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};
use optiinfra_db::enums::{self, *};
use optiinfra_db::layer::Layer;
use optiinfra_db::schema::sql_types;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::support::{Family, TestDb, assert_refused_saying};

/// What every enum can do.
trait Label: Copy + Ord + Debug + Display + FromStr<Err = UnknownLabel> + Serialize + DeserializeOwned + 'static {
    const VALUES: &'static [Self];

    fn label(self) -> &'static str;

    /// Sends the value; returns it as the server returns it, and the label that the server knows it by.
    fn through_the_server(self, conn: &mut PgConnection) -> (Self, String);

    /// Whether the server holds this value to come before the other.
    fn comes_before(self, other: Self, conn: &mut PgConnection) -> bool;
}

/// The checks of one enum.
struct Checks {
    labels: fn() -> Vec<&'static str>,
    text: fn(),
    unknown: fn() -> UnknownLabel,
    json: fn(),
    server: fn(&mut PgConnection),
    order: fn(&mut PgConnection),
}

impl Checks {
    const fn of<T: Label>() -> Self {
        Self {
            labels: labels::<T>,
            text: text::<T>,
            unknown: unknown::<T>,
            json: json::<T>,
            server: server::<T>,
            order: order::<T>,
        }
    }
}

/// Says once which SQL type belongs to which enum, in the order of the library's own list.
macro_rules! enums {
    ($($name:ident: $sql_type:ident),+ $(,)?) => {
        $(
            impl Label for $name {
                const VALUES: &'static [Self] = Self::ALL;

                fn label(self) -> &'static str {
                    self.as_str()
                }

                fn through_the_server(self, conn: &mut PgConnection) -> (Self, String) {
                    let label = sql::<Text>("(").bind::<sql_types::$sql_type, _>(self).sql(")::text");
                    let value = diesel::select(self.into_sql::<sql_types::$sql_type>()).get_result(conn);
                    (value.unwrap(), diesel::select(label).get_result(conn).unwrap())
                }

                fn comes_before(self, other: Self, conn: &mut PgConnection) -> bool {
                    let less = sql::<Bool>("").bind::<sql_types::$sql_type, _>(self).sql(" < ");
                    diesel::select(less.bind::<sql_types::$sql_type, _>(other)).get_result(conn).unwrap()
                }
            }
        )+

        const EVERY: &[Checks] = &[$(Checks::of::<$name>()),+];
    };
}

enums! {
    CustomerPlan: Customerplan,
    CustomerStatus: Customerstatus,
    AgentType: Agenttype,
    AgentStatus: Agentstatus,
    EventSeverity: Eventseverity,
    RecommendationPriority: Recommendationpriority,
    RecommendationStatus: Recommendationstatus,
    ApprovalStatus: Approvalstatus,
    OptimizationStatus: Optimizationstatus,
    ConfigType: Configtype,
    AgentStatusDetail: Agentstatusdetail,
    MetricType: Metrictype,
    WorkflowType: WorkflowType,
    WorkflowStatus: WorkflowStatus,
    StepStatus: StepStatus,
    ArtifactType: ArtifactType,
    ResourceType: ResourceType,
    ScalingEventType: ScalingEventType,
    BaselineType: BaselineType,
    RegressionType: RegressionType,
    RegressionSeverity: RegressionSeverity,
    RegressionAction: RegressionAction,
}

fn labels<T: Label>() -> Vec<&'static str> {
    T::VALUES.iter().map(|value| value.label()).collect()
}

fn text<T: Label>() {
    for value in T::VALUES {
        assert_eq!(value.to_string(), value.label());
        assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(value));
        assert_eq!(format!("{value:>25}|{value:<25}|"), format!("{0:>25}|{0:<25}|", value.label()));
    }
}

fn unknown<T: Label>() -> UnknownLabel {
    let label = T::VALUES[0].label();
    for text in ["", &label.to_uppercase(), &format!(" {label}"), &label[1..], &format!("{label}\0")] {
        assert_eq!(text.parse::<T>().unwrap_err().found, text);
        assert!(serde_json::from_value::<T>(text.into()).is_err());
    }
    "no_such_label".parse::<T>().unwrap_err()
}

fn json<T: Label>() {
    for value in T::VALUES {
        let json = serde_json::to_value(value).unwrap();
        assert_eq!(json, value.label());
        assert_eq!(&serde_json::from_value::<T>(json).unwrap(), value);
    }
}

fn server<T: Label>(conn: &mut PgConnection) {
    for value in T::VALUES {
        assert_eq!(value.through_the_server(conn), (*value, value.label().to_owned()));
    }
}

fn order<T: Label>(conn: &mut PgConnection) {
    for pair in T::VALUES.windows(2) {
        assert!(pair[0] < pair[1], "{pair:?}");
        assert!(pair[0].comes_before(pair[1], conn), "{pair:?}");
    }
}

/// The list of this file against the library's.
#[test]
fn every_enum_is_tested_here() {
    let tested: Vec<_> = EVERY.iter().map(|checks| (checks.labels)()).collect();
    let listed: Vec<_> = enums::ALL.iter().map(|listed| listed.labels.to_vec()).collect();
    assert_eq!(tested, listed);
    assert_eq!(listed.len(), 22);
}

#[test]
fn every_label_is_written_and_read_as_text_and_as_json() {
    for checks in EVERY {
        (checks.text)();
        (checks.json)();
    }
}

#[test]
fn a_text_that_is_no_label_is_refused_and_told_which_there_are() {
    for (checks, listed) in EVERY.iter().zip(enums::ALL) {
        let error = (checks.unknown)();
        assert_eq!((error.type_name, error.labels), (listed.name, listed.labels));
        let expected =
            format!("'no_such_label' is not a label of {}: expected one of {}", listed.name, listed.labels.join(", "));
        assert_eq!(error.to_string(), expected);
    }
    let error = serde_json::from_str::<BaselineType>("\"first\"").unwrap_err().to_string();
    assert!(error.starts_with("unknown variant `first`, expected one of `initial`, `updated`, `rollback`"), "{error}");
}

#[test]
fn every_label_goes_through_the_server_and_sorts_there_as_here() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    for checks in EVERY {
        (checks.server)(conn);
        (checks.order)(conn);
    }
}

/// An enum type of the server, its labels in order, and the columns that are of it.
#[derive(QueryableByName)]
struct Type {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Array<Text>)]
    labels: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
}

fn types(conn: &mut PgConnection) -> Vec<Type> {
    diesel::sql_query(
        "SELECT typname::text AS name,
                ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = pg_type.oid ORDER BY enumsortorder)
                    AS labels,
                ARRAY(SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN pg_class ON oid = attrelid
                      WHERE atttypid = pg_type.oid AND relkind IN ('r', 'p') AND NOT relispartition) AS columns
         FROM pg_type WHERE typtype = 'e' AND typnamespace = current_schema()::regnamespace",
    )
    .load(conn)
    .unwrap()
}

#[test]
fn every_enum_is_used_and_only_by_tables_of_its_layer() {
    let db = TestDb::migrated();
    let found = types(&mut db.conn());
    for listed in enums::ALL {
        let columns = &found.iter().find(|found| found.name == listed.name).unwrap().columns;
        assert!(!columns.is_empty(), "{}", listed.name);
        assert!(columns.iter().all(|column| layer_of(column) == listed.layer), "{}: {columns:?}", listed.name);
    }
}

fn layer_of(column: &str) -> Layer {
    let (table, _) = column.split_once('.').unwrap();
    Layer::of_table(table).unwrap()
}

#[test]
fn the_server_takes_every_label_in_every_column_and_refuses_any_other() {
    let db = TestDb::migrated();
    let conn = &mut db.conn();
    Family::new(conn);
    for Type { name, labels, columns } in types(conn) {
        for column in columns {
            let (table, column) = column.split_once('.').unwrap();
            let mut set =
                |label: &str| diesel::sql_query(format!("UPDATE {table} SET {column} = '{label}'")).execute(conn);
            for label in &labels {
                assert_eq!(set(label), Ok(1), "{table}.{column}");
            }
            for wrong in ["no_such_label", "", &labels[0].to_uppercase()] {
                assert_refused_saying(set(wrong), &format!("invalid input value for enum {name}: \"{wrong}\""));
            }
        }
    }
}
