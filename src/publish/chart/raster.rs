//! A canvas of pixels with text, for pictures that readers cannot have as SVG: link previews must be PNG files.
//!
//! tiny-skia fills the shapes, and ttf-parser reads the outlines of the letters. Both are small, because neither shapes text:
//! the font is a part of Roboto without ligatures and without kerning (fonts/README.md).

use std::sync::OnceLock;

use tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, Rect, Stroke, Transform};
use ttf_parser::{Face, OutlineBuilder};

use super::{Look, shape};
use crate::error::{Error, Result};

const REGULAR: &[u8] = include_bytes!("fonts/roboto-regular.ttf");
const BOLD: &[u8] = include_bytes!("fonts/roboto-bold.ttf");

/// The weight of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Regular.
    Regular,
    /// Bold.
    Bold,
}

impl Weight {
    /// The font; `None` if the file in the binary cannot be read.
    fn face(self) -> Option<&'static Face<'static>> {
        static FACES: OnceLock<[Option<Face<'static>>; 2]> = OnceLock::new();
        let faces = FACES.get_or_init(|| [REGULAR, BOLD].map(|font| Face::parse(font, 0).ok()));
        faces[usize::from(self == Weight::Bold)].as_ref()
    }
}

/// The size, the weight and the colour of a text. A colour is red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ink {
    /// The size in pixels.
    pub size: f64,
    /// The weight.
    pub weight: Weight,
    /// The colour.
    pub colour: [u8; 3],
}

/// The width of a text in pixels.
pub fn text_width(text: &str, ink: Ink) -> f64 {
    let Some(face) = ink.weight.face() else { return 0.0 };
    let units: f64 = text.chars().map(|c| f64::from(face.glyph_hor_advance(glyph(face, c)).unwrap_or(0))).sum();
    units * ink.size / f64::from(face.units_per_em())
}

/// Breaks a text into lines that are not wider than `room`. A word that is wider has a line of its own.
pub fn lines_of(text: &str, ink: Ink, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), ink) <= room => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The text, cut so that it is not wider than `room`.
pub fn cut(text: &str, ink: Ink, room: f64) -> String {
    if text_width(text, ink) <= room {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while !kept.is_empty() && text_width(&format!("{}\u{2026}", kept.trim_end()), ink) > room {
        kept.pop();
    }
    format!("{}\u{2026}", kept.trim_end())
}

/// A character that the font lacks is drawn as U+FFFD.
fn glyph(face: &Face<'_>, c: char) -> ttf_parser::GlyphId {
    face.glyph_index(c).or_else(|| face.glyph_index('\u{fffd}')).unwrap_or_default()
}

/// The outline of a letter at its place. Fonts measure upwards, pictures downwards.
struct Outline<'a> {
    path: &'a mut PathBuilder,
    x: f64,
    y: f64,
    scale: f64,
}

impl Outline<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        ((self.x + f64::from(x) * self.scale) as f32, (self.y - f64::from(y) * self.scale) as f32)
    }
}

impl OutlineBuilder for Outline<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

/// A picture while it is drawn. Places and sizes are in pixels, y goes down.
pub struct Canvas {
    pixels: Pixmap,
}

impl Canvas {
    /// A picture of one colour.
    ///
    /// # Errors
    /// If a side is zero.
    pub fn new(width: u32, height: u32, [r, g, b]: [u8; 3]) -> Result<Canvas> {
        let empty = || Error::Internal(format!("a picture of {width}x{height} pixels"));
        let mut pixels = Pixmap::new(width, height).ok_or_else(empty)?;
        pixels.fill(Color::from_rgba8(r, g, b, 255));
        Ok(Canvas { pixels })
    }

    /// Writes a line of text. `x` is its left end, `y` its base line.
    pub fn text(&mut self, (mut x, y): (f64, f64), text: &str, ink: Ink) {
        let Some(face) = ink.weight.face() else { return };
        let scale = ink.size / f64::from(face.units_per_em());
        let mut path = PathBuilder::new();
        for c in text.chars() {
            let glyph = glyph(face, c);
            face.outline_glyph(glyph, &mut Outline { path: &mut path, x, y, scale });
            x += f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
        }
        self.fill(path, ink.colour);
    }

