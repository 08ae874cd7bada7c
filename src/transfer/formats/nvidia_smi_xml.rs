//! `nvidia-smi -q -x`: a document for each moment, one behind the other, in which each GPU is an element with all its metrics.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, Read};

use chrono::NaiveDateTime;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::input::{Input, LONGEST, invalid};
use super::super::metrics;
use super::super::sample::Sample;
use super::Samples;
use super::nvidia_smi::is_absent;

/// Elements and the names that `--query-gpu` has for the same metrics.
const METRICS: [(&str, &str); 30] = [
    ("utilization/gpu_util", "utilization.gpu"),
    ("utilization/memory_util", "utilization.memory"),
    ("utilization/encoder_util", "utilization.encoder"),
    ("utilization/decoder_util", "utilization.decoder"),
    ("fb_memory_usage/total", "memory.total"),
    ("fb_memory_usage/used", "memory.used"),
    ("fb_memory_usage/free", "memory.free"),
    ("fb_memory_usage/reserved", "memory.reserved"),
    ("temperature/gpu_temp", "temperature.gpu"),
    ("temperature/memory_temp", "temperature.memory"),
    ("power_readings/power_draw", "power.draw"),
    ("power_readings/power_limit", "power.limit"),
    ("power_readings/enforced_power_limit", "enforced.power.limit"),
    ("power_readings/default_power_limit", "power.default_limit"),
    ("gpu_power_readings/power_draw", "power.draw"),
    ("gpu_power_readings/average_power_draw", "power.draw.average"),
    ("gpu_power_readings/instant_power_draw", "power.draw.instant"),
    ("gpu_power_readings/current_power_limit", "power.limit"),
    ("gpu_power_readings/default_power_limit", "power.default_limit"),
    ("gpu_power_readings/max_power_limit", "power.max_limit"),
    ("gpu_power_readings/min_power_limit", "power.min_limit"),
    ("clocks/graphics_clock", "clocks.gr"),
    ("clocks/sm_clock", "clocks.sm"),
    ("clocks/mem_clock", "clocks.mem"),
    ("clocks/video_clock", "clocks.video"),
    ("max_clocks/graphics_clock", "clocks.max.graphics"),
    ("max_clocks/sm_clock", "clocks.max.sm"),
    ("max_clocks/mem_clock", "clocks.max.memory"),
    ("gpu/fan_speed", "fan.speed"),
    ("encoder_stats/session_count", "encoder.stats.sessionCount"),
];

/// Elements that say which GPU it is.
const LABELS: [(&str, &str); 4] =
    [("gpu/product_name", "name"), ("gpu/uuid", "uuid"), ("gpu/serial", "serial"), ("pci/pci_bus_id", "pci.bus_id")];

/// The root of a document, and the form of its time, which is local.
const ROOT: &str = "nvidia_smi_log";
const TIME: &str = "%a %b %e %H:%M:%S %Y";

pub struct NvidiaSmiXml<'a> {
    xml: Reader<Counted<'a>>,
    buffer: Vec<u8>,
    /// The elements that are open.
    path: Vec<String>,
    /// What the innermost of them holds.
    text: String,
    /// The time of the document; `Err` where it has none.
    time: Result<String, String>,
    /// Whether a document was begun.
    has_begun: bool,
    /// How many GPUs of the document were read before.
    index: usize,
    labels: BTreeMap<String, String>,
    values: VecDeque<Value>,
    /// Whether the GPU of the values was read to its end.
    is_whole: bool,
}

struct Value {
    line: u64,
    metric: &'static str,
    text: String,
}

impl<'a> NvidiaSmiXml<'a> {
    pub fn new(input: Input<'a>) -> Self {
        let xml = Reader::from_reader(Counted { text: input.text, lines: 0, left: LONGEST });
        let time = Err("has no timestamp".to_owned());
        let (labels, values) = (BTreeMap::new(), VecDeque::new());
        let (buffer, path, text) = (Vec::new(), Vec::new(), String::new());
        Self { xml, buffer, path, text, time, has_begun: false, index: 0, labels, values, is_whole: false }
    }

