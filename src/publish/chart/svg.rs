//! Writes SVG elements.

use std::fmt::Write as _;

use crate::shown;

/// Escapes text for XML, including attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML cannot represent some of these characters.
            c if shown::is_hidden(c) && !matches!(c, '\t' | '\n' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A coordinate with two decimals. A hundredth of a unit is finer than any screen shows.
pub(super) fn place(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An SVG document while it is written.
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// Starts a document. `name` is the text for screen readers.
    pub(super) fn new(kind: &str, width: f64, height: f64, name: &str) -> Svg {
        let (width, height) = (place(width), place(height));
        let text = format!(
            "<svg class=\"chart {kind}\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{}\">\n",
            escape(name)
        );
        Svg { text }
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(place);
        let _ = writeln!(self.text, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }

    /// Writes text. `anchor` is start, middle or end; `data` holds XML attributes, written as they are.
    pub(super) fn label(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, data: &str, text: &str) {
        let (x, y) = (place(x), place(y));
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\"{data}>{}</text>",
            escape(text)
        );
    }

    /// Writes any other element. The caller must have escaped its text.
    pub(super) fn raw(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }

    pub(super) fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }
}

/// The anchor of a tick's label along an axis from left to right. The first and last labels are aligned so that they do not
/// extend beyond the edge.
pub(super) fn anchor(x: f64, (left, right): (f64, f64)) -> &'static str {
    if x > right - 12.0 {
        "end"
    } else if x < left + 12.0 {
        "start"
    } else {
        "middle"
    }
}

/// An open triangle that points down at an upper bound.
pub(super) fn below(class: &str, (x, y): (f64, f64), note: &str) -> String {
    let path = format!("M{} {}h8l-4 7z", place(x - 4.0), place(y - 7.0));
    format!("<path class=\"below {class}\" d=\"{path}\"><title>{}</title></path>", escape(note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escape("<a b='\"'>&\u{1}"), "&lt;a b=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
        assert_eq!([0.0, 12.5, 2.34567, -0.001].map(place), ["0", "12.5", "2.35", "-0"]);
    }
}
