//! Equality of two places in a condition: `0:X1=[x]`, `[x]=[y]`, `0:X1=1:X1`.
//!
//! As in herd7 the bits are compared, whatever the types of the places: those of a register as a whole, those of a
//! location extended by zeros. A state holds values that are converted to their types, so the bits of a place are a
//! column of their own, which is not displayed.
//!
//! herd7 does not extend by sign what RISC-V and POWER load so. Here their registers hold what the manuals say, and such
//! a register equals a location if either extension of the location's bits is its value.

use super::Model;
use super::code::Code;
use crate::program::{Column, Prop, Type};

/// Two places that a condition compares by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The places.
    pub columns: [Column; 2],
    /// The types that a state gives them.
    pub types: [Type; 2],
    /// They are equal if their values, converted to one of these pairs of types, are equal.
    pub alternatives: Vec<[Type; 2]>,
}

/// Whether a condition or the filter of a test compares two places.
pub(super) fn compares(code: &Code) -> bool {
    fn any(prop: &Prop) -> bool {
        match prop {
            Prop::Same(..) => true,
            Prop::Const(_) | Prop::Equal { .. } => false,
            Prop::Not(inner) => any(inner),
            Prop::And(left, right) | Prop::Or(left, right) => any(left) || any(right),
        }
    }
    any(&code.condition) || code.filter.as_ref().is_some_and(any)
}

/// The test with a column for the bits of each place that is compared with one of another type. `bits` has the number of
/// bits of each column. Also returns what is compared so; nothing if the types are enough everywhere.
pub(super) fn by_bits(code: Code, bits: &[u8], model: Model) -> (Code, Vec<Compared>) {
    let Code { mut columns, mut types, condition, filter, .. } = code;
    let extends_by_sign = matches!(model, Model::Power | Model::Rvwmo);
    let mut places = Places { bits, extends_by_sign, columns: &mut columns, types: &mut types, compared: Vec::new() };
    let condition = places.prop(condition);
    let filter = filter.map(|filter| places.prop(filter));
    let compared = places.compared;
    (Code { columns, types, condition, filter, ..code }, compared)
}

struct Places<'a> {
    bits: &'a [u8],
    extends_by_sign: bool,
    columns: &'a mut Vec<Column>,
    types: &'a mut Vec<Type>,
    compared: Vec<Compared>,
}

impl Places<'_> {
    fn prop(&mut self, prop: Prop) -> Prop {
        match prop {
            Prop::Const(_) | Prop::Equal { .. } => prop,
            Prop::Same(left, right) => self.same(left, right),
            Prop::Not(inner) => Prop::Not(Box::new(self.prop(*inner))),
            Prop::And(left, right) => Prop::And(Box::new(self.prop(*left)), Box::new(self.prop(*right))),
            Prop::Or(left, right) => Prop::Or(Box::new(self.prop(*left)), Box::new(self.prop(*right))),
        }
    }

    fn same(&mut self, left: usize, right: usize) -> Prop {
        let whole = |column: usize| self.types[column].bits() == self.bits[column];
        if self.types[left] == self.types[right] && whole(left) && whole(right) {
            return Prop::Same(left, right);
        }
        let mut alternatives = vec![[false, false]];
        if self.extends_by_sign {
            match [left, right].map(|column| matches!(self.columns[column], Column::Register { .. })) {
                [true, false] => alternatives.push([false, true]),
                [false, true] => alternatives.push([true, false]),
                _ => {}
            }
        }
        let ty = |column: usize, signed| Type::Int { bits: self.bits[column], signed };
        let alternatives: Vec<[Type; 2]> = alternatives.into_iter().map(|[a, b]| [ty(left, a), ty(right, b)]).collect();
        self.compared.push(Compared {
            columns: [self.columns[left], self.columns[right]],
            types: [self.types[left], self.types[right]],
            alternatives: alternatives.clone(),
        });
        let same = alternatives.into_iter().map(|[a, b]| Prop::Same(self.column(left, a), self.column(right, b)));
        let same: Vec<Prop> = same.collect();
        same.into_iter().reduce(|a, b| Prop::Or(Box::new(a), Box::new(b))).expect("there is an alternative")
    }

    /// The column that has the value of another one in this type.
    fn column(&mut self, of: usize, ty: Type) -> usize {
        let column = self.columns[of];
        let known = (0..self.columns.len()).find(|at| self.columns[*at] == column && self.types[*at] == ty);
        known.unwrap_or_else(|| {
            self.columns.push(column);
            self.types.push(ty);
            self.columns.len() - 1
        })
    }
}
