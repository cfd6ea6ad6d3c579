//! Lines that came from other caches, in words.

use std::collections::BTreeMap;

use crate::record::ScenarioResult;

/// A line with the lines per instance of each test, if the hardware counted any:
/// `Lines from other caches per instance, by the hardware's counter mem_load_l3_hit_retired.xsnp_hitm: SB 0.27; MP+nt 1.1.`
pub(super) fn line(results: &[ScenarioResult]) -> Option<String> {
    let mut by_event: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for result in results {
        let Some((fills, each)) = result.line_fills.as_ref().and_then(|fills| Some((fills, fills.per_instance?)))
        else {
            continue;
        };
        by_event.entry(&fills.event).or_default().push(format!("{} {}", result.scenario, number(each)));
    }
    let events: Vec<String> =
        by_event.into_iter().map(|(event, tests)| format!("{event}: {}", tests.join("; "))).collect();
    let event = |events: Vec<String>| {
        format!("Lines from other caches per instance, by the hardware's counter {}.", events.join("; by "))
    };
    (!events.is_empty()).then(|| event(events))
}

/// A number with two significant digits: `0.27`, `1.1`, `12`.
fn number(value: f64) -> String {
    let decimals = if value <= 0.0 { 0.0 } else { (1.0 - value.log10().floor()).clamp(0.0, 9.0) };
    format!("{value:.*}", decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{LineFillsRecord, shipped};

    #[test]
    fn each_event_has_its_tests() {
        let mut results = shipped("2026-11-25T174425Z").results;
        results.truncate(4);
        assert_eq!(line(&results), None);
        for (result, (event, each)) in results.iter_mut().zip([("a", 0.2749), ("b", 12.3), ("a", 1.06)]) {
            result.line_fills = Some(LineFillsRecord { event: event.to_owned(), count: 1, per_instance: Some(each) });
        }
        let names: Vec<&str> = results.iter().map(|result| result.scenario.as_str()).collect();
        let wanted = format!(
            "Lines from other caches per instance, by the hardware's counter a: {} 0.27; {} 1.1; by b: {} 12.",
            names[0], names[2], names[1]
        );
        assert_eq!(line(&results), Some(wanted));
        assert_eq!([0.0, 0.00123, 345.6].map(number), ["0", "0.0012", "346"]);
    }
}
