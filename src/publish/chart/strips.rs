//! Draws every run as a dot along one logarithmic axis: a line for each kind of CPU, with its median.

use std::fmt::Write as _;

use super::forest::Ground;
use super::svg::{Svg, anchor, escape, place};
use super::{Axis, Look, WIDTH};

/// A run of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Dot {
    /// The rate; `None` if nothing was seen.
    pub value: Option<f64>,
    /// The upper bound if nothing was seen.
    pub bound: f64,
    /// The name of the run if it is unlike the others; empty otherwise.
    pub unlike: String,
}

/// The runs on one kind of CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Strip {
    /// The colour.
    pub look: Look,
    /// The kind of CPU.
    pub name: String,
    /// The median of the rates.
    pub median: Option<f64>,
    /// The runs.
    pub dots: Vec<Dot>,
    /// The background.
    pub ground: Ground,
    /// XML attributes with the counts, written as they are.
    pub data: String,
}

/// A chart of one test.
#[derive(Debug, Clone)]
pub struct Strips {
    /// The text for screen readers.
    pub name: String,
    /// The axis.
    pub axis: Axis,
    /// The function that formats the labels of the ticks.
    pub tick: fn(f64) -> String,
    /// The lines, from top to bottom.
    pub strips: Vec<Strip>,
}

const LEFT: f64 = 6.0;
const RIGHT: f64 = 394.0;
const TOP: f64 = 2.0;
/// The height of a line: the name, then the dots.
const LINE: f64 = 36.0;
const HEAD: f64 = 15.0;
const FOOT: f64 = 36.0;
/// The heights of dots above and below the middle, in turns, so that equal rates are seen as several.
const ASIDE: [f64; 5] = [0.0, -4.0, 4.0, -2.0, 2.0];
/// The most letters of a name, and the most runs that are named at the end of a line.
const LONGEST: usize = 40;
const NAMED: usize = 3;

impl Strips {
    /// The chart as an SVG element.
    pub fn svg(&self) -> String {
        let bottom = TOP + LINE * self.strips.len() as f64;
        let mut svg = Svg::new("strips", WIDTH, bottom + FOOT, &self.name);
        for (number, strip) in self.strips.iter().enumerate() {
            let y = TOP + LINE * number as f64 + HEAD;
            svg.raw(&format!(
                "<rect class=\"{}\" x=\"{LEFT}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                strip.ground.class(),
                place(y),
                place(RIGHT - LEFT),
                place(LINE - HEAD - 3.0)
            ));
        }
        svg.raw(&format!("<g class=\"x\" data-scale=\"{}\">", self.axis.scale.name()));
        for tick in self.axis.ticks() {
            let x = self.at(tick);
            svg.line("grid", (x, TOP + HEAD), (x, bottom));
            svg.label(
                "tick",
                (x, bottom + 14.0),
                anchor(x, (LEFT, RIGHT)),
                &format!(" data-value=\"{tick:e}\""),
                &(self.tick)(tick),
            );
        }
        svg.label("axis", (WIDTH / 2.0, bottom + 30.0), "middle", "", &self.axis.label);
        svg.raw("</g>");
        for (number, strip) in self.strips.iter().enumerate() {
            self.strip(&mut svg, strip, TOP + LINE * number as f64);
        }
        svg.finish()
    }

    fn at(&self, value: f64) -> f64 {
        LEFT + self.axis.at(value) * (RIGHT - LEFT)
    }

    /// All dots of a line are one path, because a thousand records have tens of thousands of dots.
    fn strip(&self, svg: &mut Svg, strip: &Strip, y: f64) {
        let colour = format!("s{}", strip.look.colour_number());
        let short: String = strip.name.chars().take(LONGEST).collect();
        svg.label("tick", (LEFT, y + 11.0), "start", "", &short);
        let unlike = unlike(strip);
        if !unlike.is_empty() {
            svg.label("tick", (RIGHT, y + 11.0), "end", "", &unlike);
        }
        let middle = y + HEAD + (LINE - HEAD - 3.0) / 2.0;
        let (mut seen, mut bounds, mut named) = (String::new(), String::new(), String::new());
        for (dot, aside) in strip.dots.iter().zip(ASIDE.iter().cycle()) {
            let (x, y) = (place(self.at(dot.value.unwrap_or(dot.bound))), place(middle + aside));
            // Writing to a string cannot fail.
            let _ = match dot.value {
                None => write!(bounds, "M{x} {y}m0 -3l-5 3l5 3"),
                Some(_) if dot.unlike.is_empty() => write!(seen, "M{x} {y}h0"),
                Some(_) => write!(named, "M{x} {y}h0"),
            };
        }
        let data = &strip.data;
        for (class, path) in [("below", bounds), ("dots", seen), ("dots unlike", named)] {
            if !path.is_empty() {
                svg.raw(&format!(
                    "<path class=\"{class} {colour}\" d=\"{path}\"{data}><title>{}</title></path>",
                    escape(&strip.name)
                ));
            }
        }
        if let Some(median) = strip.median {
            let x = self.at(median);
            svg.line("median", (x, y + HEAD), (x, y + LINE - 3.0));
        }
    }
}

/// The runs that are unlike the others, as far as there is room.
fn unlike(strip: &Strip) -> String {
    let names: Vec<&str> = strip.dots.iter().map(|dot| dot.unlike.as_str()).filter(|name| !name.is_empty()).collect();
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len().min(NAMED)].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_a_dot_or_a_bound_at_its_place() {
        let dot = |value, unlike: &str| Dot { value, bound: 1e-2, unlike: unlike.to_owned() };
        let strip = Strip {
            look: Look::default(),
            name: "CPU <1>".to_owned(),
            median: Some(1e-2),
            dots: vec![dot(Some(1e-2), ""), dot(Some(1e-2), ""), dot(None, ""), dot(Some(1.0), "F")],
            ground: Ground::Allowed,
            data: String::new(),
        };
        let chart = Strips {
            name: "n".to_owned(),
            axis: Axis::log(1e-4, 1.0, "races per iteration"),
            tick: |value| format!("{value}"),
            strips: vec![strip.clone()],
        };
        let svg = chart.svg();
        // 1e-2 is half of the way from 1e-4 to 1.
        assert!(svg.contains("<path class=\"dots s0\" d=\"M200 26h0M200 22h0\">"), "{svg}");
        assert!(svg.contains("<path class=\"dots unlike s0\" d=\"M394 ") && svg.contains(">F</text>"), "{svg}");
        assert!(svg.contains("<path class=\"below s0\" d=\"M200 30m0 -3l-5 3l5 3\">"), "{svg}");
        assert!(svg.contains("<line class=\"median\" x1=\"200\"") && svg.contains("CPU &lt;1&gt;"), "{svg}");
        let many = Strip { dots: vec![dot(Some(1.0), "G"); 5], ..strip };
        assert_eq!(unlike(&many), "G, G, G and 2 more");
    }
}
