//! All of a guest's images on its one root disk.
//!
//! ```text
//!   disk    │ root image │ image for /opt │ image for /var/task │
//!   mounts               └─ offset, len ──┴─ offset, len ───────┘
//! ```
//!
//! An image more costs a guest no device: it is read through the same queue.

use std::fs::File;

use mayfly_abi::control::{Disk, Mount};

use crate::failure::Failure;
use crate::root::Root;

/// A root disk with what is mounted from it.
#[derive(Debug)]
pub struct Filesystems {
    /// The disk; its descriptor indices are those of `files`.
    pub disk: Disk,
    /// What it is made of.
    pub files: Vec<File>,
    /// What is mounted, in order.
    pub mounts: Vec<Mount>,
}

impl Filesystems {
    /// A disk with the root image alone.
    pub fn new(root: Root) -> Filesystems {
        Filesystems { disk: root.disk().clone(), files: vec![root.into_file()], mounts: Vec::new() }
    }

    /// Adds an image, to be mounted at the absolute `path`.
    ///
    /// # Errors
    /// A path that is not absolute, or more images than a disk can name.
    pub fn mount(&mut self, path: &[u8], image: Root) -> Result<(), Failure> {
        if !path.starts_with(b"/") {
            let path = String::from_utf8_lossy(path);
            return Err(Failure::new(format!("{path}: a mount needs an absolute path")));
        }
        let descriptor = u8::try_from(self.files.len()).map_err(Failure::new)?;
        let (offset, len) = (self.disk.len(), image.disk().len());
        self.mounts.push(Mount { path: path.to_vec(), offset, len });
        self.disk.segments.extend(image.disk().behind(descriptor).segments);
        self.files.push(image.into_file());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mayfly_abi::control::Source;

    use super::*;

    fn image(file: &str) -> Root {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(file), vec![7; 10_000]).unwrap();
        Root::at(dir.path()).unwrap()
    }

    #[test]
    fn images_follow_each_other_in_whole_pages() {
        let mut all = Filesystems::new(image("a"));
        let root_len = all.disk.len();
        all.mount(b"/opt", image("b")).unwrap();
        all.mount(b"/var/task", image("c")).unwrap();
        let [opt, task] = &all.mounts[..] else { panic!("{:?}", all.mounts) };
        assert_eq!((opt.offset, opt.offset + opt.len), (root_len, task.offset));
        assert_eq!(task.offset + task.len, all.disk.len());
        assert!([opt.offset, opt.len, task.offset, task.len].iter().all(|at| at % 4096 == 0));
        let descriptors: Vec<u8> = all
            .disk
            .behind(3)
            .segments
            .iter()
            .filter_map(|segment| match segment.source {
                Source::File { descriptor, .. } => Some(descriptor),
                _ => None,
            })
            .collect();
        assert_eq!(descriptors, [3, 4, 5]);
        assert!(all.mount(b"relative", image("d")).is_err());
    }
}
