//! Computes the locations that each access may reach. Addresses are followed through registers and memory.
//!
//! The result does not depend on the model. It has two uses. A trace whose address is not known yet forks
//! over these locations only. The parser of assembly tests uses them to check that each location has one
//! access size.

use std::collections::{BTreeSet, HashMap};

use super::code::{Change, Code, CodeThread, Step, UpdateResult};
use crate::program::{Address, Binary, Const, LabelId, LocationId, Operand, RmwOp, Type};

/// A set of locations.
pub type Locations = BTreeSet<LocationId>;

/// For every thread and step, the locations that the step may access; empty for a step that accesses no
/// memory.
pub fn reach(code: &Code) -> Vec<Vec<Locations>> {
    let mut memory: Vec<Locations> = code.init.iter().map(|init| held(*init)).collect();
    let mut reached: Vec<Vec<Locations>> =
        code.threads.iter().map(|thread| vec![Locations::new(); thread.steps.len()]).collect();
    let mut entries = vec![Entries::new(); code.threads.len()];
    // The sets of addresses that a location, or a register at a label, may hold only grow, so the loop ends.
    loop {
        let before = (memory.clone(), entries.clone());
        for ((thread, out), entries) in code.threads.iter().zip(&mut reached).zip(&mut entries) {
            follow(thread, &mut memory, entries, out);
        }
        if (&memory, &entries) == (&before.0, &before.1) {
            return reached;
        }
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

fn held(value: Const) -> Locations {
    match value {
        Const::Address(location) => Locations::from([location]),
        Const::Int(_) => Locations::new(),
    }
}

/// The addresses that the registers may hold where a jump to a label arrives.
type Entries = HashMap<LabelId, Vec<Locations>>;

/// Goes through the steps once and tracks the addresses that each register may hold. `waiting` keeps what jumps
/// bring to each label; a backward jump brings it to the next round.
fn follow(thread: &CodeThread, memory: &mut [Locations], waiting: &mut Entries, out: &mut [Locations]) {
    let mut registers: Vec<Locations> = thread.registers.iter().map(|value| held(*value)).collect();
    let mut alive = true;
    let join = |into: &mut Vec<Locations>, other: &[Locations]| {
        into.iter_mut().zip(other).for_each(|(into, other)| into.extend(other));
    };
    for (at, step) in thread.steps.iter().enumerate() {
        if let Step::Label(label) = step
            && let Some(other) = waiting.get(label)
        {
            if alive {
                join(&mut registers, other);
            } else {
                registers.clone_from(other);
            }
            alive = true;
        }
        if !alive {
            continue;
        }
        let of = |operand: Operand| match operand {
            Operand::Register(register) => registers[register].clone(),
            Operand::Const(value) => held(value),
        };
        let place = |address: Address| match address {
            Address::Location(location) => Locations::from([location]),
            Address::Register(register) => registers[register].clone(),
        };
        let contents = |memory: &[Locations], places: &Locations| {
            places.iter().flat_map(|place| memory[*place].iter().copied()).collect::<Locations>()
        };
        match step {
            Step::Read { dst, address, .. } => {
                let places = place(*address);
                let value = contents(memory, &places);
                out[at].extend(places);
                if let Some(dst) = dst {
                    registers[*dst] = value;
                }
            }
            Step::GracePeriod { domain } => out[at].extend(place(*domain)),
            Step::IsLocked { dst, address } => {
                out[at].extend(place(*address));
                registers[*dst].clear();
            }
            Step::Write { address, value, .. } | Step::StoreConditional { address, value, .. } => {
                let (places, value) = (place(*address), of(*value));
                places.iter().for_each(|place| memory[*place].extend(&value));
                out[at].extend(places);
                if let Step::StoreConditional { status, .. } = step {
                    registers[*status].clear();
                }
            }
            Step::Update(update) => {
                let places = place(update.address);
                let old = contents(memory, &places);
                let new = match update.change {
                    Change::Op(RmwOp::Xchg, operand) | Change::IfEqual { new: operand, .. } => of(operand),
                    Change::Op(..) | Change::Unless { .. } => Locations::new(),
                };
                places.iter().for_each(|place| memory[*place].extend(&new));
                out[at].extend(places);
                if let Some(dst) = update.dst {
                    registers[dst] = match update.gives {
                        UpdateResult::Old => old,
                        UpdateResult::New => &old | &new,
                        UpdateResult::NewIsZero | UpdateResult::NewIsNegative | UpdateResult::Done => Locations::new(),
                    };
                }
            }
            Step::Move { dst, src, .. } => registers[*dst] = of(*src),
            Step::Unary { dst, .. } => registers[*dst].clear(),
            Step::Binary { dst, op, left, right, .. } => {
                // The sum of an address and an integer is an address only if the integer is 0. Which operand
                // is the address is not known here.
                registers[*dst] = match op {
                    Binary::Add | Binary::Or => &of(*left) | &of(*right),
                    Binary::Sub => of(*left),
                    _ => Locations::new(),
                };
            }
            Step::Select { dst, then, otherwise, .. } => registers[*dst] = &of(*then) | &of(*otherwise),
            Step::Branch { target, .. } | Step::Jump(target) => {
                let entry = waiting.entry(*target).or_insert_with(|| vec![Locations::new(); registers.len()]);
                join(entry, &registers);
                alive = !matches!(step, Step::Jump(_));
            }
            Step::Fence(_) | Step::Label(_) => {}
        }
    }
}
