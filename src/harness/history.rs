//! How often each batch raced, in the order of the batches: what a drift is seen in.

/// Entries kept; when there are more, neighbours are joined.
const MOST: usize = 1 << 16;

/// Race rates of batches in order, each entry of as many batches.
#[derive(Debug, Clone, Default)]
pub struct History {
    rates: Vec<f32>,
    /// Batches an entry; a power of two.
    per: u32,
    /// Those of the entry that is being filled.
    sum: f32,
    filled: u32,
}

impl History {
    /// Adds a batch.
    pub fn push(&mut self, races: u64, instances: u64) {
        self.per = self.per.max(1);
        self.sum += races as f32 / instances.max(1) as f32;
        self.filled += 1;
        if self.filled < self.per {
            return;
        }
        self.rates.push(self.sum / self.filled as f32);
        (self.sum, self.filled) = (0.0, 0);
        if self.rates.len() >= MOST {
            self.rates = self.rates.chunks(2).map(|pair| pair.iter().sum::<f32>() / pair.len() as f32).collect();
            self.per *= 2;
        }
    }

    /// Forgets what was before.
    pub fn clear(&mut self) {
        *self = History::default();
    }

    /// The rates, in order.
    pub fn rates(&self) -> &[f32] {
        &self.rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_keeps_its_ends() {
        let mut history = History::default();
        let batches = 5 * MOST as u64;
        for batch in 0..batches {
            history.push(if batch < batches / 2 { 10 } else { 20 }, 100);
        }
        let rates = history.rates();
        assert!(rates.len() < MOST && rates.len() > MOST / 4, "{}", rates.len());
        assert!((rates[0] - 0.1).abs() < 1e-6 && (rates[rates.len() - 1] - 0.2).abs() < 1e-6);
    }
}
