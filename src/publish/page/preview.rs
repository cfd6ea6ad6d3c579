//! The picture that a link to a page shows: the answer, the hosts and the first chart as a PNG file. Sites that show such pictures
//! take no SVG. They show it about half as wide as it is drawn, so its text is large.

use super::STYLE;
use crate::error::Result;
use crate::publish::chart::{Canvas, Forest, Ground, Ink, Look, Mark, Row, Weight, cut, lines_of, text_width};
use crate::shown;

/// The width of the picture in pixels: what most sites show.
pub(in crate::publish) const WIDTH: u32 = 1200;
/// The height of the picture in pixels.
pub(in crate::publish) const HEIGHT: u32 = 630;
/// The ending of the picture's file.
pub const PICTURE_ENDING: &str = "png";

const LEFT: f64 = 40.0;
const RIGHT: f64 = WIDTH as f64 - LEFT;
/// The lower end of the chart.
const BOTTOM: f64 = HEIGHT as f64 - 76.0;
/// The least height of a line of the chart that has its value as text.
const WORDED: f64 = 21.0;
/// The least height of a line of the chart.
const LEAST: f64 = 7.0;
/// The space between two tests.
const GAP: f64 = 6.0;
/// The chart names the values if so many tests fit with them.
const ENOUGH: usize = 5;
/// The least height of a test with its role below its name.
const ROLE: f64 = 44.0;
/// The widest column of names or of values.
const COLUMN: f64 = 330.0;

/// What the picture shows.
pub(in crate::publish) struct Preview<'a> {
    /// The answer in a sentence.
    pub(in crate::publish) headline: &'a str,
    /// More sentences, shown if there is no chart.
    pub(in crate::publish) lines: &'a [String],
    /// The hosts or kinds of CPU, with the look that they have in the chart.
    pub(in crate::publish) hosts: Vec<(Option<Look>, String)>,
    /// The first chart.
    pub(in crate::publish) chart: Option<&'a Forest>,
}

/// The colours of the style sheet by daylight. A picture on another page is always light.
struct Colours;

impl Colours {
    /// The colour of a name such as `--ink`; black if the style sheet lacks it.
    fn of(name: &str) -> [u8; 3] {
        let value = STYLE.split_once(&format!("{name}: #")).and_then(|(_, rest)| rest.get(..6)).unwrap_or_default();
        let part = |at: usize| value.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
        [part(0), part(2), part(4)]
    }

    fn of_look(look: Look) -> [u8; 3] {
        Colours::of(&format!("--c{}", look.colour_number()))
    }

    fn of_ground(ground: Ground) -> [u8; 3] {
        Colours::of(match ground {
            Ground::Allowed => "--allows",
            Ground::Forbidden => "--forbids",
            Ground::Unknown => "--box",
        })
    }
}

fn ink(size: f64, weight: Weight, colour: &str) -> Ink {
    Ink { size, weight, colour: Colours::of(colour) }
}

