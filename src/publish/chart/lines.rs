//! Draws lines with bands for their intervals.

use std::fmt::Write as _;

use super::svg::{Svg, escape, place};
use super::{Axis, Look, Scale, WIDTH};

/// A point of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The value on the x axis.
    pub x: f64,
    /// The value on the y axis; `None` if nothing was seen. Then a dashed line is drawn at the upper end of the interval,
    /// with a light area below it, and no point: it is no rate.
    pub y: Option<f64>,
    /// The lower and upper end of the interval, if there is one.
    pub interval: Option<(f64, f64)>,
    /// Whether it was tried much more rarely than its neighbours. The line leaves it out.
    pub sparse: bool,
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
/// An interval that is larger than this share of the axis says too little for a line through its point.
const LOOSE: f64 = 0.3;
/// If a smaller share of the points with a rate can have a line, none has: pieces of lines between bars cannot be read.
const MOST: f64 = 0.75;

impl Lines {
    fn at_x(&self, value: f64) -> f64 {
        LEFT + self.x.at(value) * (RIGHT - LEFT)
    }

    fn at_y(&self, value: f64) -> f64 {
        BOTTOM - self.y.at(value) * (BOTTOM - TOP)
    }

    /// The chart as an SVG element.
    pub fn svg(&self) -> String {
        let mut svg = Svg::new("lines", WIDTH, HEIGHT, &self.name);
        self.axes(&mut svg);
        for line in &self.lines {
            let classes = line.look.classes();
            svg.raw(&format!("<g class=\"line {classes}\" data-name=\"{}\">", escape(&line.name)));
            self.firm(&mut svg, line);
            self.loose(&mut svg, line);
            for point in line.points.iter().filter(|_| line.marked) {
                self.point(&mut svg, point);
            }
            svg.raw("</g>");
        }
        if !self.lines.iter().flat_map(|line| &line.points).any(|point| point.y.is_some()) {
            let middle = (LEFT + RIGHT) / 2.0;
            svg.label("nothing", (middle, TOP + 16.0), "middle", "", "not seen at any skew");
            let bounds = self.lines.iter().flat_map(|line| &line.points).filter_map(|point| point.interval);
            if let Some(highest) = bounds.map(|(_, high)| high).max_by(f64::total_cmp) {
                let words = format!("the rate is below {highest:.1e} at each (95 %)");
                svg.label("tick", (middle, TOP + 32.0), "middle", "", &words);
            }
        }
        svg.finish()
    }

    fn axes(&self, svg: &mut Svg) {
        svg.raw(&format!("<g class=\"y\" data-scale=\"{}\">", self.y.scale.name()));
        for tick in self.y.ticks() {
            let y = self.at_y(tick);
            svg.line("grid", (LEFT, y), (RIGHT, y));
            let data = format!(" data-value=\"{tick:e}\"");
            svg.label("tick", (LEFT - 6.0, y + 4.0), "end", &data, &(self.y_tick)(tick));
        }
        svg.label("axis", (4.0, 14.0), "start", "", &self.y.label);
        svg.raw("</g>");
        svg.raw(&format!("<g class=\"x\" data-scale=\"{}\">", self.x.scale.name()));
        for tick in self.x.ticks() {
            let x = self.at_x(tick);
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
            svg.line("zero", (self.at_x(0.0), TOP), (self.at_x(0.0), BOTTOM));
        }
        svg.line("base", (LEFT, BOTTOM), (RIGHT, BOTTOM));
    }

    /// Whether a line goes through a point: something was seen there, and the interval is small enough for the chart.
    /// Values on other axes than linear ones have no interval.
    fn is_firm(&self, point: &Point) -> bool {
        let narrow = |(low, high): (f64, f64)| high - low <= LOOSE * (self.y.high - self.y.low);
        point.y.is_some() && !point.sparse && point.interval.is_none_or(narrow)
    }

