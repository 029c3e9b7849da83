//! Words, strings and symbols of the text format.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use crate::domain::manifest::ManifestError;

/// The smallest piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a number, sign included.
    Word(String),
    /// A quoted string, unescaped.
    Text(String),
    /// One of `:{}<>[],;`.
    Symbol(char),
    /// The end of the text.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "'{word}'"),
            Self::Text(_) => f.write_str("a string"),
            Self::Symbol(symbol) => write!(f, "'{symbol}'"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// An error at a line.
pub(super) fn syntax_error(line: usize, message: impl Into<String>) -> ManifestError {
    ManifestError::Syntax { file: "", line, message: message.into() }
}

/// Cuts a text into tokens.
pub(super) struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable(), line: 1 }
    }

    /// The next token and its line; [`Token::End`] for ever after the last.
    pub fn next(&mut self) -> Result<(Token, usize), ManifestError> {
        self.skip_blank();
        let line = self.line;
        let token = match self.take() {
            None => Token::End,
            Some(symbol @ (':' | '{' | '}' | '<' | '>' | '[' | ']' | ',' | ';')) => Token::Symbol(symbol),
            Some(quote @ ('"' | '\'')) => Token::Text(self.string(quote)?),
            Some('-') => {
                self.skip_blank();
                Token::Word(self.word(String::from("-")))
            }
            Some(first) if is_word(first) => Token::Word(self.word(String::from(first))),
            Some(other) => {
                return Err(syntax_error(line, format!("unexpected character {other:?}")));
            }
        };
        Ok((token, line))
    }

    fn take(&mut self) -> Option<char> {
        let taken = self.chars.next();
        if taken == Some('\n') {
            self.line = self.line.saturating_add(1);
        }
        taken
    }

    fn skip_blank(&mut self) {
        while let Some(next) = self.chars.peek().copied() {
            match next {
                '#' => while self.chars.next_if(|c| *c != '\n').is_some() {},
                blank if blank.is_ascii_whitespace() => drop(self.take()),
                _ => return,
            }
        }
    }

    fn word(&mut self, mut word: String) -> String {
        while let Some(next) = self.chars.next_if(|c| is_word(*c)) {
            word.push(next);
        }
        word
    }

    /// The rest of a string, which ends on its own line.
    fn string(&mut self, quote: char) -> Result<String, ManifestError> {
        let mut bytes = Vec::new();
        loop {
            match self.chars.next() {
                None | Some('\n') => return Err(syntax_error(self.line, "the string does not end")),
                Some(end) if end == quote => break,
                Some('\\') => self.escape(&mut bytes)?,
                Some(other) => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(bytes).map_err(|_| syntax_error(self.line, "the string is not UTF-8"))
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), ManifestError> {
        let bad = |line| syntax_error(line, "unknown escape in the string");
        let byte = match self.chars.next().ok_or_else(|| bad(self.line))? {
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            'x' | 'X' => self.code(String::new(), 16, 2).ok_or_else(|| bad(self.line))?,
            octal @ '0'..='7' => self.code(String::from(octal), 8, 3).ok_or_else(|| bad(self.line))?,
            plain @ ('"' | '\'' | '\\' | '?') => u8::try_from(plain).map_err(|_| bad(self.line))?,
            _ => return Err(bad(self.line)),
        };
        bytes.push(byte);
        Ok(())
    }

    /// A byte by its number, of at most `most` digits.
    fn code(&mut self, mut digits: String, radix: u32, most: usize) -> Option<u8> {
        while digits.len() < most {
            match self.chars.next_if(|c| c.is_digit(radix)) {
                Some(digit) => digits.push(digit),
                None => break,
            }
        }
        u8::from_str_radix(&digits, radix).ok()
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')
}
