//! Builds the syntax tree from the tokens: initial values, threads, statements and expressions.

use super::ast::{
    Base, Binary, CType, Compare, Expr, ExprKind, Header, Init, Name, Observable, Stmt, Test, Thread, Unary, Value,
};
use super::diagnostic::{Diagnostic, Source, Span};
use super::lexer::{self, Kind, Lexed, Token};
use super::{MAX_DEPTH, MAX_THREADS, header, naming};

/// A cursor over the tokens of one file.
pub(super) struct Parser<'a> {
    source: &'a Source,
    lexed: Lexed,
    at: usize,
    /// The names of the elements of arrays, as far as declared.
    elements: Vec<String>,
    /// The registers that the thread has declared so far.
    locals: Vec<String>,
}

/// Parses the header in the comments at `spans`.
pub(super) fn header_of(source: &Source, spans: &[Span]) -> Result<Header, Diagnostic> {
    let naming = naming::read(source)?;
    let header = header::read(source, spans, |span| {
        let wrap = |d: Diagnostic| d.help("`Match:` takes a condition such as `1:r0=1`");
        let mut parser = Parser::fragment(source, span)?;
        let prop = parser.prop(0).map_err(wrap)?;
        parser.end().map_err(wrap)?;
        Ok(prop)
    })?;
    Ok(Header { naming, ..header })
}

/// Parses the values of an outcome: `1:r0=2; 1:r1=0`.
pub(super) fn values_of(source: &Source, span: Span) -> Result<Vec<(Observable, Value)>, Diagnostic> {
    let wrap = |d: Diagnostic| d.help("an outcome is values such as `1:r0=1; x=2`, a colon and words");
    let mut parser = Parser::fragment(source, span)?;
    let mut values = Vec::new();
    while values.is_empty() || parser.end().is_err() {
        let left = parser.observable(false).map_err(wrap)?;
        parser.expect("=").map_err(wrap)?;
        values.push((left, parser.value().map_err(wrap)?));
        if !parser.eat(";") && parser.end().is_err() {
            return Err(wrap(parser.expected("`;` or `:` behind a value")));
        }
    }
    Ok(values)
}

/// Statements of C that a thread of a litmus test may not contain.
const REFUSED_STATEMENTS: [&str; 6] = ["break", "continue", "goto", "switch", "return", "asm"];