    /// Fills a rectangle.
    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: [u8; 3]) {
        if let Some(rectangle) = Rect::from_xywh(x as f32, y as f32, width as f32, height as f32) {
            self.pixels.fill_rect(rectangle, &paint(colour), Transform::identity(), None);
        }
    }

    /// Draws a line through some points.
    pub fn line(&mut self, points: &[(f64, f64)], width: f64, colour: [u8; 3]) {
        let mut path = PathBuilder::new();
        trace(&mut path, points);
        self.stroke(path, width, colour);
    }

    /// Draws the shape of a host: filled, or its outline alone for a bound.
    pub fn mark(&mut self, at: (f64, f64), radius: f64, look: Look, colour: [u8; 3], inside: Option<[u8; 3]>) {
        let mut path = PathBuilder::new();
        let corners = shape::corners(look.shape(), at, radius);
        if corners.is_empty() {
            path.push_circle(at.0 as f32, at.1 as f32, radius as f32);
        } else {
            trace(&mut path, &corners);
            path.close();
        }
        match inside {
            None => self.fill(path, colour),
            Some(inside) => {
                self.fill(path.clone(), inside);
                self.stroke(path, 2.5, colour);
            }
        }
    }

    fn fill(&mut self, path: PathBuilder, colour: [u8; 3]) {
        if let Some(path) = path.finish() {
            self.pixels.fill_path(&path, &paint(colour), FillRule::Winding, Transform::identity(), None);
        }
    }

    fn stroke(&mut self, path: PathBuilder, width: f64, colour: [u8; 3]) {
        if let Some(path) = path.finish() {
            let stroke = Stroke { width: width as f32, ..Stroke::default() };
            self.pixels.stroke_path(&path, &paint(colour), &stroke, Transform::identity(), None);
        }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// Only an internal one.
    pub fn png(&self) -> Result<Vec<u8>> {
        self.pixels.encode_png().map_err(|error| Error::Internal(format!("writing a PNG picture: {error}")))
    }
}

fn trace(path: &mut PathBuilder, points: &[(f64, f64)]) {
    for (number, &(x, y)) in points.iter().enumerate() {
        if number == 0 { path.move_to(x as f32, y as f32) } else { path.line_to(x as f32, y as f32) }
    }
}

fn paint([r, g, b]: [u8; 3]) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(r, g, b, 255);
    paint
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Ink = Ink { size: 20.0, weight: Weight::Bold, colour: [0, 0, 0] };

    #[test]
    fn text_is_as_wide_as_it_is_drawn() {
        let mut canvas = Canvas::new(200, 40, [255; 3]).unwrap();
        canvas.text((10.0, 30.0), "HHHHH", INK);
        let drawn: Vec<u32> =
            (0..200).filter(|x| (0..40).any(|y| canvas.pixels.pixel(*x, y).unwrap().red() < 128)).collect();
        let width = text_width("HHHHH", INK);
        let end = f64::from(*drawn.last().unwrap());
        assert!(drawn[0] >= 10 && end < 10.0 + width && end > 10.0 + width - 4.0, "{drawn:?} {width}");
        // Letters that the font lacks are visible.
        assert!(text_width("\u{4e2d}", INK) > 5.0);
    }

    #[test]
    fn lines_are_broken_at_words_and_cut_at_letters() {
        let room = text_width("the race was", INK);
        assert_eq!(lines_of("the race was not seen", INK, room), ["the race was", "not seen"]);
        let short = cut("the race was not seen", INK, room);
        assert!(short.ends_with('\u{2026}') && text_width(&short, INK) <= room && short.len() > 8, "{short}");
        assert_eq!(cut("the race", INK, room), "the race");
    }
}
