//! Parser of the condition language: `exists (1:r0=1 /\ ~(x=2 \/ y=&x))`, `forall (1:r0=1 => 1:r1=1)`.

use super::MAX_DEPTH;
use super::ast::{Condition, Name, Observable, Prop, Quantifier, Value};
use super::diagnostic::Diagnostic;
use super::parser::Parser;

impl Parser<'_> {
    /// Parses `locations [...]`, `filter (...)` and the final clause, in the order that herd7 expects. Without a
    /// final clause the condition is `forall (true)`, as in herd7.
    pub(super) fn final_clauses(&mut self) -> Result<(Vec<Observable>, Option<Prop>, Condition), Diagnostic> {
        let locations = if self.eat_name("locations") { self.locations()? } else { Vec::new() };
        let filter = if self.eat_name("filter") { Some(self.prop(0)?) } else { None };
        let start = self.span();
        // As in herd7, a test without a condition may end with `;`.
        if self.eat(";") {
            self.end().map_err(|error| error.note("a `;` behind `locations` or `filter` ends the test"))?;
        }
        if self.end().is_ok() {
            let condition =
                Condition { quantifier: Quantifier::Forall, prop: Prop::Const(true), span: start, written: false };
            return Ok((locations, filter, condition));
        }
        // herd7 asks whether a `final` condition holds in some state.
        let quantifier = if self.eat_name("exists") || self.eat_name("final") {
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
        let _ = self.eat(";");
        self.remarks()?;
        self.end()?;
        Ok((locations, filter, Condition { quantifier, prop, span, written: true }))
    }

    /// Skips what herd7 ignores behind the condition: what is expected elsewhere (`with tso: ~exists;`), and texts
    /// in `<<` and `>>`.
    fn remarks(&mut self) -> Result<(), Diagnostic> {
        if self.eat_name("with") {
            loop {
                self.name("the name of a model")?;
                self.expect(":")?;
                let _ = self.eat("~");
                if !["exists", "forall", "final"].iter().any(|word| self.eat_name(word)) {
                    return Err(self.expected("`exists`, `~exists` or `forall`"));
                }
                self.expect(";")?;
                if self.end().is_ok() || self.peek_is("<<") {
                    break;
                }
            }
        }
        while self.eat("<<") {
            while !self.eat(">>") {
                if self.end().is_ok() {
                    return Err(self.expected("`>>`"));
                }
                self.skip();
            }
        }
        Ok(())
    }

    /// Parses the rest of `locations [x; 0:r0 int; *y;]`. Types are ignored.
    fn locations(&mut self) -> Result<Vec<Observable>, Diagnostic> {
        self.expect("[")?;
        let mut locations = Vec::new();
        while !self.eat("]") {
            let star = self.eat("*");
            let observable = self.observable(star)?;
            locations.push(observable);
            if self.try_base()?.is_some() || self.peek_is("*") {
                self.pointers()?;
            }
            if !self.eat(";") {
                self.expect("]")?;
                break;
            }
        }
        Ok(locations)
    }

    /// Parses disjunctions of conjunctions of implications. An implication binds tighter than `/\` and `\/`, as in
    /// herd7: `p /\ q => r` is `p /\ (q => r)`. Chains of `/\` and `\/` make balanced trees.
    pub(super) fn prop(&mut self, depth: usize) -> Result<Prop, Diagnostic> {
        self.chain(depth, &["\\/", "||"], Prop::Or, Self::conjunction)
    }

    fn conjunction(&mut self, depth: usize) -> Result<Prop, Diagnostic> {
        self.chain(depth, &["/\\", "&&"], Prop::And, Self::implication)
    }

    /// Each implication deepens the tree on the right, so each counts as a nesting level.
    fn implication(&mut self, depth: usize) -> Result<Prop, Diagnostic> {
        let left = self.literal(depth)?;
        if !self.eat("=>") {
            return Ok(left);
        }
        let right = self.implication(depth + 1)?;
        Ok(Prop::Or(Box::new(Prop::Not(Box::new(left))), Box::new(right)))
    }

    /// Parses terms separated by an operator.
    fn chain(
        &mut self,
        depth: usize,
        operator: &[&str],
        join: fn(Box<Prop>, Box<Prop>) -> Prop,
        term: fn(&mut Self, usize) -> Result<Prop, Diagnostic>,
    ) -> Result<Prop, Diagnostic> {
        let first = term(self, depth)?;
        let more = |parser: &mut Self| operator.iter().any(|operator| parser.eat(operator));
        if !more(self) {
            return Ok(first);
        }
        let mut terms = vec![first, term(self, depth)?];
        while more(self) {
            terms.push(term(self, depth)?);
        }
        // Join neighbours until one term is left, so that a long chain does not make a deep tree.
        while terms.len() > 1 {
            let mut pairs = Vec::with_capacity(terms.len().div_ceil(2));
            let mut rest = terms.into_iter();
            while let Some(left) = rest.next() {
                pairs.push(match rest.next() {
                    Some(right) => join(Box::new(left), Box::new(right)),
                    None => left,
                });
            }
            terms = pairs;
        }
        Ok(terms.remove(0))
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
        if self.eat("{") {
            let mut values = vec![self.value()?];
            while self.eat(",") {
                values.push(self.value()?);
            }
            self.expect("}")?;
            return Ok(Prop::Array { left, equal, values });
        }
        if self.starts_observable() {
            return Ok(Prop::Same { left, equal, right: self.observable(false)? });
        }
        Ok(Prop::Atom { left, equal, value: self.value()? })
    }

    /// Whether a part of the final state follows, and not a constant: `1:r0`, `*x` or `[x]`.
    fn starts_observable(&self) -> bool {
        self.peek_is("*") || self.peek_is("[") || self.thread_follows()
    }

    /// Parses `1:r0`, `P1:r0`, `x`, `*x`, `[x]` or `x[1]`.
    pub(super) fn observable(&mut self, starred: bool) -> Result<Observable, Diagnostic> {
        if let Some(thread) = self.eat_thread()? {
            return Ok(Observable { thread: Some(thread), name: self.name("a register after the thread number")? });
        }
        let bracket = !starred && self.eat("[");
        let _ = !starred && !bracket && self.eat("*");
        let name = self.name("a register such as `1:r0`, or a shared variable")?;
        let name = self.element(name)?;
        if bracket {
            self.expect("]")?;
        }
        Ok(Observable { thread: None, name })
    }

    /// Parses an integer, or the address of a variable with or without `&`.
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
        let name = self.element(name)?;
        Ok(Value::Address(Name { text: name.text, span: start.to(name.span) }))
    }
}
