//! The note itself: text and signature lines.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::keys::{KeyId, Verifier, check_name};
use super::{MAX_NOTE_BYTES, MAX_SIGNATURES};

/// How a signature line begins: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// What is wrong with a note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Larger than [`MAX_NOTE_BYTES`].
    #[error("the note is larger than {MAX_NOTE_BYTES} bytes")]
    TooLarge,
    /// Not UTF-8.
    #[error("the note is not valid UTF-8")]
    NotUtf8,
    /// The text is empty, does not end with a newline, or holds another control character.
    #[error("the note's text is empty, does not end with a newline, or holds a control character")]
    Text,
    /// There is no empty line followed by signature lines.
    #[error("the note has no signature lines after an empty line")]
    NoSignatures,
    /// More than [`MAX_SIGNATURES`] signature lines.
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A signature line is not "— name base64"; counted from 1.
    #[error("signature line {0} is malformed")]
    SignatureLine(usize),
    /// No signature is by a known key.
    #[error("the note is not signed by a known key")]
    NoKnownSignature,
    /// A signature that claims a known key is not by it.
    #[error("the signature of {0} does not match the note's text")]
    BadSignature(String),
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub key_id: KeyId,
    /// The signature without the key id; what is in it depends on the key's type.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        check_name(name).ok()?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        if signature.is_empty() {
            return None;
        }
        Some(Self { name: name.to_owned(), key_id: KeyId(*key_id), signature: signature.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    /// The line without its newline.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.0.as_slice(), &self.signature].concat();
        write!(formatter, "{SIGNATURE_PREFIX}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A parsed note, its signatures not yet checked. `Display` gives back the exact text that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Puts a note together from its parts.
    ///
    /// # Errors
    /// [`NoteError`] when the parts do not form a note that [`Note::parse`] accepts.
    pub fn try_new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_text(&text)?;
        if signatures.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        for (position, signature) in (1..).zip(&signatures) {
            if check_name(&signature.name).is_err() || signature.signature.is_empty() {
                return Err(NoteError::SignatureLine(position));
            }
        }
        let note = Self { text, signatures };
        if note.to_string().len() > MAX_NOTE_BYTES { Err(NoteError::TooLarge) } else { Ok(note) }
    }

    /// Parses a note. Signatures are only split, not checked: see [`Note::verify`].
    ///
    /// # Errors
    /// [`NoteError`] naming what is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::NotUtf8)?;
        // The text may hold empty lines itself: the last one separates.
        let (before, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        let text = format!("{before}\n");
        check_text(&text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (position, line) in (1..).zip(lines.split('\n')) {
            if position > MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(NoteSignature::parse(line).ok_or(NoteError::SignatureLine(position))?);
        }
        Ok(Self { text, signatures })
    }

    /// The signed text, its final newline included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, by known and unknown keys.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line, as a witness's cosignature is added.
    ///
    /// # Errors
    /// [`NoteError`] when the note would grow out of its bounds or the signature is malformed.
    pub fn with_signature(mut self, signature: NoteSignature) -> Result<Self, NoteError> {
        self.signatures.push(signature);
        Self::try_new(self.text, self.signatures)
    }

    /// Checks the signatures of the known keys and returns those keys that signed, in the order given.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when a signature claims a known key and does not verify;
    /// [`NoteError::NoKnownSignature`] when none claims one.
    pub fn verify<'k>(&self, known: &[&'k Verifier]) -> Result<Vec<&'k Verifier>, NoteError> {
        let mut signed_by = Vec::new();
        for verifier in known {
            let mut claims = self.signatures.iter().filter(|signature| verifier.claims(signature)).peekable();
            if claims.peek().is_none() {
                continue;
            }
            if !claims.all(|signature| verifier.verifies(&self.text, &signature.signature)) {
                return Err(NoteError::BadSignature(verifier.name().to_owned()));
            }
            signed_by.push(*verifier);
        }
        if signed_by.is_empty() { Err(NoteError::NoKnownSignature) } else { Ok(signed_by) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

/// A text ends with a newline and holds no other ASCII control character.
fn check_text(text: &str) -> Result<(), NoteError> {
    let control = text.bytes().any(|byte| byte < 0x20 && byte != b'\n');
    if control || !text.ends_with('\n') { Err(NoteError::Text) } else { Ok(()) }
}
