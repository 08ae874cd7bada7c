//! Quality of answers, and regressions.

use optiinfra_db::stats::{Point, Report};

use super::{newest, skipped};
use crate::report::section::{Layout, Section, Shown, Top, Unit};

const LAYER: &str = "application";
/// Maximum of models that become labels of metrics.
const MOST_MODELS: usize = 50;

pub fn quality(report: &Report) -> Section {
    let lines = &report.application.quality_over_time;
    let baseline = |model: &str| lines.iter().find(|line| line.model_name == model).and_then(|line| line.baseline);
    Section::of(format!("quality by model{}", newest(report, report.answers_since)), &report.application.quality)
        .top(Top::By("answers"))
        .skipped(skipped(report, LAYER))
        .most_series(MOST_MODELS)
        .key("model_name", "model", |model| &model.model_name)
        .label("model")
        .column("answers", "answers", Unit::None, |model| model.answers)
        .gauge(
            "quality_answers",
            "Judged answers by model, those since quality_answers_since_timestamp_seconds where that is there.",
        )
        .column("average_quality", "quality", Unit::Score, |model| model.average_quality)
        .gauge("quality_score_ratio", "Average overall quality by model, from 0 to 1.")
        .column("baseline", "baseline", Unit::Score, |model| baseline(&model.model_name))
        .null("none")
        .column("change_percent", "change", Unit::Change, |model| {
            baseline(&model.model_name).map(|baseline| (model.average_quality / baseline - 1.0) * 100.0)
        })
        .column("average_latency_ms", "latency", Unit::Milliseconds, |model| model.average_latency_ms)
        .column("hallucinations", "hallucinations", Unit::None, |model| model.hallucinations)
        .gauge("quality_hallucinations", "Answers with a hallucination, by model.")
        .done()
}

pub fn over_time(report: &Report) -> Section {
    let lines = report.application.quality_over_time.iter();
    let points: Vec<_> = lines.flat_map(|line| line.points.iter().map(move |point| (line, point))).collect();
    Section::of(format!("quality over time{}", newest(report, report.answers_since)), &points)
        .skipped(skipped(report, LAYER))
        .shown(Shown::InData)
        .layout(Layout::Lines)
        .key("model_name", "model", |(line, _)| &line.model_name)
        .key("at", "time", |(_, point): &(_, &Point)| point.at)
        .key("value", "quality over time", |(_, point)| point.value)
        .column("baseline", "baseline", Unit::Score, |(line, _)| line.baseline)
        .done()
}

pub fn regressions(report: &Report) -> Section {
    const NAME: &str = "quality_regressions";
    const HELP: &str = "Quality regressions by severity and state.";
    Section::of("quality regressions by severity", &report.application.regressions)
        .skipped(skipped(report, LAYER))
        .key("severity", "severity", |regressions| regressions.severity.as_str())
        .label("severity")
        .column("open", "open", Unit::None, |regressions| regressions.open)
        .gauge_with(NAME, HELP, "state", "open")
        .column("resolved", "resolved", Unit::None, |regressions| regressions.resolved)
        .gauge_with(NAME, HELP, "state", "resolved")
        .done()
}

pub fn unresolved(report: &Report) -> Section {
    Section::record("unresolved regressions", &report.application)
        .skipped(skipped(report, LAYER))
        .shown(Shown::InData)
        .column("unresolved_regressions", "regressions", Unit::None, |application| application.unresolved_regressions)
        .done()
}

pub fn open(report: &Report) -> Section {
    let all = report.application.unresolved_regressions.unwrap_or_default();
    Section::of(format!("unresolved regressions: {all}"), &report.application.open_regressions)
        .skipped(skipped(report, LAYER))
        .key("customer", "customer", |open| &open.customer)
        .key("model_name", "model", |open| &open.model_name)
        .column("regression_type", "regression", Unit::None, |open| open.regression_type.as_str())
        .key("severity", "severity", |open| open.severity.as_str())
        .column("metric_name", "metric", Unit::None, |open| &open.metric_name)
        .column("delta_percent", "change", Unit::Change, |open| open.delta_percent)
        .column("detected_at", "detected", Unit::None, |open| open.detected_at)
        .done()
}

pub fn timeline(report: &Report) -> Section {
    Section::of("newest regressions", &report.application.regression_timeline)
        .skipped(skipped(report, LAYER))
        .shown(Shown::InData)
        .key("model_name", "model", |mark| &mark.model_name)
        .key("severity", "severity", |mark| mark.severity.as_str())
        .column("regression_type", "regression", Unit::None, |mark| mark.regression_type.as_str())
        .column("detected_at", "detected", Unit::None, |mark| mark.detected_at)
        .column("resolved_at", "resolved", Unit::None, |mark| mark.resolved_at)
        .null("open")
        .done()
}
