//! What a dynamic ELF file asks of the loader that starts it (System V gABI, ch. 5; ld.so(8)).

use elf::ElfBytes;
use elf::abi::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, EM_X86_64, ET_DYN, ET_EXEC, PT_DYNAMIC, PT_INTERP, PT_LOAD,
};
use elf::abi::{DT_NULL, DT_STRTAB};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;

/// Most entries of a dynamic section that are looked at: real ones have a few dozen, each library that is
/// needed one of them.
const ENTRIES_MAX: usize = 4096;

/// The file is no ELF file that an x86-64 loader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not an ELF file for x86-64, or a broken one")]
pub struct NotLoadable;

/// A program's or a library's wishes. All empty for a static program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dynamic {
    /// Path of the dynamic linker that starts it (PT_INTERP).
    pub interpreter: Option<Vec<u8>>,
    /// Names of the libraries that it needs, in their order (DT_NEEDED).
    pub needed: Vec<Vec<u8>>,
    /// Directories for them and for what they need in turn, between colons (DT_RPATH).
    pub rpath: Option<Vec<u8>>,
    /// Directories for them alone, between colons (DT_RUNPATH). Where it is, DT_RPATH counts for nothing.
    pub runpath: Option<Vec<u8>>,
}

impl Dynamic {
    /// Reads a whole ELF file. Only what a loader looks at is looked at: segments, no sections.
    ///
    /// # Errors
    /// [`NotLoadable`].
    pub fn parse(file: &[u8]) -> Result<Dynamic, NotLoadable> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| NotLoadable)?;
        let header = &elf.ehdr;
        let is_ours = header.class == Class::ELF64
            && header.e_machine == EM_X86_64
            && matches!(header.e_type, ET_EXEC | ET_DYN);
        if !is_ours {
            return Err(NotLoadable);
        }
        let segments: Vec<ProgramHeader> = elf.segments().ok_or(NotLoadable)?.iter().collect();
        let part = |segment: &ProgramHeader| slice(file, segment.p_offset, segment.p_filesz);
        let mut dynamic = Dynamic::default();
        if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) {
            dynamic.interpreter = Some(string(part(segment)?, 0)?);
        }
        if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC) {
            dynamic.read(part(segment)?, |address| at_address(file, &segments, address))?;
        }
        Ok(dynamic)
    }

    /// Reads a dynamic section. `bytes_at` gives the file's bytes from a memory address on.
    fn read<'a>(
        &mut self,
        section: &[u8],
        bytes_at: impl Fn(u64) -> Result<&'a [u8], NotLoadable>,
    ) -> Result<(), NotLoadable> {
        let entries: Vec<(i64, u64)> = section
            .chunks_exact(16)
            .take(ENTRIES_MAX)
            .map(|entry| (word(&entry[..8]) as i64, word(&entry[8..])))
            .take_while(|(tag, _)| *tag != DT_NULL)
            .collect();
        let Some((_, table)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else {
            return Ok(());
        };
        let strings = bytes_at(*table)?;
        for &(tag, value) in &entries {
            match tag {
                DT_NEEDED => self.needed.push(string(strings, value)?),
                DT_RPATH => self.rpath = Some(string(strings, value)?),
                DT_RUNPATH => self.runpath = Some(string(strings, value)?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn slice(file: &[u8], offset: u64, len: u64) -> Result<&[u8], NotLoadable> {
    let end = offset.checked_add(len).ok_or(NotLoadable)?;
    let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| file.get(start..end)).ok_or(NotLoadable)
}

/// The file's bytes that are mapped from `address` on, up to the end of their segment.
fn at_address<'a>(
    file: &'a [u8],
    segments: &[ProgramHeader],
    address: u64,
) -> Result<&'a [u8], NotLoadable> {
    let within = |segment: &&ProgramHeader| {
        segment.p_type == PT_LOAD
            && address.checked_sub(segment.p_vaddr).is_some_and(|at| at < segment.p_filesz)
    };
    let segment = segments.iter().find(within).ok_or(NotLoadable)?;
    let into = address - segment.p_vaddr;
    let offset = segment.p_offset.checked_add(into).ok_or(NotLoadable)?;
    slice(file, offset, segment.p_filesz - into)
}

/// The string that ends with NUL at `offset` of a string table.
fn string(table: &[u8], offset: u64) -> Result<Vec<u8>, NotLoadable> {
    let rest = usize::try_from(offset).ok().and_then(|at| table.get(at..)).ok_or(NotLoadable)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(NotLoadable)?;
    Ok(rest[..end].to_vec())
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap_or_default())
}

#[cfg(test)]
#[path = "elf/tests.rs"]
mod tests;
