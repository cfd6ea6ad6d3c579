//! The answer as a badge: a small SVG picture for READMEs.

use super::answer::{self, OnCpu};
use super::runs::{self, Run};
use super::sum::sums;
use super::{Entry, RACE};
use crate::error::{Error, Result};
use crate::litmus::Verdict;
use crate::publish::chart::escape;
use crate::publish::rate;
use crate::record::Finding;

/// What a badge says, and its colour.
struct Words {
    text: String,
    colour: &'static str,
}

/// The colours of findings. White text on each has a contrast of 5 or more.
const SEEN: &str = "#8a4300";
const UNSEEN: &str = "#1d6a34";
const FORBIDDEN: &str = "#b00020";
const UNKNOWN: &str = "#565c66";

/// Draws the badge of some records: whether the race was seen, or the outcome of the test `name`.
///
/// # Errors
/// If no record on real hardware has the test.
pub fn badge(entries: &[Entry], name: Option<&str>) -> Result<String> {
    let runs = runs::runs(entries);
    let real: Vec<&Run<'_>> = runs.iter().filter(|run| !run.host().emulated).collect();
    let sums = sums(&real);
    let subject = match name {
        Some(name) => sums.iter().map(|sum| sum.first().scenario.as_str()).find(|known| *known == name),
        None => answer::subject(&sums),
    };
    let subject = subject.ok_or_else(|| {
        let mut names: Vec<&str> = sums.iter().map(|sum| sum.first().scenario.as_str()).collect();
        names.dedup();
        Error::Usage(match name {
            Some(name) if !names.is_empty() => {
                format!("--result: no result of '{name}'; there are {}", names.join(", "))
            }
            _ => "these records have no results of `wakerace run` on real hardware".to_owned(),
        })
    })?;
    let what = if subject == RACE { "race" } else { subject };
    let Words { text, colour } = words(what, &answer::by_cpu(&sums, subject));
    Ok(draw("wakerace", &text, colour))
}

fn words(what: &str, cpus: &[OnCpu<'_>]) -> Words {
    let has = |finding| cpus.iter().any(|cpu| cpu.has(finding));
    let of = |text: String, colour| Words { text, colour };
    let seen = cpus.iter().filter(|cpu| cpu.highest() > 0.0).count();
    let allowed = cpus.iter().all(|cpu| cpu.allowed() != Some(Verdict::Never));
    match cpus {
        _ if has(Finding::ForbiddenObserved) => of(format!("forbidden {what} seen"), FORBIDDEN),
        [one] if seen == 1 => of(format!("{what} {}", rate(one.highest())), SEEN),
        _ if seen > 0 => of(format!("{what} seen on {seen} of {} kinds of CPU", cpus.len()), SEEN),
        _ if has(Finding::Inconclusive) => of(format!("{what} not seen, inconclusive"), UNKNOWN),
        [one] => of(format!("{what} {}{}", one.bound(), if allowed { "" } else { ", forbidden" }), UNSEEN),
        many => of(format!("{what} not seen on {} kinds of CPU", many.len()), UNSEEN),
    }
}

/// The width of a text in pixels, about that of DejaVu Sans at 11 pixels. The picture states it as the length of the text, so
/// other fonts are stretched to it.
fn width(text: &str) -> f64 {
    let wide = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ' ' | '\'' => 3.6,
        'f' | 'r' | 't' | '-' | '(' | ')' => 4.6,
        'm' | 'w' | 'M' | 'W' | '%' | '<' | '+' => 9.6,
        c if c.is_ascii_uppercase() => 7.6,
        _ => 6.9,
    };
    text.chars().map(wide).sum()
}

