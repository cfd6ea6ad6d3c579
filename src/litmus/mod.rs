//! Parser of litmus tests in the C dialect of the kernel's tools/memory-model: text in, syntax tree out.
//!
//! [`parse`] is the entry point. The parser does not know machines or models. [`crate::program`] resolves
//! names and checks types later, and reports errors as the same [`Diagnostic`]s.

pub mod ast;
mod condition;
mod diagnostic;
mod header;
mod lexer;
pub mod naming;
mod parser;
pub mod primitive;
pub(crate) mod remarks;
mod verdict;

pub use ast::Header;
pub use diagnostic::{Diagnostic, Source, Span};
pub(crate) use lexer::{BYTE_ORDER_MARK, comment_length};
pub use verdict::Verdict;

/// Maximum size of a source in bytes. A litmus test is a page of text; a larger file is something else.
pub const MAX_SOURCE_BYTES: usize = 256 * 1024;

/// Maximum number of threads of a test. The models follow executions of as many events.
pub const MAX_THREADS: usize = 128;

/// Maximum nesting depth of expressions, statements and conditions, so that no file can exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 64;

/// Parses one litmus test.
///
/// # Errors
/// A [`Diagnostic`] that points at the first place that was not understood, and says what was expected.
pub fn parse(source: &Source) -> Result<ast::Test, Diagnostic> {
    if source.text().len() > MAX_SOURCE_BYTES {
        return Err(source.error(
            Span::at(0),
            format!("the file is {} bytes long; a litmus test has at most {MAX_SOURCE_BYTES}", source.text().len()),
            "",
        ));
    }
    parser::Parser::new(source)?.test()
}

/// The clauses at the end of a test: the additional locations to show, the filter and the condition.
pub type Clauses = (Vec<ast::Observable>, Option<ast::Prop>, ast::Condition);

/// Parses `locations`, `filter` and the condition, starting at byte `from`. Tests in assembly end with the
/// same clauses, and may have no condition.
///
/// # Errors
/// As [`parse`].
pub fn clauses(source: &Source, from: usize) -> Result<Clauses, Diagnostic> {
    parser::Parser::fragment(source, Span { start: from, end: source.text().len() })?.final_clauses()
}

/// Parses the declarations in the comments `(* *)` in front of byte `to`, where the initial values begin. Tests in
/// assembly may have the same header as tests in C.
///
/// # Errors
/// As [`parse`].
pub fn header(source: &Source, to: usize) -> Result<Header, Diagnostic> {
    let text = &source.text()[..to];
    let naming = naming::spans(text);
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("(*").map(|found| at + found) {
        if let Some(line) = naming.iter().find(|line| (line.start..line.end).contains(&start)) {
            at = line.end;
            continue;
        }
        let Some(length) = comment_length(&text[start..]) else { break };
        spans.push(Span { start: start + 2, end: start + length - 2 });
        at = start + length;
    }
    parser::header_of(source, &spans)
}

/// A test whose syntax this parser does not read: a test in assembly, with the header that [`header`] has read.
pub fn without_syntax(source: &Source, name: String, header: Header) -> ast::Test {
    let (quantifier, prop) = (ast::Quantifier::Exists, ast::Prop::Const(true));
    let condition = ast::Condition { quantifier, prop, span: Span::at(0), written: false };
    let source = source.clone();
    ast::Test {
        source,
        name,
        header,
        init: Vec::new(),
        threads: Vec::new(),
        locations: Vec::new(),
        filter: None,
        condition,
    }
}
