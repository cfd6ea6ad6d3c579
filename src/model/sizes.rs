//! Decides what the locations of a test in assembly are: its variables, or the bytes of its variables.
//!
//! They are bytes if accesses of different sizes reach the same variable, or if an address may be moved inside of a
//! variable, or if a variable is an array. Otherwise every access to a variable is as wide as the variable, and one
//! location for each is enough.

use super::Model;
use super::code::{Bytes, Change, Code, Step};
use super::reach::{Locations, access_type, reach, reach_and_moves};
use super::trace::check_place;
use crate::program::{Address, Column, Const, LocationId, Operand, Prop, Type};

/// What the initial values say about the size of a variable.
#[derive(Debug, Clone, Default)]
pub(super) struct Variable {
    /// The declared type; that of an element for an array.
    pub declared: Option<Type>,
    /// The number of elements of an array; `None` if it is not an array.
    pub elements: Option<usize>,
    /// The initial values of the elements; none if all are 0.
    pub values: Vec<Const>,
    /// The array and the number of the element that this is another name for, such as `x[1]`.
    pub element_of: Option<(LocationId, usize)>,
}

/// The type of what is not declared.
pub(super) const UNDECLARED: Type = Type::INT;

/// An access that the model of the test does not cover.
pub(super) struct Clash {
    pub thread: usize,
    pub step: usize,
    /// What is wrong with it.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// Whether a model covers accesses of mixed sizes.
const fn covers_mixed_sizes(model: Model) -> bool {
    match model {
        Model::Sc | Model::X86Tso | Model::Armv8 | Model::Rvwmo => true,
        Model::Lkmm | Model::Power => false,
    }
}

/// The test with a location for each byte, if its accesses ask for it. In `code` a location is a variable.
///
/// # Errors
/// If accesses have mixed sizes and the model does not cover that, or if an access leaves its variable or is not aligned.
pub(super) fn laid_out(code: &Code, variables: &[Variable], model: Model) -> Result<Option<Code>, Clash> {
    let (reached, moves) = reach_and_moves(code);
    let accesses = accesses(code, &reached);
    let clash = first_clash(code, variables, &accesses, model);
    match clash {
        Some(clash) if !covers_mixed_sizes(model) => return Err(clash),
        None if variables.iter().all(|variable| variable.elements.is_none()) && !moves => {
            return Ok(None);
        }
        _ => {}
    }
    let widths = widths(code, variables, &accesses);
    // The name of an element has no bytes of its own.
    let size = |(element, variable): (usize, &Variable)| match variable.element_of {
        Some(_) => 0,
        None => element * variable.elements.unwrap_or(1),
    };
    let sizes: Vec<usize> = widths.into_iter().zip(variables).map(size).collect();
    let code = in_bytes(code.clone(), variables, &sizes);
    match impossible(&code) {
        Some(clash) => Err(clash),
        None => Ok(Some(code)),
    }
}

/// The number of bits of what each column holds at the end, whatever its type: those of a location, or of an element of an
/// array. `register` is the number
/// of bits of a register.
pub(super) fn column_bits(code: &Code, variables: &[Variable], register: u8) -> Vec<u8> {
    let widths = widths(code, variables, &accesses(code, &reach(code)));
    let bits = |column: &Column| match *column {
        Column::Register { .. } => register,
        Column::Location(location) => u8::try_from(8 * widths[location]).unwrap_or(u8::MAX),
    };
    code.columns.iter().map(bits).collect()
}

/// The number of bytes of each variable, or of an element of each array.
fn widths(code: &Code, variables: &[Variable], accesses: &[AccessTo]) -> Vec<usize> {
    let known = declared(variables, &code.init);
    let width = |location: LocationId| {
        let widest = || accesses.iter().filter(|access| access.location == location).map(|access| access.width).max();
        known[location].unwrap_or_else(|| widest().unwrap_or(0).max(UNDECLARED.bytes()))
    };
    (0..variables.len()).map(width).collect()
}

/// An access to a location.
struct AccessTo {
    thread: usize,
    step: usize,
    location: LocationId,
    width: usize,
}

fn accesses(code: &Code, reached: &[Vec<Locations>]) -> Vec<AccessTo> {
    let mut out = Vec::new();
    for (thread, reached) in reached.iter().enumerate() {
        for (step, locations) in reached.iter().enumerate() {
            let Some(ty) = access_type(&code.threads[thread].steps[step]) else { continue };
            out.extend(locations.iter().map(|location| AccessTo { thread, step, location, width: ty.bytes() }));
        }
    }
    out
}

/// The first access that can only be made at places where it cannot be made.
fn impossible(code: &Code) -> Option<Clash> {
    let bytes = code.bytes.as_ref()?;
    let accesses = accesses(code, &reach(code));
    let possible = |access: &AccessTo| check_place(Some(bytes), access.location, access.width).is_ok();
    let same = |a: &AccessTo, b: &AccessTo| (a.thread, a.step) == (b.thread, b.step);
    let first = accesses.iter().find(|access| !accesses.iter().any(|other| same(access, other) && possible(other)))?;
    let (variable, bits) = (bytes.variable(first.location), first.width * 8);
    let (message, help) = if first.location + first.width > variable.end {
        let (name, has) = (&code.names[variable.start], variable.len() * 8);
        let at = first.location - variable.start;
        let from = if at == 0 { String::new() } else { format!(" from byte {at} on") };
        (
            format!("mixed-size access: {bits} bits of `{name}`{from}, which has {has}"),
            format!("a variable without a type is an int; declare it, as in `uint64_t {name};`"),
        )
    } else {
        let name = &code.names[first.location];
        (format!("misaligned access: {bits} bits at `{name}`"), "only aligned accesses are modelled".to_owned())
    };
    Some(Clash { thread: first.thread, step: first.step, message, help })
}

/// The first access that is wider or narrower than its variable, or than the accesses before it.
fn first_clash(code: &Code, variables: &[Variable], accesses: &[AccessTo], model: Model) -> Option<Clash> {
    let mut sizes = declared(variables, &code.init);
    for &AccessTo { thread, step, location, width } in accesses {
        let size = *sizes[location].get_or_insert(width);
        if size != width {
            let name = &code.names[location];
            let message = format!("mixed-size access: {} bits of `{name}`, which has {}", width * 8, size * 8);
            let help =
                format!("mixed sizes are not modelled for {model}: every access must be as wide as its variable");
            return Some(Clash { thread, step, message, help });
        }
    }
    None
}

/// Whether a variable with this initial value has 64 bits if it is not declared.
fn is_wide(value: Const) -> bool {
    match value {
        Const::Address(_) => true,
        Const::Int(value) => i32::try_from(value).is_err() && u32::try_from(value).is_err(),
    }
}

/// The same test with a location for each byte.
fn in_bytes(code: Code, variables: &[Variable], sizes: &[usize]) -> Code {
    let mut firsts: Vec<LocationId> = sizes
        .iter()
        .scan(0, |next, size| {
            *next += size;
            Some(*next - size)
        })
        .collect();
    for (location, variable) in variables.iter().enumerate() {
        if let Some((array, element)) = variable.element_of {
            firsts[location] = firsts[array] + element * sizes[array] / variables[array].elements.unwrap_or(1);
        }
    }
    let moved = |location: LocationId| firsts[location];
    let value = |value: Const| match value {
        Const::Address(location) => Const::Address(moved(location)),
        Const::Int(_) => value,
    };
    let (mut names, mut init) = (Vec::new(), Vec::new());
    for (((name, size), held), variable) in code.names.iter().zip(sizes).zip(&code.init).zip(variables) {
        let width = size / variable.elements.unwrap_or(1).max(1);
        for byte in 0..*size {
            names.push(if byte == 0 { name.clone() } else { format!("{name}+{byte}") });
            // Without a list of values, the first element has the value of the variable.
            let (element, byte) = if variable.values.is_empty() { (0, byte) } else { (byte / width, byte % width) };
            init.push(match (*variable.values.get(element).unwrap_or(held), byte) {
                (address @ Const::Address(_), 0) => value(address),
                (Const::Int(int), 0..8) => Const::Int(int >> (8 * byte) & 0xff),
                _ => Const::Int(0),
            });
        }
    }
    let mut threads = code.threads;
    for thread in &mut threads {
        thread.registers.iter_mut().for_each(|held| *held = value(*held));
        thread.steps.iter_mut().for_each(|step| in_step(step, &moved));
    }
    let column = |column: &Column| match *column {
        Column::Location(location) => Column::Location(moved(location)),
        register @ Column::Register { .. } => register,
    };
    Code {
        names,
        init,
        bytes: Some(Bytes::new(sizes)),
        threads,
        columns: code.columns.iter().map(column).collect(),
        condition: in_prop(code.condition, &value),
        filter: code.filter.map(|filter| in_prop(filter, &value)),
        ..code
    }
}

/// Gives the locations in a step their new numbers.
fn in_step(step: &mut Step, moved: &impl Fn(LocationId) -> LocationId) {
    let place = |address: &mut Address| {
        if let Address::Location(location) = address {
            *location = moved(*location);
        }
    };
    let value = |operand: &mut Operand| {
        if let Operand::Const(Const::Address(location)) = operand {
            *location = moved(*location);
        }
    };
    match step {
        Step::Read { address, .. } | Step::IsLocked { address, .. } | Step::GracePeriod { domain: address } => {
            place(address);
        }
        Step::Write { address, value: written, .. } | Step::StoreConditional { address, value: written, .. } => {
            place(address);
            value(written);
        }
        Step::Update(update) => {
            place(&mut update.address);
            match &mut update.change {
                Change::Op(_, operand) | Change::Extreme(_, operand) => value(operand),
                Change::IfEqual { expected: a, new: b } | Change::Unless { unwanted: a, amount: b } => {
                    value(a);
                    value(b);
                }
            }
        }
        Step::Move { src, .. } | Step::Unary { src, .. } => value(src),
        Step::Binary { left, right, .. } | Step::Branch { left, right, .. } => {
            value(left);
            value(right);
        }
        Step::Select { left, right, then, otherwise, .. } => {
            [left, right, then, otherwise].into_iter().for_each(value);
        }
        Step::Fence(_) | Step::Jump(_) | Step::Label(_) => {}
    }
}

/// Changes the values that a proposition compares with.
fn in_prop(prop: Prop, value: &impl Fn(Const) -> Const) -> Prop {
    let inner = |prop: Box<Prop>| Box::new(in_prop(*prop, value));
    match prop {
        Prop::Const(_) | Prop::Same(..) => prop,
        Prop::Equal { column, value: held } => Prop::Equal { column, value: value(held) },
        Prop::Not(prop) => Prop::Not(inner(prop)),
        Prop::And(left, right) => Prop::And(inner(left), inner(right)),
        Prop::Or(left, right) => Prop::Or(inner(left), inner(right)),
    }
}

/// The size of each variable, if it is declared or its initial value gives it.
pub(super) fn declared(variables: &[Variable], init: &[Const]) -> Vec<Option<usize>> {
    let of = |(variable, value): (&Variable, &Const)| match variable.declared {
        Some(ty) => Some(ty.bytes()),
        None => is_wide(*value).then_some(8),
    };
    variables.iter().zip(init).map(of).collect()
}
