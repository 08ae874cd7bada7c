//! The numbers that a fleet follows from, and what follows from them without a simulation: its times, its customers and
//! their ids.

use std::num::NonZeroU16;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::Error;
use crate::enums::{CustomerPlan, CustomerStatus};
use crate::models::NewCustomer;
use crate::seed::{self, ids};

/// How many instances all customers of a fleet may have: the simulation remembers something of each.
const MOST_INSTANCES: u64 = 10_000_000;

/// The numbers that a fleet follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Which fleet it is: two with different seeds share no row and live side by side.
    pub rng_seed: u64,
    /// How many customers it has.
    pub customers: u16,
    /// How many instances each customer has, of which not all are in service at a time.
    pub instances: u16,
    /// How many hours it goes back from its last sample.
    pub hours: u16,
    /// Seconds from one sample of an instance to the next.
    pub interval_seconds: NonZeroU16,
    /// The time of the last sample, UTC, to the second.
    pub at: DateTime<Utc>,
}

/// One customer of a fleet.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: Uuid,
    /// Counted from 0.
    pub(super) number: u16,
    /// What its names and keys begin with.
    pub(super) word: String,
}

impl Member {
    /// The customer of this number in the fleet of this seed, whatever the fleet's size.
    pub(super) fn new(rng_seed: u64, number: u16) -> Self {
        let word = format!("fleet-{rng_seed:x}-{number:04}");
        Self { id: ids::of("customers", &word), number, word }
    }

    pub(super) fn name(&self, rng_seed: u64) -> String {
        format!("Fleet {rng_seed} customer {:04}", self.number)
    }

    pub(super) fn email(&self) -> String {
        format!("ops@{}.example", self.word)
    }
}

impl Fleet {
    /// Refuses numbers that make no sample, or more than can be simulated.
    pub(super) fn check(&self) -> Result<(), Error> {
        let instances = u64::from(self.customers) * u64::from(self.instances);
        match self {
            Self { customers: 0, .. } => Err(Error::Empty("it has no customers")),
            Self { instances: 0, .. } => Err(Error::Empty("its customers have no instances")),
            _ if self.ticks() == 0 => Err(Error::Empty("its hours are shorter than its interval")),
            _ if instances > MOST_INSTANCES => Err(Error::TooLarge { instances, most: MOST_INSTANCES }),
            _ => Ok(()),
        }
    }

    pub(super) fn interval(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.interval_seconds.get()))
    }

    /// The time of its first sample.
    pub(super) fn begin(&self) -> DateTime<Utc> {
        seed::ago(self.at, self.interval() * self.ticks().saturating_sub(1).cast_signed())
    }

    /// How many times each instance is sampled.
    pub(super) fn ticks(&self) -> u32 {
        u32::from(self.hours) * 3600 / u32::from(self.interval_seconds.get())
    }

    /// The time of a tick; `None` after the last one.
    pub(super) fn time(&self, tick: u32) -> Option<DateTime<Utc>> {
        (tick < self.ticks()).then(|| self.begin() + self.interval() * tick.cast_signed())
    }

    /// Which share of all rows is made when a table has come so far; the tables come in this order.
    pub(super) fn share(&self, table: &str, ticks: u32) -> f64 {
        // An answer for every other tick of a model, two in three instances in service, and three series each.
        let (customers, instances) = (f64::from(self.customers), f64::from(self.instances));
        let sizes = [
            ("resource_metrics", customers * instances * 2.0),
            ("quality_metrics", customers * 1.5),
            ("agent_metrics", 3.0),
        ];
        let done = f64::from(ticks.min(self.ticks())) / f64::from(self.ticks().max(1));
        let before: f64 = sizes.iter().take_while(|(name, _)| *name != table).map(|(_, size)| size).sum();
        let this: f64 = sizes.iter().filter(|(name, _)| *name == table).map(|(_, size)| size).sum();
        (before + this * done) / sizes.iter().map(|(_, size)| size).sum::<f64>()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Member> {
        (0..self.customers).map(|number| Member::new(self.rng_seed, number))
    }

    pub(super) fn rows_of_customers(&self) -> Vec<NewCustomer> {
        let plans = CustomerPlan::ALL;
        let customer = |member: Member| {
            NewCustomer::builder()
                .id(member.id)
                .name(member.name(self.rng_seed))
                .email(member.email())
                .api_key(format!("{}_test_key", member.word))
                .plan(plans[usize::from(member.number) % plans.len()])
                .status(CustomerStatus::Active)
                .metadata(json!({"fleet": self}))
                .created_at(self.begin())
                .updated_at(self.begin())
                .build()
        };
        self.members().map(customer).collect()
    }
}

/// Goes through a fleet's time, and at each tick through everybody who has rows then.
pub(super) struct Turns<'a> {
    fleet: &'a Fleet,
    /// How many take a turn at each tick.
    of: usize,
    pub(super) tick: u32,
    turn: usize,
}

impl<'a> Turns<'a> {
    pub(super) const fn new(fleet: &'a Fleet, of: usize) -> Self {
        Self { fleet, of, tick: 0, turn: 0 }
    }

    /// Whose turn it is, and when; `None` at the end.
    pub(super) fn next(&mut self) -> Option<(usize, DateTime<Utc>)> {
        if self.turn == self.of {
            self.turn = 0;
            self.tick += 1;
        }
        let time = self.fleet.time(self.tick).filter(|_| self.of > 0)?;
        self.turn += 1;
        Some((self.turn - 1, time))
    }
}