impl Preview<'_> {
    /// The picture as a PNG file.
    ///
    /// # Errors
    /// Only an internal one.
    pub(in crate::publish) fn png(&self) -> Result<Vec<u8>> {
        let mut canvas = Canvas::new(WIDTH, HEIGHT, Colours::of("--paper"));
        let y = self.headline(&mut canvas);
        let y = self.hosts(&mut canvas, y);
        match self.chart {
            Some(chart) => Drawn::new(chart, y + 22.0).draw(&mut canvas),
            None => self.sentences(&mut canvas, y + 16.0),
        }
        foot(&mut canvas, self.chart.is_some());
        canvas.png()
    }

    /// Writes the answer and returns its lower end.
    fn headline(&self, canvas: &mut Canvas) -> f64 {
        let text = shown::line(self.headline);
        // A long sentence is smaller.
        let of = |size: f64| {
            let ink = ink(size, Weight::Bold, "--ink");
            (ink, lines_of(&text, ink, RIGHT - LEFT))
        };
        let (sizes, most) = if self.chart.is_some() { ([40.0, 32.0], 4) } else { ([54.0, 44.0], 6) };
        let (ink, mut lines) =
            Some(of(sizes[0])).filter(|(_, lines)| lines.len() < most).unwrap_or_else(|| of(sizes[1]));
        if lines.len() > most {
            let rest = lines.split_off(most - 1).join(" ");
            lines.push(rest);
        }
        let mut y = 26.0;
        for line in lines {
            y += ink.size * 1.18;
            canvas.text((LEFT, y), &cut(&line, ink, RIGHT - LEFT), ink);
        }
        y + 8.0
    }

    /// Writes the hosts in at most two lines and returns their lower end.
    fn hosts(&self, canvas: &mut Canvas, top: f64) -> f64 {
        let ink = ink(23.0, Weight::Regular, "--soft");
        let symbol = |look: Option<Look>| if look.is_some() { 26.0 } else { 0.0 };
        let width = |(look, text): &(Option<Look>, String)| symbol(*look) + text_width(text, ink) + 26.0;
        // The room for `and 1000 more`.
        let more = text_width("and 1000 more", ink);
        let (mut x, mut y, mut line) = (LEFT, top + 28.0, 0);
        for (number, host) in self.hosts.iter().enumerate() {
            let last = number + 1 == self.hosts.len();
            if x > LEFT && x + width(host) > RIGHT + 26.0 && line == 0 {
                (x, y, line) = (LEFT, y + 31.0, 1);
            }
            let room = RIGHT - x - if last || line == 0 { 0.0 } else { more };
            if x > LEFT && width(host) > room + 26.0 {
                canvas.text((x, y), &format!("and {} more", self.hosts.len() - number), ink);
                break;
            }
            if let Some(look) = host.0 {
                canvas.mark((x + 9.0, y - 8.0), 8.0, look, Colours::of_look(look), None);
            }
            let text = cut(&host.1, ink, room - symbol(host.0));
            canvas.text((x + symbol(host.0), y), &text, ink);
            x += width(host);
        }
        if self.hosts.is_empty() { top } else { y + 6.0 }
    }

    fn sentences(&self, canvas: &mut Canvas, top: f64) {
        let ink = ink(28.0, Weight::Regular, "--ink");
        let mut y = top;
        for sentence in self.lines {
            y += 12.0;
            for line in lines_of(&shown::line(sentence), ink, RIGHT - LEFT) {
                y += 36.0;
                if y > BOTTOM + 20.0 {
                    return;
                }
                canvas.text((LEFT, y), &cut(&line, ink, RIGHT - LEFT), ink);
            }
        }
    }
}

/// Writes what the program is, and the key of the chart.
fn foot(canvas: &mut Canvas, with_key: bool) {
    let (bold, soft) = (ink(22.0, Weight::Bold, "--soft"), ink(20.0, Weight::Regular, "--soft"));
    let y = f64::from(HEIGHT) - 24.0;
    canvas.text((LEFT, y), "wakerace", bold);
    let about = "races of the Linux kernel's wakeup path, measured";
    canvas.text((LEFT + text_width("wakerace  ", bold), y), about, soft);
    if !with_key {
        return;
    }
    let key =
        [(Some(Ground::Allowed), "allowed"), (Some(Ground::Forbidden), "forbidden"), (None, "not seen: below this")];
    let width = |text: &str| 30.0 + text_width(text, soft) + 22.0;
    let mut x = RIGHT + 22.0 - key.iter().map(|(_, text)| width(text)).sum::<f64>();
    for (ground, text) in key {
        match ground {
            Some(ground) => canvas.rectangle((x, y - 16.0), (22.0, 18.0), Colours::of_ground(ground)),
            None => arrow(canvas, (x + 17.0, x - 3.0), y - 7.0, 6.0, Look::default(), Colours::of("--soft")),
        }
        canvas.text((x + 30.0, y), text, soft);
        x += width(text);
    }
}

/// An arrow from a bound to the left, over all values that the rate may have.
fn arrow(canvas: &mut Canvas, (bound, end): (f64, f64), y: f64, radius: f64, look: Look, colour: [u8; 3]) {
    canvas.line(&[(bound, y), (end, y)], 2.5, colour);
    canvas.line(&[(end + 8.0, y - radius), (end, y), (end + 8.0, y + radius)], 2.5, colour);
    canvas.mark((bound, y), radius, look, colour, Some(Colours::of("--paper")));
}

/// The chart with its places.
struct Drawn<'a> {
    chart: &'a Forest,
    rows: &'a [Row],
    top: f64,
    /// The height of a line.
    line: f64,
    /// Whether the lines have their values as text.
    words: bool,
    /// The ends of the axis.
    axis: (f64, f64),
}

