//! A made-up fleet of any size, to fill a database with what real customers would: instances with their load by day
//! and week, the scaling that follows from it, answers of models that get worse for a while, and the agents' own
//! samples.
//!
//! A fleet is a pure function of its [`Fleet`]: the same numbers give the same rows, ids and times included, on every
//! machine. Its customers carry these numbers in their metadata, so a run that was cut short can be taken up again,
//! and a removal takes away exactly the rows that were made. `resources`, `answers` and `agents` are the simulation and
//! know of no database; `write`, `remove` and `find` do. No row that the fleet did not make is ever touched.

mod agents;
mod answers;
mod error;
mod find;
mod load;
mod numbers;
mod remove;
mod resources;
mod write;

pub use self::error::Error;
pub use self::find::{RealCustomers, find, real_customers, seeds};
pub use self::numbers::Fleet;
pub use self::remove::{plan, plan_removal, remove};
pub use self::write::{Progress, Writing, run};
use crate::layer::{self, Layer};
use crate::seed::{Report, TableReport};

fn counts(table: &'static str, inserted: usize, unchanged: usize, removed: usize) -> TableReport {
    let layer = Layer::of_table(table).unwrap_or(Layer::Core);
    let [inserted, unchanged, removed] = [inserted, unchanged, removed].map(|count| count as u64);
    TableReport { layer, table, inserted, unchanged, removed }
}

