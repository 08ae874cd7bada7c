//! What Prometheus's HTTP API answers to a query: the vector of an instant, or the matrix of a range.

use std::fmt::Write as _;
use std::io;

use super::super::input::{Input, invalid};
use super::super::sample::Sample;
use super::Samples;
use super::document::Document;
use crate::text::shown;

pub struct PrometheusJson<'a> {
    document: Document<'a>,
    place: Place,
    /// The number of the series in `data.result`.
    series: usize,
    /// The number of the sample in its series' `values`.
    value: usize,
    has_metric: bool,
}

/// Where in the document the reader is.
#[derive(Clone, Copy)]
enum Place {
    Outside,
    /// In `data.result`.
    Result,
    /// In a series of it.
    Series,
    /// In the `values` of a series.
    Values,
}

impl<'a> PrometheusJson<'a> {
    pub fn new(input: Input<'a>) -> Self {
        let (document, place) = (Document::new(input), Place::Outside);
        Self { document, place, series: 0, value: 0, has_metric: false }
    }

    /// Goes into the `data.result` of the next document; false where there is none.
    fn find_result(&mut self) -> io::Result<bool> {
        let document = &mut self.document;
        if !document.next()? {
            return Ok(false);
        }
        document.begin_object()?;
        let mut error = None;
        while document.has_next()? {
            match document.name()?.as_str() {
                "data" => {
                    document.begin_object()?;
                    while document.has_next()? {
                        match document.name()?.as_str() {
                            "result" => {
                                document.begin_array()?;
                                (self.place, self.series) = (Place::Result, 0);
                                return Ok(true);
                            }
                            "resultType" => match document.text()?.as_str() {
                                "matrix" | "vector" => {}
                                other => return Err(document.wrong(&format!("a {other} has no series"))),
                            },
                            _ => document.skip()?,
                        }
                    }
                    document.end_object()?;
                }
                "error" => error = Some(document.text()?),
                _ => document.skip()?,
            }
        }
        Err(invalid(error.map_or("it has no data.result, which an answer to a query has".to_owned(), |error| {
            format!("it is an error of Prometheus: {}", shown(&error))
        })))
    }

    /// Reads a member of a series, up to the next sample.
    fn member(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>> {
        match self.document.name()?.as_str() {
            "metric" => {
                let mut labels = self.document.texts()?;
                let metric = labels.remove("__name__").unwrap_or_default();
                sample.begin_series(metric, labels);
                self.has_metric = true;
            }
            "value" => return self.pair("value", sample).map(|()| Some(Ok(()))),
            "values" => {
                self.document.begin_array()?;
                (self.place, self.value) = (Place::Values, 0);
            }
            name @ ("histogram" | "histograms") => {
                self.locate(name, sample);
                self.document.skip()?;
                return Ok(Some(Err("is of a native histogram, which is no single value".to_owned())));
            }
            _ => self.document.skip()?,
        }
        Ok(None)
    }

    /// Reads a time and a value.
    fn pair(&mut self, member: &str, sample: &mut Sample) -> io::Result<()> {
        if !self.has_metric {
            return Err(self.document.wrong("values come before their metric"));
        }
        self.locate(member, sample);
        self.document.begin_array()?;
        sample.time = Some(self.document.number()?);
        sample.value = self.document.text()?;
        self.document.end_array()?;
        sample.write_raw();
        Ok(())
    }

    fn locate(&self, member: &str, sample: &mut Sample) {
        self.document.renew();
        sample.line = self.document.line();
        sample.path.clear();
        // Nothing can go wrong with a String.
        let _ = write!(sample.path, "data.result[{}].{member}", self.series);
    }
}

impl Samples for PrometheusJson<'_> {
    fn next(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>> {
        loop {
            let place = self.place;
            match place {
                Place::Outside if !self.find_result()? => return Ok(None),
                Place::Outside => {}
                Place::Result if self.document.has_next()? => {
                    self.document.renew();
                    self.document.begin_object()?;
                    (self.place, self.has_metric) = (Place::Series, false);
                }
                Place::Result => {
                    self.document.end_array()?;
                    self.document.end_rest_of_object()?;
                    self.document.end_rest_of_object()?;
                    self.place = Place::Outside;
                }
                Place::Series if self.document.has_next()? => {
                    if let Some(read) = self.member(sample)? {
                        return Ok(Some(read));
                    }
                }
                Place::Series => {
                    self.document.end_object()?;
                    (self.place, self.series) = (Place::Result, self.series + 1);
                }
                Place::Values if self.document.has_next()? => {
                    let member = format!("values[{}]", self.value);
                    self.value += 1;
                    return self.pair(&member, sample).map(|()| Some(Ok(())));
                }
                Place::Values => {
                    self.document.end_array()?;
                    self.place = Place::Series;
                }
            }
        }
    }
}
