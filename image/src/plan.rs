//! Where everything will lie, decided before a byte is written.
//!
//! ```text
//!  ┌─────┬────┬──────┬──────┬─────────┬─────┬──────────┬───────┬───────┬─────────────┬────────┐
//!  │     │ SB │ root │ /a's │ dir /b  │ …   │ blocks of│ blocks│ file 0│ file 1      │ …      │
//!  │     │    │ + dir│ inode│ + dir   │     │ big dirs │ links │       │             │        │
//!  └─────┴────┴──────┴──────┴─────────┴─────┴──────────┴───────┴───────┴─────────────┴────────┘
//!  │◄────────── inodes and tails ──────────►│◄─ metadata blocks ─►│◄────── file data ────────►│
//! ```
//!
//! Directories come breadth first, each followed by the inodes of what lies in it, subdirectories
//! apart: opening a path walks forward through few blocks, and the files of one directory are close.

use std::collections::VecDeque;

use mayfly_abi::erofs::{
    BLOCK_SIZE, InodeCompact, InodeExtended, Layout, SLOT_SIZE, SUPER_OFFSET, SuperBlock,
};

use crate::dir::Directory;
use crate::tree::{Leaf, Node, NodeId, NodeKind, Tree};
use crate::{Attributes, BuildError, Options, Source, Timestamp};

/// Small files up to this size lie behind their inodes. With half a block, packing leaves at most the
/// other half empty, while the inodes that a listing reads stay close together.
pub const INLINE_FILE_LEN_MAX: u64 = BLOCK_SIZE as u64 / 2;

/// Where one node's inode and contents will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The inode's slot, counted from the image's first byte.
    pub(crate) nid: u64,
    /// Whether it needs the longer form.
    pub(crate) is_extended: bool,
    /// How its contents are laid out.
    pub(crate) layout: Layout,
    /// Their size.
    pub(crate) size: u64,
    /// Their first block, 0 where they have none of their own.
    pub(crate) first_block: u32,
}

impl Place {
    pub(crate) fn inode_len(&self) -> usize {
        if self.is_extended { size_of::<InodeExtended>() } else { size_of::<InodeCompact>() }
    }

    /// Bytes directly behind the inode.
    pub(crate) fn tail_len(&self) -> usize {
        match self.layout {
            Layout::FlatInline => self.size as usize % BLOCK_SIZE,
            _ => 0,
        }
    }

    /// Blocks of its own.
    pub(crate) fn blocks(&self) -> u64 {
        (self.size - self.tail_len() as u64).div_ceil(BLOCK_SIZE as u64)
    }

    /// The inode's first byte.
    pub(crate) fn offset(&self) -> usize {
        self.nid as usize * SLOT_SIZE
    }
}

/// The places of all nodes.
pub(crate) struct Plan {
    /// All nodes, in the order of their inodes.
    pub(crate) order: Vec<NodeId>,
    /// Blocks before the first file's data.
    pub(crate) metadata_blocks: u32,
    /// Blocks in the image.
    pub(crate) blocks: u32,
    /// By [`NodeId::index`].
    places: Vec<Place>,
}

impl Plan {
    pub(crate) fn of(tree: &Tree, options: &Options) -> Result<Plan, BuildError> {
        options.check()?;
        let order = boot_order(tree);
        let mut places: Vec<Place> =
            tree.ids().map(|node| place_of(tree, node, options.build_time)).collect();

        let mut at = SUPER_OFFSET + size_of::<SuperBlock>();
        for node in &order {
            let place = &mut places[node.index()];
            at = fit(at, place.inode_len() + place.tail_len());
            place.nid = (at / SLOT_SIZE) as u64;
            at += place.inode_len() + place.tail_len();
        }

        let mut blocks = at.div_ceil(BLOCK_SIZE) as u64;
        let is_file =
            |node: &NodeId| matches!(tree.node(*node).kind, NodeKind::Leaf(Leaf::File(_)));
        let (files, metadata): (Vec<NodeId>, Vec<NodeId>) = order.iter().partition(|n| is_file(n));
        allot(&mut places, &metadata, &mut blocks)?;
        let metadata_blocks = narrow(blocks)?;
        allot(&mut places, &files, &mut blocks)?;
        Ok(Plan { order, metadata_blocks, blocks: narrow(blocks)?, places })
    }

