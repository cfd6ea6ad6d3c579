//! Builds the syntax tree from the tokens: initial values, threads, statements and expressions.

use super::ast::{Base, Binary, CType, Compare, Expr, ExprKind, Header, Init, Name, Stmt, Test, Thread, Unary};
use super::diagnostic::{Diagnostic, Source, Span};
use super::lexer::{self, Kind, Lexed, Token};
use super::{MAX_DEPTH, MAX_THREADS, header};

/// A cursor over the tokens of one file.
pub(super) struct Parser<'a> {
    source: &'a Source,
    lexed: Lexed,
    at: usize,
}

/// Parses the header in the comments at `spans`.
pub(super) fn header_of(source: &Source, spans: &[Span]) -> Result<Header, Diagnostic> {
    header::read(source, spans, |span| {
        let wrap = |d: Diagnostic| d.help("`Match:` takes a condition such as `1:r0=1`");
        let mut parser = Parser { source, lexed: lexer::lex_fragment(source, span)?, at: 0 };
        let prop = parser.prop(0).map_err(wrap)?;
        parser.end().map_err(wrap)?;
        Ok(prop)
    })
}

/// Statements of C that a thread of a litmus test may not contain.
const REFUSED_STATEMENTS: [&str; 7] = ["while", "for", "do", "goto", "switch", "return", "asm"];

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a Source) -> Result<Parser<'a>, Diagnostic> {
        Ok(Parser { source, lexed: lexer::lex(source)?, at: 0 })
    }

    /// A parser for a part of the source outside of the threads' bodies.
    pub(super) fn fragment(source: &'a Source, span: Span) -> Result<Parser<'a>, Diagnostic> {
        Ok(Parser { source, lexed: lexer::lex_fragment(source, span)?, at: 0 })
    }

    /// Parses the whole file.
    pub(super) fn test(mut self) -> Result<Test, Diagnostic> {
        let header = self.header()?;
        let init = self.init()?;
        let threads = self.threads()?;
        let (locations, filter, condition) = self.final_clauses()?;
        Ok(Test {
            source: self.source.clone(),
            name: self.slice(self.lexed.name).to_owned(),
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
        matches!(self.token().kind, Kind::Punct(found) if found == punct)
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

    pub(super) fn expect(&mut self, punct: &str) -> Result<(), Diagnostic> {
        if self.eat(punct) { Ok(()) } else { Err(self.expected(&format!("`{punct}`"))) }
    }

    pub(super) fn name(&mut self, what: &str) -> Result<Name, Diagnostic> {
        let Token { kind: Kind::Name, span } = self.token() else { return Err(self.expected(what)) };
        self.at += 1;
        Ok(Name { text: self.slice(span).to_owned(), span })
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
            all.push(self.init_entry()?);
            if !self.peek_is("}") && !self.peek_is(";") {
                return Err(self.expected("`;` or `}`"));
            }
        }
        Ok(all)
    }

    fn init_entry(&mut self) -> Result<Init, Diagnostic> {
        let mut thread = None;
        let mut ty = None;
        if let Some((number, span)) = self.eat_number() {
            thread = Some((usize::try_from(number).unwrap_or(usize::MAX), span));
            self.expect(":")?;
        } else if let Some(base) = self.try_base()? {
            ty = Some(CType { base, pointers: self.pointers()? });
        }
        let bracketed = ty.is_none() && self.eat("[");
        let name = self.name("a shared variable to initialise")?;
        if bracketed {
            self.expect("]")?;
        } else if self.peek_is("[") {
            return Err(self.source.error(self.span(), "arrays are not supported", "expected `=` or `;`"));
        }
        let value = if self.eat("=") { Some(self.init_value()?) } else { None };
        Ok(Init { ty, thread, name, value })
    }

    /// Parses a value, or an initialiser macro of the kernel.
    fn init_value(&mut self) -> Result<super::ast::Value, Diagnostic> {
        if self.eat_name("ATOMIC_INIT") {
            self.expect("(")?;
            let value = self.value()?;
            self.expect(")")?;
            return Ok(value);
        }
        if self.peek_is("{") {
            return Err(self.source.error(self.span(), "arrays are not supported", "expected a number or `&name`"));
        }
        self.value()
    }

    // ---- types ----

    /// Parses the base type at the cursor; `None` if no type starts there.
    fn try_base(&mut self) -> Result<Option<Base>, Diagnostic> {
        let (mut signed, mut base, mut any, mut longs) = (None, None, false, 0);
        loop {
            if self.token().kind != Kind::Name {
                break;
            }
            let span = self.span();
            match self.slice(span) {
                "const" | "volatile" | "static" => {}
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

    fn pointers(&mut self) -> Result<u8, Diagnostic> {
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
            let _ = self.eat_name("static");
            let void = self.eat_name("void");
            let span = self.span();
            let number = (self.token().kind == Kind::Name)
                .then(|| self.slice(span).strip_prefix('P').and_then(|digits| digits.parse::<usize>().ok()))
                .flatten();
            let Some(number) = number.filter(|_| self.next_kind(1) == Kind::Punct("(")) else {
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
            params.push((CType { base, pointers }, self.name("a parameter name")?));
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
                    .help("a thread is straight-line code with `if`; the harness repeats it"));
            }
            if self.eat_name("if") {
                return self.if_statement(depth, out);
            }
        }
        if self.starts_declaration()? {
            return self.declaration(out);
        }
        let target = self.expr(0)?;
        if self.eat("=") {
            let value = self.expr(0)?;
            out.push(Stmt::Assign { target, value });
        } else if matches!(target.kind, ExprKind::Call(..)) {
            out.push(Stmt::Effect(target));
        } else if let ExprKind::Cast(CType { base: Base::Void, pointers: 0 }, inner) = target.kind {
            out.push(Stmt::Effect(*inner));
        } else {
            return Err(self.expected("`=` and a value"));
        }
        self.expect(";")
    }

    fn if_statement(&mut self, depth: usize, out: &mut Vec<Stmt>) -> Result<(), Diagnostic> {
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
                return Err(self.source.error(self.span(), "arrays are not supported", "expected `=` or `;`"));
            }
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
        let refused = ["?", "++", "--", "+=", "-=", "&=", "|=", "^=", "<<=", ">>=", "->", "["];
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
            return wrap(self, ExprKind::Deref);
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
