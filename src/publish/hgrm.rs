//! Writes histograms as `.hgrm` percentile distributions, the format that HdrHistogram's tools print and
//! plot.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// Writes the percentile distribution of a histogram, as HdrHistogram's outputPercentileDistribution() prints
/// it with five ticks per half distance and without scaling.
pub fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut seen = 0;
    for value in histogram.iter_quantiles(5) {
        seen += value.count_since_last_iteration();
        let quantile = value.quantile_iterated_to();
        let _ = write!(text, "{:12.3} {quantile:2.12} {seen:10}", value.value_iterated_to() as f64);
        if quantile < 1.0 {
            let _ = write!(text, " {:14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    // The smallest power of two that is at least 2 * 10^digits.
    let sub_buckets = (2 * 10u64.pow(u32::from(histogram.sigfig()))).next_power_of_two();
    let _ = writeln!(text, "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]", histogram.mean(), histogram.stdev());
    let _ = writeln!(text, "#[Max     = {:12.3}, Total count    = {:12}]", histogram.max() as f64, histogram.len());
    let _ = writeln!(text, "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]", histogram.buckets());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_reads_as_hdrhistograms() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1 << 40, 3).unwrap();
        for value in 1..=1000 {
            histogram.record(value).unwrap();
        }
        let text = hgrm(&histogram);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0].split_whitespace().collect::<Vec<_>>(),
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        let rows: Vec<Vec<f64>> = lines[2..]
            .iter()
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]), "{text}");
        assert_eq!(rows.last().unwrap()[..], [1000.0, 1.0, 1000.0]);
        let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert_eq!((median[0], median[2], median[3]), (500.0, 500.0, 2.0));
        assert!(
            text.contains("Total count    =         1000]") && text.contains("SubBuckets     =         2048]"),
            "{text}"
        );
    }
}
