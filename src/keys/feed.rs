//! A key source that is told rather than read: whoever follows it elsewhere (a Secret by the API) says what
//! it holds now, or that it has lost sight of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::{KeyError, KeyErrorKind};
use super::source::{Source, Text};

/// What such a source says; shared between who tells and who reads.
#[derive(Debug)]
pub struct Feed {
    /// How its files are shown, `secret/NAME`.
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` until told for the first time.
    files: Option<BTreeMap<String, Vec<u8>>>,
    /// Why it is not known what the source holds now.
    lost: Option<String>,
}

impl Feed {
    /// Nothing is known yet, so nobody can log in by it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let lost = Some("has not been read yet".to_owned());
        let state = Mutex::new(State { files: None, lost });
        Self {
            path: path.into(),
            state,
        }
    }

    /// The source holds these files, one a person; none: it is gone, and nobody can log in by it.
    pub fn tell(&self, files: BTreeMap<String, Vec<u8>>) {
        *self.lock() = State {
            files: Some(files),
            lost: None,
        };
    }

    /// It cannot be seen for now; what it held last stays in force. Whether that is news.
    pub fn lose(&self, reason: &str) -> bool {
        let before = self.lock().lost.replace(reason.to_owned());
        before.is_none_or(|before| before != reason)
    }

    /// How it is shown.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> (Source, Option<KeyError>) {
        let state = self.lock();
        let lost = state.lost.as_ref();
        let lost = lost.map(|reason| KeyError::new(&self.path, KeyErrorKind::Unreadable, reason));
        let Some(files) = &state.files else {
            let error = KeyError::new(
                &self.path,
                KeyErrorKind::Unreadable,
                "has not been read yet",
            );
            return (Source::Broken(lost.unwrap_or(error)), None);
        };
        let text = |(person, content): (&String, &Vec<u8>)| Text {
            path: self.path.join(person),
            label: person.clone(),
            content: Ok(content.clone()),
        };
        let lost = lost.map(|error| error.with_fix("its last good content stays in force"));
        (Source::Texts(files.iter().map(text).collect()), lost)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