    /// Reads to the end of the next GPU; false where there is none.
    fn read_gpu(&mut self) -> io::Result<bool> {
        self.is_whole = false;
        loop {
            self.xml.get_mut().left = LONGEST;
            self.buffer.clear();
            let line = self.xml.get_ref().lines + 1;
            match self.xml.read_event_into(&mut self.buffer).map_err(|error| not_xml(error, line))? {
                Event::Start(element) => {
                    self.path.push(element.local_name().as_ref().to_owned());
                    self.text.clear();
                    self.begin()?;
                }
                Event::Text(text) => self.text.push_str(&text),
                Event::End(_) => {
                    self.end(line);
                    if self.path.pop().as_deref() == Some("gpu") && self.path.len() == 1 {
                        self.is_whole = true;
                        return Ok(true);
                    }
                    self.text.clear();
                }
                Event::Eof if !self.has_begun => {
                    return Err(invalid("it is no document of nvidia-smi: it holds nothing".to_owned()));
                }
                Event::Eof if self.path.is_empty() => return Ok(false),
                Event::Eof => return Err(invalid(format!("the document ends early, within {}", self.path.join("/")))),
                _ => {}
            }
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [ROOT] => {
                (self.has_begun, self.index) = (true, 0);
                self.time = Err("is in a document without a timestamp".to_owned());
            }
            [ROOT, "gpu"] => {
                self.labels = BTreeMap::from([("index".to_owned(), self.index.to_string())]);
                self.index += 1;
            }
            [ROOT, ..] => {}
            _ => return Err(invalid(format!("it is no document of nvidia-smi: it begins with {}", self.path[0]))),
        }
        Ok(())
    }

    /// Takes what an element holds that ends here.
    fn end(&mut self, line: u64) {
        let text = self.text.trim();
        let [.., parent, name] = &self.path[..] else { return };
        if self.path.len() == 2 && name == "timestamp" {
            let time = NaiveDateTime::parse_from_str(text, TIME);
            self.time = time
                .map(|time| time.to_string())
                .map_err(|_| format!("has the timestamp {}", crate::text::shown(text)));
        }
        let element = format!("{parent}/{name}");
        let named =
            |list: &[(&str, &'static str)]| list.iter().find(|(known, _)| *known == element).map(|(_, name)| *name);
        if text.is_empty() || is_absent(text) {
            return;
        }
        if let Some(label) = named(&LABELS) {
            self.labels.insert(label.to_owned(), text.to_owned());
        } else if let Some(metric) = named(&METRICS) {
            self.values.push_back(Value { line, metric, text: text.to_owned() });
        }
    }
}

impl Samples for NvidiaSmiXml<'_> {
    fn next(&mut self, sample: &mut Sample) -> io::Result<Option<Result<(), String>>> {
        sample.needs_line = true;
        while self.values.is_empty() || !self.is_whole {
            if !self.read_gpu()? {
                return Ok(None);
            }
        }
        let Some(Value { line, metric, text }) = self.values.pop_front() else { return Ok(None) };
        let (number, unit) = text.split_once(' ').map_or((text.as_str(), None), |(number, unit)| (number, Some(unit)));
        sample.line = line;
        sample.begin_series(metric.to_owned(), self.labels.clone());
        sample.unit = unit.map(|unit| metrics::unit(unit).to_owned());
        number.clone_into(&mut sample.value);
        sample.time = self.time.clone().ok();
        sample.write_raw();
        Ok(Some(self.time.as_ref().map(drop).map_err(Clone::clone)))
    }
}

fn not_xml(error: quick_xml::Error, line: u64) -> io::Error {
    match error {
        quick_xml::Error::Io(error) => io::Error::new(error.kind(), error.to_string()),
        error => invalid(format!("line {line} is not XML: {error}")),
    }
}

/// Text whose lines are counted, and of which no more than a limit is read for one element.
struct Counted<'a> {
    text: Box<dyn BufRead + 'a>,
    lines: u64,
    left: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(invalid(format!("an element on line {} is longer than {} MiB", self.lines + 1, LONGEST >> 20)));
        }
        self.text.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What is consumed is in the buffer, so this cannot fail.
        let read = self.text.fill_buf().map_or(&[][..], |buffer| &buffer[..count]);
        self.lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.left = self.left.saturating_sub(count);
        self.text.consume(count);
    }
}
