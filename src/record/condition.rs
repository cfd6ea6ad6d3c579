//! Whether a final state satisfies a condition, for results without a source: those of imported logs.
//!
//! The types of the registers and variables are not known there. So some questions have no answer: whether the register of 32
//! bits that holds 4294967295 is -1, for example.

use std::collections::BTreeMap;

use super::FinalValue;
use crate::litmus::ast::{Observable, Prop, Quantifier, Value};
use crate::litmus::{Source, clauses};

/// Whether the test asks for this state: it satisfies the condition, or is a counterexample of `forall`. `None` if the
/// condition cannot be read, or if it depends on a type or on something that the state does not name.
pub fn asks_for(condition: &str, state: &BTreeMap<String, FinalValue>) -> Option<bool> {
    let (_, _, condition) = clauses(&Source::new("condition", condition), 0).ok()?;
    let holds = holds(&condition.prop, state).filter(|_| condition.written)?;
    Some(holds == (condition.quantifier != Quantifier::Forall))
}

fn holds(prop: &Prop, state: &BTreeMap<String, FinalValue>) -> Option<bool> {
    let value = |observable: &Observable| state.get(&name(observable));
    match prop {
        Prop::Const(value) => Some(*value),
        Prop::Atom { left, equal, value: right } => {
            let right = match right {
                Value::Int(right, _) => FinalValue::Int(*right),
                Value::Address(right) => FinalValue::Address(format!("&{}", right.text)),
            };
            Some(is_equal(value(left)?, &right)? == *equal)
        }
        Prop::Array { left, equal, values } => {
            let element = |(at, right): (usize, &Value)| {
                let left = left.element(at);
                holds(&Prop::Atom { left, equal: true, value: right.clone() }, state)
            };
            let all = values.iter().enumerate().map(element).try_fold(true, |all, same| Some(all && same?))?;
            Some(all == *equal)
        }
        Prop::Same { left, equal, right } => Some(is_equal(value(left)?, value(right)?)? == *equal),
        Prop::Not(inner) => holds(inner, state).map(|inner| !inner),
        Prop::And(left, right) => both(holds(left, state), holds(right, state), false),
        Prop::Or(left, right) => both(holds(left, state), holds(right, state), true),
    }
}

/// Two propositions of which one with the value `decides` is enough.
fn both(left: Option<bool>, right: Option<bool>, decides: bool) -> Option<bool> {
    if left == Some(decides) || right == Some(decides) { Some(decides) } else { left.and(right) }
}

fn name(observable: &Observable) -> String {
    let thread = observable.thread.map_or(String::new(), |(thread, _)| format!("{thread}:"));
    thread + &observable.name.text
}

/// Whether two values are equal. `None` if that depends on their width.
fn is_equal(left: &FinalValue, right: &FinalValue) -> Option<bool> {
    match (left, right) {
        (FinalValue::Int(left), FinalValue::Int(right)) if left == right => Some(true),
        // The narrowest type has 8 bits.
        (FinalValue::Int(left), FinalValue::Int(right)) => ((left ^ right) & 0xff != 0).then_some(false),
        (FinalValue::Address(left), FinalValue::Address(right)) => Some(left == right),
        // A null pointer is no variable. Other numbers may be addresses.
        (FinalValue::Address(_), FinalValue::Int(0)) | (FinalValue::Int(0), FinalValue::Address(_)) => Some(false),
        (FinalValue::Address(_), FinalValue::Int(_)) | (FinalValue::Int(_), FinalValue::Address(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_asked_for_or_not_or_nobody_can_tell() {
        let int = |name: &str, value| (name.to_owned(), FinalValue::Int(value));
        let mut state = BTreeMap::from([int("0:r0", 0), int("1:rax", 1), int("x", 4_294_967_295)]);
        state.insert("1:p".to_owned(), FinalValue::Address("&y".to_owned()));
        for (condition, wanted) in [
            ("exists (0:r0=0 /\\ 1:rax=0)", Some(false)),
            ("exists (0:r0=0 /\\ 1:rax=1)", Some(true)),
            ("~exists (0:r0=0 /\\ 1:rax=1)", Some(true)),
            ("forall (0:r0=0 /\\ 1:rax=1)", Some(false)),
            ("forall (0:r0=1 \\/ 1:rax=0)", Some(true)),
            ("exists (~(0:r0=1))", Some(true)),
            ("exists (0:r0=1:rax)", Some(false)),
            ("exists (1:p=y)", Some(true)),
            ("exists (1:p=x)", Some(false)),
            ("exists (1:p=0)", Some(false)),
            ("exists (true)", Some(true)),
            // The width of x is not known, and z is not in the state.
            ("exists ([x]=2)", Some(false)),
            ("exists ([x]=-1)", None),
            ("exists ([x]=-1 /\\ 0:r0=1)", Some(false)),
            ("exists ([x]=-1 \\/ 0:r0=0)", Some(true)),
            ("exists (z=1)", None),
            ("exists (z=1 /\\ 0:r0=0)", None),
            ("exists (Fault(P0,x))", None),
            ("", None),
        ] {
            assert_eq!(asks_for(condition, &state), wanted, "{condition}");
        }
    }
}
