//! A canvas of pixels with text, for pictures that readers cannot have as SVG: link previews must be PNG files.
//!
//! ttf-parser reads the outlines of the letters, and ab_glyph_rasterizer says how much of each pixel an outline covers. Both are
//! small, because neither shapes text: the font is a part of Roboto without ligatures and without kerning (fonts/README.md).

use std::sync::OnceLock;

use ab_glyph_rasterizer::{Point, Rasterizer, point};
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

/// A closed outline: lines, and curves with one or two control points.
#[derive(Default)]
struct Path {
    parts: Vec<Vec<Point>>,
    first: Point,
    last: Point,
}

impl Path {
    fn start(&mut self, at: Point) {
        self.close();
        (self.first, self.last) = (at, at);
    }

    /// Goes on to the last of some points, by way of the others.
    fn go(&mut self, by: &[Point]) {
        let mut part = vec![self.last];
        part.extend(by);
        self.last = part[part.len() - 1];
        self.parts.push(part);
    }

    fn close(&mut self) {
        if self.first != self.last {
            self.go(&[self.first]);
        }
    }

    fn polygon(corners: &[(f64, f64)]) -> Path {
        let mut path = Path::default();
        for (number, &(x, y)) in corners.iter().enumerate() {
            let at = point(x as f32, y as f32);
            if number == 0 { path.start(at) } else { path.go(&[at]) }
        }
        path.close();
        path
    }

    fn circle((x, y): (f64, f64), radius: f64) -> Path {
        // Four Bezier curves whose control points are this share of the radius away from their ends differ from a circle by less
        // than a thousandth.
        const CONTROL: f64 = 0.5523;
        let at = |right: f64, down: f64| point((x + right * radius) as f32, (y + down * radius) as f32);
        let mut path = Path::default();
        path.start(at(1.0, 0.0));
        path.go(&[at(1.0, CONTROL), at(CONTROL, 1.0), at(0.0, 1.0)]);
        path.go(&[at(-CONTROL, 1.0), at(-1.0, CONTROL), at(-1.0, 0.0)]);
        path.go(&[at(-1.0, -CONTROL), at(-CONTROL, -1.0), at(0.0, -1.0)]);
        path.go(&[at(CONTROL, -1.0), at(1.0, -CONTROL), at(1.0, 0.0)]);
        path
    }
}

/// The outline of a letter at its place. Fonts measure upwards, pictures downwards.
struct Outline<'a> {
    path: &'a mut Path,
    x: f64,
    y: f64,
    scale: f64,
}

impl Outline<'_> {
    fn at(&self, x: f32, y: f32) -> Point {
        point((self.x + f64::from(x) * self.scale) as f32, (self.y - f64::from(y) * self.scale) as f32)
    }
}

