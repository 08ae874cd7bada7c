//! Ids that must not be mixed up: a customer's and an agent's are both uuids, and to take one for the other would ask
//! for somebody else's rows. The models keep plain uuids, as the tables do; functions that take an id take these, and
//! whoever makes one says what it is of:
//!
//! ```
//! # use optiinfra_db::{id::CustomerId, models::Customer};
//! # fn f(customer: &Customer) {
//! let id = CustomerId::from(customer);
//! let same = CustomerId::new(customer.id);
//! # }
//! ```
//!
//! Nothing becomes one by `into()`:
//!
//! ```compile_fail,E0277
//! # use optiinfra_db::{id::CustomerId, models::Agent};
//! # fn f(agent: &Agent) {
//! let id: CustomerId = agent.id.into();
//! # }
//! ```

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Uuid as SqlUuid;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The time in an id of version 7, to the millisecond, which is that of the sample where this library made the id; `None`
/// for an id of another version.
pub fn time_in(id: Uuid) -> Option<DateTime<Utc>> {
    let is_timed = id.get_version() == Some(uuid::Version::SortRand);
    is_timed.then(|| i64::try_from(id.as_u128() >> 80).ok().and_then(DateTime::from_timestamp_millis)).flatten()
}

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, AsExpression, FromSqlRow,
        )]
        #[serde(transparent)]
        #[diesel(sql_type = SqlUuid)]
        pub struct $name(Uuid);

        impl $name {
            /// The id that a row has.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl ToSql<SqlUuid, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                ToSql::<SqlUuid, Pg>::to_sql(&self.0, out)
            }
        }

        impl FromSql<SqlUuid, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <Uuid as FromSql<SqlUuid, Pg>>::from_sql(value).map(Self)
            }
        }
    )+};
}

ids! {
    /// The id of a row of `customers`.
    CustomerId;
    /// The id of a row of `agents`.
    AgentId;
}