/// Maximum number of elements of an array.
const MOST_ELEMENTS: i64 = 64;

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a Source) -> Result<Parser<'a>, Diagnostic> {
        Ok(Parser::over(source, lexer::lex(source)?))
    }

    /// A parser for a part of the source outside of the threads' bodies.
    pub(super) fn fragment(source: &'a Source, span: Span) -> Result<Parser<'a>, Diagnostic> {
        Ok(Parser::over(source, lexer::lex_fragment(source, span)?))
    }

    fn over(source: &'a Source, lexed: Lexed) -> Parser<'a> {
        Parser { source, lexed, at: 0, elements: Vec::new(), locals: Vec::new() }
    }

    /// Parses the whole file.
    pub(super) fn test(mut self) -> Result<Test, Diagnostic> {
        let header = self.header()?;
        let init = self.init()?;
        let threads = self.threads()?;
        let (locations, filter, condition) = self.final_clauses()?;
        Ok(Test {
            source: self.source.clone(),
            name: naming::test_name(self.slice(self.lexed.name)).to_owned(),
            header,
            init,
            threads,
            locations,
            filter,
            condition,
        })
    }

    fn header(&self) -> Result<Header, Diagnostic> {
        let init = self.lexed.tokens.first().map_or(0, |token| token.span.start);
        let spans: Vec<Span> =
            self.lexed.comments.iter().map(|comment| comment.span).filter(|span| span.start < init).collect();
        header_of(self.source, &spans)
    }

    // ---- the cursor ----

    fn token(&self) -> Token {
        // The last token is `End`, and the cursor never moves past it.
        self.lexed.tokens[self.at.min(self.lexed.tokens.len() - 1)]
    }

    fn next_kind(&self, ahead: usize) -> Kind {
        self.lexed.tokens.get(self.at + ahead).map_or(Kind::End, |token| token.kind)
    }

    pub(super) fn span(&self) -> Span {
        self.token().span
    }

    pub(super) fn previous(&self) -> Span {
        self.lexed.tokens.get(self.at.wrapping_sub(1)).map_or(Span::default(), |token| token.span)
    }

    fn slice(&self, span: Span) -> &'a str {
        &self.source.text()[span.start..span.end]
    }

    pub(super) fn peek_is(&self, punct: &str) -> bool {
        // Most differ in the first character.
        matches!(self.token().kind, Kind::Punct(found) if found.as_bytes()[0] == punct.as_bytes()[0] && found == punct)
    }

    pub(super) fn eat(&mut self, punct: &str) -> bool {
        let found = self.peek_is(punct);
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_name(&mut self, name: &str) -> bool {
        let found = self.token().kind == Kind::Name && self.slice(self.span()) == name;
        self.at += usize::from(found);
        found
    }

    pub(super) fn eat_number(&mut self) -> Option<(i64, Span)> {
        let Token { kind: Kind::Number(value), span } = self.token() else { return None };
        self.at += 1;
        Some((value, span))
    }

    /// Whether `1:` or `P1:` is at the cursor, the thread of a register.
    pub(super) fn thread_follows(&self) -> bool {
        let numbered = matches!(self.token().kind, Kind::Number(_)) || self.thread_name().is_some();
        numbered && self.next_kind(1) == Kind::Punct(":")
    }

    /// Parses `1:` or `P1:`, if it is there.
    pub(super) fn eat_thread(&mut self) -> Result<Option<(usize, Span)>, Diagnostic> {
        let span = self.span();
        let number = match (self.token().kind, self.thread_name()) {
            (Kind::Number(number), _) => usize::try_from(number).map_err(|_| self.expected("a thread number"))?,
            (_, Some(number)) if self.next_kind(1) == Kind::Punct(":") => number,
            _ => return Ok(None),
        };
        self.at += 1;
        self.expect(":")?;
        Ok(Some((number, span)))
    }

    /// The number of the thread, if its name is at the cursor: 1 for `P1`.
    fn thread_name(&self) -> Option<usize> {
        let Token { kind: Kind::Name, span } = self.token() else { return None };
        self.slice(span).strip_prefix('P').and_then(|digits| digits.parse().ok())
    }

    /// Parses the index of an array's element, if there is one: `x` and `[1]` are `x[1]`.
    pub(super) fn element(&mut self, array: Name) -> Result<Name, Diagnostic> {
        if !self.eat("[") {
            return Ok(array);
        }
        let index = self.eat_number().filter(|(index, _)| *index >= 0);
        let Some((index, _)) = index else { return Err(self.expected("the number of an element")) };
        self.expect("]")?;
        Ok(Name { text: format!("{}[{index}]", array.text), span: array.span.to(self.previous()) })
    }

    pub(super) fn expect(&mut self, punct: &str) -> Result<(), Diagnostic> {
        if self.eat(punct) { Ok(()) } else { Err(self.expected(&format!("`{punct}`"))) }
    }

    pub(super) fn name(&mut self, what: &str) -> Result<Name, Diagnostic> {
        let Token { kind: Kind::Name, span } = self.token() else { return Err(self.expected(what)) };
        self.at += 1;
        Ok(Name { text: self.slice(span).to_owned(), span })
    }

    /// Moves on by one token.
    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    pub(super) fn end(&mut self) -> Result<(), Diagnostic> {
        if self.token().kind == Kind::End { Ok(()) } else { Err(self.expected("the end of the file")) }
    }

    pub(super) fn expected(&self, what: &str) -> Diagnostic {
        let span = self.span();
        let found = match self.token().kind {
            Kind::End => "the end of the file".to_owned(),
            _ => format!("`{}`", self.slice(span).chars().take(40).collect::<String>()),
        };
        self.source.error(span, format!("expected {what}, found {found}"), format!("expected {what}"))
    }

    pub(super) fn too_deep(&self) -> Diagnostic {
        self.source.error(self.span(), format!("nested more than {MAX_DEPTH} deep"), "here")
    }

    // ---- initial values ----

    fn init(&mut self) -> Result<Vec<Init>, Diagnostic> {
        if !self.peek_is("{") {
            return Err(self.expected("`{`, the initial values (`{}` if all are 0)"));
        }
        self.expect("{")?;
        let mut all = Vec::new();
        while !self.eat("}") {
            if self.eat(";") {
                continue;
            }
            self.init_entry(&mut all)?;
            if !self.peek_is("}") && !self.peek_is(";") {
                return Err(self.expected("`;` or `}`"));
            }
        }
        Ok(all)
    }

    fn init_entry(&mut self, out: &mut Vec<Init>) -> Result<(), Diagnostic> {
        let base = if self.thread_follows() { None } else { self.try_base()? };
        // `*p = &x` declares a pointer to an int.
        let base = base.or_else(|| self.peek_is("*").then_some(CType::INT.base));
        let ty = match base {
            Some(base) => Some(CType { base, pointers: self.pointers()? }),
            None => None,
        };
        let thread = self.eat_thread()?;
        let bracketed = thread.is_none() && self.eat("[");
        let name = self.name("a shared variable to initialise")?;
        if bracketed {
            self.expect("]")?;
        } else if self.peek_is("[") {
            return self.init_array((thread, ty), name, out);
        }
        let value = if self.eat("=") { Some(self.init_value()?) } else { None };
        out.push(Init { ty, thread, name, value });
        Ok(())
    }

    /// Parses the rest of `int x[2] = {1, 2}`: one entry per element.
    fn init_array(
        &mut self,
        (thread, ty): (Option<(usize, Span)>, Option<CType>),
        name: Name,
        out: &mut Vec<Init>,
    ) -> Result<(), Diagnostic> {
        self.expect("[")?;
        let at = self.at;
        let length = self.eat_number().filter(|(length, _)| (1..=MOST_ELEMENTS).contains(length));
        let Some((length, span)) = length else {
            self.at = at;
            return Err(self.expected(&format!("the number of elements, from 1 to {MOST_ELEMENTS}")));
        };
        self.expect("]")?;
        if ty.is_none() || thread.is_some() {
            let message = "an array needs a type, and a register cannot be an array";
            return Err(self.source.error(name.span, message, "expected a declaration such as `int x[2]`"));
        }
        let mut values = Vec::new();
        if self.eat("=") {
            self.expect("{")?;
            while !self.eat("}") {
                values.push(self.init_value()?);
                if !self.peek_is("}") {
                    self.expect(",")?;
                }
            }
            if i64::try_from(values.len()) != Ok(length) {
                let label = format!("{length} elements, {} values", values.len());
                return Err(self.source.error(span, "an array needs as many values as it has elements", label));
            }
        }
        let mut values = values.into_iter();
        out.extend((0..length).map(|index| {
            let element = Name { text: format!("{}[{index}]", name.text), span: name.span };
            self.elements.push(element.text.clone());
            Init { ty, thread: None, name: element, value: values.next() }
        }));
        Ok(())
    }

    /// Parses a value, or an initialiser macro of the kernel.
    fn init_value(&mut self) -> Result<Value, Diagnostic> {
        if self.eat_name("ATOMIC_INIT") {
            self.expect("(")?;
            let value = self.value()?;
            self.expect(")")?;
            return Ok(value);
        }
        self.value()
    }

    // ---- types ----

    /// Parses the base type at the cursor; `None` if no type starts there.
    pub(super) fn try_base(&mut self) -> Result<Option<Base>, Diagnostic> {
        let (mut signed, mut base, mut any, mut longs) = (None, None, false, 0);
        loop {
            if self.token().kind != Kind::Name {
                break;
            }
            let span = self.span();
            match self.slice(span) {
                "const" | "volatile" | "static" | "_Atomic" => {}
                "unsigned" => signed = Some(false),
                "signed" => signed = Some(true),
                "long" => longs += 1,
                word => match simple_base(word) {
                    // `int` after `short` or `long` adds nothing.
                    Some(_) if word == "int" && (base.is_some() || longs > 0) => {}
                    Some(found) if base.is_none() => base = Some(found),
                    _ if word == "struct" && base.is_none() && self.is_srcu_struct() => {
                        self.at += 1;
                        base = Some(Base::Srcu);
                    }
                    _ if word == "struct" || word == "union" || word == "enum" => {
                        return Err(self
                            .source
                            .error(span, format!("`{word}` types are not part of the litmus dialect"), "")
                            .help("use `int` for values and `int *` for pointers, as the kernel's own tests do"));
                    }
                    _ => break,
                },
            }
            any = true;
            self.at += 1;
        }
        if !any {
            return Ok(None);
        }
        let base = match (base, longs) {
            (None, 0) => Base::Int { bits: 32, signed: true },
            (None, _) => Base::Int { bits: 64, signed: true },
            (Some(base), _) => base,
        };
        Ok(Some(match (base, signed) {
            (Base::Int { bits, .. }, Some(signed)) => Base::Int { bits, signed },
            _ => base,
        }))
    }

    /// Whether the word behind the cursor's `struct` is `srcu_struct`.
    fn is_srcu_struct(&self) -> bool {
        let next = self.lexed.tokens.get(self.at + 1);
        next.is_some_and(|token| token.kind == Kind::Name && self.slice(token.span) == "srcu_struct")
    }

    pub(super) fn pointers(&mut self) -> Result<u8, Diagnostic> {
        let mut count = 0_u8;
        loop {
            if self.eat("*") {
                count += 1;
                if count > 4 {
                    return Err(self.too_deep());
                }
            } else if !(self.eat_name("const") || self.eat_name("volatile") || self.eat_name("__rcu")) {
                return Ok(count);
            }
        }
    }

    // ---- threads ----

    fn threads(&mut self) -> Result<Vec<Thread>, Diagnostic> {
        let mut threads: Vec<Thread> = Vec::new();
        loop {
            self.locals.clear();
            let _ = self.eat_name("static");
            let void = self.eat_name("void");
            let _ = void && self.eat("*");
            let span = self.span();
            let Some(number) = self.thread_name().filter(|_| self.next_kind(1) == Kind::Punct("(")) else {
                if threads.is_empty() || void {
                    return Err(self.expected("a thread such as `P0(int *x) { ... }`"));
                }
                return Ok(threads);
            };
            if number != threads.len() {
                let message = format!("expected the thread P{}, found P{number}", threads.len());
                return Err(self.source.error(span, message, "threads are numbered from P0, in order"));
            }
            if number == MAX_THREADS {
                let message = format!("a test has at most {MAX_THREADS} threads");
                return Err(self.source.error(span, message, "one too many"));
            }
            self.at += 1;
            threads.push(Thread { params: self.params()?, body: self.block(0)?, span });
        }
    }

    fn params(&mut self) -> Result<Vec<(CType, Name)>, Diagnostic> {
        self.expect("(")?;
        let mut params = Vec::new();
        if self.eat(")") {
            return Ok(params);
        }
        loop {
            let Some(base) = self.try_base()? else {
                return Err(self.expected("a typed parameter such as `int *x`"));
            };
            let pointers = self.pointers()?;
            if base == Base::Void && pointers == 0 && params.is_empty() && self.eat(")") {
                return Ok(params);
            }
            let name = self.name("a parameter name")?;
            // `int x[]` and `int x[2]` are pointers to the first element.
            let array = self.eat("[");
            if array {
                let _ = self.eat_number();
                self.expect("]")?;
            }
            params.push((CType { base, pointers: pointers + u8::from(array) }, name));
            if !self.eat(",") {
                self.expect(")")?;
                return Ok(params);
            }
        }
    }

    fn block(&mut self, depth: usize) -> Result<Vec<Stmt>, Diagnostic> {
        self.expect("{")?;
        let mut body = Vec::new();
        while !self.eat("}") {
            if self.token().kind == Kind::End {
                return Err(self.expected("a statement or `}`"));
            }
            self.statement(depth, &mut body)?;
        }
        Ok(body)
    }

    fn statement(&mut self, depth: usize, out: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        if self.eat(";") {
            return Ok(());
        }
        if self.peek_is("{") {
            out.extend(self.block(depth + 1)?);
            return Ok(());
        }
        if self.token().kind == Kind::Name {
            let word = self.slice(self.span());
            if REFUSED_STATEMENTS.contains(&word) {
                return Err(self
                    .source
                    .error(self.span(), format!("`{word}` is not part of the litmus dialect"), "")
                    .help("a thread is code with `if`, `while`, `do` and `for`; the harness repeats it"));
            }
            match word {
                "if" => return self.if_statement(depth, out),
                "while" | "do" | "for" => return self.loop_statement(depth, out),
                _ => {}
            }
        }
        if self.starts_declaration()? {
            return self.declaration(out);
        }
        self.expression_statement(out)?;
        self.expect(";")
    }

    /// Parses an assignment, `x += e`, `x++`, or an expression whose value is not used.
    fn expression_statement(&mut self, out: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        let step = self.step_operator();
        self.at += usize::from(step.is_some());
        let target = self.expr(0)?;
        let Kind::Punct(punct) = self.token().kind else { return Err(self.expected("`=` and a value")) };
        let step = step.or_else(|| {
            let found = self.step_operator();
            self.at += usize::from(found.is_some());
            found
        });
        if let Some(operator) = step {
            let one = Expr { kind: ExprKind::Int(1), span: target.span };
            out.push(compound(target, operator, one));
        } else if let Some(operator) = compound_operator(punct) {
            self.at += 1;
            out.push(compound(target, operator, self.expr(0)?));
        } else if self.eat("=") {
            let value = self.expr(0)?;
            out.push(Stmt::Assign { target, value });
        } else if let ExprKind::Cast(CType { base: Base::Void, pointers: 0 }, inner) = target.kind {
            out.push(Stmt::Effect(*inner));
        } else if matches!(target.kind, ExprKind::Name(_) | ExprKind::Int(_)) {
            // `r0;` does nothing. More likely something is missing.
            return Err(self.expected("`=` and a value"));
        } else {
            out.push(Stmt::Effect(target));
        }
        Ok(())
    }

    /// The operator of `++` or `--`, if one is at the cursor.
    fn step_operator(&self) -> Option<Binary> {
        match self.token().kind {
            Kind::Punct("++") => Some(Binary::Add),
            Kind::Punct("--") => Some(Binary::Sub),
            _ => None,
        }
    }

    fn loop_statement(&mut self, depth: usize, out: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        let span = self.span();
        let word = self.slice(span);
        self.at += 1;
        let mut body = Vec::new();
        if word == "do" {
            self.statement(depth + 1, &mut body)?;
            if !self.eat_name("while") {
                return Err(self.expected("`while`, the end of this `do`"));
            }
        }
        self.expect("(")?;
        if word != "for" {
            let condition = Some(self.expr(0)?);
            self.expect(")")?;
            if word == "do" {
                self.expect(";")?;
            } else {
                self.statement(depth + 1, &mut body)?;
            }
            out.push(Stmt::Loop { condition, tested_first: word == "while", body, span });
            return Ok(());
        }
        if self.starts_declaration()? {
            self.declaration(out)?;
        } else {
            self.expressions(";", out)?;
        }
        let condition = if self.peek_is(";") { None } else { Some(self.expr(0)?) };
        self.expect(";")?;
        let mut step = Vec::new();
        self.expressions(")", &mut step)?;
        self.statement(depth + 1, &mut body)?;
        body.append(&mut step);
        out.push(Stmt::Loop { condition, tested_first: true, body, span });
        Ok(())
    }

    /// Parses expression statements separated by commas, up to `close`.
    fn expressions(&mut self, close: &str, out: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        while !self.peek_is(close) {
            self.expression_statement(out)?;
            if !self.eat(",") {
                break;
            }
        }
        self.expect(close)
    }

    fn if_statement(&mut self, depth: usize, out: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        self.at += 1;
        self.expect("(")?;
        let condition = self.expr(0)?;
        self.expect(")")?;
        let (mut then, mut otherwise) = (Vec::new(), Vec::new());
        self.statement(depth + 1, &mut then)?;
        if self.eat_name("else") {
            self.statement(depth + 1, &mut otherwise)?;
        }
        out.push(Stmt::If { condition, then, otherwise });
        Ok(())
    }

    fn starts_declaration(&mut self) -> Result<bool, Diagnostic> {
        let at = self.at;
        let is_type = self.try_base()?.is_some();
        self.at = at;
        Ok(is_type)
    }

    fn declaration(&mut self, out: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
        let Some(base) = self.try_base()? else { return Err(self.expected("a type")) };
        loop {
            let ty = CType { base, pointers: self.pointers()? };
            let name = self.name("a register to declare")?;
            if self.peek_is("[") {
                return Err(self.source.error(self.span(), "a register cannot be an array", "expected `=` or `;`"));
            }
            self.locals.push(name.text.clone());
            let value = if self.eat("=") { Some(self.expr(0)?) } else { None };
            out.push(Stmt::Declare { ty, name, value });
            if !self.eat(",") {
                return self.expect(";");
            }
        }
    }

    // ---- expressions ----

    fn expr(&mut self, depth: usize) -> Result<Expr, Diagnostic> {
        self.binary(0, depth)
    }

    /// Parses operators of at least precedence `level` (precedence climbing).
    fn binary(&mut self, level: u8, mut depth: usize) -> Result<Expr, Diagnostic> {
        let mut left = self.unary(depth)?;
        loop {
            // A chain of operators deepens the tree on the left, so each operator counts as a nesting level.
            depth += 1;
            let Kind::Punct(punct) = self.token().kind else { return Ok(left) };
            let Some((found, operator)) = operator(punct).filter(|(found, _)| *found >= level) else {
                return self.refuse_operator(punct).map_or(Ok(left), Err);
            };
            if depth > MAX_DEPTH {
                let message = format!("more than {MAX_DEPTH} operators in a row, or nested that deep");
                return Err(self.source.error(self.span(), message, "one too many"));
            }
            self.at += 1;
            let right = self.binary(found + 1, depth)?;
            let span = left.span.to(right.span);
            let (left_box, right_box) = (Box::new(left), Box::new(right));
            let kind = match operator {
                Operator::Binary(binary) => ExprKind::Binary(binary, left_box, right_box),
                Operator::Logical { and } => ExprKind::Logical { and, left: left_box, right: right_box },
            };
            left = Expr { kind, span };
        }
    }

    /// The error for C operators that litmus tests do not use. It is clearer than "expected `;`".
    fn refuse_operator(&self, punct: &str) -> Option<Diagnostic> {
        let refused = ["?", "->", ".", "[", "/"];
        refused.contains(&punct).then(|| {
            self.source.error(self.span(), format!("the operator `{punct}` is not part of the litmus dialect"), "")
        })
    }

    fn unary(&mut self, depth: usize) -> Result<Expr, Diagnostic> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep());
        }
        let start = self.span();
        let wrap = |parser: &mut Self, make: fn(Box<Expr>) -> ExprKind| -> Result<Expr, Diagnostic> {
            let inner = parser.unary(depth + 1)?;
            Ok(Expr { span: start.to(inner.span), kind: make(Box::new(inner)) })
        };
        if self.eat("*") {
            let expr = wrap(self, ExprKind::Deref)?;
            return Ok(self.element_at(expr));
        }
        if self.eat("&") {
            return wrap(self, ExprKind::AddressOf);
        }
        if self.eat("-") {
            return wrap(self, |e| ExprKind::Unary(Unary::Negate, e));
        }
        if self.eat("~") {
            return wrap(self, |e| ExprKind::Unary(Unary::Invert, e));
        }
        if self.eat("!") {
            return wrap(self, |e| ExprKind::Unary(Unary::Not, e));
        }
        if self.eat("+") {
            return self.unary(depth + 1);
        }
        self.primary(depth)
    }

    /// What `*(x + 1)` is: `x[1]`, if `x` is an array and has such an element; other expressions are what they are.
    fn element_at(&self, expr: Expr) -> Expr {
        let ExprKind::Deref(pointer) = &expr.kind else { return expr };
        let ExprKind::Binary(Binary::Add, left, right) = &pointer.kind else { return expr };
        let ((ExprKind::Name(array), ExprKind::Int(index)) | (ExprKind::Int(index), ExprKind::Name(array))) =
            (&left.kind, &right.kind)
        else {
            return expr;
        };
        let name = format!("{array}[{index}]");
        // A register may have the name of an array.
        if !self.elements.contains(&name) || self.locals.contains(array) {
            return expr;
        }
        let element = Expr { kind: ExprKind::Name(name), span: pointer.span };
        Expr { kind: ExprKind::Deref(Box::new(element)), span: expr.span }
    }

    fn primary(&mut self, depth: usize) -> Result<Expr, Diagnostic> {
        let start = self.span();
        if let Some((value, span)) = self.eat_number() {
            return Ok(Expr { kind: ExprKind::Int(value), span });
        }
        if self.eat("(") {
            if let Some(base) = self.try_base()? {
                let ty = CType { base, pointers: self.pointers()? };
                self.expect(")")?;
                let inner = self.unary(depth + 1)?;
                return Ok(Expr { span: start.to(inner.span), kind: ExprKind::Cast(ty, Box::new(inner)) });
            }
            let inner = self.binary(0, depth + 1)?;
            self.expect(")")?;
            return Ok(Expr { kind: inner.kind, span: start.to(self.previous()) });
        }
        let name = self.name("a value")?;
        if self.peek_is("[") {
            // `x[1]` is the variable with this name.
            let element = self.element(name)?;
            let pointer = Expr { kind: ExprKind::Name(element.text), span: element.span };
            return Ok(Expr { kind: ExprKind::Deref(Box::new(pointer)), span: element.span });
        }
        if !self.eat("(") {
            let kind = if name.text == "NULL" { ExprKind::Int(0) } else { ExprKind::Name(name.text) };
            return Ok(Expr { kind, span: name.span });
        }
        let mut args = Vec::new();
        if !self.eat(")") {
            loop {
                args.push(self.binary(0, depth + 1)?);
                if !self.eat(",") {
                    self.expect(")")?;
                    break;
                }
            }
        }
        Ok(Expr { span: start.to(self.previous()), kind: ExprKind::Call(name, args) })
    }
}

