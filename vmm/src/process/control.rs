//! Frames on the control socket: a length, a value in postcard's encoding, descriptors beside it.
//!
//! ```text
//!   │ len: u32 │ postcard … len bytes │        SCM_RIGHTS: descriptors, with the length's first byte
//! ```
//!
//! Both sides are this program, but the VM's process serves a hostile guest: the starter believes no
//! length, count or value that comes from it.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use mayfly_abi::control::{DESCRIPTORS_MAX, FRAME_MAX};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

/// What can go wrong with a frame.
#[derive(Debug, Error)]
pub enum FrameError {
    /// The other side is gone, and no frame had begun.
    #[error("the other side has closed the control socket")]
    Closed,
    /// The other side went away in the middle of a frame.
    #[error("the control socket ended in the middle of a message")]
    Truncated,
    /// See [`FRAME_MAX`].
    #[error("a message of {0} bytes; at most {FRAME_MAX} go over the control socket")]
    TooLong(usize),
    /// See [`DESCRIPTORS_MAX`].
    #[error("a message with {0} descriptors; at most {DESCRIPTORS_MAX} go over the control socket")]
    TooMany(usize),
    /// Not all descriptors of a message have arrived.
    #[error("this process may have no more open files, and needs some for the VM (see ulimit -n)")]
    OpenFiles,
    /// Not a value of the type that is due.
    #[error("a message on the control socket makes no sense: {0}")]
    Encoding(#[from] postcard::Error),
    /// The host failed.
    #[error("the control socket failed: {0}")]
    Io(#[from] io::Error),
}

const LENGTH_BYTES: usize = size_of::<u32>();

/// Sends `value` and copies of `descriptors`.
///
/// # Errors
/// [`FrameError`].
pub fn send<T: Serialize>(
    mut socket: &UnixStream,
    value: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), FrameError> {
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(FrameError::TooMany(descriptors.len()));
    }
    let mut frame = postcard::to_extend(value, vec![0; LENGTH_BYTES])?;
    let len = frame.len() - LENGTH_BYTES;
    if len > FRAME_MAX {
        return Err(FrameError::TooLong(len));
    }
    frame[..LENGTH_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
    let raw: Vec<RawFd> = descriptors.iter().map(|fd| fd.as_raw_fd()).collect();
    let sent = loop {
        match socket.send_with_fds(&[&frame[..]], &raw) {
            Ok(sent) => break sent,
            Err(error) if error.errno() == libc::EINTR => continue,
            Err(error) => return Err(io::Error::from_raw_os_error(error.errno()).into()),
        }
    };
    Ok(socket.write_all(&frame[sent..])?)
}

/// Receives a value and the descriptors that came with it.
///
/// # Errors
/// [`FrameError`].
pub fn receive<T: DeserializeOwned>(
    mut socket: &UnixStream,
) -> Result<(T, Vec<OwnedFd>), FrameError> {
    let mut length = [0; LENGTH_BYTES];
    let (count, descriptors) = receive_start(socket, &mut length)?;
    if count == 0 {
        return Err(FrameError::Closed);
    }
    read_all(socket, &mut length[count..])?;
    let len = u32::from_le_bytes(length) as usize;
    if len > FRAME_MAX {
        return Err(FrameError::TooLong(len));
    }
    let mut frame = vec![0; len];
    read_all(&mut socket, &mut frame)?;
    Ok((postcard::from_bytes(&frame)?, descriptors))
}

/// The first bytes of a frame, and all its descriptors: they come with the first byte.
fn receive_start(
    socket: &UnixStream,
    into: &mut [u8; LENGTH_BYTES],
) -> Result<(usize, Vec<OwnedFd>), FrameError> {
    let mut raw: [RawFd; DESCRIPTORS_MAX] = [-1; DESCRIPTORS_MAX];
    let mut piece = [libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() }];
    let (bytes, count) = loop {
        // SAFETY: the one iovec is `into`, which is borrowed for the call.
        match unsafe { socket.recv_with_fds(&mut piece, &mut raw) } {
            Ok(received) => break received,
            Err(error) if error.errno() == libc::EINTR => continue,
            // How the wrapper reports MSG_CTRUNC: descriptors were dropped.
            Err(error) if error.errno() == libc::ENOBUFS => return Err(FrameError::OpenFiles),
            Err(error) => return Err(io::Error::from_raw_os_error(error.errno()).into()),
        }
    };
    // SAFETY: the kernel has just made these descriptors for us, and nobody else knows them.
    let own = |&fd: &RawFd| unsafe { OwnedFd::from_raw_fd(fd) };
    Ok((bytes, raw[..count].iter().map(own).collect()))
}

fn read_all(mut from: impl Read, into: &mut [u8]) -> Result<(), FrameError> {
    from.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Truncated,
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().unwrap()
    }

    #[test]
    fn values_and_descriptors_arrive_in_order() {
        let (here, there) = pair();
        let (mut read_end, write_end) = io::pipe().unwrap();
        send(&here, &("one", 1), &[]).unwrap();
        send(&here, &("two", 2), &[write_end.as_fd(), here.as_fd()]).unwrap();
        drop(write_end);
        assert_eq!(receive::<(String, i32)>(&there).unwrap().0, ("one".into(), 1));
        let ((text, _), descriptors) = receive::<(String, i32)>(&there).unwrap();
        assert_eq!((text.as_str(), descriptors.len()), ("two", 2));
        File::from(descriptors.into_iter().next().unwrap()).write_all(b"through").unwrap();
        let mut got = String::new();
        read_end.read_to_string(&mut got).unwrap();
        assert_eq!(got, "through");
    }

    #[test]
    fn a_frame_larger_than_the_sockets_buffer_arrives() {
        let (here, there) = pair();
        let big = vec![7u8; FRAME_MAX - 8];
        std::thread::scope(|scope| {
            scope.spawn(|| send(&here, &big, &[]).unwrap());
            assert_eq!(receive::<Vec<u8>>(&there).unwrap().0, big);
        });
    }

    #[test]
    fn broken_frames_are_told_apart() {
        let broken = |bytes: &[u8]| {
            let (mut here, there) = pair();
            here.write_all(bytes).unwrap();
            drop(here);
            receive::<String>(&there).unwrap_err()
        };
        assert!(matches!(broken(b""), FrameError::Closed));
        assert!(matches!(broken(b"\x05\0"), FrameError::Truncated));
        assert!(matches!(broken(b"\x05\0\0\0abc"), FrameError::Truncated));
        assert!(matches!(broken(b"\xff\xff\xff\xff"), FrameError::TooLong(0xffff_ffff)));
        assert!(matches!(broken(b"\x02\0\0\0\x01\xff"), FrameError::Encoding(_)));
    }

    #[test]
    fn what_is_too_much_is_not_sent() {
        let (here, _there) = pair();
        let big = vec![0u8; FRAME_MAX];
        assert!(matches!(send(&here, &big, &[]).unwrap_err(), FrameError::TooLong(_)));
        let many = vec![here.as_fd(); DESCRIPTORS_MAX + 1];
        assert!(matches!(send(&here, &1, &many).unwrap_err(), FrameError::TooMany(65)));
    }
}
