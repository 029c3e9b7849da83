//! Copying the files of one version, and hashing them on the way.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

use ailayer_primitives::Digest;
use sha2::{Digest as _, Sha256};

use super::create;
use crate::domain::manifest::Manifest;
use crate::domain::settings::{MAX_TEXT_BYTES, ModelSettings, ServiceLimits};
use crate::repository::{
    MANIFEST_FILE, OVERRIDE_FILE, RepositoryError, TRITON_FILE, VersionFolder, WARM_UP_FOLDER, open,
    read_settings,
};

/// Read by their owner only, and written by nobody.
pub(super) const READ_ONLY: u32 = 0o400;
/// How much is hashed and written at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// One version on its way into the cache.
pub(super) struct Copying {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    pub(super) version: String,
    /// By the path in the model's folder.
    pub(super) digests: BTreeMap<String, Digest>,
}

impl Copying {
    /// Copies everything that the version's files name; answers digests by path, and what the files say.
    pub(super) fn run(
        mut self,
        source: &VersionFolder,
        config_json: Option<&str>,
        limits: &ServiceLimits,
    ) -> Result<(BTreeMap<String, Digest>, ModelSettings), RepositoryError> {
        let version = self.version.clone();
        let folders = [self.to.join(&version), self.to.join(WARM_UP_FOLDER)];
        for path in folders {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|source| RepositoryError::Unwritable { path: path.clone(), source })?;
        }
        self.text(MANIFEST_FILE)?;
        self.text(&format!("{version}/{MANIFEST_FILE}"))?;
        match config_json {
            None => self.text(TRITON_FILE)?,
            Some(json) => self.copy(&mut json.as_bytes(), OVERRIDE_FILE)?,
        }
        let staged = VersionFolder { id: source.id.clone(), path: self.to.join(&version) };
        let settings = read_settings(&staged, limits, &source.path)?;
        self.file(&format!("{version}/{}", settings.model_file))?;
        if let Manifest::Embedding(embedding) = &settings.manifest {
            self.file(&format!("{version}/{}", embedding.tokenizer))?;
        }
        for name in settings.warm_up_files() {
            self.file(&format!("{WARM_UP_FOLDER}/{name}"))?;
        }
        Ok((self.digests, settings))
    }

    /// A file that need not be there.
    fn text(&mut self, path: &str) -> Result<(), RepositoryError> {
        let from = self.from.join(path);
        let unreadable = |source| RepositoryError::Unreadable { path: from.clone(), source };
        match open(&from) {
            // One byte more than may be: the parser then says that it is too long.
            Ok(file) => {
                let most = u64::try_from(MAX_TEXT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
                self.copy(&mut file.take(most), path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(unreadable(error)),
        }
    }

    fn file(&mut self, path: &str) -> Result<(), RepositoryError> {
        if self.digests.contains_key(path) {
            return Ok(());
        }
        let from = self.from.join(path);
        let mut file =
            open(&from).map_err(|source| RepositoryError::Unreadable { path: from.clone(), source })?;
        self.copy(&mut file, path)
    }

    fn copy(&mut self, from: &mut dyn io::Read, path: &str) -> Result<(), RepositoryError> {
        let to = self.to.join(path);
        let mut copy = || {
            let mut file = create(&to)?;
            let mut hasher = Sha256::new();
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let read = match from.read(&mut chunk) {
                    Ok(read) => chunk.get(..read).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
                if read.is_empty() {
                    break;
                }
                hasher.update(read);
                file.write_all(read)?;
            }
            file.set_permissions(Permissions::from_mode(READ_ONLY))?;
            Ok(Digest::new(hasher.finalize().into()))
        };
        let digest = copy().map_err(|source| RepositoryError::Unwritable { path: to.clone(), source })?;
        self.digests.insert(path.to_owned(), digest);
        Ok(())
    }
}
