//! Why a tree or an image can't be.

use crate::tree::DEPTH_MAX;

/// Why a node can't be put into a tree. Names are shown as text where they are UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// An empty name, `.` or `..`, more than 255 bytes, or a slash or NUL in it.
    #[error("{name:?} can't be a file's name: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The directory has an entry of this name.
    #[error("there is a {name:?} already")]
    Exists {
        /// The name.
        name: String,
    },
    /// What should be a directory is none, or is of another tree.
    #[error("{name:?} would lie in something that is no directory")]
    NotADirectory {
        /// The name of the entry that was to be made.
        name: String,
    },
    /// A hard link to a directory, or to a node of another tree.
    #[error("{name:?} would be a hard link to a directory")]
    LinkToDirectory {
        /// The link's name.
        name: String,
    },
    /// Directories in directories beyond what a path can name.
    #[error("{name:?} would lie more than {DEPTH_MAX} directories deep")]
    Depth {
        /// The directory's name.
        name: String,
    },
    /// The target of a symbolic link is empty, too long, or holds a NUL.
    #[error("the symbolic link {name:?} has an impossible target of {len} bytes")]
    Target {
        /// The link's name.
        name: String,
        /// The length of its target.
        len: usize,
    },
    /// A device number that the format has no room for.
    #[error("{name:?} has the device number {major}:{minor}, which EROFS can't hold")]
    Device {
        /// The device's name.
        name: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// Permission bits beyond 0o7777, or a second or more of nanoseconds.
    #[error("{name:?} has impossible attributes")]
    Attributes {
        /// The node's name.
        name: String,
    },
}

/// Why a tree can't become an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// More than 2³² − 1 blocks, which is 16 TiB.
    #[error("the image would have more than 2^32 - 1 blocks")]
    TooLarge,
    /// A volume name of more than 15 bytes, or with a NUL.
    #[error("{0:?} can't be a volume's name: more than 15 bytes, or a NUL among them")]
    VolumeName(String),
    /// A build time with a second or more of nanoseconds.
    #[error("the build time has {0} nanoseconds")]
    BuildTime(u32),
}
