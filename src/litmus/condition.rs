//! The condition language: `exists (1:r0=1 /\ ~(x=2 \/ y=&x))`.

use super::MAX_DEPTH;
use super::ast::{Condition, Name, Observable, Prop, Quantifier, Value};
use super::diagnostic::Diagnostic;
use super::parser::Parser;

impl Parser<'_> {
    /// `locations [...]`, `filter (...)` and the final clause, in the order herd7 takes them.
    pub(super) fn final_clauses(&mut self) -> Result<(Vec<Observable>, Option<Prop>, Condition), Diagnostic> {
        let mut locations = Vec::new();
        if self.eat_name("locations") {
            self.expect("[")?;
            while !self.eat("]") {
                let star = self.eat("*");
                let observable = self.observable(star)?;
                locations.push(observable);
                if !self.eat(";") {
                    self.expect("]")?;
                    break;
                }
            }
        }
        let filter = if self.eat_name("filter") { Some(self.prop(0)?) } else { None };
        let start = self.span();
        let quantifier = if self.eat_name("exists") {
            Quantifier::Exists
        } else if self.eat_name("forall") {
            Quantifier::Forall
        } else if self.peek_is("~") {
            self.expect("~")?;
            if !self.eat_name("exists") {
                return Err(self.expected("`exists` after `~`"));
            }
            Quantifier::NotExists
        } else {
            return Err(self.expected("`exists`, `~exists` or `forall`, and a condition"));
        };
        let prop = self.prop(0)?;
        let span = start.to(self.previous());
        self.end()?;
        Ok((locations, filter, Condition { quantifier, prop, span }))
    }

    /// A disjunction of conjunctions.
    ///
    /// A chain grows the tree to the left, so that each link counts as a level.
    pub(super) fn prop(&mut self, mut depth: usize) -> Result<Prop, Diagnostic> {
        let mut left = self.conjunction(depth)?;
        while self.eat("\\/") || self.eat("||") {
            depth += 1;
            left = Prop::Or(Box::new(left), Box::new(self.conjunction(depth)?));
        }
        Ok(left)
    }

    fn conjunction(&mut self, mut depth: usize) -> Result<Prop, Diagnostic> {
        let mut left = self.literal(depth)?;
        while self.eat("/\\") || self.eat("&&") {
            depth += 1;
            left = Prop::And(Box::new(left), Box::new(self.literal(depth)?));
        }
        Ok(left)
    }

    fn literal(&mut self, depth: usize) -> Result<Prop, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        if self.eat("~") || self.eat("!") || self.eat_name("not") {
            return Ok(Prop::Not(Box::new(self.literal(depth + 1)?)));
        }
        if self.eat("(") {
            let prop = self.prop(depth + 1)?;
            self.expect(")")?;
            return Ok(prop);
        }
        if self.eat_name("true") {
            return Ok(Prop::Const(true));
        }
        if self.eat_name("false") {
            return Ok(Prop::Const(false));
        }
        let left = self.observable(false)?;
        let equal = if self.eat("=") || self.eat("==") {
            true
        } else if self.eat("<>") || self.eat("!=") {
            false
        } else {
            return Err(self.expected("`=` and a value"));
        };
        Ok(Prop::Atom { left, equal, value: self.value()? })
    }

    /// `1:r0`, `x`, `*x` or `[x]`.
    fn observable(&mut self, starred: bool) -> Result<Observable, Diagnostic> {
        if let Some((thread, span)) = self.eat_number() {
            let Ok(thread) = usize::try_from(thread) else { return Err(self.expected("a thread number")) };
            self.expect(":")?;
            return Ok(Observable {
                thread: Some((thread, span)),
                name: self.name("a register after the thread number")?,
            });
        }
        let bracket = !starred && self.eat("[");
        let _ = !starred && !bracket && self.eat("*");
        let name = self.name("a register such as `1:r0`, or a shared variable")?;
        if bracket {
            self.expect("]")?;
        }
        Ok(Observable { thread: None, name })
    }

    /// An integer, or the address of a variable with or without `&`.
    pub(super) fn value(&mut self) -> Result<Value, Diagnostic> {
        let start = self.span();
        let negative = self.eat("-");
        if let Some((value, span)) = self.eat_number() {
            return Ok(Value::Int(if negative { value.wrapping_neg() } else { value }, start.to(span)));
        }
        if negative {
            return Err(self.expected("a number after `-`"));
        }
        let _ = self.eat("&");
        let name = self.name("a number or the name of a shared variable")?;
        if name.text == "NULL" {
            return Ok(Value::Int(0, name.span));
        }
        Ok(Value::Address(Name { text: name.text, span: start.to(name.span) }))
    }
}
