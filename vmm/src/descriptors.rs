//! The descriptors that came with a VM's specification, which names them by their index.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Descriptors in the order in which they came. One may serve several uses.
#[derive(Debug, Default)]
pub struct Descriptors(Vec<Rc<File>>);

impl Descriptors {
    /// The descriptor with this index, if so many came.
    pub fn get(&self, index: u8) -> Option<Rc<File>> {
        self.0.get(usize::from(index)).cloned()
    }
}

impl FromIterator<OwnedFd> for Descriptors {
    fn from_iter<I: IntoIterator<Item = OwnedFd>>(descriptors: I) -> Self {
        Descriptors(descriptors.into_iter().map(|fd| Rc::new(File::from(fd))).collect())
    }
}
