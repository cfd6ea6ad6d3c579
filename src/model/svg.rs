//! Draws an explanation as an SVG picture: one column per thread, and arrows.

use std::fmt::Write as _;

use super::Model;
use super::code::Code;
use super::explain::{Explanation, Reason, end, letter, shown};

// All lengths are in px. The coordinates of a box are those of its upper left corner.
const GAP: usize = 110;
const ROW: usize = 58;
const BOX_HEIGHT: usize = 30;
/// Upper bound of a character's width in px, for the monospace fonts in use at 14 px.
const CHARACTER: f64 = 8.6;
const TOP: usize = 92;
const MARGIN: usize = 40;

/// The picture as one self-contained SVG document. It follows the reader's light or dark setting.
pub fn svg(code: &Code, model: Model, explanation: &Explanation) -> String {
    let Explanation { execution, witness, state, reason } = explanation;
    let threads = code.threads.len();
    let cells = execution.cell_names(code);
    let texts: Vec<String> = (execution.events.iter().enumerate())
        .map(|(number, event)| {
            format!("{}: {}", letter(execution, &cells, number), event.describe(&cells, &code.names))
        })
        .collect();
    let longest =
        execution.events.iter().zip(&texts).filter(|(event, _)| event.thread.is_some()).map(|(_, text)| text.len());
    let box_width = (longest.max().unwrap_or(0) as f64 * CHARACTER) as usize + 22;
    let column = box_width + GAP;
    let mut place = vec![None; execution.events.len()];
    let mut rows = vec![0; threads];
    for (number, event) in execution.events.iter().enumerate() {
        if let Some(thread) = event.thread {
            place[number] = Some((MARGIN + thread * column, TOP + rows[thread] * ROW));
            rows[thread] += 1;
        }
    }
    let verdict = match reason {
        Reason::Allowed { .. } => "allowed".to_owned(),
        Reason::Forbidden { axiom, .. } => format!("forbidden by \"{axiom}\""),
    };
    let title = format!("{} on {model}: {verdict}", code.name);
    let below = end(code, state);
    let text_width = 9 * title.len().max(below.len());
    let width = (2 * MARGIN + threads * column).max(text_width + 2 * MARGIN);
    let height = TOP + rows.iter().max().copied().unwrap_or(0) * ROW + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"{}\">\n{STYLE}",
        escape(&title)
    );
    let _ = writeln!(out, "<text class=\"title\" x=\"{MARGIN}\" y=\"28\">{}</text>", escape(&title));
    let _ = writeln!(out, "<text x=\"{MARGIN}\" y=\"50\">{}</text>", escape(&below));
    for thread in 0..threads {
        let _ = writeln!(
            out,
            "<text class=\"title\" x=\"{}\" y=\"{}\">P{thread}</text>",
            MARGIN + thread * column,
            TOP - 12
        );
    }
    let cycle: Vec<(usize, usize, &str)> = match reason {
        Reason::Allowed { .. } => Vec::new(),
        Reason::Forbidden { cycle, .. } => {
            let next = |at: usize| cycle[(at + 1) % cycle.len()].0;
            cycle.iter().enumerate().map(|(at, (event, label))| (*event, next(at), *label)).collect()
        }
    };
    let mut edges: Vec<(usize, usize, String, String)> = Vec::new();
    for name in ["rf", "co", "fr"] {
        for (from, to) in shown(execution, witness, name) {
            // Within a thread only rf is drawn: program order already shows the rest.
            if name != "rf" && execution.int.has(from, to) {
                continue;
            }
            edges.push((from, to, name.to_owned(), name.to_owned()));
        }
    }
    for (from, to, label) in cycle {
        let known = edges.iter_mut().find(|edge| edge.0 == from && edge.1 == to);
        match known {
            Some(edge) => edge.3.push_str(" cycle"),
            None => edges.push((from, to, label.to_owned(), "order cycle".to_owned())),
        }
    }
    // Program order: a plain line from each event to the next, if it relates them.
    for (number, pair) in place.windows(2).enumerate() {
        if let [Some(from), Some(to)] = pair
            && execution.po.has(number, number + 1)
        {
            let x = from.0 + box_width / 2;
            let _ = writeln!(out, "<path class=\"po\" d=\"M{x} {} V{}\"/>", from.1 + BOX_HEIGHT, to.1);
        }
    }
    for (from, to, label, class) in &edges {
        if let (Some(from), Some(to)) = (place[*from], place[*to]) {
            edge(&mut out, box_width, (from, to), label, class);
        }
    }
    for (number, text) in texts.iter().enumerate() {
        let Some((x, y)) = place[number] else { continue };
        let initial = witness.rf.pairs().any(|(write, read)| read == number && execution.iw.has(write));
        let class = if initial { "event initial" } else { "event" };
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"5\"/>",
            box_width, BOX_HEIGHT
        );
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{}</text>", x + 9, y + 20, escape(text));
    }
    out.push_str("</svg>\n");
    out
}