/// A line for each table, in the order of the layers.
fn report(fleet: &Fleet, parts: &[TableReport]) -> Report {
    let mut tables: Vec<TableReport> = layer::tables().map(|(_, table)| counts(table, 0, 0, 0)).collect();
    for part in parts {
        for sum in tables.iter_mut().filter(|sum| sum.table == part.table) {
            sum.inserted += part.inserted;
            sum.unchanged += part.unchanged;
            sum.removed += part.removed;
        }
    }
    tables.retain(|sum| parts.iter().any(|part| part.table == sum.table));
    Report { at: fleet.at, tables }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::iter;
    use std::num::NonZeroU16;

    use super::answers::Answers;
    use super::remove::each_chunk;
    use super::resources::Resources;
    use super::*;
    use crate::enums::{RegressionType, ScalingEventType};

    fn fleet(rng_seed: u64) -> Fleet {
        let at = "2025-10-24T12:00:00Z".parse().unwrap();
        let interval_seconds = NonZeroU16::new(300).unwrap();
        Fleet { rng_seed, customers: 4, instances: 12, hours: 72, interval_seconds, at }
    }

    fn text_of(fleet: &Fleet) -> Vec<String> {
        let mut rows = Vec::new();
        each_chunk(fleet, |chunk| {
            rows.push(format!("{chunk:?}"));
            Ok(counts(chunk.table(), 0, 0, 0))
        })
        .unwrap();
        rows
    }

    fn resources(fleet: &Fleet) -> (Vec<crate::models::NewResourceMetric>, Vec<crate::models::NewScalingEvent>) {
        let mut resources = Resources::new(fleet);
        let samples = iter::from_fn(|| resources.advance()).flatten().collect();
        (samples, resources.decisions)
    }

    fn answers(fleet: &Fleet) -> (Vec<crate::models::NewQualityMetric>, Vec<crate::models::NewQualityRegression>) {
        let mut answers = Answers::new(fleet);
        let judged = iter::from_fn(|| answers.advance()).flatten().collect();
        (judged, answers.regressions)
    }

    #[test]
    fn the_same_numbers_give_the_same_rows_and_another_seed_others() {
        assert_eq!(text_of(&fleet(1)), text_of(&fleet(1)));
        let ids = |fleet: &Fleet| {
            let mut ids = Vec::new();
            each_chunk(fleet, |chunk| {
                ids.extend(chunk.ids());
                Ok(counts(chunk.table(), 0, 0, 0))
            })
            .unwrap();
            ids
        };
        let (one, two) = (ids(&fleet(1)), ids(&fleet(2)));
        let distinct: HashSet<_> = one.iter().chain(&two).collect();
        assert_eq!(distinct.len(), one.len() + two.len());
    }

    #[test]
    fn the_times_end_at_the_anchor_an_interval_apart() {
        let fleet = fleet(1);
        assert_eq!(fleet.ticks(), 72 * 12);
        assert_eq!((fleet.time(fleet.ticks() - 1), fleet.time(fleet.ticks())), (Some(fleet.at), None));
        let (samples, _) = resources(&fleet);
        assert!(samples.is_sorted_by_key(|sample| sample.timestamp));
        assert_eq!((samples[0].timestamp, samples[samples.len() - 1].timestamp), (fleet.begin(), fleet.at));
    }

    #[test]
    fn busy_hours_saturate_and_lead_to_scaling() {
        let (samples, decisions) = resources(&fleet(1));
        let used = |from: f64, to: f64| {
            let percents = samples.iter().filter(|sample| sample.metric_name == "utilization");
            percents.filter(|sample| (from..=to).contains(&sample.metric_value)).count()
        };
        assert!(used(0.0, 6.0) > 500 && used(20.0, 60.0) > 3000 && used(85.0, 100.0) > 300);
        assert_eq!(used(0.0, 100.0), used(f64::MIN, f64::MAX));
        assert!(decisions.iter().any(|decision| decision.trigger_reason.contains("idle")));
        assert!(decisions.iter().all(|decision| decision.completed_at >= Some(decision.executed_at)));
    }

    #[test]
    fn every_kind_of_decision_is_taken_by_some_fleet() {
        let decisions: Vec<_> = (1..=4).flat_map(|seed| resources(&fleet(seed)).1).collect();
        let kinds: HashSet<_> = decisions.iter().map(|decision| decision.event_type.as_str()).collect();
        assert!(ScalingEventType::ALL.iter().all(|kind| kinds.contains(kind.as_str())), "{kinds:?}");
        assert!(decisions.iter().any(|decision| decision.success == Some(false)));
    }

    #[test]
    fn a_scaling_event_shows_in_the_samples() {
        let fleet = fleet(1);
        let (samples, decisions) = resources(&fleet);
        let up = decisions.iter().find(|decision| decision.event_type == ScalingEventType::ScaleUp).unwrap();
        let instances_at = |time| {
            let of_customer = samples.iter().filter(|sample| sample.customer_id == up.customer_id);
            let then = of_customer.filter(|sample| sample.timestamp == time);
            then.map(|sample| sample.instance_id.as_str()).collect::<HashSet<_>>().len()
        };
        let count = |state: &serde_json::Value| usize::try_from(state["instance_count"].as_u64().unwrap()).unwrap();
        assert_eq!(instances_at(up.executed_at), count(&up.before_state));
        assert_eq!(instances_at(up.executed_at + fleet.interval()), count(&up.after_state));
    }

    #[test]
    fn regressions_are_measured_on_the_answers() {
        let (mut aspects, mut open, mut resolved) = (HashSet::new(), 0, 0);
        for seed in 0..8 {
            let (_, regressions) = answers(&fleet(seed));
            for regression in regressions {
                aspects.insert(regression.regression_type.as_str());
                assert!(regression.resolved_at.is_none_or(|end| end >= regression.detected_at));
                if regression.resolved_at.is_some() { resolved += 1 } else { open += 1 }
            }
        }
        assert!(RegressionType::ALL.iter().all(|aspect| aspects.contains(aspect.as_str())), "{aspects:?}");
        assert!(open > 0 && resolved > open, "{open} open, {resolved} resolved");
    }

    #[test]
    fn the_numbers_come_back_from_the_metadata() {
        let fleet = fleet(u64::MAX);
        let facts = fleet.rows_of_customers()[0].metadata.clone().unwrap();
        assert_eq!(serde_json::from_value::<Fleet>(facts["fleet"].clone()).unwrap(), fleet);
    }

    #[test]
    fn no_numbers_overflow() {
        let (one, most) = (NonZeroU16::MIN, NonZeroU16::MAX);
        let ends = [chrono::DateTime::<chrono::Utc>::MIN_UTC, fleet(1).at, chrono::DateTime::<chrono::Utc>::MAX_UTC];
        for at in ends {
            for (hours, customers, instances) in [(0, 1, 1), (1, 1, 1), (19, 2, 300), (u16::MAX, 1, 1)] {
                let fleet = Fleet { rng_seed: u64::MAX, customers, instances, hours, interval_seconds: most, at };
                let rows = |chunk: &dyn crate::seed::Rows| Ok(counts(chunk.table(), chunk.len(), 0, 0));
                let inserted: u64 = each_chunk(&fleet, rows).unwrap().iter().map(|table| table.inserted).sum();
                assert_eq!(inserted > 0, fleet.check().is_ok(), "{fleet:?}");
            }
            let longest = Fleet { hours: u16::MAX, interval_seconds: one, at, ..fleet(1) };
            assert!(longest.time(longest.ticks() - 1).is_some() && longest.time(longest.ticks()).is_none());
            let most = Fleet { customers: u16::MAX, instances: u16::MAX, hours: u16::MAX, at, ..fleet(1) };
            assert!(matches!(most.check(), Err(Error::TooLarge { instances: 4_294_836_225, .. })));
            assert!(most.share("agent_metrics", u32::MAX) <= 1.0);
        }
    }
}
