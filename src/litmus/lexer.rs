//! Splits the text into tokens.
//!
//! A litmus file has two lexical contexts. Outside the bodies of the threads `(* ... *)` is a comment, as in
//! OCaml. Inside them `(*x)` dereferences x, as in C. The first pair of braces holds the initial values and
//! belongs to the outer context. Every later pair is a body.

use super::diagnostic::{Diagnostic, Source, Span};
use super::remarks;

/// The kind of a token. The text of names and numbers stays in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An identifier or keyword.
    Name,
    /// An integer literal, with its value.
    Number(i64),
    /// Punctuation, by its spelling.
    Punct(&'static str),
    /// The end of the text.
    End,
}

/// One token.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// A comment outside the bodies. The header is one of them.
#[derive(Debug, Clone, Copy)]
pub struct Comment {
    /// The text between the comment marks.
    pub span: Span,
}

/// The result of the lexer: everything that the parser needs.
#[derive(Debug)]
pub struct Lexed {
    /// The name after `C` on the first line.
    pub name: Span,
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
}

/// Sorted by length, longest first, so that `==` is not read as two `=`.
const PUNCTUATION: [&str; 45] = [
    "<<=", ">>=", "/\\", "\\/", "==", "!=", "<=", ">=", "<>", "&&", "||", "<<", ">>", "++", "--", "->", "=>", "+=",
    "-=", "&=", "|=", "^=", "(", ")", "{", "}", "[", "]", ";", ",", ":", "=", "*", "&", "|", "^", "~", "!", "+", "-",
    "<", ">", "?", "/", ".",
];

/// The number of entries of [`PUNCTUATION`] with more than one character, which come first.
const LONG_PUNCTUATION: usize = {
    let mut long = 0;
    while PUNCTUATION[long].len() > 1 {
        long += 1;
    }
    long
};

/// U+FEFF, which may stand at the start of a text.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The punctuation of one character, by the character.
const SHORT_PUNCTUATION: [Option<&str>; 128] = {
    let mut all = [None; 128];
    let mut at = LONG_PUNCTUATION;
    while at < PUNCTUATION.len() {
        all[PUNCTUATION[at].as_bytes()[0] as usize] = Some(PUNCTUATION[at]);
        at += 1;
    }
    all
};

/// The punctuation at the start of a text.
fn punctuation(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    let may_be_long = matches!(bytes.get(1), Some(b'<' | b'>' | b'\\' | b'/' | b'=' | b'&' | b'|' | b'+' | b'-'));
    let long = || PUNCTUATION[..LONG_PUNCTUATION].iter().find(|punct| text.starts_with(**punct)).copied();
    let short = || *SHORT_PUNCTUATION.get(usize::from(*bytes.first()?))?;
    may_be_long.then(long).flatten().or_else(short)
}

struct Lexer<'a> {
    source: &'a Source,
    text: &'a str,
    at: usize,
    depth: usize,
    /// The number of brace pairs closed at the outermost level. It is 0 before and inside the initial values.
    closed: usize,
    /// Whether names may have dots inside: in the conditions of tests in assembly.
    dots: bool,
    out: Lexed,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a Source, text: &'a str, at: usize) -> Lexer<'a> {
        let tokens = Vec::with_capacity((text.len() - at) / 3);
        let out = Lexed { name: Span::default(), tokens, comments: Vec::new() };
        Lexer { source, text, at, depth: 0, closed: 0, dots: false, out }
    }

    fn tokens(mut self) -> Result<Lexed, Diagnostic> {
        while self.token()? {}
        Ok(self.out)
    }
}

/// Splits a whole file.
pub fn lex(source: &Source) -> Result<Lexed, Diagnostic> {
    // Editors of other systems put a byte order mark before the text.
    let start = if source.text().starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
    let mut lexer = Lexer::new(source, source.text(), start);
    lexer.title()?;
    lexer.prelude()?;
    lexer.tokens()
}

/// Splits a part of a file outside of the bodies, such as a condition in the header.
pub fn lex_fragment(source: &Source, span: Span) -> Result<Lexed, Diagnostic> {
    let mut lexer = Lexer::new(source, &source.text()[..span.end], span.start);
    lexer.dots = true;
    lexer.tokens()
}