/// The types that consist of one word, with their widths on the kernel's 64-bit architectures.
fn simple_base(word: &str) -> Option<Base> {
    let int = |bits, signed| Some(Base::Int { bits, signed });
    match word {
        "int" | "s32" | "int32_t" => int(32, true),
        "u32" | "uint32_t" => int(32, false),
        "short" | "s16" | "int16_t" => int(16, true),
        "u16" | "uint16_t" => int(16, false),
        "char" | "s8" | "int8_t" => int(8, true),
        "u8" | "uint8_t" | "bool" | "_Bool" => int(8, false),
        "s64" | "int64_t" | "intptr_t" | "ssize_t" => int(64, true),
        "u64" | "uint64_t" | "uintptr_t" | "size_t" => int(64, false),
        "atomic_t" => Some(Base::Atomic { bits: 32 }),
        "atomic64_t" | "atomic_long_t" => Some(Base::Atomic { bits: 64 }),
        "spinlock_t" | "raw_spinlock_t" => Some(Base::Spinlock),
        "void" => Some(Base::Void),
        _ => None,
    }
}

/// The operator of `+=` and the like.
fn compound_operator(punct: &str) -> Option<Binary> {
    Some(match punct {
        "+=" => Binary::Add,
        "-=" => Binary::Sub,
        "&=" => Binary::And,
        "|=" => Binary::Or,
        "^=" => Binary::Xor,
        "<<=" => Binary::ShiftLeft,
        ">>=" => Binary::ShiftRight,
        _ => return None,
    })
}

