//! Draws lines with bands for their intervals.

use std::fmt::Write as _;

use super::svg::{Svg, below, below_path, escape, place};
use super::{Axis, Look, Scale, WIDTH};

/// A point of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The value on the x axis.
    pub x: f64,
    /// The value on the y axis; `None` if nothing was seen. Then the upper end of the interval is drawn as a
    /// bound.
    pub y: Option<f64>,
    /// The lower and upper end of the interval, if there is one.
    pub interval: Option<(f64, f64)>,
    /// The text of the tooltip.
    pub note: String,
    /// XML attributes with the counts, written as they are.
    pub data: String,
}

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The colour and dash pattern.
    pub look: Look,
    /// The name, for the `data-name` attribute.
    pub name: String,
    /// The points, from left to right.
    pub points: Vec<Point>,
    /// Whether every point has a mark and a tooltip.
    pub marked: bool,
}

/// A chart of lines.
#[derive(Debug, Clone)]
pub struct Lines {
    /// The text for screen readers.
    pub name: String,
    /// The x axis.
    pub x: Axis,
    /// The function that formats the labels of its ticks.
    pub x_tick: fn(f64) -> String,
    /// The y axis.
    pub y: Axis,
    /// The function that formats the labels of its ticks.
    pub y_tick: fn(f64) -> String,
    /// The lines.
    pub lines: Vec<Line>,
}

const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 386.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 205.0;

impl Lines {
    /// The chart as an SVG element.
    pub fn svg(&self) -> String {
        let mut svg = Svg::new("lines", WIDTH, HEIGHT, &self.name);
        let at_x = |value: f64| LEFT + self.x.at(value) * (RIGHT - LEFT);
        let at_y = |value: f64| BOTTOM - self.y.at(value) * (BOTTOM - TOP);
        svg.raw(&format!("<g class=\"y\" data-scale=\"{}\">", self.y.scale.name()));
        for tick in self.y.ticks() {
            let y = at_y(tick);
            svg.line("grid", (LEFT, y), (RIGHT, y));
            let data = format!(" data-value=\"{tick:e}\"");
            svg.label("tick", (LEFT - 6.0, y + 4.0), "end", &data, &(self.y_tick)(tick));
        }
        svg.label("axis", (4.0, 14.0), "start", "", &self.y.label);
        svg.raw("</g>");
        svg.raw(&format!("<g class=\"x\" data-scale=\"{}\">", self.x.scale.name()));
        for tick in self.x.ticks() {
            let x = at_x(tick);
            svg.line("tickmark", (x, BOTTOM), (x, BOTTOM + 4.0));
            let data = format!(" data-value=\"{tick:e}\"");
            let text = (self.x_tick)(tick);
            // A long last label is aligned so that it does not extend beyond the edge.
            let anchor = if x > RIGHT - 12.0 && text.len() > 5 { "end" } else { "middle" };
            let x = if anchor == "end" { WIDTH } else { x };
            svg.label("tick", (x, BOTTOM + 17.0), anchor, &data, &text);
        }
        svg.label("axis", ((LEFT + RIGHT) / 2.0, HEIGHT - 8.0), "middle", "", &self.x.label);
        svg.raw("</g>");
        if self.x.scale == Scale::Linear && self.x.low < 0.0 && self.x.high > 0.0 {
            svg.line("zero", (at_x(0.0), TOP), (at_x(0.0), BOTTOM));
        }
        svg.line("base", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        for line in &self.lines {
            let classes = line.look.classes();
            svg.raw(&format!("<g class=\"line {classes}\" data-name=\"{}\">", escape(&line.name)));
            for seen in line.points.chunk_by(|a, b| a.y.is_some() == b.y.is_some()) {
                if seen[0].y.is_none() {
                    continue;
                }
                let banded = || seen.iter().filter_map(|point| Some((point.x, point.interval?)));
                if banded().count() > 1 {
                    let mut path = String::new();
                    let upper = banded().map(|(x, (_, high))| (x, high));
                    let lower: Vec<(f64, f64)> = banded().map(|(x, (low, _))| (x, low)).collect();
                    for (number, (x, y)) in upper.chain(lower.into_iter().rev()).enumerate() {
                        let letter = if number == 0 { 'M' } else { 'L' };
                        let _ = write!(path, "{letter}{} {}", place(at_x(x)), place(at_y(y)));
                    }
                    svg.raw(&format!("<path class=\"band\" d=\"{path}z\"/>"));
                }
                let points: Vec<String> = (seen.iter())
                    .filter_map(|point| Some(format!("{},{}", place(at_x(point.x)), place(at_y(point.y?)))))
                    .collect();
                svg.raw(&format!("<polyline class=\"path\" points=\"{}\"/>", points.join(" ")));
            }
            // Bounds without tooltips are drawn as one shape.
            let bound = |point: &Point| Some((at_x(point.x), at_y(point.interval?.1))).filter(|_| point.y.is_none());
            let bounds: Vec<(f64, f64)> = line.points.iter().filter_map(bound).collect();
            if !line.marked && !bounds.is_empty() {
                let path: String = bounds.iter().map(|place| below_path(*place)).collect();
                svg.raw(&format!("<path class=\"below\" d=\"{path}\"/>"));
            }
            for point in &line.points {
                match (point.y, point.interval) {
                    (Some(y), _) if line.marked => svg.raw(&format!(
                        "<circle class=\"point\" cx=\"{}\" cy=\"{}\" r=\"2.2\"{}><title>{}</title></circle>",
                        place(at_x(point.x)),
                        place(at_y(y)),
                        point.data,
                        escape(&point.note)
                    )),
                    (None, Some((_, high))) if line.marked => {
                        svg.raw(&below("", (at_x(point.x), at_y(high)), &point.data, &point.note));
                    }
                    _ => {}
                }
            }
            svg.raw("</g>");
        }
        svg.finish()
    }
}