    /// Whether enough points of a line are firm.
    fn has_path(&self, line: &Line) -> bool {
        let rates = line.points.iter().filter(|point| point.y.is_some() && !point.sparse).count();
        let firm = line.points.iter().filter(|point| self.is_firm(point)).count();
        firm as f64 >= MOST * rates as f64
    }

    /// The lines and bands through the firm points.
    fn firm(&self, svg: &mut Svg, line: &Line) {
        let tried: Vec<&Point> = line.points.iter().filter(|point| !point.sparse).collect();
        let runs = tried.chunk_by(|a, b| self.is_firm(a) == self.is_firm(b));
        for points in runs.filter(|points| self.is_firm(points[0]) && self.has_path(line)) {
            let banded = || points.iter().filter_map(|point| Some((self.at_x(point.x), point.interval?)));
            let upper: Vec<String> = banded().map(|(x, (_, y))| self.pair(x, y)).collect();
            let lower = banded().map(|(x, (y, _))| self.pair(x, y));
            if upper.len() > 1 {
                let path: Vec<String> = upper.into_iter().chain(lower.collect::<Vec<_>>().into_iter().rev()).collect();
                svg.raw(&format!("<path class=\"band\" d=\"M{}z\"/>", path.join("L")));
            }
            let line = points.iter().filter_map(|point| Some(self.pair(self.at_x(point.x), point.y?)));
            svg.raw(&format!("<polyline class=\"path\" points=\"{}\"/>", line.collect::<Vec<_>>().join(" ")));
        }
    }

    /// A position along the x axis, and the place of a value.
    fn pair(&self, x: f64, value: f64) -> String {
        format!("{},{}", place(x), place(self.at_y(value)))
    }

    /// The bars of the intervals of the other points, and the bounds where nothing was seen.
    fn loose(&self, svg: &mut Svg, line: &Line) {
        let mut bars = String::new();
        let path = self.has_path(line);
        let mut dots = Vec::new();
        for point in line.points.iter().filter(|point| !(path && self.is_firm(point))) {
            if let (Some(y), Some((low, high))) = (point.y, point.interval) {
                let (x, y) = (place(self.at_x(point.x)), place(self.at_y(y)));
                // Writing to a string cannot fail.
                let _ = write!(bars, "M{x} {}V{}m-2 0h4", place(self.at_y(low)), place(self.at_y(high)));
                dots.push(format!("<circle class=\"point\" cx=\"{x}\" cy=\"{y}\" r=\"1.6\"/>"));
            }
        }
        if !bars.is_empty() {
            svg.raw(&format!("<path class=\"loose\" d=\"{bars}\"/>"));
        }
        // A marked line has its points already.
        if !line.marked {
            dots.iter().for_each(|dot| svg.raw(dot));
        }
        for points in line.points.chunk_by(|a, b| a.y.is_none() == b.y.is_none()) {
            if points[0].y.is_none() {
                self.ceiling(svg, points);
            }
        }
    }

    /// The upper bounds of neighbouring points where nothing was seen: a dashed line, with a light area below it.
    fn ceiling(&self, svg: &mut Svg, points: &[Point]) {
        let bound = |point: &Point| Some((place(self.at_x(point.x)), place(self.at_y(point.interval?.1))));
        let bounds: Vec<(String, String)> = points.iter().filter_map(bound).collect();
        let bottom = place(BOTTOM);
        match &bounds[..] {
            [] => {}
            [(x, y)] => svg.raw(&format!("<path class=\"ceiling\" d=\"M{x} {bottom}V{y}m-2 0h4\"/>")),
            [(first, _), .., (last, _)] => {
                let line = bounds.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join("L");
                svg.raw(&format!("<path class=\"under\" d=\"M{first} {bottom}L{line}L{last} {bottom}z\"/>"));
                svg.raw(&format!("<path class=\"ceiling\" d=\"M{line}\"/>"));
            }
        }
    }

