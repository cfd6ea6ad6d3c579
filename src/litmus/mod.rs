//! Litmus tests in the C dialect of the kernel's tools/memory-model: text in, syntax tree out.
//!
//! [`parse`] is the one entry. It knows nothing of machines or models; names are resolved and types checked
//! later, by [`crate::program`], which reports through the same [`Diagnostic`]s.

pub mod ast;
mod condition;
mod diagnostic;
mod header;
mod lexer;
mod parser;
pub mod primitive;
mod verdict;

pub use ast::Header;
pub use diagnostic::{Diagnostic, Source, Span};
pub use verdict::Verdict;

/// The largest source that is read: a litmus test is a page of text, and anything above this is some other file.
pub const MAX_SOURCE_BYTES: usize = 256 * 1024;

/// The most threads a test may have. A run needs as many CPUs, unless they share some.
pub const MAX_THREADS: usize = 8;

/// How deep expressions, statements and conditions may nest, so that no file can exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 64;

/// Parses one litmus test.
///
/// # Errors
/// A [`Diagnostic`] that points at the first place that could not be understood and says what was expected.
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

/// What stands at the end of a test: the extra locations to observe, the filter and the condition.
pub type Clauses = (Vec<ast::Observable>, Option<ast::Prop>, ast::Condition);

/// Reads `locations`, `filter` and the condition that begin at byte `from`; tests in assembly end with them too.
///
/// # Errors
/// As [`parse`].
pub fn clauses(source: &Source, from: usize) -> Result<Clauses, Diagnostic> {
    parser::Parser::fragment(source, Span { start: from, end: source.text().len() })?.final_clauses()
}
