//! The superblock, written last: it sums up the rest.

use mayfly_abi::erofs::{
    self as disk, BLOCK_BITS, BLOCK_SIZE, COMPAT_MTIME, COMPAT_SB_CHKSUM, SUPER_MAGIC,
    SUPER_OFFSET, SuperBlock,
};
use sha2::{Digest, Sha256};
use zerocopy::{FromZeros, IntoBytes};

use crate::plan::Plan;
use crate::tree::{Leaf, NodeKind, Source, Tree};
use crate::{Options, Uuid};

/// Puts the superblock into the image's `metadata`, in which all else is in place.
pub(crate) fn write(tree: &Tree, plan: &Plan, options: &Options, metadata: &mut [u8]) {
    let mut volume_name = [0; 16];
    volume_name[..options.volume_name.len()].copy_from_slice(options.volume_name.as_bytes());
    let mut super_block = SuperBlock {
        magic: SUPER_MAGIC.into(),
        feature_compat: (COMPAT_SB_CHKSUM | COMPAT_MTIME).into(),
        blkszbits: BLOCK_BITS,
        // The root comes first, so its slot is far below 2^16.
        root_nid: (plan.place(tree.root()).nid as u16).into(),
        inos: (plan.order.len() as u64).into(),
        build_time: options.build_time.seconds.cast_unsigned().into(),
        build_time_nsec: options.build_time.nanoseconds.into(),
        blocks: plan.blocks.into(),
        volume_name,
        ..SuperBlock::new_zeroed()
    };
    put(&super_block, metadata);
    super_block.uuid = match options.uuid {
        Uuid::Given(uuid) => uuid,
        Uuid::Derived => derive_uuid(tree, plan, metadata),
    };
    put(&super_block, metadata);
    if let Some(first_block) = metadata.first_chunk::<BLOCK_SIZE>() {
        super_block.checksum = disk::super_checksum(first_block).into();
    }
    put(&super_block, metadata);
}

fn put(super_block: &SuperBlock, metadata: &mut [u8]) {
    metadata[SUPER_OFFSET..SUPER_OFFSET + size_of::<SuperBlock>()]
        .copy_from_slice(super_block.as_bytes());
}

/// RFC 9562 §5.8: 122 bits of a SHA-256 of the metadata and of the files that are at hand. The sizes of
/// the others are in the metadata.
fn derive_uuid(tree: &Tree, plan: &Plan, metadata: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new_with_prefix(metadata);
    for &node in &plan.order {
        if let NodeKind::Leaf(Leaf::File(Source::Bytes(bytes))) = &tree.node(node).kind
            && plan.place(node).blocks() > 0
        {
            hash.update(bytes);
        }
    }
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash.finalize()[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}