type Corner = (usize, usize);

/// Draws an arrow between two boxes, given by their upper left corners.
fn edge(out: &mut String, box_width: usize, (from, to): (Corner, Corner), label: &str, class: &str) {
    let (half_w, half_h) = ((box_width / 2) as f64, (BOX_HEIGHT / 2) as f64);
    let centre = |(x, y): (usize, usize)| (x as f64 + half_w, y as f64 + half_h);
    let ((ax, ay), (bx, by)) = (centre(from), centre(to));
    // The arrow goes from side to side; within a column it bends around the right side.
    let (start, end, bend) = if from.0 == to.0 {
        let reach = 26.0 + 0.12 * (ay - by).abs();
        ((ax + half_w, ay), (bx + half_w, by), (ax + half_w + reach, bx + half_w + reach))
    } else {
        let side = if bx > ax { half_w } else { -half_w };
        let pull = if bx > ax { 40.0 } else { -40.0 };
        ((ax + side, ay), (bx - side, by), (ax + side + pull, bx - side - pull))
    };
    let _ = writeln!(
        out,
        "<path class=\"{class}\" marker-end=\"url(#arrow)\" d=\"M{:.0} {:.0} C{:.0} {:.0} {:.0} {:.0} {:.0} {:.0}\"/>",
        start.0, start.1, bend.0, start.1, bend.1, end.1, end.0, end.1
    );
    // The label is at 30 % of the curve, so that the labels of crossing arrows do not overlap.
    let t = 0.3f64;
    let at = |a: f64, b: f64, c: f64, d: f64| {
        (1.0 - t).powi(3) * a + 3.0 * (1.0 - t).powi(2) * t * b + 3.0 * (1.0 - t) * t * t * c + t.powi(3) * d
    };
    let (x, y) = (at(start.0, bend.0, bend.1, end.0), at(start.1, start.1, end.1, end.1));
    let _ = writeln!(out, "<text class=\"label {class}\" x=\"{x:.0}\" y=\"{:.0}\">{}</text>", y - 4.0, escape(label));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = r#"<style>
svg { background: #fff; color: #222; font: 14px ui-monospace, monospace }
text { fill: currentColor } .title { font-weight: bold }
.event { fill: #f4f4f6; stroke: #888 } .initial { stroke-dasharray: 4 3 }
path { fill: none; stroke: #999; stroke-width: 1.2 } path.cycle { stroke-width: 3 }
path.rf { stroke: #c1272d } path.co { stroke: #8a5a2b } path.fr { stroke: #d9822b } path.order { stroke: #2b6cb0 }
text.rf { fill: #c1272d } text.co { fill: #8a5a2b } text.fr { fill: #d9822b } text.order { fill: #2b6cb0 }
.label { font-size: 12px; paint-order: stroke; stroke: #fff; stroke-width: 4px }
#arrow path { fill: #555; stroke: none }
@media (prefers-color-scheme: dark) {
svg { background: #17181c; color: #e6e6e6 } .event { fill: #24262c; stroke: #777 } .label { stroke: #17181c }
#arrow path { fill: #ccc }
text.rf { fill: #ff8a8e } path.rf { stroke: #ff6b70 } text.co { fill: #d8a871 }
path.co { stroke: #d8a871 } text.fr { fill: #ffb066 } path.fr { stroke: #ffb066 } text.order { fill: #7db7ff }
path.order { stroke: #7db7ff }
}
</style>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>
"#;