    /// The mark of a point, with its counts and its tooltip.
    fn point(&self, svg: &mut Svg, point: &Point) {
        let x = place(self.at_x(point.x));
        let (element, shape) = match (point.y, point.interval) {
            (Some(y), _) => ("circle", format!("class=\"point\" cx=\"{x}\" cy=\"{}\" r=\"2.2\"", place(self.at_y(y)))),
            (None, Some((_, high))) => {
                let (low, high) = (place(BOTTOM), place(self.at_y(high)));
                ("path", format!("class=\"loose bound\" d=\"M{x} {low}V{high}m-2 0h4\""))
            }
            (None, None) => return,
        };
        let (data, note) = (&point.data, escape(&point.note));
        svg.raw(&format!("<{element} {shape}{data}><title>{note}</title></{element}>"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart_of(points: Vec<Point>) -> Lines {
        Lines {
            name: String::new(),
            x: Axis::linear(0.0, 5.0, ""),
            x_tick: |value| format!("{value}"),
            y: Axis::linear(0.0, 1.0, ""),
            y_tick: |value| format!("{value}"),
            lines: vec![Line { look: Look::default(), name: "A".to_owned(), points, marked: false }],
        }
    }

    fn point(x: f64, y: Option<f64>, interval: (f64, f64)) -> Point {
        Point { x, y, interval: Some(interval), sparse: x == 4.0, note: String::new(), data: String::new() }
    }

    #[test]
    fn neighbouring_zeros_have_a_dashed_line_at_their_bounds() {
        let svg = chart_of(vec![point(0.0, None, (0.0, 0.2)), point(5.0, None, (0.0, 0.4))]).svg();
        // 0.2 of the axis is 35 of 175 units above the base.
        assert!(svg.contains("<path class=\"ceiling\" d=\"M58,170L386,135\"/>"), "{svg}");
        assert!(svg.contains("<path class=\"under\" d=\"M58 205L58,170L386,135L386 205z\"/>"), "{svg}");
        assert!(
            svg.contains(">not seen at any skew<") && !svg.contains("polyline") && !svg.contains("\"loose"),
            "{svg}"
        );
    }

    #[test]
    fn a_line_in_pieces_is_no_line() {
        let firm = point(0.0, Some(0.2), (0.19, 0.21));
        let loose = |x| point(x, Some(0.5), (0.1, 0.9));
        let two = chart_of(vec![firm.clone(), firm.clone(), loose(2.0)]).svg();
        assert!(!two.contains("polyline") && two.matches("m-2 0h4").count() == 3, "{two}");
        assert!(chart_of(vec![firm.clone(), firm.clone(), firm, loose(3.0)]).svg().contains("polyline"));
    }

    #[test]
    fn no_line_goes_through_points_that_were_hardly_tried() {
        let points = vec![
            point(0.0, Some(0.2), (0.19, 0.21)),
            point(1.0, Some(0.2), (0.19, 0.21)),
            point(2.0, Some(0.9), (0.1, 1.0)),
            point(3.0, None, (0.0, 0.5)),
            point(4.0, Some(0.7), (0.69, 0.71)),
            point(5.0, Some(0.2), (0.19, 0.21)),
        ];
        let svg = chart_of(points).svg();
        let lines: Vec<&str> = svg.lines().filter(|line| line.contains("polyline")).collect();
        assert_eq!(lines.len(), 2, "{svg}");
        assert!(lines[0].contains("points=\"58,") && lines[0].matches(',').count() == 2, "{}", lines[0]);
        assert!(lines[1].contains("points=\"386,") && lines[1].matches(',').count() == 1, "{}", lines[1]);
        // The zero has a dashed bar from the base to its bound, and no point. The two rates off the line have one each.
        let middle = (TOP + BOTTOM) / 2.0;
        assert!(svg.contains(&format!("class=\"ceiling\" d=\"M254.8 {}V{}", place(BOTTOM), place(middle))), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
    }
}
