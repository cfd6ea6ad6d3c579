//! Draws a heat map with a cell for each pair of CPUs.

use super::svg::{Svg, escape, place};
use super::{Axis, WIDTH};

/// A cell of a heat map.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The CPU of the column.
    pub x: usize,
    /// The CPU of the row.
    pub y: usize,
    /// The value; `None` if nothing was seen.
    pub value: Option<f64>,
    /// The text of the tooltip.
    pub note: String,
    /// XML attributes with the counts, written as they are.
    pub data: String,
}

/// A heat map.
#[derive(Debug, Clone)]
pub struct Heat {
    /// The text for screen readers.
    pub name: String,
    /// The CPUs in ascending order.
    pub cpus: Vec<usize>,
    /// What the columns are.
    pub across: String,
    /// What the rows are.
    pub down: String,
    /// The cells that were measured.
    pub cells: Vec<Cell>,
    /// The scale of the colours.
    pub axis: Axis,
    /// The function that formats the labels of the ticks.
    pub tick: fn(f64) -> String,
}

const LEFT: f64 = 46.0;
const TOP: f64 = 40.0;
const SIDE: f64 = 330.0;
/// The smallest distance between two labels, in SVG units.
const APART: f64 = 22.0;

impl Heat {
    /// The chart as an SVG element.
    pub fn svg(&self) -> String {
        let count = self.cpus.len().max(1);
        let size = (SIDE / count as f64).min(40.0);
        let side = size * count as f64;
        let mut svg = Svg::new("heat", WIDTH, TOP + side + 66.0, &self.name);
        let index = |cpu: usize| self.cpus.iter().position(|known| *known == cpu).unwrap_or(0) as f64;
        let every = (APART / size).ceil().max(1.0) as usize;
        svg.label("axis", (LEFT, 14.0), "start", "", &self.across);
        svg.label("axis", (4.0, TOP + 11.0 - 16.0), "start", "", &self.down);
        for (number, cpu) in self.cpus.iter().enumerate().step_by(every) {
            let middle = (number as f64 + 0.5) * size;
            svg.label("tick", (LEFT + middle, TOP - 6.0), "middle", "", &cpu.to_string());
            svg.label("tick", (LEFT - 6.0, TOP + middle + 4.0), "end", "", &cpu.to_string());
        }
        svg.raw(&format!(
            "<rect class=\"frame\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/>",
            place(side),
            place(side)
        ));
        let gap = if size > 6.0 { 1.0 } else { 0.0 };
        for cell in &self.cells {
            let (x, y) = (LEFT + index(cell.x) * size, TOP + index(cell.y) * size);
            let (class, style) = match cell.value {
                Some(value) => ("cell", format!(" style=\"--v:{:.3}\"", self.axis.at(value))),
                None => ("cell none", String::new()),
            };
            svg.raw(&format!(
                "<rect class=\"{class}\"{style} x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}><title>{}</title></rect>",
                place(x + gap / 2.0),
                place(y + gap / 2.0),
                place(size - gap),
                place(size - gap),
                cell.data,
                escape(&cell.note)
            ));
        }
        // The key is a strip with all the colours.
        let (y, steps) = (TOP + side + 14.0, 24);
        for step in 0..steps {
            let width = SIDE / f64::from(steps);
            svg.raw(&format!(
                "<rect class=\"key\" style=\"--v:{:.3}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"10\"/>",
                (f64::from(step) + 0.5) / f64::from(steps),
                place(LEFT + f64::from(step) * width),
                place(y),
                place(width + 0.3)
            ));
        }
        for tick in self.axis.ticks() {
            let x = LEFT + self.axis.at(tick) * SIDE;
            svg.label("tick", (x, y + 24.0), "middle", "", &(self.tick)(tick));
        }
        svg.label("axis", (LEFT + SIDE / 2.0, y + 42.0), "middle", "", &self.axis.label);
        svg.finish()
    }
}
