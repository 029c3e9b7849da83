//! Protobuf's text format (protobuf.dev/reference/protobuf/textformat-spec), without extensions and `Any`.

mod lexer;

use super::tree::{Field, Message, Value};
use crate::domain::manifest::ManifestError;
use lexer::{Lexer, Token};

/// Deeper than any field of `ModelConfig`; bounds the stack.
const MAX_DEPTH: usize = 16;

/// Reads a message in text format.
pub(super) fn parse(text: &str) -> Result<Message, ManifestError> {
    let mut parser = Parser { lexer: Lexer::new(text), next: Token::End, line: 1 };
    parser.advance()?;
    let message = parser.message(&Token::End, 0)?;
    Ok(message)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that comes next, and its line.
    next: Token,
    line: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, ManifestError> {
        let (token, line) = self.lexer.next()?;
        self.line = line;
        Ok(std::mem::replace(&mut self.next, token))
    }

    fn error(&self, message: impl Into<String>) -> ManifestError {
        lexer::syntax_error(self.line, message)
    }

    fn take(&mut self, symbol: char) -> Result<bool, ManifestError> {
        let found = self.next == Token::Symbol(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Fields up to `end`, which is consumed.
    fn message(&mut self, end: &Token, depth: usize) -> Result<Message, ManifestError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let mut message = Message::default();
        while self.next != *end {
            self.field(&mut message, depth)?;
            if !self.take(',')? {
                self.take(';')?;
            }
        }
        if *end != Token::End {
            self.advance()?;
        }
        Ok(message)
    }

    fn field(&mut self, message: &mut Message, depth: usize) -> Result<(), ManifestError> {
        let line = self.line;
        let name = match self.advance()? {
            Token::Word(name) if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => name,
            other => {
                return Err(lexer::syntax_error(line, format!("expected a field's name, found {other}")));
            }
        };
        let colon = self.take(':')?;
        if !self.take('[')? {
            let value = self.value(colon, depth)?;
            message.fields.push(Field { name, line, value });
            return Ok(());
        }
        if self.take(']')? {
            return Ok(());
        }
        loop {
            let line = self.line;
            let value = self.value(colon, depth)?;
            message.fields.push(Field { name: name.clone(), line, value });
            if self.take(']')? {
                return Ok(());
            }
            if !self.take(',')? {
                return Err(self.error(format!("expected ',' or ']', found {}", self.next)));
            }
        }
    }

    /// A message, or, after a colon, a scalar.
    fn value(&mut self, colon: bool, depth: usize) -> Result<Value, ManifestError> {
        let line = self.line;
        match self.advance()? {
            Token::Symbol('{') => {
                self.message(&Token::Symbol('}'), depth.saturating_add(1)).map(Value::Message)
            }
            Token::Symbol('<') => {
                self.message(&Token::Symbol('>'), depth.saturating_add(1)).map(Value::Message)
            }
            Token::Word(word) if colon => Ok(Value::Word(word)),
            Token::Text(mut text) if colon => {
                // Strings side by side are one string.
                while let Token::Text(more) = &self.next {
                    text.push_str(more);
                    self.advance()?;
                }
                Ok(Value::Text(text))
            }
            Token::Word(_) | Token::Text(_) => {
                Err(lexer::syntax_error(line, "expected ':' before the value"))
            }
            other => Err(lexer::syntax_error(line, format!("expected a value, found {other}"))),
        }
    }
}
