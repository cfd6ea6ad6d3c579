//! The values of a candidate that is growing, as far as they are known.

use super::Result;
use super::trace::{Trace, Value};
use crate::program::Const;

/// The values of the expressions of all threads, and in which order they became known.
#[derive(Clone)]
pub(super) struct Values<'t> {
    traces: &'t [&'t Trace],
    /// For each thread, the number of its first expression.
    first: Vec<usize>,
    /// The values of the expressions; `None` if not known.
    known: Vec<Option<Const>>,
    /// The expressions with a known value, in the order in which they became known.
    news: Vec<usize>,
}

impl<'t> Values<'t> {
    /// The values that follow from the traces alone.
    ///
    /// # Errors
    /// If an expression computes with an address.
    pub fn new(traces: &'t [&'t Trace]) -> Result<Values<'t>> {
        let mut count = 0;
        let first = traces.iter().map(|trace| {
            count += trace.nodes.len();
            count - trace.nodes.len()
        });
        let first = first.collect();
        let mut values = Values { traces, first, known: vec![None; count], news: Vec::with_capacity(count) };
        for thread in 0..traces.len() {
            values.compute(thread)?;
        }
        Ok(values)
    }

    /// The number of values that are known, for [`Values::forget`].
    pub fn mark(&self) -> usize {
        self.news.len()
    }

    /// Forgets what was learned since a mark.
    pub fn forget(&mut self, mark: usize) {
        for expression in self.news.drain(mark..) {
            self.known[expression] = None;
        }
    }

    fn slice(&self, thread: usize) -> &[Option<Const>] {
        let first = self.first[thread];
        &self.known[first..first + self.traces[thread].nodes.len()]
    }

    /// A value of a thread, if it is known.
    pub fn of(&self, thread: usize, value: Value) -> Option<Const> {
        match value {
            Value::Known(value) => Some(value),
            Value::Node(node) => self.known[self.first[thread] + node],
        }
    }

    /// The value that an event of a thread reads or writes, if it is known. `place` is the number of the event in its trace.
    pub fn of_event(&self, thread: usize, place: usize) -> Option<Const> {
        self.of(thread, self.traces[thread].values[place])
    }

    /// Sets the value that an event of a thread reads. Returns whether it was unknown before.
    pub fn learn(&mut self, thread: usize, place: usize, value: Const) -> bool {
        let Value::Node(node) = self.traces[thread].values[place] else { return false };
        let expression = self.first[thread] + node;
        if self.known[expression].is_some() {
            return false;
        }
        self.known[expression] = Some(value);
        self.news.push(expression);
        true
    }

    /// How many operations [`Values::compute`] takes.
    pub fn cost(&self, thread: usize) -> u64 {
        (self.traces[thread].nodes.len() + self.traces[thread].assumptions.len()) as u64
    }

    /// Computes every expression of a thread whose operands are known. Returns false if one contradicts an assumption of the
    /// path.
    ///
    /// # Errors
    /// If an expression computes with an address.
    pub fn compute(&mut self, thread: usize) -> Result<bool> {
        let (trace, first) = (self.traces[thread], self.first[thread]);
        for node in 0..trace.nodes.len() {
            if self.known[first + node].is_none()
                && let Some(value) = trace.computed(node, self.slice(thread))?
            {
                self.known[first + node] = Some(value);
                self.news.push(first + node);
            }
        }
        trace.holds(self.slice(thread))
    }
}
