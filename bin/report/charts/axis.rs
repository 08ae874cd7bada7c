//! The axes of a chart.

/// A label of an axis.
pub struct Tick {
    pub at: f64,
    pub label: String,
    /// Whether a narrow screen does without it.
    pub is_minor: bool,
}

/// The values of an axis from its least to its greatest.
#[derive(Clone, Copy)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
}

impl Scale {
    /// Where a value is, in percent from the low end.
    pub fn place(self, value: f64) -> f64 {
        percent(value - self.low, self.high - self.low)
    }

    /// Labels at round values, in at most so many steps.
    pub fn ticks(self, most: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let rough = (self.high - self.low) / most;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(rough);
        let first = (self.low / step - 0.001).ceil();
        let values =
            (0..).map(|at| (first + f64::from(at)) * step).take_while(|value| *value <= self.high + step * 0.001);
        let tick = |(number, value)| Tick { at: self.place(value), label: label(value), is_minor: number % 2 == 1 };
        values.enumerate().map(tick).collect()
    }
}

/// A share of a whole, to two digits behind the point.
pub fn percent(part: f64, whole: f64) -> f64 {
    (part / whole * 10_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_values_are_round() {
        let labels = |low: f64, high: f64, most: f64| {
            let ticks = Scale { low, high }.ticks(most, |value| format!("{value:.2}"));
            ticks.into_iter().map(|tick| format!("{} at {}", tick.label, tick.at)).collect::<Vec<_>>()
        };
        assert_eq!(labels(0.0, 100.0, 5.0)[1..3], ["20.00 at 20", "40.00 at 40"]);
        assert_eq!(
            labels(0.7, 0.95, 5.0),
            ["0.70 at 0", "0.75 at 20", "0.80 at 40", "0.85 at 60", "0.90 at 80", "0.95 at 100"]
        );
        assert_eq!(labels(0.0, 304.0, 8.0).len(), 7);
    }
}
