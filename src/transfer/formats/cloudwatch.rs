//! What CloudWatch answers to `get-metric-data` and `get-metric-statistics`. Neither says what was measured but by labels.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use serde::Deserialize;

use super::super::input::{Input, invalid};
use super::super::metrics;
use super::super::sample::Sample;
use super::Samples;
use super::document::Document;
use crate::text::shown;

pub struct Cloudwatch<'a> {
    document: Document<'a>,
    /// Whether the reader is in `MetricDataResults`.
    is_inside: bool,
    /// The number of the next series there.
    series: usize,
    /// What was read of the current one.
    points: VecDeque<Point>,
    label: String,
    id: String,
}

/// A value, or what is wrong.
struct Point {
    path: String,
    read: Result<(String, String), String>,
    statistic: Option<String>,
    unit: Option<String>,
}

/// A time, as the versions of the tool write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Text(String),
    Number(f64),
}

impl Moment {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(seconds) => seconds.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Series {
    id: String,
    label: String,
    timestamps: Vec<Moment>,
    values: Vec<f64>,
    status_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datapoint {
    timestamp: Moment,
    unit: Option<String>,
    #[serde(default)]
    extended_statistics: BTreeMap<String, f64>,
    average: Option<f64>,
    sum: Option<f64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    sample_count: Option<f64>,
}

impl<'a> Cloudwatch<'a> {
    pub fn new(input: Input<'a>) -> Self {
        let document = Document::new(input);
        let (label, id) = (String::new(), String::new());
        Self { document, is_inside: false, series: 0, points: VecDeque::new(), label, id }
    }

    /// Reads the next document up to its first series; false where there is none.
    fn open(&mut self) -> io::Result<bool> {
        if !self.document.next()? {
            return Ok(false);
        }
        self.document.begin_object()?;
        let mut datapoints = None;
        while self.document.has_next()? {
            match self.document.name()?.as_str() {
                "MetricDataResults" => {
                    self.document.begin_array()?;
                    (self.is_inside, self.series) = (true, 0);
                    return Ok(true);
                }
                "Label" => self.label = self.document.text()?,
                "Datapoints" => datapoints = Some(self.document.value::<Vec<Datapoint>>()?),
                "NextToken" => self.more_pages()?,
                _ => self.document.skip()?,
            }
        }
        self.document.end_object()?;
        let Some(datapoints) = datapoints else {
            return Err(invalid("it has neither MetricDataResults nor Datapoints".to_owned()));
        };
        self.id.clear();
        for (at, datapoint) in datapoints.into_iter().enumerate() {
            self.add_datapoint(at, datapoint);
        }
        Ok(true)
    }

    /// A document that is one page of several lacks the values of the others.
    fn more_pages(&mut self) -> io::Result<()> {
        if self.document.is_null()? {
            return self.document.skip();
        }
        Err(self.document.wrong("it is one page of several, and more follow,"))
    }

    fn add_datapoint(&mut self, at: usize, datapoint: Datapoint) {
        let Datapoint { timestamp, unit, extended_statistics, average, sum, minimum, maximum, sample_count } =
            datapoint;
        let time = timestamp.text();
        let unit = unit.map(|unit| metrics::unit(&unit).to_owned());
        let plain = [
            (None, average),
            (Some("sum"), sum),
            (Some("minimum"), minimum),
            (Some("maximum"), maximum),
            (Some("sample_count"), sample_count),
        ];
        let plain = plain.into_iter().filter_map(|(name, value)| Some((name.map(str::to_owned), value?)));
        let extended = extended_statistics.into_iter().map(|(name, value)| (Some(name), value));
        for (statistic, value) in plain.chain(extended) {
            let is_count = statistic.as_deref() == Some("sample_count");
            self.points.push_back(Point {
                path: format!("Datapoints[{at}]"),
                read: Ok((time.clone(), value.to_string())),
                unit: if is_count { Some("count".to_owned()) } else { unit.clone() },
                statistic,
            });
        }
    }

    fn add_series(&mut self, Series { id, label, timestamps, values, status_code }: Series) {
        let place = format!("MetricDataResults[{}]", self.series);
        (self.label, self.id) = (label, id);
        let mut wrong = |read: String| {
            let (path, read) = (place.clone(), Err(read));
            self.points.push_back(Point { path, read, statistic: None, unit: None });
        };
        if let Some(status) = status_code.filter(|status| status != "Complete") {
            wrong(format!("lacks values: its StatusCode is {}", shown(&status)));
        }
        if timestamps.len() != values.len() {
            return wrong(format!("has {} times and {} values", timestamps.len(), values.len()));
        }
        self.points.extend(timestamps.into_iter().zip(values).enumerate().map(|(at, (time, value))| Point {
            path: format!("{place}.Values[{at}]"),
            read: Ok((time.text(), value.to_string())),
            statistic: None,
            unit: None,
        }));
    }

    /// The metric that the label says, and the labels of its samples.
    fn describe(&self, statistic: Option<&str>) -> (String, BTreeMap<String, String>) {
        let words = || self.label.split_whitespace();
        let metric = words().find(|word| metrics::is_known(word)).unwrap_or(&self.label);
        let instance = words().find(|word| {
            let number = word.strip_prefix("i-").unwrap_or_default();
            number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        let labels = [
            ("label", Some(self.label.as_str())),
            ("id", Some(self.id.as_str())),
            ("InstanceId", instance),
            ("statistic", statistic),
        ];
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        (metric.to_owned(), labels.filter(|(_, value)| !value.is_empty()).collect())
    }
}

impl Samples for Cloudwatch<'_> {
    fn next(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>> {
        loop {
            self.document.renew();
            if let Some(Point { path, read, statistic, unit }) = self.points.pop_front() {
                sample.line = self.document.line();
                sample.path = path;
                let (metric, labels) = self.describe(statistic.as_deref());
                sample.begin_series(metric, labels);
                sample.statistic = statistic.map(|statistic| format!("_{statistic}")).unwrap_or_default();
                sample.unit = unit;
                let read = read.map(|(time, value)| (sample.time, sample.value) = (Some(time), value));
                sample.write_raw();
                return Ok(Some(read));
            }
            if !self.is_inside {
                if !self.open()? {
                    return Ok(None);
                }
            } else if self.document.has_next()? {
                let series = self.document.value()?;
                self.add_series(series);
                self.series += 1;
            } else {
                self.is_inside = false;
                self.document.end_array()?;
                while self.document.has_next()? {
                    match self.document.name()?.as_str() {
                        "NextToken" => self.more_pages()?,
                        _ => self.document.skip()?,
                    }
                }
                self.document.end_object()?;
            }
        }
    }
}
