//! Computes the locations that each access may reach. Addresses are followed through registers and memory.
//!
//! The result does not depend on the model. It has two uses. A trace whose address is not known yet forks
//! over these locations only. The parser of assembly tests uses them to check that each location has one
//! access size.

use std::collections::BTreeSet;

use super::code::{Bytes, Change, Code, CodeThread, Step, UpdateResult};
use super::flow::{self, Entries};
use super::relation::Set;
use super::trace;
use crate::program::{Address, Binary, Const, LocationId, Operand, RmwOp, Type};

/// A set of locations. Few tests have more than 128, so most sets need no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locations {
    /// The locations below [`Locations::FEW`], as bits.
    few: u128,
    /// The others.
    others: BTreeSet<LocationId>,
}

impl Locations {
    const FEW: LocationId = 128;

    fn only(location: LocationId) -> Locations {
        let mut only = Locations::default();
        only.insert(location);
        only
    }

    fn insert(&mut self, location: LocationId) {
        if location < Locations::FEW {
            self.few |= 1 << location;
        } else {
            self.others.insert(location);
        }
    }

    fn add(&mut self, other: &Locations) {
        self.few |= other.few;
        if !other.others.is_empty() {
            self.others.extend(&other.others);
        }
    }

    fn and(mut self, other: &Locations) -> Locations {
        self.add(other);
        self
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.few == 0 && self.others.is_empty()
    }

    /// The locations in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = LocationId> {
        Set(self.few).iter().chain(self.others.iter().copied())
    }
}

/// For every thread and step, the locations that the step may access; empty for a step that accesses no
/// memory.
pub fn reach(code: &Code) -> Vec<Vec<Locations>> {
    Reach::of(code).steps
}

/// As [`reach`]; also whether an instruction may move an address to a byte inside of a variable: it adds or subtracts
/// something that may differ from 0. `code` is a test in which a location is a whole variable.
pub fn reach_and_moves(code: &Code) -> (Vec<Vec<Locations>>, bool) {
    let reach = Reach::of(code);
    (reach.steps, reach.moves)
}

/// What the steps of a test reach.
struct Reach<'c> {
    bytes: Option<&'c Bytes>,
    /// The addresses that each location may hold.
    memory: Vec<Locations>,
    /// The locations that each step may access, by thread.
    steps: Vec<Vec<Locations>>,
    /// Whether an address may be moved.
    moves: bool,
}

impl Reach<'_> {
    fn of(code: &Code) -> Reach<'_> {
        let mut reach = Reach {
            bytes: code.bytes.as_ref(),
            memory: code.init.iter().map(|init| Held::constant(*init).addresses).collect(),
            steps: code.threads.iter().map(|thread| vec![Locations::default(); thread.steps.len()]).collect(),
            moves: false,
        };
        let mut entries = vec![Entries::new(); code.threads.len()];
        // The sets of addresses that a location, or a register at a label, may hold only grow, and a known integer
        // only becomes unknown, so the loop ends.
        loop {
            let before = (reach.memory.clone(), entries.clone());
            for ((number, thread), entries) in code.threads.iter().enumerate().zip(&mut entries) {
                reach.follow(number, thread, entries);
            }
            if (&reach.memory, &entries) == (&before.0, &before.1) {
                return reach;
            }
        }
    }

    /// The addresses that an addition or a subtraction gives.
    fn moved(&mut self, op: Binary, left: &Held, right: &Held) -> Locations {
        let mut out = Locations::default();
        for (base, distance) in [(left, right.int), (right, left.int)] {
            if op == Binary::Sub && std::ptr::eq(base, right) {
                continue;
            }
            let distance = if op == Binary::Sub { distance.map(i64::wrapping_neg) } else { distance };
            self.moves |= !base.addresses.is_empty() && distance != Some(0);
            for address in base.addresses.iter() {
                match (self.bytes, distance) {
                    (None, _) | (_, Some(0)) => out.insert(address),
                    (Some(bytes), Some(distance)) => {
                        bytes.moved(address, distance).into_iter().for_each(|to| out.insert(to))
                    }
                    (Some(bytes), None) => bytes.variable(address).for_each(|to| out.insert(to)),
                }
            }
        }
        out
    }
}

/// The type of the memory that a step accesses; `None` for a step that accesses no memory.
pub fn access_type(step: &Step) -> Option<Type> {
    match step {
        Step::Read { ty, .. } | Step::Write { ty, .. } | Step::StoreConditional { ty, .. } => Some(*ty),
        Step::Update(update) => Some(update.ty),
        Step::IsLocked { .. } => Some(Type::Spinlock),
        _ => None,
    }
}

/// What a register may hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Held {
    /// The addresses that it may hold.
    addresses: Locations,
    /// The integer that it holds if it holds one; `None` if that is not known.
    int: Option<i64>,
}

impl Held {
    fn constant(value: Const) -> Held {
        match value {
            Const::Address(location) => Held { addresses: Locations::only(location), int: Some(0) },
            Const::Int(value) => Held { addresses: Locations::default(), int: Some(value) },
        }
    }

    /// One of these addresses, or an unknown integer.
    fn unknown(addresses: Locations) -> Held {
        Held { addresses, int: None }
    }

