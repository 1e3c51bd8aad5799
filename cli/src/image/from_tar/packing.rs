//! How a layer is packed: not, by gzip (RFC 1952) or by zstd (RFC 8878), told by its first bytes.

use std::env;
use std::io::{self, BufReader, Read, Seek, Write};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::Section;
use crate::failure::Failure;

/// First bytes of a gzip member.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// First bytes of a zstd frame.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether an archive is packed.
///
/// # Errors
/// What the host says.
pub fn is_packed(section: &Section) -> Result<bool, Failure> {
    let magic = magic(section)?;
    Ok(magic.starts_with(&GZIP) || magic == ZSTD)
}

/// A layer as a plain archive: unpacked into a file without a name where it is packed. `room` is how many bytes
/// it may have then; what it has is taken off.
///
/// # Errors
/// What the host says, what is wrong with the layer, or one that is too long.
pub fn plain(section: &Section, room: &mut u64) -> Result<Section, Failure> {
    let magic = magic(section)?;
    let is_gzip = magic.starts_with(&GZIP);
    if !is_gzip && magic != ZSTD {
        return Ok(section.clone());
    }
    let place = env::temp_dir();
    let no_room = |error: &io::Error| {
        Failure::new(format!("unpacking it in {} (TMPDIR): {error}", place.display()))
    };
    let mut file = tempfile::tempfile_in(&place).map_err(|error| no_room(&error))?;
    let mut packed = BufReader::new(section.clone());
    let len = if is_gzip {
        io::copy(&mut MultiGzDecoder::new(packed).take(*room + 1), &mut file)
    } else {
        unpack_frames(&mut packed, &mut file, *room + 1)
    };
    let len = len.map_err(|error| match error.raw_os_error() {
        Some(_) => no_room(&error),
        None => Failure::new(format!("it is packed, and broken or cut short: {error}")),
    })?;
    *room =
        room.checked_sub(len).ok_or_else(|| Failure::new("it has more than 10 GiB, unpacked"))?;
    Ok(Section { file: Rc::new(file), start: 0, len, at: 0 })
}

/// Unpacks one zstd frame after the other, up to `most` bytes in all; how many it were.
fn unpack_frames(
    packed: &mut BufReader<Section>,
    to: &mut impl Write,
    most: u64,
) -> io::Result<u64> {
    let mut len = 0;
    while packed.stream_position()? < packed.get_ref().len && len < most {
        match StreamingDecoder::new(&mut *packed) {
            Ok(frame) => len += io::copy(&mut frame.take(most - len), to)?,
            // A frame that carries something else, an index for instance (RFC 8878, section 3.1.2).
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => packed.seek_relative(length.into())?,
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(len)
}

fn magic(section: &Section) -> io::Result<[u8; 4]> {
    let mut magic = [0; 4];
    let mut start = section.clone().take(4);
    let mut done = 0;
    while let more @ 1.. = start.read(&mut magic[done..])? {
        done += more;
    }
    Ok(magic)
}