    pub(crate) fn place(&self, node: NodeId) -> &Place {
        &self.places[node.index()]
    }
}

/// Gives each node the blocks that it needs, from `next` on.
fn allot(places: &mut [Place], nodes: &[NodeId], next: &mut u64) -> Result<(), BuildError> {
    for node in nodes {
        let place = &mut places[node.index()];
        if place.blocks() > 0 {
            place.first_block = narrow(*next)?;
            *next = next.checked_add(place.blocks()).ok_or(BuildError::TooLarge)?;
        }
    }
    Ok(())
}

fn narrow(blocks: u64) -> Result<u32, BuildError> {
    u32::try_from(blocks).map_err(|_| BuildError::TooLarge)
}

/// The first slot from `at` on where `len` bytes lie in one block, as the kernel wants an inode and its
/// tail. `len` is at most a block.
fn fit(at: usize, len: usize) -> usize {
    let slot = at.next_multiple_of(SLOT_SIZE);
    if slot % BLOCK_SIZE + len <= BLOCK_SIZE { slot } else { slot.next_multiple_of(BLOCK_SIZE) }
}

/// Directories breadth first, each followed by its other children. A node with several names comes
/// with the first of them.
fn boot_order(tree: &Tree) -> Vec<NodeId> {
    let mut order = Vec::with_capacity(tree.len());
    let mut is_placed = vec![false; tree.len()];
    let mut directories = VecDeque::from([tree.root()]);
    while let Some(directory) = directories.pop_front() {
        order.push(directory);
        let NodeKind::Directory { children, .. } = &tree.node(directory).kind else { continue };
        for &child in children.values() {
            match tree.node(child).kind {
                NodeKind::Directory { .. } => directories.push_back(child),
                NodeKind::Leaf(_) if is_placed[child.index()] => {}
                NodeKind::Leaf(_) => {
                    is_placed[child.index()] = true;
                    order.push(child);
                }
            }
        }
    }
    order
}

/// A place with all but its numbers decided.
fn place_of(tree: &Tree, id: NodeId, build_time: Timestamp) -> Place {
    let node = tree.node(id);
    let size = match &node.kind {
        NodeKind::Directory { .. } => Directory::of(tree, id).map_or(0, |dir| dir.size()),
        NodeKind::Leaf(Leaf::File(source)) => source.size(),
        NodeKind::Leaf(Leaf::Symlink(target)) => target.len() as u64,
        NodeKind::Leaf(_) => 0,
    };
    let is_extended = needs_extended(node, size, build_time);
    let mut place = Place { nid: 0, is_extended, layout: Layout::FlatInline, size, first_block: 0 };
    let may_inline = match &node.kind {
        NodeKind::Leaf(Leaf::File(source)) => {
            matches!(source, Source::Bytes(_)) && size <= INLINE_FILE_LEN_MAX
        }
        _ => true,
    };
    // An empty tail is none, and a full block is better off in a block of its own.
    let tail_fits = place.tail_len() > 0 && place.inode_len() + place.tail_len() <= BLOCK_SIZE;
    if !may_inline || !tail_fits {
        place.layout = Layout::FlatPlain;
    }
    place
}

/// Whether the short form can't hold the node.
fn needs_extended(node: &Node, size: u64, build_time: Timestamp) -> bool {
    let Attributes { uid, gid, mtime, .. } = node.attributes;
    u32::try_from(size).is_err()
        || [uid, gid, node.nlink].into_iter().any(|n| u16::try_from(n).is_err())
        || mtime != build_time
}
