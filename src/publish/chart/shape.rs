//! The shapes that tell runs and hosts apart without colour.

use std::fmt::Write as _;

use super::svg::place;

/// The number of shapes. It is the number of colours, so that looks in a row share neither for as long as they can.
const SHAPES: usize = super::COLOURS;

/// The corners of shape `number` with its centre at a point; empty if the shape is a circle. All shapes have about the same area.
pub(super) fn corners(number: usize, (x, y): (f64, f64), radius: f64) -> Vec<(f64, f64)> {
    // Corners by angle in eighths of a turn from the top, and distance in radii.
    let corners: &[(f64, f64)] = match number % SHAPES {
        0 => &[],
        1 => &[(1.0, 1.25), (3.0, 1.25), (5.0, 1.25), (7.0, 1.25)], // square
        2 => &[(0.0, 1.4), (2.0, 1.4), (4.0, 1.4), (6.0, 1.4)],     // diamond
        3 => &[(0.0, 1.35), (8.0 / 3.0, 1.35), (16.0 / 3.0, 1.35)], // triangle that points up
        4 => &[(4.0, 1.35), (20.0 / 3.0, 1.35), (4.0 / 3.0, 1.35)], // triangle that points down
        5 => &[(0.0, 1.5), (1.0, 0.6), (2.0, 1.5), (3.0, 0.6), (4.0, 1.5), (5.0, 0.6), (6.0, 1.5), (7.0, 0.6)], // star
        6 => &[(2.0, 1.35), (14.0 / 3.0, 1.35), (22.0 / 3.0, 1.35)], // triangle that points right
        _ => &[(1.0, 1.5), (2.0, 0.5), (3.0, 1.5), (4.0, 0.5), (5.0, 1.5), (6.0, 0.5), (7.0, 1.5), (8.0, 0.5)], // cross
    };
    let place = |(eighths, distance): &(f64, f64)| {
        let (sin, cos) = (eighths * std::f64::consts::FRAC_PI_4).sin_cos();
        (x + sin * distance * radius, y - cos * distance * radius)
    };
    corners.iter().map(place).collect()
}

/// The path data of shape `number` with its centre at a point.
pub(super) fn outline(number: usize, at: (f64, f64), radius: f64) -> String {
    let corners = corners(number, at, radius);
    if corners.is_empty() {
        return circle(at.0, at.1, radius);
    }
    let mut path = String::new();
    for (number, (x, y)) in corners.into_iter().enumerate() {
        let letter = if number == 0 { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{letter}{} {}", place(x), place(y));
    }
    path + "z"
}

fn circle(x: f64, y: f64, radius: f64) -> String {
    let (left, radius, width) = (place(x - radius), place(radius), place(2.0 * radius));
    format!("M{left} {}a{radius} {radius} 0 1 0 {width} 0a{radius} {radius} 0 1 0 -{width} 0z", place(y))
}

#[cfg(test)]
mod tests {
    use super::super::Look;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_looks_share_colour_and_shape() {
        let of = |number| {
            let look = Look::numbered(number);
            (look.colour_number(), look.outline((0.0, 0.0), 1.0))
        };
        assert_eq!((0..64).map(of).collect::<BTreeSet<_>>().len(), 64);
        let first: Vec<_> = (0..8).map(of).collect();
        assert_eq!(first.iter().map(|(_, shape)| shape).collect::<BTreeSet<_>>().len(), 8);
    }
}
