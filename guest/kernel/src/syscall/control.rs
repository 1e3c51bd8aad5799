//! Flags, locks and requests of open files: fcntl(2), flock(2), ioctl(2).

use linux_raw_sys::{general as linux, ioctl as requests};

use super::target::opened;
use super::{Call, CallResult};
use crate::errno::{Errno, Result};
use crate::fs::pipe::PIPE_CAPACITY;
use crate::fs::{FileType, IoctlArgument, OpenFile, OpenFlags, Whence};

/// Where `l_whence` of a struct flock is; `l_type` is in front of it, both 16 bits wide.
const FLOCK_HEAD_BYTES: usize = 4;

/// fcntl(2). EBADF, EFAULT, EINVAL, EMFILE.
pub fn fcntl(call: &mut Call<'_>) -> CallResult {
    let [_, _, argument, ..] = call.args;
    let (fd, command) = (call.uint(0), call.uint(1));
    let files = &call.process.files;
    match command {
        linux::F_DUPFD | linux::F_DUPFD_CLOEXEC => {
            Ok(files.dup(fd, argument as u32, command == linux::F_DUPFD_CLOEXEC)?.into())
        }
        linux::F_GETFD => Ok(files.close_on_exec(fd)?.into()),
        linux::F_SETFD => {
            files.set_close_on_exec(fd, argument as u32 & linux::FD_CLOEXEC != 0)?;
            Ok(0)
        }
        linux::F_GETFL => Ok(files.get(fd)?.flags().bits().into()),
        linux::F_SETFL => {
            opened(call, 0)?.set_flags(OpenFlags::from_bits_truncate(argument as u32));
            Ok(0)
        }
        linux::F_GETPIPE_SZ => match opened(call, 0)?.file_type() {
            FileType::Fifo => Ok(PIPE_CAPACITY as u64),
            _ => Err(Errno::BADF.into()),
        },
        _ => lock(call, &*opened(call, 0)?, command, argument),
    }
}

/// Record locks: nobody else is there to hold one, so all are granted. EBADF, EFAULT, EINVAL.
fn lock(call: &Call<'_>, file: &OpenFile, command: u32, address: u64) -> CallResult {
    let asks = match command {
        linux::F_GETLK | linux::F_OFD_GETLK => true,
        linux::F_SETLK | linux::F_SETLKW | linux::F_OFD_SETLK | linux::F_OFD_SETLKW => false,
        _ => return Err(Errno::INVAL.into()),
    };
    let [low, high, whence, _] = call.get::<FLOCK_HEAD_BYTES>(address)?;
    let kind = u32::from(u16::from_le_bytes([low, high]));
    if u32::from(whence) > linux::SEEK_END {
        return Err(Errno::INVAL.into());
    }
    match kind {
        linux::F_RDLCK | linux::F_WRLCK if asks => {
            call.put(address, &(linux::F_UNLCK as u16).to_le_bytes())?;
            Ok(0)
        }
        linux::F_RDLCK if file.flags().reads() => Ok(0),
        linux::F_WRLCK if file.flags().writes() => Ok(0),
        linux::F_RDLCK | linux::F_WRLCK => Err(Errno::BADF.into()),
        linux::F_UNLCK if !asks => Ok(0),
        _ => Err(Errno::INVAL.into()),
    }
}

/// flock(2): granted, since there is nobody else. EBADF, EINVAL.
pub fn flock(call: &mut Call<'_>) -> CallResult {
    opened(call, 0)?;
    match call.uint(1) & !linux::LOCK_NB {
        linux::LOCK_SH | linux::LOCK_EX | linux::LOCK_UN => Ok(0),
        _ => Err(Errno::INVAL.into()),
    }
}

/// ioctl(2). EBADF, EFAULT, EINVAL, ENOTTY.
pub fn ioctl(call: &mut Call<'_>) -> CallResult {
    let file = opened(call, 0)?;
    let (fd, request, address) = (call.uint(0), call.uint(1), call.args[2]);
    match request {
        requests::FIOCLEX | requests::FIONCLEX => {
            let close = request == requests::FIOCLEX;
            call.process.files.set_close_on_exec(fd, close)?;
            Ok(0)
        }
        requests::FIONBIO => {
            let on = i32::from_le_bytes(call.get(address)?) != 0;
            let mut flags = file.flags();
            flags.set(OpenFlags::NONBLOCK, on);
            file.set_flags(flags);
            Ok(0)
        }
        requests::FIONREAD if file.file().is_none() && file.file_type() == FileType::Regular => {
            let rest = file.stat().size.saturating_sub(file.seek(0, Whence::Current)?);
            let rest = i32::try_from(rest).unwrap_or(i32::MAX);
            call.put(address, &rest.to_le_bytes())?;
            Ok(0)
        }
        _ => Ok(file.ioctl(request, &Argument { call, address })?.into()),
    }
}

/// An ioctl's argument, which may be an address in the program's memory.
struct Argument<'c, 'k> {
    call: &'c Call<'k>,
    address: u64,
}

impl IoctlArgument for Argument<'_, '_> {
    fn value(&self) -> u64 {
        self.address
    }

    fn read(&self, to: &mut [u8]) -> Result<()> {
        to.copy_from_slice(self.call.bytes(self.address, to.len() as u64)?.bytes());
        Ok(())
    }

    fn write(&self, from: &[u8]) -> Result<()> {
        self.call.put(self.address, from)
    }
}