    fn join(&mut self, other: &Held) {
        self.addresses.add(&other.addresses);
        self.int = self.int.filter(|int| other.int == Some(*int));
    }
}

impl Reach<'_> {
    /// Goes through the steps of a thread once and tracks what each register may hold.
    fn follow(&mut self, number: usize, thread: &CodeThread, entries: &mut Entries<Held>) {
        let registers = thread.registers.iter().map(|value| Held::constant(*value)).collect();
        flow::follow(thread, registers, entries, Held::join, |at, step, registers| {
            self.step(number, at, step, registers);
        });
    }

    /// Follows one step.
    fn step(&mut self, number: usize, at: usize, step: &Step, registers: &mut [Held]) {
        let of = |operand: Operand| match operand {
            Operand::Register(register) => registers[register].clone(),
            Operand::Const(value) => Held::constant(value),
        };
        let place = |address: Address| match address {
            Address::Location(location) => Locations::only(location),
            Address::Register(register) => registers[register].addresses.clone(),
        };
        let contents = |memory: &[Locations], places: &Locations| -> Locations {
            places.iter().fold(Locations::default(), |all, place| all.and(&memory[place]))
        };
        let (register, held) = match step {
            Step::Read { dst, address, .. } => {
                let places = place(*address);
                let value = contents(&self.memory, &places);
                self.steps[number][at].add(&places);
                (*dst, Held::unknown(value))
            }
            Step::GracePeriod { domain } => {
                self.steps[number][at].add(&place(*domain));
                return;
            }
            Step::IsLocked { dst, address } => {
                self.steps[number][at].add(&place(*address));
                (Some(*dst), Held::default())
            }
            Step::Write { address, value, .. } | Step::StoreConditional { address, value, .. } => {
                let (places, value) = (place(*address), of(*value));
                places.iter().for_each(|place| self.memory[place].add(&value.addresses));
                self.steps[number][at].add(&places);
                let status = if let Step::StoreConditional { status, .. } = step { Some(*status) } else { None };
                (status, Held::default())
            }
            Step::Update(update) => {
                let places = place(update.address);
                let old = contents(&self.memory, &places);
                let new = match update.change {
                    Change::Op(RmwOp::Xchg, operand) | Change::IfEqual { new: operand, .. } => of(operand).addresses,
                    Change::Op(..) | Change::Extreme(..) | Change::Unless { .. } => Locations::default(),
                };
                places.iter().for_each(|place| self.memory[place].add(&new));
                self.steps[number][at].add(&places);
                let value = match update.gives {
                    UpdateResult::Old => old,
                    UpdateResult::New => old.and(&new),
                    UpdateResult::NewIsZero | UpdateResult::NewIsNegative | UpdateResult::Done => Locations::default(),
                };
                (update.dst, Held::unknown(value))
            }
            Step::Move { dst, src, ty } => {
                let held = of(*src);
                let int = held.int.map(|int| trace::wrap(Const::Int(int), *ty));
                let int = int.and_then(|int| if let Const::Int(int) = int { Some(int) } else { None });
                (Some(*dst), Held { int, ..held })
            }
            Step::Unary { dst, .. } => (Some(*dst), Held::default()),
            Step::Binary { dst, op, left, right, ty } => {
                let same = left == right && matches!(op, Binary::Xor | Binary::Sub);
                let (left, right) = (of(*left), of(*right));
                let int = match (left.int, right.int) {
                    _ if same => Some(0),
                    (Some(0), _) | (_, Some(0)) if matches!(op, Binary::And | Binary::Mul) => Some(0),
                    (Some(a), Some(b)) => match trace::binary(*op, Const::Int(a), Const::Int(b), *ty, None) {
                        Ok(value) => match trace::wrap(value, *ty) {
                            Const::Int(int) => Some(int),
                            Const::Address(_) => None,
                        },
                        Err(_) => None,
                    },
                    _ => None,
                };
                let addresses = match op {
                    Binary::Add | Binary::Sub if !same => self.moved(*op, &left, &right),
                    // An address or-ed with an integer stays an address only if the integer is 0.
                    Binary::Or => left.addresses.and(&right.addresses),
                    _ => Locations::default(),
                };
                (Some(*dst), Held { addresses, int })
            }
            Step::Select { dst, then, otherwise, .. } => {
                let mut held = of(*then);
                held.join(&of(*otherwise));
                (Some(*dst), held)
            }
            Step::Branch { .. } | Step::Jump(_) | Step::Fence(_) | Step::Label(_) => return,
        };
        if let Some(register) = register {
            registers[register] = held;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_few_and_many_locations() {
        let numbers = [0, 5, 127, 128, 4000];
        let mut all = Locations::default();
        assert!(all.is_empty());
        numbers.iter().rev().for_each(|location| all.insert(*location));
        assert_eq!(all.iter().collect::<Vec<_>>(), numbers);
        for location in numbers {
            let mut one = Locations::only(location);
            assert!(!one.is_empty());
            assert_eq!(one.iter().collect::<Vec<_>>(), [location]);
            one.add(&Locations::only(300));
            assert_eq!(one.iter().collect::<Vec<_>>(), [location.min(300), location.max(300)]);
            assert_eq!(one.clone().and(&one), one);
        }
    }
}
