//! Which fleets there are, and which customers nobody made up. A customer is known by its id, never by likeness: its
//! name, address or metadata only say which id to compare with.

use std::collections::BTreeSet;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::numbers::Member;
use super::{Error, Fleet};
use crate::error::{Doing, Result};
use crate::layer::Layer;
use crate::schema::customers;
use crate::{seed, tenant};

/// Customers that neither a seed nor a fleet made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RealCustomers {
    /// How many there are.
    pub count: u64,
    /// Names of the oldest, at most three.
    pub names: Vec<String>,
}

/// What a row of `customers` says about the fleet that it belongs to.
#[derive(Queryable, Selectable)]
#[diesel(table_name = customers)]
struct Candidate {
    id: Uuid,
    name: String,
    email: String,
    metadata: Option<Value>,
}

impl Candidate {
    /// The numbers in its metadata.
    fn numbers(&self) -> Option<Fleet> {
        Fleet::deserialize(self.metadata.as_ref()?.get("fleet")?).ok()
    }

    /// The seed of the fleet that it belongs to, if its id is the one that a fleet gives it.
    fn fleet(&self) -> Option<u64> {
        let is_own = |rng_seed, number| self.id == Member::new(rng_seed, number).id;
        let said = [self.key_in_email(), self.key_in_name()].into_iter().flatten();
        let by_text = said.into_iter().find(|(rng_seed, number)| is_own(*rng_seed, *number));
        by_text.map(|(rng_seed, _)| rng_seed).or_else(|| {
            let fleet = self.numbers()?;
            (0..fleet.customers).find(|number| is_own(fleet.rng_seed, *number)).map(|_| fleet.rng_seed)
        })
    }

    fn key_in_email(&self) -> Option<(u64, u16)> {
        let (rng_seed, number) = self.email.strip_prefix("ops@fleet-")?.strip_suffix(".example")?.split_once('-')?;
        Some((u64::from_str_radix(rng_seed, 16).ok()?, number.parse().ok()?))
    }

    fn key_in_name(&self) -> Option<(u64, u16)> {
        let (rng_seed, number) = self.name.strip_prefix("Fleet ")?.split_once(" customer ")?;
        Some((rng_seed.parse().ok()?, number.parse().ok()?))
    }
}

/// The fleet of this seed, if the database has one: as its customers say it that are left.
///
/// A customer whose name, address and metadata were all changed is not recognized any more.
///
/// # Errors
///
/// [`Error::UnknownNumbers`] when none of its customers says with which numbers it was made, or not all the same;
/// [`Query`](crate::Error::Query) when the query fails, also because row security hides customers.
pub fn find(conn: &mut PgConnection, rng_seed: u64) -> Result<Option<Fleet>> {
    let mut members = candidates(conn)?;
    members.retain(|candidate| candidate.fleet() == Some(rng_seed));
    let mut said: Vec<Fleet> = members.iter().filter_map(Candidate::numbers).collect();
    said.dedup();
    match (&said[..], members.len()) {
        (_, 0) => Ok(None),
        (&[fleet], _) if fleet.rng_seed == rng_seed => Ok(Some(fleet)),
        (_, customers) => Err(Error::UnknownNumbers { rng_seed, customers }.into()),
    }
}

/// The seeds of the fleets that there are.
///
/// # Errors
///
/// Fails when the query does, also because row security hides customers.
pub fn seeds(conn: &mut PgConnection) -> Result<Vec<u64>> {
    let seeds: BTreeSet<u64> = candidates(conn)?.iter().filter_map(Candidate::fleet).collect();
    Ok(seeds.into_iter().collect())
}

/// The customers that neither a seed nor a fleet made, beside whom made-up rows are out of place.
///
/// # Errors
///
/// Fails when a query does, also because row security hides customers.
pub fn real_customers(conn: &mut PgConnection) -> Result<RealCustomers> {
    let of_fleets = candidates(conn)?.into_iter().filter(|candidate| candidate.fleet().is_some());
    let of_seeds = Layer::ALL.into_iter().flat_map(seed::row_ids).filter(|(table, _)| *table == "customers");
    let of_seeds = of_seeds.flat_map(|(_, ids)| ids);
    let owned: Vec<Uuid> = of_seeds.chain(of_fleets.map(|candidate| candidate.id)).collect();
    let real = || customers::table.filter(customers::id.ne_all(&owned));
    let doing = "look for customers";
    let count: i64 = real().count().get_result(conn).doing(doing)?;
    let names = real()
        .order((customers::created_at, customers::id))
        .select(customers::name)
        .limit(3)
        .load(conn)
        .doing(doing)?;
    Ok(RealCustomers { count: count.unsigned_abs(), names })
}

/// The customers that may belong to a fleet, in the order of their names.
fn candidates(conn: &mut PgConnection) -> Result<Vec<Candidate>> {
    conn.transaction(|conn| {
        tenant::refuse_partial_view(conn)?;
        customers::table
            .filter(customers::email.like("ops@fleet-%.example"))
            .or_filter(customers::name.like("Fleet % customer %"))
            .or_filter(customers::metadata.has_key("fleet"))
            .order(customers::name)
            .select(Candidate::as_select())
            .load(conn)
    })
    .doing("look for fleets")
}
