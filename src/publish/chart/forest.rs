//! Draws rates as dots with intervals along one logarithmic axis: a row per test, a line per host and placement.

use super::svg::{Svg, anchor, escape, place};
use super::{Axis, Look, WIDTH};

/// Whether the architecture allows the outcome. It is the background of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The architecture allows it.
    Allowed,
    /// The architecture forbids it.
    Forbidden,
    /// Neither is known.
    Unknown,
}

impl Ground {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Ground::Allowed => "ground allowed",
            Ground::Forbidden => "ground forbidden",
            Ground::Unknown => "ground",
        }
    }

    /// The word behind the value.
    const fn word(self) -> &'static str {
        match self {
            Ground::Allowed => "allowed",
            Ground::Forbidden => "forbidden",
            Ground::Unknown => "",
        }
    }
}

/// A dot with its interval, or an upper bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// The colour and the shape.
    pub look: Look,
    /// The run and, if it has several, the placement class.
    pub name: String,
    /// The value; `None` if nothing was seen. Then the upper end of the interval is drawn as a bound.
    pub value: Option<f64>,
    /// The interval, as lower and upper end.
    pub interval: (f64, f64),
    /// The value as text.
    pub words: String,
    /// The value as text where there is little room.
    pub short: String,
    /// The background.
    pub ground: Ground,
    /// The text of the tooltip.
    pub note: String,
    /// XML attributes with the counts, written as they are.
    pub data: String,
}

/// The dots of one test.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The test.
    pub label: String,
    /// What the test is: the race, a control, a fix.
    pub role: String,
    /// The dots, from top to bottom.
    pub marks: Vec<Mark>,
}

/// The form of the chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Names to the left and values to the right of the dots.
    Wide,
    /// [`WIDTH`] units wide, with names and values above the dots.
    Narrow,
}

/// A chart of rates of several tests.
#[derive(Debug, Clone)]
pub struct Forest {
    /// The text for screen readers.
    pub name: String,
    /// The axis.
    pub axis: Axis,
    /// The function that formats the labels of the ticks.
    pub tick: fn(f64) -> String,
    /// The rows, from top to bottom.
    pub rows: Vec<Row>,
    /// The form.
    pub form: Form,
}

/// The width of the wide form, in SVG units.
pub const WIDE: f64 = 1160.0;
/// If a chart has more marks than this, their lines are lower and the values are only in the tooltips.
const ROOMY: usize = 28;
/// A row of the narrow form has the values of so many marks at most.
const FEW: usize = 3;
const TOP: f64 = 2.0;
const FOOT: f64 = 38.0;
/// How far the arrow of a bound ends beyond the lowest value of the axis, in SVG units.
const ARROW: f64 = 4.0;

/// The places of a form, in SVG units.
struct Places {
    width: f64,
    left: f64,
    right: f64,
    /// The height above the first line of a row, for its name.
    head: f64,
    /// The height of a line.
    line: f64,
    /// The least height of a row, without its head.
    least: f64,
    /// Whether the lines have their values as text.
    words: bool,
}

impl Forest {
    fn places(&self) -> Places {
        let roomy = self.rows.iter().map(|row| row.marks.len()).sum::<usize>() <= ROOMY;
        let one = self.rows.iter().all(|row| row.marks.len() == 1);
        match self.form {
            Form::Wide => Places {
                width: WIDE,
                left: 330.0,
                right: if roomy { 900.0 } else { WIDE - 16.0 },
                head: 0.0,
                line: if roomy { 17.0 } else { 9.0 },
                least: 36.0,
                words: roomy,
            },
            Form::Narrow => Places {
                width: WIDTH,
                left: 6.0,
                right: 394.0,
                head: 17.0,
                line: if one { 16.0 } else { 11.0 },
                least: 12.0,
                words: one,
            },
        }
    }

    fn height(row: &Row, places: &Places) -> f64 {
        (row.marks.len() as f64 * places.line).max(places.least)
    }

    /// The chart as an SVG element.
    pub fn svg(&self) -> String {
        const GAP: f64 = 4.0;
        let places = self.places();
        let tall = |row: &Row| places.head + Forest::height(row, &places) + GAP;
        let bottom = TOP + self.rows.iter().map(tall).sum::<f64>();
        let class = if self.form == Form::Wide { "forest wide" } else { "forest narrow" };
        let mut svg = Svg::new(class, places.width, bottom + FOOT, &self.name);
        let mut y = TOP;
        for row in &self.rows {
            self.grounds(&mut svg, row, y + places.head, &places);
            y += tall(row);
        }
        self.scale(&mut svg, bottom, &places);
        let mut y = TOP;
        for row in &self.rows {
            let height = Forest::height(row, &places);
            self.names(&mut svg, row, y, height, &places);
            let line = height / row.marks.len().max(1) as f64;
            for (number, mark) in row.marks.iter().enumerate() {
                self.mark(&mut svg, mark, y + places.head + (number as f64 + 0.5) * line, &places);
            }
            y += tall(row);
        }
        svg.finish()
    }

    fn at(&self, value: f64, places: &Places) -> f64 {
        places.left + self.axis.at(value) * (places.right - places.left)
    }

    /// The backgrounds of a row. Neighbours with the same one share a rectangle.
    fn grounds(&self, svg: &mut Svg, row: &Row, top: f64, places: &Places) {
        let line = Forest::height(row, places) / row.marks.len().max(1) as f64;
        let mut y = top;
        for marks in row.marks.chunk_by(|a, b| a.ground == b.ground) {
            let height = marks.len() as f64 * line;
            svg.raw(&format!(
                "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                marks[0].ground.class(),
                place(places.left),
                place(y),
                place(places.right - places.left),
                place(height)
            ));
            y += height;
        }
    }