fn draw(left: &str, right: &str, colour: &str) -> String {
    const ASIDE: f64 = 6.0;
    let (own, other) = (width(left), width(right));
    let middle = own + 2.0 * ASIDE;
    let all = middle + other + 2.0 * ASIDE;
    let words = |x: f64, length: f64, text: &str| {
        format!("<text x=\"{x:.1}\" y=\"14\" textLength=\"{length:.1}\">{}</text>\n", escape(text))
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all:.1}\" height=\"20\" role=\"img\" aria-label=\"{label}\">\n\
         <title>{label}</title>\n\
         <clipPath id=\"r\"><rect width=\"{all:.1}\" height=\"20\" rx=\"3\"/></clipPath>\n\
         <g clip-path=\"url(#r)\"><rect width=\"{middle:.1}\" height=\"20\" fill=\"#3b3f46\"/>\
         <rect x=\"{middle:.1}\" width=\"{:.1}\" height=\"20\" fill=\"{colour}\"/></g>\n\
         <g fill=\"#fff\" font-family=\"DejaVu Sans,Verdana,Geneva,sans-serif\" font-size=\"11\">\n{}{}</g>\n</svg>\n",
        all - middle,
        words(ASIDE, own, left),
        words(middle + ASIDE, other, right),
        label = escape(&format!("{left}: {right}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::shipped;
    use crate::record::{AnyRecord, Record};

    fn record() -> Record {
        shipped("2026-11-25T174425Z")
    }

    fn of(records: &[Record], name: Option<&str>) -> Result<String> {
        let entry = |record: &Record| Entry { name: String::new(), record: AnyRecord::Run(Box::new(record.clone())) };
        badge(&records.iter().map(entry).collect::<Vec<_>>(), name)
    }

    #[test]
    fn a_badge_says_what_was_found_in_its_colour() {
        let zero = of(&[record()], None).unwrap();
        assert!(
            zero.contains("aria-label=\"wakerace: race &lt; 5.4e-8, forbidden\"") && zero.contains(UNSEEN),
            "{zero}"
        );
        let seen = of(&[record()], Some("SB")).unwrap();
        assert!(seen.contains("wakerace: SB 88.2 %\"") && seen.contains(SEEN), "{seen}");
        let mut doubted = record();
        let race = |record: &mut Record, finding| {
            let result = record.results.iter_mut().find(|result| result.scenario == RACE).unwrap();
            result.finding = finding;
        };
        race(&mut doubted, Finding::Inconclusive);
        assert!(of(&[doubted.clone()], None).unwrap().contains("race not seen, inconclusive"));
        race(&mut doubted, Finding::ForbiddenObserved);
        let bug = of(&[record(), doubted], None).unwrap();
        assert!(bug.contains("wakerace: forbidden race seen\"") && bug.contains(FORBIDDEN), "{bug}");
        let mut other = record();
        other.host.cpu_model = "Other".to_owned();
        assert!(of(&[record(), other.clone()], None).unwrap().contains("race not seen on 2 kinds of CPU"));
        assert!(of(&[record(), other.clone()], Some("SB")).unwrap().contains("SB seen on 2 of 2 kinds of CPU"));
        other.host.emulated = true;
        let error = of(&[other], None).unwrap_err().to_string();
        assert!(error.contains("real hardware"), "{error}");
        let error = of(&[record()], Some("MP")).unwrap_err().to_string();
        assert!(error.contains("no result of 'MP'; there are S01-as-is, S02-wmb"), "{error}");
    }

    #[test]
    fn the_text_fits_into_its_half() {
        let svg = draw("wakerace", "race < 7.6e-8", UNSEEN);
        let number = |of: &str| of.split('"').next().unwrap().parse::<f64>().unwrap();
        let all = number(svg.split("width=\"").nth(1).unwrap());
        let texts: Vec<&str> = svg.lines().filter(|line| line.starts_with("<text")).collect();
        let [left, right] = texts[..] else { panic!("{svg}") };
        let place = |line: &str| {
            let x = number(line.split("x=\"").nth(1).unwrap());
            (x, x + number(line.split("textLength=\"").nth(1).unwrap()))
        };
        assert!(place(left).1 < place(right).0 && place(right).1 < all, "{svg}");
    }
}