/// `target = target operator value`
fn compound(target: Expr, operator: Binary, value: Expr) -> Stmt {
    let span = target.span.to(value.span);
    let kind = ExprKind::Binary(operator, Box::new(target.clone()), Box::new(value));
    Stmt::Assign { target, value: Expr { kind, span } }
}

enum Operator {
    Binary(Binary),
    Logical { and: bool },
}

/// Precedence (higher binds tighter) and operator, as in C.
fn operator(punct: &str) -> Option<(u8, Operator)> {
    use Operator::{Binary as B, Logical};
    Some(match punct {
        "||" => (1, Logical { and: false }),
        "&&" => (2, Logical { and: true }),
        "|" => (3, B(Binary::Or)),
        "^" => (4, B(Binary::Xor)),
        "&" => (5, B(Binary::And)),
        "==" => (6, B(Binary::Compare(Compare::Eq))),
        "!=" => (6, B(Binary::Compare(Compare::Ne))),
        "<" => (7, B(Binary::Compare(Compare::Lt))),
        "<=" => (7, B(Binary::Compare(Compare::Le))),
        ">" => (7, B(Binary::Compare(Compare::Gt))),
        ">=" => (7, B(Binary::Compare(Compare::Ge))),
        "<<" => (8, B(Binary::ShiftLeft)),
        ">>" => (8, B(Binary::ShiftRight)),
        "+" => (9, B(Binary::Add)),
        "-" => (9, B(Binary::Sub)),
        "*" => (10, B(Binary::Mul)),
        _ => return None,
    })
}