    fn scale(&self, svg: &mut Svg, bottom: f64, places: &Places) {
        svg.raw(&format!("<g class=\"x\" data-scale=\"{}\">", self.axis.scale.name()));
        for tick in self.axis.ticks() {
            let x = self.at(tick, places);
            svg.line("grid", (x, TOP), (x, bottom));
            let anchor = anchor(x, (places.left, places.right));
            svg.label("tick", (x, bottom + 14.0), anchor, &format!(" data-value=\"{tick:e}\""), &(self.tick)(tick));
        }
        svg.label("axis", ((places.left + places.right) / 2.0, bottom + 31.0), "middle", "", &self.axis.label);
        svg.raw("</g>");
        svg.line("base", (places.left, bottom), (places.right, bottom));
    }

    /// The name and the role of a row.
    fn names(&self, svg: &mut Svg, row: &Row, y: f64, height: f64, places: &Places) {
        match self.form {
            Form::Wide => {
                let middle = y + height.min(40.0) / 2.0;
                svg.label("heading", (0.0, middle - 2.0), "start", "", &row.label);
                svg.label("tick", (0.0, middle + 13.0), "start", "", &row.role);
            }
            Form::Narrow => {
                let role = row.role.split(':').next().unwrap_or_default();
                svg.raw(&format!(
                    "<text class=\"heading\" x=\"{}\" y=\"{}\">{} <tspan class=\"role\">{}</tspan></text>",
                    place(places.left),
                    place(y + 12.5),
                    escape(&row.label),
                    escape(role)
                ));
                let words = match &row.marks[..] {
                    [mark] if places.words => worded(mark),
                    few if few.len() <= FEW && few.iter().all(|mark| !mark.name.is_empty()) => {
                        few.iter().map(|mark| format!("{} {}", mark.name, mark.short)).collect::<Vec<_>>().join(", ")
                    }
                    _ => return,
                };
                svg.label("words", (places.right, y + 12.5), "end", "", &words);
            }
        }
    }

    fn mark(&self, svg: &mut Svg, mark: &Mark, y: f64, places: &Places) {
        let colour = format!("s{}", mark.look.colour_number());
        let (low, high) = mark.interval;
        let x = self.at(mark.value.unwrap_or(high), places);
        if mark.value.is_some() {
            svg.line(&format!("spread {colour}"), (self.at(low, places), y), (self.at(high, places), y));
        } else {
            // The arrow goes over all values that the rate may have, so the mark at its end cannot be read as a rate.
            let end = places.left - ARROW;
            svg.raw(&format!(
                "<path class=\"arrow {colour}\" d=\"M{} {y}H{e}m5 -3.5l-5 3.5l5 3.5\"/>",
                place(x),
                y = place(y),
                e = place(end)
            ));
        }
        let kind = if mark.value.is_some() { "mark" } else { "mark bound" };
        svg.raw(&format!(
            "<path class=\"{kind} {colour}\" d=\"{}\"{}><title>{}</title></path>",
            mark.look.outline((x, y), if places.line < 10.0 { 3.6 } else { 4.8 }),
            mark.data,
            escape(&mark.note)
        ));
        if places.words && self.form == Form::Wide {
            let name = if mark.name.is_empty() { String::new() } else { format!("{} ", mark.name) };
            svg.label("words", (places.right + 14.0, y + 4.0), "start", "", &(name + &worded(mark)));
        }
    }
}

/// The value and whether it is allowed.
fn worded(mark: &Mark) -> String {
    let word = mark.ground.word();
    if word.is_empty() { mark.words.clone() } else { format!("{}, {word}", mark.words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(value: Option<f64>, ground: Ground) -> Mark {
        Mark {
            look: Look::default(),
            name: "A".to_owned(),
            value,
            interval: (1e-3, 1e-2),
            words: "w".to_owned(),
            short: "v".to_owned(),
            ground,
            note: String::new(),
            data: String::new(),
        }
    }

    fn forest(rows: Vec<Vec<Mark>>, form: Form) -> String {
        let rows =
            rows.into_iter().map(|marks| Row { label: "T".to_owned(), role: "a: b".to_owned(), marks }).collect();
        let axis = Axis::log(1e-4, 1.0, "races per iteration");
        Forest { name: "n".to_owned(), axis, tick: |value| format!("{value}"), rows, form }.svg()
    }

    #[test]
    fn what_was_not_seen_is_an_arrow_at_its_upper_bound() {
        let svg = forest(vec![vec![mark(None, Ground::Forbidden)]], Form::Narrow);
        // 1e-2 is half of the way from 1e-4 to 1.
        assert!(svg.contains("class=\"mark bound s0\"") && svg.contains("class=\"arrow s0\" d=\"M200 "), "{svg}");
        assert!(!svg.contains("class=\"spread") && svg.contains("w, forbidden"), "{svg}");
        let seen = forest(vec![vec![mark(Some(1e-3), Ground::Allowed)]], Form::Narrow);
        assert!(seen.contains("class=\"spread s0\"") && !seen.contains("\"arrow") && !seen.contains("bound"), "{seen}");
    }

    #[test]
    fn lines_with_one_verdict_share_a_background() {
        let marks = [Ground::Allowed, Ground::Allowed, Ground::Forbidden].map(|ground| mark(None, ground));
        let svg = forest(vec![marks.to_vec()], Form::Wide);
        assert_eq!((svg.matches("ground allowed").count(), svg.matches("ground forbidden").count()), (1, 1));
        assert_eq!(svg.matches("A w, ").count(), 3);
        // Too many lines have no values as text.
        let many = forest(vec![vec![mark(None, Ground::Allowed); ROOMY + 1]], Form::Wide);
        assert!(!many.contains("A w") && many.matches("mark bound").count() == ROOMY + 1);
    }
}