/// The length of the `(* ... *)` comment at the start of a text; `None` if it never ends. Such comments nest.
pub(crate) fn comment_length(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (1_usize, 2);
    while depth > 0 {
        match text.as_bytes().get(at..at + 2)? {
            b"(*" => (depth, at) = (depth + 1, at + 2),
            b"*)" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    Some(at)
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn in_body(&self) -> bool {
        self.depth > 0 && self.closed > 0
    }

    /// Reads the line `C name`.
    fn title(&mut self) -> Result<(), Diagnostic> {
        if self.text.trim().is_empty() {
            return Err(self.source.error(Span::at(0), "the file is empty", "a litmus test starts with `C NAME`"));
        }
        self.space()?;
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or("");
        let rest = line.strip_prefix("C").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or("");
        // The name is one word, as in herd7. The rest of the line is a remark.
        match rest.split_whitespace().next() {
            Some(name) => {
                let first = start + 1 + (rest.len() - rest.trim_start().len());
                self.out.name = Span { start: first, end: first + name.len() };
                self.at = start + line.len();
                Ok(())
            }
            _ => Err(self
                .source
                .error(Span { start, end: start + line.len().max(1) }, "this is not a C litmus test", "expected `C NAME`")
                .help("a test is in the C dialect of the kernel's tools/memory-model, or in assembly (its first word is AArch64, PPC, RISCV, X86_64 or X86)")),
        }
    }

    /// Skips what is between the name and the initial values: comments, a quoted remark, and lines of text such as
    /// `Key=value`.
    fn prelude(&mut self) -> Result<(), Diagnostic> {
        loop {
            self.space()?;
            let rest = self.rest();
            if let Some(remark) = rest.strip_prefix('"') {
                match remark.find('"') {
                    Some(end) => self.at += end + 2,
                    None => {
                        return Err(self.source.error(
                            Span::at(self.at),
                            "the quoted remark never ends",
                            "opened here",
                        ));
                    }
                }
                continue;
            }
            let line = rest.lines().next().unwrap_or("");
            let word = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
            // A thread here means that the initial values are missing.
            let is_remark = word > 0 && !line[word..].starts_with('(') && !line.contains(['{', '}']);
            let is_info = line[word..].trim_start_matches([' ', '\t']).starts_with('=');
            if !is_remark && !is_info || word == 0 {
                return Ok(());
            }
            remarks::check(self.source, self.text, Span { start: self.at, end: self.at + line.len() })?;
            self.at += line.len();
        }
    }

    /// Skips white space and comments. Keeps the comments outside of the bodies.
    fn space(&mut self) -> Result<(), Diagnostic> {
        loop {
            let blanks = self.rest().bytes().take_while(|byte| matches!(byte, b'\t'..=b'\r' | b' ')).count();
            self.at += blanks;
            let rest = self.rest();
            if rest.bytes().next().is_some_and(|byte| byte.is_ascii() && byte != b'/' && byte != b'(') {
                return Ok(());
            }
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else { return Err(self.unterminated("*/")) };
                self.keep_comment(length);
                self.at += length + 4;
            } else if trimmed.starts_with("(*") && !self.in_body() {
                let Some(length) = comment_length(trimmed) else { return Err(self.unterminated("*)")) };
                self.keep_comment(length - 4);
                self.at += length;
            } else {
                return Ok(());
            }
        }
    }

    fn keep_comment(&mut self, length: usize) {
        if !self.in_body() {
            self.out.comments.push(Comment { span: Span { start: self.at + 2, end: self.at + 2 + length } });
        }
    }

    fn unterminated(&self, close: &str) -> Diagnostic {
        let span = Span { start: self.at, end: self.at + 2 };
        self.source.error(span, "this comment never ends", format!("opened here; expected `{close}` before the end"))
    }

    /// Reads one token. Returns false at the end of the text.
    fn token(&mut self) -> Result<bool, Diagnostic> {
        self.space()?;
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            self.out.tokens.push(Token { kind: Kind::End, span: Span { start, end: start } });
            return Ok(false);
        };
        let kind = if first.is_ascii_alphabetic() || first == '_' {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || self.dots && byte == b'.';
            self.at += rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len());
            Kind::Name
        } else if first.is_ascii_digit() {
            self.number()?
        } else if let Some(punct) = punctuation(rest) {
            self.at += punct.len();
            match punct {
                "{" => self.depth += 1,
                "}" => {
                    self.depth = self.depth.saturating_sub(1);
                    self.closed += usize::from(self.depth == 0);
                }
                _ => {}
            }
            Kind::Punct(punct)
        } else {
            let span = Span { start, end: start + first.len_utf8() };
            let message = format!("the character {first:?} is not allowed in a litmus test");
            return Err(self.source.error(span, message, ""));
        };
        self.out.tokens.push(Token { kind, span: Span { start, end: self.at } });
        Ok(true)
    }

    fn number(&mut self) -> Result<Kind, Diagnostic> {
        let start = self.at;
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        self.at += length;
        let word = &rest[..length];
        let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
        let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            // As in C, a hexadecimal constant may use all 64 bits.
            Some(hex) => u64::from_str_radix(hex, 16).ok().map(|bits| bits as i64),
            None => digits.parse().ok(),
        };
        value.map(Kind::Number).ok_or_else(|| {
            self.source.error(
                Span { start, end: self.at },
                format!("`{}` is not a number", word.chars().take(40).collect::<String>()),
                "expected a decimal or 0x integer that fits 64 bits",
            )
        })
    }
}
