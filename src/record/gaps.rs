//! Histograms in records: quantiles for people, and the HdrHistogram V2 encoding for programs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// A histogram. For a test: iterations from one race to the next, in the order of the instances that one
/// thread classified. For the protocol: times in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gaps {
    /// The unit of the values: `iterations` or `ns`.
    pub unit: String,
    /// The number of values.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p999: u64,
    /// The largest value.
    pub max: u64,
    /// The whole histogram: HdrHistogram V2, compressed, in base64, as HdrHistogram's own tools read it.
    /// Empty if there are no values.
    pub hdr_v2: String,
}

impl Gaps {
    /// Summarises a histogram of iterations.
    pub fn new(histogram: &Histogram<u64>) -> Gaps {
        Gaps::of("iterations", histogram)
    }

    /// Summarises a histogram of values in `unit`.
    pub fn of(unit: &str, histogram: &Histogram<u64>) -> Gaps {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
        let empty = histogram.is_empty() || written.is_err();
        let at = |quantile| if histogram.is_empty() { 0 } else { histogram.value_at_quantile(quantile) };
        Gaps {
            unit: unit.to_owned(),
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: if histogram.is_empty() { 0 } else { histogram.max() },
            hdr_v2: if empty { String::new() } else { STANDARD.encode(&bytes) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;

    #[test]
    fn the_histogram_reads_back() {
        let mut histogram = crate::harness::gap_histogram();
        for gap in [1, 1, 1, 50, 1_000_000] {
            histogram.record(gap).unwrap();
        }
        let gaps = Gaps::new(&histogram);
        assert_eq!((gaps.count, gaps.p50), (5, 1));
        let bytes = STANDARD.decode(gaps.hdr_v2).unwrap();
        let back: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(back, histogram);
        assert_eq!(Gaps::new(&crate::harness::gap_histogram()).hdr_v2, "");
    }
}
