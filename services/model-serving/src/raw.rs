//! One text model without a service around it: what benches compare the service with.
//!
//! The same adapters, session options, tokenizer, padding and row handling as the service's, called straight on
//! the caller's thread. No queue, no other thread, no limits: nothing that serves may use this.

use std::fs;
use std::path::Path;

use crate::adapters::huggingface_tokenizers::HuggingFaceTokenizer;
use crate::adapters::onnxruntime::{OnnxRuntime, SessionOptions};
use crate::cancel::CancelToken;
use crate::config::Config;
use crate::domain::batch::{pad_texts, width_of};
use crate::domain::embedding::vectors_of;
use crate::domain::manifest::{EmbeddingManifest, Manifest};
use crate::domain::text::EncodedText;
use crate::ports::{InferenceEngine as _, InferenceSession, SessionError, TextEncoder as _};

/// A text model on the caller's thread.
pub struct RawModel {
    session: Box<dyn InferenceSession>,
    encoder: HuggingFaceTokenizer,
    manifest: EmbeddingManifest,
    outputs: Vec<String>,
}

/// The model cannot be loaded or did not run; the message says all there is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RawError(String);

impl RawError {
    fn new(error: &dyn std::error::Error) -> Self {
        Self(crate::error::chain(error))
    }
}

impl RawModel {
    /// Loads the version in `folder`, with the engine's library and threads of `config`. Blocks.
    pub fn load(config: &Config, folder: &Path) -> Result<Self, RawError> {
        let read = |name: &str| fs::read(folder.join(name)).map_err(|error| RawError::new(&error));
        let text = String::from_utf8(read("model.toml")?).map_err(|error| RawError::new(&error))?;
        let Manifest::Embedding(manifest) = Manifest::parse(&text).map_err(|error| RawError::new(&error))?
        else {
            return Err(RawError("not a text model".to_owned()));
        };
        let encoder =
            HuggingFaceTokenizer::from_bytes(&read(&manifest.tokenizer)?, manifest.max_input_tokens)
                .map_err(|error| RawError::new(&error))?;
        let options = SessionOptions {
            intra_threads: config.intra_threads,
            max_output_bytes: config.platform.server.max_message_bytes,
        };
        let library = config.library().map_err(|error| RawError::new(&error))?;
        let engine = OnnxRuntime::try_new(&library, options).map_err(|error| RawError::new(&error))?;
        let session = engine
            .load(&read("model.onnx")?, None, &CancelToken::default())
            .map_err(|error| RawError::new(&error))?;
        let outputs = vec![manifest.output.clone()];
        Ok(Self { session, encoder, manifest, outputs })
    }

    /// The longest text in tokens, special tokens included.
    pub const fn max_input_tokens(&self) -> usize {
        self.manifest.max_input_tokens
    }

    /// The tokens of a text, special tokens included.
    pub fn token_count(&self, text: &str) -> Result<usize, RawError> {
        Ok(self.encode(text)?.ids.len())
    }

    /// Tokenises the texts, runs them as one batch and copies the embeddings out, in the order of the texts.
    pub fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, RawError> {
        let encoded = texts.iter().map(|text| self.encode(text)).collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<&EncodedText> = encoded.iter().collect();
        let inputs = pad_texts(&texts, &self.manifest).map_err(|error| RawError::new(&error))?;
        let outputs = self
            .session
            .run(&inputs, &self.outputs, texts.len(), &CancelToken::default())
            .map_err(|error| RawError::new(&error))?;
        let missing = || RawError::new(&SessionError::Failed("the engine left an output out".into()));
        let output = outputs.into_iter().next().ok_or_else(missing)?;
        let tokens: Vec<usize> = encoded.iter().map(|text| text.ids.len()).collect();
        let vectors = vectors_of(output.tensor, &tokens, width_of(&texts), &self.manifest);
        let vectors = vectors.and_then(|vectors| vectors.into_iter().collect::<Result<Vec<_>, _>>());
        vectors.map_err(|error| RawError::new(&error))
    }

    fn encode(&self, text: &str) -> Result<EncodedText, RawError> {
        self.encoder.encode(text).map_err(|error| RawError::new(&error))
    }
}
