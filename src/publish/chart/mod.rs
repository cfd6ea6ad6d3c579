//! Charts as SVG: axes, lines, bars, heat maps. Knows nothing of records.
//!
//! Every chart is drawn [`WIDTH`] units wide, so that its text is as large on a telephone as on a desk: pages lay more charts
//! side by side instead of making them wider. Colours come from the page's style sheet, by the classes `s0` to `s7`. Values stand
//! beside the shapes as `data-` attributes, so that what is drawn can be held against what was counted.

mod bars;
mod heat;
mod lines;
mod scale;
mod svg;

pub use bars::{Bar, Bars};
pub use heat::{Cell, Heat};
pub use lines::{Line, Lines, Point};
pub use scale::{Axis, Scale};
pub use svg::escape;

/// The width of every chart, in SVG units; the style sheet shows about one pixel for one.
pub const WIDTH: f64 = 400.0;

/// How many colours there are; lines beyond take them again, with another dash.
pub const COLOURS: usize = 8;

/// How a line or bar is told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Which colour: a host's.
    pub colour: usize,
    /// Which dash: a run's on that host.
    pub dash: usize,
}

impl Look {
    /// The classes of the style sheet.
    pub fn classes(self) -> String {
        format!("s{} d{}", self.colour % COLOURS, (self.dash + self.colour / COLOURS) % 4)
    }
}
