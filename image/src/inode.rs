//! One inode as bytes.

use mayfly_abi::erofs::{self as disk, InodeCompact, InodeExtended};
use zerocopy::IntoBytes;

use crate::plan::Place;
use crate::tree::{Leaf, Node, NodeKind};

/// The inode of `node` at `place`, with the serial number `ino`: 32 or 64 bytes at the front of `to`.
pub(crate) fn write(node: &Node, place: &Place, ino: u32, to: &mut [u8]) {
    let attributes = &node.attributes;
    let format = disk::inode_format(place.is_extended, place.layout).into();
    let mode = (node.file_type().mode_bits() | attributes.permissions).into();
    let data = match node.kind {
        NodeKind::Leaf(Leaf::CharDevice { major, minor } | Leaf::BlockDevice { major, minor }) => {
            disk::encode_dev(major, minor)
        }
        _ => place.first_block,
    };
    if place.is_extended {
        let inode = InodeExtended {
            format,
            xattr_icount: 0.into(),
            mode,
            reserved: 0.into(),
            size: place.size.into(),
            data: data.into(),
            ino: ino.into(),
            uid: attributes.uid.into(),
            gid: attributes.gid.into(),
            mtime: attributes.mtime.seconds.cast_unsigned().into(),
            mtime_nsec: attributes.mtime.nanoseconds.into(),
            nlink: node.nlink.into(),
            reserved2: [0; 16],
        };
        to[..size_of::<InodeExtended>()].copy_from_slice(inode.as_bytes());
    } else {
        // The plan made it extended if one of these did not fit.
        let inode = InodeCompact {
            format,
            xattr_icount: 0.into(),
            mode,
            nlink: (node.nlink as u16).into(),
            size: (place.size as u32).into(),
            mtime: 0.into(),
            data: data.into(),
            ino: ino.into(),
            uid: (attributes.uid as u16).into(),
            gid: (attributes.gid as u16).into(),
            reserved: 0.into(),
        };
        to[..size_of::<InodeCompact>()].copy_from_slice(inode.as_bytes());
    }
}
