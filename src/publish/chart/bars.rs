//! Draws bars along a logarithmic axis, with whiskers for their intervals.

use super::svg::{Svg, anchor, below, escape, place};
use super::{Axis, Look, WIDTH};

/// A bar of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// The heading. It is written if it differs from the heading of the bar before.
    pub heading: String,
    /// The label of this bar under its heading.
    pub label: String,
    /// The value as text.
    pub words: String,
    /// The colour and dash pattern.
    pub look: Look,
    /// The value that gives the length; `None` if nothing was seen. Then the upper end of the interval is
    /// drawn as a bound.
    pub value: Option<f64>,
    /// The interval, as lower and upper end.
    pub interval: (f64, f64),
    /// XML attributes with the counts, written as they are.
    pub data: String,
}

/// A chart of bars.
#[derive(Debug, Clone)]
pub struct Bars {
    /// The text for screen readers.
    pub name: String,
    /// The horizontal axis.
    pub axis: Axis,
    /// The function that formats the labels of the ticks.
    pub tick: fn(f64) -> String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
}

const LEFT: f64 = 8.0;
const RIGHT: f64 = 376.0;
const TOP: f64 = 6.0;
const HEADING: f64 = 24.0;
const ROW: f64 = 32.0;
const FOOT: f64 = 46.0;

impl Bars {
    /// The chart as an SVG element.
    pub fn svg(&self) -> String {
        let headings =
            self.bars.chunk_by(|a, b| a.heading == b.heading).filter(|bars| !bars[0].heading.is_empty()).count();
        let bottom = TOP + headings as f64 * HEADING + self.bars.len() as f64 * ROW + 4.0;
        let mut svg = Svg::new("bars", WIDTH, bottom + FOOT, &self.name);
        let at = |value: f64| LEFT + self.axis.at(value) * (RIGHT - LEFT);
        svg.raw(&format!("<g class=\"x\" data-scale=\"{}\">", self.axis.scale.name()));
        for tick in self.axis.ticks() {
            let x = at(tick);
            svg.line("grid", (x, TOP), (x, bottom));
            let data = format!(" data-value=\"{tick:e}\"");
            let anchor = anchor(x, (LEFT, RIGHT));
            svg.label("tick", (x, bottom + 17.0), anchor, &data, &(self.tick)(tick));
        }
        svg.label("axis", (WIDTH / 2.0, bottom + 37.0), "middle", "", &self.axis.label);
        svg.raw("</g>");
        let mut y = TOP;
        for bars in self.bars.chunk_by(|a, b| a.heading == b.heading) {
            if !bars[0].heading.is_empty() {
                svg.label("heading", (LEFT, y + 17.0), "start", "", &bars[0].heading);
                y += HEADING;
            }
            for bar in bars {
                self.bar(&mut svg, bar, y, at);
                y += ROW;
            }
        }
        svg.line("base", (LEFT, bottom), (RIGHT, bottom));
        svg.finish()
    }

    fn bar(&self, svg: &mut Svg, bar: &Bar, y: f64, at: impl Fn(f64) -> f64) {
        let classes = bar.look.classes();
        svg.label("label", (LEFT, y + 12.0), "start", "", &bar.label);
        svg.label("words", (RIGHT, y + 12.0), "end", "", &bar.words);
        let (top, middle) = (y + 16.0, y + 21.0);
        let (low, high) = bar.interval;
        let end = at(bar.value.unwrap_or(high));
        let kind = if bar.value.is_some() { "bar" } else { "bar bound" };
        svg.raw(&format!(
            "<rect class=\"{kind} {classes}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"10\"{}><title>{}</title></rect>",
            place(LEFT),
            place(top),
            place((end - LEFT).max(0.5)),
            bar.data,
            escape(&format!("{} {}: {}", bar.heading, bar.label, bar.words))
        ));
        if bar.value.is_some() {
            svg.line("whisker", (at(low), middle), (at(high), middle));
            for x in [at(low), at(high)] {
                svg.line("whisker", (x, middle - 4.0), (x, middle + 4.0));
            }
        } else {
            svg.raw(&below(&classes, (end, middle + 3.5), &bar.words));
        }
    }
}