impl<'a> Drawn<'a> {
    fn new(chart: &'a Forest, top: f64) -> Drawn<'a> {
        let room = BOTTOM - top;
        let marks: usize = chart.rows.iter().map(|row| row.marks.len()).sum();
        let all = (room - GAP * chart.rows.len() as f64) / marks.max(1) as f64;
        // How many rows fit with this height of a line.
        let fitting = |line: f64| {
            let mut y = 0.0;
            let fits = |row: &&Row| {
                y += row.marks.len() as f64 * line + GAP;
                y <= room + 1e-6
            };
            chart.rows.iter().take_while(fits).count()
        };
        let (line, words) = if all >= WORDED {
            (all.min(52.0), true)
        } else if fitting(WORDED) >= ENOUGH {
            (WORDED, true)
        } else {
            (all.max(LEAST), false)
        };
        let rows = &chart.rows[..fitting(line)];
        let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max).min(COLUMN);
        let name = widest(&mut rows.iter().map(|row| text_width(&row.label, NAME.ink())));
        let value =
            widest(&mut rows.iter().flat_map(|row| &row.marks).map(|mark| text_width(&worded(mark), VALUE.ink())));
        let right = if words { RIGHT - value - 18.0 } else { RIGHT - 8.0 };
        // A role below the name needs room too.
        let role = if rows.iter().any(|row| row.marks.len() as f64 * line >= ROLE) { 250.0 } else { 0.0 };
        Drawn { chart, rows, top, line, words, axis: (LEFT + name.max(role) + 24.0, right) }
    }

    fn x(&self, value: f64) -> f64 {
        self.axis.0 + self.chart.axis.at(value) * (self.axis.1 - self.axis.0)
    }

    fn draw(&self, canvas: &mut Canvas) {
        let height = |row: &Row| row.marks.len() as f64 * self.line;
        let bottom = self.top + self.rows.iter().map(|row| height(row) + GAP).sum::<f64>();
        let mut y = self.top;
        for row in self.rows {
            for mark in &row.marks {
                let size = (self.axis.1 - self.axis.0, self.line);
                canvas.rectangle((self.axis.0, y), size, Colours::of_ground(mark.ground));
                y += self.line;
            }
            y += GAP;
        }
        let soft = ink(20.0, Weight::Regular, "--soft");
        for tick in self.chart.axis.ticks() {
            let x = self.x(tick);
            canvas.line(&[(x, self.top), (x, bottom)], 1.0, Colours::of("--rule"));
            let text = (self.chart.tick)(tick);
            let width = text_width(&text, soft);
            canvas.text(((x - width / 2.0).min(RIGHT - width), bottom + 22.0), &text, soft);
        }
        let mut y = self.top;
        for row in self.rows {
            self.names(canvas, row, y + height(row) / 2.0, height(row));
            for mark in &row.marks {
                self.mark(canvas, mark, y + self.line / 2.0);
                y += self.line;
            }
            y += GAP;
        }
        let more = self.chart.rows.len() - self.rows.len();
        if more > 0 {
            let plural = if more == 1 { "" } else { "s" };
            canvas.text((LEFT, bottom + 22.0), &format!("and {more} more test{plural}"), soft);
        }
    }

    /// The name of a test, and what it is if there is room.
    fn names(&self, canvas: &mut Canvas, row: &Row, middle: f64, height: f64) {
        let room = self.axis.0 - LEFT - 12.0;
        let with_role = height >= ROLE;
        let y = if with_role { middle - 2.0 } else { middle + 8.0 };
        canvas.text((LEFT, y), &cut(&row.label, NAME.ink(), room), NAME.ink());
        if with_role {
            let soft = ink(17.0, Weight::Regular, "--soft");
            canvas.text((LEFT, middle + 18.0), &cut(&row.role, soft, room), soft);
        }
    }

    fn mark(&self, canvas: &mut Canvas, mark: &Mark, y: f64) {
        let colour = Colours::of_look(mark.look);
        let (low, high) = mark.interval;
        let radius = (self.line * 0.55).min(8.0);
        match mark.value {
            Some(value) => {
                canvas.line(&[(self.x(low), y), (self.x(high), y)], 4.0, colour);
                canvas.mark((self.x(value), y), radius, mark.look, colour, None);
            }
            None => arrow(canvas, (self.x(high), self.axis.0 - 6.0), y, radius.min(6.0), mark.look, colour),
        }
        if self.words {
            let text = cut(&worded(mark), VALUE.ink(), RIGHT - self.axis.1 - 16.0);
            canvas.text((self.axis.1 + 16.0, y + 7.0), &text, VALUE.ink());
        }
    }
}

/// A kind of text in the chart.
struct Text(f64, Weight, &'static str);

const NAME: Text = Text(24.0, Weight::Bold, "--ink");
const VALUE: Text = Text(20.0, Weight::Regular, "--ink");

impl Text {
    fn ink(&self) -> Ink {
        ink(self.0, self.1, self.2)
    }
}

/// The value with the run's name in front, if there are several.
fn worded(mark: &Mark) -> String {
    format!("{} {}", mark.name, mark.short).trim_start().to_owned()
}
