//! The table of the bars, and the figures behind it.

use std::fmt;

/// Several values of one figure, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(self.0[middle - 1], self.0[middle]),
            _ => self.0[middle],
        }
    }

    pub(crate) fn each(&self, call: impl FnMut(f64)) {
        self.0.iter().copied().for_each(call);
    }

    /// Returns `median [least-most]`.
    pub(crate) fn text(&self, digits: usize) -> String {
        match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) if self.0.len() > 1 => {
                format!("{:.digits$} [{first:.digits$}-{last:.digits$}]", self.median())
            }
            _ => format!("{:.digits$}", self.median()),
        }
    }
}

/// A limit and an aim. The variant says which side of them is good.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64, f64),
    AtMost(f64, f64),
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    bars: Vec<[String; 5]>,
    figures: Vec<[String; 3]>,
}

impl Table {
    /// Adds a figure that has a bar, with its limit and its aim.
    pub(crate) fn bar(&mut self, what: &str, unit: &str, bar: Bar, measured: &Sample, digits: usize) {
        let value = measured.median();
        let (word, must, aim, met, reached) = match bar {
            Bar::AtLeast(must, aim) => ("at least", must, aim, value >= must, value >= aim),
            Bar::AtMost(must, aim) => ("at most", must, aim, value <= must, value <= aim),
        };
        let verdict = match (met, reached) {
            (true, true) => "yes, aim reached".to_owned(),
            (true, false) => "yes".to_owned(),
            _ if value.is_nan() => "not measured".to_owned(),
            _ => format!("**no**, off by {:.0} %", ((value - must) / must).abs() * 100.0),
        };
        self.bars.push([
            what.to_owned(),
            format!("{word} {must}{unit}"),
            format!("{aim}{unit}"),
            format!("{}{unit}", measured.text(digits)),
            verdict,
        ]);
        eprintln!("{what}: {}{unit}", measured.text(digits));
    }

    /// Adds a figure without a bar.
    pub(crate) fn figure(&mut self, what: &str, who: &str, value: impl Into<String>) {
        let value = value.into();
        eprintln!("{what}, {who}: {value}");
        self.figures.push([what.to_owned(), who.to_owned(), value]);
    }

    /// Returns a figure that was added.
    pub(crate) fn value(&self, what: &str, who: &str) -> Option<&str> {
        let row = self.figures.iter().find(|[it, whose, _]| it == what && whose == who)?;
        Some(row[2].as_str())
    }

    /// Returns the value that was measured for a bar.
    pub(crate) fn measured(&self, what: &str) -> Option<&str> {
        Some(self.bars.iter().find(|row| row[0] == what)?[3].as_str())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | must | aim | measured | met |\n|---|---|---|---|---|")?;
        self.bars.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))?;
        writeln!(f, "\n| figure | who | value |\n|---|---|---|")?;
        self.figures.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}