impl OutlineBuilder for Outline<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.start(self.at(x, y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.go(&[self.at(x, y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.path.go(&[self.at(x1, y1), self.at(x, y)]);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.path.go(&[self.at(x1, y1), self.at(x2, y2), self.at(x, y)]);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

/// A picture while it is drawn. Places and sizes are in pixels, y goes down.
pub struct Canvas {
    width: usize,
    height: usize,
    /// Red, green and blue of each pixel.
    pixels: Vec<[u8; 3]>,
}

impl Canvas {
    /// A picture of one colour.
    pub fn new(width: u32, height: u32, colour: [u8; 3]) -> Canvas {
        let (width, height) = (width as usize, height as usize);
        Canvas { width, height, pixels: vec![colour; width * height] }
    }

    /// Writes a line of text. `x` is its left end, `y` its base line.
    pub fn text(&mut self, (mut x, y): (f64, f64), text: &str, ink: Ink) {
        let Some(face) = ink.weight.face() else { return };
        let scale = ink.size / f64::from(face.units_per_em());
        for c in text.chars() {
            let glyph = glyph(face, c);
            let mut path = Path::default();
            face.outline_glyph(glyph, &mut Outline { path: &mut path, x, y, scale });
            self.fill(&path, ink.colour);
            x += f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) * scale;
        }
    }

    /// Fills a rectangle.
    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: [u8; 3]) {
        self.fill(&Path::polygon(&[(x, y), (x + width, y), (x + width, y + height), (x, y + height)]), colour);
    }

    /// Draws lines from each point to the next.
    pub fn line(&mut self, points: &[(f64, f64)], width: f64, colour: [u8; 3]) {
        for ends in points.windows(2) {
            let [(x, y), (to_x, to_y)] = [ends[0], ends[1]];
            let length = (to_x - x).hypot(to_y - y);
            if length > 0.0 {
                // Half of the width, at a right angle to the line.
                let (dx, dy) = ((y - to_y) / length * width / 2.0, (to_x - x) / length * width / 2.0);
                let corners = [(x + dx, y + dy), (to_x + dx, to_y + dy), (to_x - dx, to_y - dy), (x - dx, y - dy)];
                self.fill(&Path::polygon(&corners), colour);
            }
        }
    }

    /// Draws the shape of a look: of one colour, or of another one inside for a bound.
    pub fn mark(&mut self, at: (f64, f64), radius: f64, look: Look, colour: [u8; 3], inside: Option<[u8; 3]>) {
        let shape = |radius: f64| {
            let corners = shape::corners(look.shape, at, radius);
            if corners.is_empty() { Path::circle(at, radius) } else { Path::polygon(&corners) }
        };
        match inside {
            None => self.fill(&shape(radius), colour),
            Some(inside) => {
                self.fill(&shape(radius + 1.2), colour);
                self.fill(&shape(radius - 1.2), inside);
            }
        }
    }

    /// Fills an outline: each pixel by the share of it that is inside.
    fn fill(&mut self, path: &Path, colour: [u8; 3]) {
        let all = || path.parts.iter().flatten();
        let (left, top) = all().fold((f32::MAX, f32::MAX), |(x, y), at| (x.min(at.x), y.min(at.y)));
        let (right, bottom) = all().fold((f32::MIN, f32::MIN), |(x, y), at| (x.max(at.x), y.max(at.y)));
        if right <= left || bottom <= top {
            return;
        }
        let (left, top) = (left.floor(), top.floor());
        let inner = |at: &Point| point(at.x - left, at.y - top);
        let mut cover = Rasterizer::new((right - left) as usize + 2, (bottom - top) as usize + 2);
        for part in &path.parts {
            match part[..] {
                [a, b] => cover.draw_line(inner(&a), inner(&b)),
                [a, b, c] => cover.draw_quad(inner(&a), inner(&b), inner(&c)),
                [a, b, c, d] => cover.draw_cubic(inner(&a), inner(&b), inner(&c), inner(&d)),
                _ => {}
            }
        }
        let (width, height) = (self.width as f32, self.height as f32);
        cover.for_each_pixel_2d(|x, y, share| {
            let (x, y) = (x as f32 + left, y as f32 + top);
            if share > 0.0 && x >= 0.0 && y >= 0.0 && x < width && y < height {
                let pixel = &mut self.pixels[y as usize * self.width + x as usize];
                let share = share.min(1.0);
                for (old, new) in pixel.iter_mut().zip(colour) {
                    *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * share).round() as u8;
                }
            }
        });
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// Only an internal one.
    pub fn png(&self) -> Result<Vec<u8>> {
        let failed = |error| Error::Internal(format!("writing a PNG picture: {error}"));
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        // Filters are for photographs. Areas of one colour are a fifth smaller without one.
        encoder.set_filter(png::Filter::NoFilter);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(self.pixels.as_flattened()).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Ink = Ink { size: 20.0, weight: Weight::Bold, colour: [0, 0, 0] };

    #[test]
    fn text_is_as_wide_as_it_is_drawn() {
        let mut canvas = Canvas::new(200, 40, [255; 3]);
        canvas.text((10.0, 30.0), "HHHHH", INK);
        let drawn: Vec<usize> = (0..200).filter(|x| (0..40).any(|y| canvas.pixels[y * 200 + *x][0] < 128)).collect();
        let width = text_width("HHHHH", INK);
        let end = *drawn.last().unwrap() as f64;
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
