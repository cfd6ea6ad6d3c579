//! Draws charts as SVG: axes, lines, bars, heat maps. This module does not depend on records.
//!
//! Every chart is [`WIDTH`] units wide, so its text has the same size on a phone and on a desktop: a wide
//! page shows more charts side by side instead of wider charts. Colours come from the page's style sheet, by
//! the classes `s0` to `s7`. Shapes have their values as `data-` attributes, so that a test can compare the
//! drawing with the counts.

mod bars;
mod forest;
mod heat;
mod lines;
mod raster;
mod scale;
mod shape;
mod strips;
mod svg;

pub use bars::{Bar, Bars};
pub use forest::{Forest, Form, Ground, Mark, Row, WIDE};
pub use heat::{Cell, Heat};
pub use lines::{Line, Lines, Point};
pub use raster::{Canvas, Ink, Weight, cut, lines_of, text_width};
pub use scale::{Axis, Scale};
pub use strips::{Dot, Strip, Strips};
pub use svg::escape;

/// The width of every chart, in SVG units. With the style sheet one unit is about one pixel.
pub const WIDTH: f64 = 400.0;

/// The number of colours. Further lines use the same colours with another dash pattern.
pub const COLOURS: usize = 8;

/// The number of dash patterns.
pub const DASHES: usize = 8;

/// The look that tells a line or bar from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// The number of the colour. Each host has one.
    pub colour: usize,
    /// The number of the dash pattern. Each run on a host has one.
    pub dash: usize,
    /// The number of the shape of its marks. Each run has one.
    pub shape: usize,
}

impl Look {
    /// The look of one of several things that have a mark each. Up to [`COLOURS`] of them each have their own colour and their
    /// own shape; up to [`COLOURS`] times as many each have their own pair.
    pub fn numbered(number: usize) -> Look {
        Look { colour: number, dash: number / COLOURS, shape: number + number / COLOURS }
    }

    /// The number of the colour class.
    pub fn colour_number(self) -> usize {
        self.colour % COLOURS
    }

    /// The outline of the shape around a point.
    pub fn outline(self, at: (f64, f64), radius: f64) -> String {
        shape::outline(self.shape, at, radius)
    }

    /// The CSS classes of this look.
    pub fn classes(self) -> String {
        format!("s{} d{}", self.colour % COLOURS, self.dash % DASHES)
    }
}
