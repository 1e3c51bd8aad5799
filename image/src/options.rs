//! What an image says about itself.

use mayfly_abi::erofs::Timestamp;

use crate::BuildError;

/// The superblock's field has 16 bytes and ends with a NUL.
const VOLUME_NAME_LEN_MAX: usize = 15;

/// What an image says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The time of the image. A file with just this modification time needs an inode half as long.
    pub build_time: Timestamp,
    /// The volume's name: at most 15 bytes, without NULs.
    pub volume_name: String,
    /// The volume's UUID.
    pub uuid: Uuid,
}

/// Where a volume's UUID comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uuid {
    /// A hash of all that the writer sees: names, attributes, contents that it was given as bytes, and
    /// the sizes, but not the contents, of external files (RFC 9562 version 8).
    #[default]
    Derived,
    /// The caller's.
    Given([u8; 16]),
}

impl Options {
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let name = self.volume_name.as_bytes();
        if name.len() > VOLUME_NAME_LEN_MAX || name.contains(&0) {
            return Err(BuildError::VolumeName(self.volume_name.clone()));
        }
        match self.build_time {
            time if time.is_valid() => Ok(()),
            time => Err(BuildError::BuildTime(time.nanoseconds)),
        }
    }
}
