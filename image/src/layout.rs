//! A finished image: what is where, before anyone has copied a file.

use mayfly_abi::erofs::{BLOCK_BITS, BLOCK_SIZE};

use crate::dir::Directory;
use crate::plan::Plan;
use crate::tree::{Leaf, NodeId, NodeKind, Source, Tree};
use crate::{BuildError, Options, inode, superblock};

/// An image as a list of segments, in order and without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLayout {
    segments: Vec<Segment>,
    metadata_len: u64,
}

/// A part of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first byte's offset in the image. A multiple of the block size, but for
    /// [`SegmentSource::Zero`].
    pub offset: u64,
    /// Bytes; never 0.
    pub len: u64,
    /// What they are.
    pub source: SegmentSource,
}

/// What the bytes of a segment are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentSource {
    /// These.
    Bytes(Vec<u8>),
    /// Those from `offset` on of the caller's file `id`.
    External {
        /// The caller's name for the file.
        id: u32,
        /// The first byte's offset in it.
        offset: u64,
    },
    /// Zeros; they fill the rest of a block, so they are less than one.
    Zero,
}

impl ImageLayout {
    /// Lays out an image of a tree. Nothing is read but what the tree holds.
    pub fn build(mut tree: Tree, options: &Options) -> Result<Self, BuildError> {
        let plan = Plan::of(&tree, options)?;
        let mut metadata = vec![0; (plan.metadata_blocks as usize) << BLOCK_BITS];
        for (serial, &node) in plan.order.iter().enumerate() {
            write_node(&tree, &plan, node, serial as u32 + 1, &mut metadata);
        }
        superblock::write(&tree, &plan, options, &mut metadata);

        let metadata_len = metadata.len() as u64;
        let mut layout = ImageLayout { segments: Vec::new(), metadata_len };
        layout.push(metadata_len, SegmentSource::Bytes(metadata));
        for &node in plan.order.iter().filter(|&&node| plan.place(node).blocks() > 0) {
            match tree.take_source(node) {
                Some(Source::Bytes(bytes)) => {
                    layout.push(bytes.len() as u64, SegmentSource::Bytes(bytes));
                }
                Some(Source::External { id, len }) => {
                    layout.push(len, SegmentSource::External { id, offset: 0 });
                }
                None => {}
            }
        }
        Ok(layout)
    }

    /// All segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The segment that holds the byte at `offset`, if the image has that many.
    pub fn segment_at(&self, offset: u64) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.offset <= offset);
        let segment = &self.segments[after.checked_sub(1)?];
        (offset - segment.offset < segment.len).then_some(segment)
    }

    /// The image's size in bytes, a multiple of the block size.
    pub fn size(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.offset + last.len)
    }

    /// How many bytes at the front hold all inodes, directories, links and small files: what a guest
    /// may read ahead.
    pub fn metadata_len(&self) -> u64 {
        self.metadata_len
    }

    fn push(&mut self, len: u64, source: SegmentSource) {
        let offset = self.size();
        self.segments.push(Segment { offset, len, source });
        let fill = len.next_multiple_of(BLOCK_SIZE as u64) - len;
        if fill > 0 {
            let offset = offset + len;
            self.segments.push(Segment { offset, len: fill, source: SegmentSource::Zero });
        }
    }
}

/// Writes a node's inode, its tail, and what is metadata of its blocks.
fn write_node(tree: &Tree, plan: &Plan, id: NodeId, serial: u32, metadata: &mut [u8]) {
    let (node, place) = (tree.node(id), plan.place(id));
    inode::write(node, place, serial, &mut metadata[place.offset()..]);
    let made;
    let contents: &[u8] = match &node.kind {
        NodeKind::Directory { .. } => {
            made = Directory::of(tree, id)
                .map(|dir| dir.contents(tree, |node| plan.place(node).nid))
                .unwrap_or_default();
            &made
        }
        NodeKind::Leaf(Leaf::Symlink(target)) => target,
        NodeKind::Leaf(Leaf::File(Source::Bytes(bytes))) if place.tail_len() > 0 => bytes,
        NodeKind::Leaf(_) => return,
    };
    let (blocks, tail) = contents.split_at(contents.len() - place.tail_len());
    let blocks_at = (place.first_block as usize) << BLOCK_BITS;
    metadata[blocks_at..blocks_at + blocks.len()].copy_from_slice(blocks);
    let tail_at = place.offset() + place.inode_len();
    metadata[tail_at..tail_at + tail.len()].copy_from_slice(tail);
}
