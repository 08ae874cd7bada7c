//! Formats of other tools: each file is a reader of samples, one at a time, and [`SampleRecords`] makes records of them.

mod cloudwatch;
mod document;
mod nvidia_smi;
mod nvidia_smi_xml;
#[cfg(feature = "parquet")]
mod parquet;
mod prometheus_json;
mod prometheus_text;

use std::collections::BTreeMap;
use std::io;

use chrono::{DateTime, SecondsFormat, Utc};

pub(super) use self::cloudwatch::Cloudwatch;
pub(super) use self::nvidia_smi::NvidiaSmi;
pub(super) use self::nvidia_smi_xml::NvidiaSmiXml;
#[cfg(feature = "parquet")]
pub(super) use self::parquet::ParquetRows;
#[cfg(feature = "parquet")]
pub use self::parquet::is_panic_caught;
pub(super) use self::prometheus_json::PrometheusJson;
pub(super) use self::prometheus_text::PrometheusText;
use super::mapping::Plan;
use super::records::{Fields, Record};
use super::sample::Sample;
use crate::text::shown;

/// So many names of unknown metrics are kept, each up to so many characters.
const UNKNOWN_NAMES: usize = 1000;
const LONGEST_NAME: usize = 200;

/// A file of samples.
pub(super) trait Samples {
    /// Puts the next one into `sample`, or says what is wrong with it; `None` at the end.
    fn next(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>>;
}

/// The samples of a file as records.
pub(super) struct SampleRecords<'a> {
    samples: Box<dyn Samples + 'a>,
    sample: Sample,
    /// The time of samples that have none.
    at: Option<String>,
    /// How many have none.
    undated: u64,
    /// Metrics that have no meaning here, and their samples.
    unknown: BTreeMap<String, u64>,
}

impl<'a> SampleRecords<'a> {
    pub fn new(samples: Box<dyn Samples + 'a>, at: Option<DateTime<Utc>>) -> Self {
        let at = at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true));
        Self { samples, sample: Sample::default(), at, undated: 0, unknown: BTreeMap::new() }
    }

    pub const fn undated(&self) -> u64 {
        self.undated
    }

    pub fn unknown(&self) -> &BTreeMap<String, u64> {
        &self.unknown
    }

    /// The next record; `None` at the end.
    pub fn next_record(&mut self, plan: &Plan) -> io::Result<Option<Record<'_>>> {
        loop {
            let Some(read) = self.samples.next(&mut self.sample)? else { return Ok(None) };
            if let Err(problem) = read {
                return Ok(Some(self.record(Some(problem))));
            }
            self.complete(plan);
            if plan.takes(&self.sample) {
                return Ok(Some(self.record(None)));
            }
            self.count_unknown();
            if !plan.mapping().ignore_unknown {
                let problem = match self.sample.metric.as_str() {
                    "" => "is of no metric, as the result of an expression".to_owned(),
                    metric => format!("the metric {} is not known", shown(metric)),
                };
                return Ok(Some(self.record(Some(problem))));
            }
        }
    }

    /// Adds what the file does not say.
    fn complete(&mut self, plan: &Plan) {
        let sample = &mut self.sample;
        sample.meaning = plan.meaning(&sample.metric);
        if let Some(meaning) = &mut sample.meaning {
            meaning.name.push_str(&sample.statistic);
        }
        if sample.time.is_none() {
            sample.time.clone_from(&self.at);
            self.undated += 1;
        }
    }

    fn count_unknown(&mut self) {
        let metric: String = self.sample.metric.chars().take(LONGEST_NAME).collect();
        if self.unknown.len() < UNKNOWN_NAMES || self.unknown.contains_key(&metric) {
            *self.unknown.entry(metric).or_default() += 1;
        }
    }

    fn record(&self, problem: Option<String>) -> Record<'_> {
        let Sample { line, path, raw, .. } = &self.sample;
        let fields = problem.map_or(Ok(Fields::Sample(&self.sample)), Err);
        Record { line: *line, path, raw, fields }
    }
}
