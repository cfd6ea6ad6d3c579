//! Race rate of each batch in order. Drift is detected from it.

/// Maximum number of rate entries. When the list is full, neighbours are merged.
const MOST: usize = 1 << 16;
/// Maximum number of blocks, limited in the same way. This is enough to measure how long neighbouring blocks
/// stay alike, and small enough for a record.
const MOST_BLOCKS: usize = 128;

/// Counts of consecutive batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block {
    /// Number of instances.
    pub iterations: u64,
    /// Number of races among them.
    pub races: u64,
}

impl Block {
    /// The sum of two.
    pub(super) fn plus(self, other: Block) -> Block {
        Block { iterations: self.iterations + other.iterations, races: self.races + other.races }
    }
}

/// Race rates of the batches in order. All entries cover the same number of batches.
#[derive(Debug, Clone, Default)]
pub struct History {
    rates: Vec<f32>,
    /// Batches per entry; a power of two.
    per: u32,
    /// Sum of the rates in the unfinished entry, and number of batches in it (`filled`).
    sum: f32,
    filled: u32,
    /// Counts of the blocks in order. Each has `batches` batches, except the last, which has `in_last`.
    blocks: Vec<Block>,
    batches: u32,
    in_last: u32,
}

impl History {
    /// Adds the counts of one batch.
    pub fn push(&mut self, races: u64, instances: u64) {
        self.block(Block { iterations: instances, races });
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

    /// Adds a batch to the last block, or starts a new block.
    fn block(&mut self, batch: Block) {
        match self.blocks.last_mut() {
            Some(last) if self.in_last < self.batches => *last = last.plus(batch),
            _ => {
                if self.blocks.len() == MOST_BLOCKS {
                    self.blocks = self.blocks.chunks(2).map(|pair| pair[0].plus(pair[1])).collect();
                    self.batches *= 2;
                }
                self.blocks.push(batch);
                self.in_last = 0;
            }
        }
        self.batches = self.batches.max(1);
        self.in_last += 1;
    }

    /// Counts of the blocks in order. All blocks have the same number of batches, except that the last may have
    /// fewer.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Drops everything recorded so far.
    pub fn clear(&mut self) {
        *self = History::default();
    }

    /// Race rates in order.
    pub fn rates(&self) -> &[f32] {
        &self.rates
    }
}

/// Joins neighbouring counts, so that at most [`MOST_BLOCKS`] are left. All of them are of as many parts, except the last.
pub(super) fn joined(parts: &[Block]) -> Vec<Block> {
    let each = parts.len().div_ceil(MOST_BLOCKS).max(1);
    parts.chunks(each).map(|some| some.iter().fold(Block::default(), |sum, &block| sum.plus(block))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_blocks_have_all_counts() {
        for parts in [0_u64, 1, 128, 129, 1000] {
            let all: Vec<Block> = (0..parts).map(|at| Block { iterations: 10, races: at % 3 }).collect();
            let blocks = joined(&all);
            assert!(blocks.len() <= MOST_BLOCKS && (blocks.len() as u64) >= parts.min(MOST_BLOCKS as u64 / 2));
            let sum = |blocks: &[Block]| blocks.iter().fold(Block::default(), |sum, block| sum.plus(*block));
            assert_eq!(sum(&blocks), sum(&all), "{parts}");
        }
    }

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

    #[test]
    fn blocks_hold_every_batch_once_in_order() {
        for batches in [0_u64, 1, 127, 128, 129, 1000, 100_000] {
            let mut history = History::default();
            for batch in 0..batches {
                history.push(batch % 7, 10 + batch % 3);
            }
            let blocks = history.blocks();
            let sum = blocks.iter().fold(Block::default(), |sum, block| sum.plus(*block));
            let wanted = (0..batches)
                .fold(Block::default(), |sum, batch| sum.plus(Block { iterations: 10 + batch % 3, races: batch % 7 }));
            assert_eq!(sum, wanted, "{batches}");
            assert!(
                blocks.len() <= MOST_BLOCKS && blocks.len() as u64 >= batches.min(MOST_BLOCKS as u64 / 2),
                "{batches}"
            );
        }
        // All blocks have the same number of batches, except the last.
        let mut history = History::default();
        (0..1000).for_each(|batch| history.push(u64::from(batch < 500), 1));
        let blocks = history.blocks();
        assert_eq!((blocks.len(), blocks[0].iterations, blocks[124].iterations), (125, 8, 8));
        assert_eq!(blocks.iter().map(|block| block.races).collect::<Vec<_>>()[61..64], [8, 4, 0]);
    }
}
