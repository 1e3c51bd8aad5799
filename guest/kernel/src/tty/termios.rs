//! A terminal's settings (termios(3)), as plain data.

use linux_raw_sys::general as linux;

/// Bytes of the kernel's struct termios: four words, the discipline's number, 19 characters.
pub const TERMIOS_BYTES: usize = 36;
/// Characters that mean something.
const CHARACTERS: usize = 19;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termios {
    /// `c_iflag`: what becomes of what is typed.
    pub input: u32,
    /// `c_oflag`: what becomes of what is written.
    pub output: u32,
    /// `c_cflag`: the wire, which there is none of.
    pub control: u32,
    /// `c_lflag`: lines, echo, signals.
    pub local: u32,
    /// `c_cc`: characters that mean something, 0 for none.
    pub characters: [u8; CHARACTERS],
}

impl Default for Termios {
    /// As Linux makes a new pair.
    fn default() -> Termios {
        let mut characters = [0; CHARACTERS];
        let usual = [
            (linux::VINTR, 0x03),
            (linux::VQUIT, 0x1c),
            (linux::VERASE, 0x7f),
            (linux::VKILL, 0x15),
            (linux::VEOF, 0x04),
            (linux::VMIN, 1),
            (linux::VSTART, 0x11),
            (linux::VSTOP, 0x13),
            (linux::VSUSP, 0x1a),
            (linux::VREPRINT, 0x12),
            (linux::VDISCARD, 0x0f),
            (linux::VWERASE, 0x17),
            (linux::VLNEXT, 0x16),
        ];
        for (which, character) in usual {
            characters[which as usize] = character;
        }
        Termios {
            input: linux::ICRNL | linux::IXON,
            output: linux::OPOST | linux::ONLCR,
            control: linux::B38400 | linux::CS8 | linux::CREAD,
            local: linux::ISIG
                | linux::ICANON
                | linux::ECHO
                | linux::ECHOE
                | linux::ECHOK
                | linux::ECHOCTL
                | linux::ECHOKE
                | linux::IEXTEN,
            characters,
        }
    }
}

impl Termios {
    /// What a program has set; a pair always has eight bits and no parity.
    pub fn from_bytes(bytes: &[u8; TERMIOS_BYTES]) -> Termios {
        let word = |at: usize| u32::from_le_bytes([at, at + 1, at + 2, at + 3].map(|at| bytes[at]));
        let mut characters = [0; CHARACTERS];
        characters.copy_from_slice(&bytes[TERMIOS_BYTES - CHARACTERS..]);
        let control = word(8) & !(linux::CSIZE | linux::PARENB) | linux::CS8 | linux::CREAD;
        Termios { input: word(0), output: word(4), control, local: word(12), characters }
    }

    /// As a program gets it.
    pub fn to_bytes(&self) -> [u8; TERMIOS_BYTES] {
        let mut bytes = [0; TERMIOS_BYTES];
        let words = [self.input, self.output, self.control, self.local];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes[TERMIOS_BYTES - CHARACTERS..].copy_from_slice(&self.characters);
        bytes
    }

    /// Whether some of these bits of `c_iflag` are set.
    pub fn inputs(&self, bits: u32) -> bool {
        self.input & bits != 0
    }

    /// Whether some of these bits of `c_oflag` are set.
    pub fn outputs(&self, bits: u32) -> bool {
        self.output & bits != 0
    }

    /// Whether some of these bits of `c_lflag` are set.
    pub fn has(&self, bits: u32) -> bool {
        self.local & bits != 0
    }

    /// Whether a byte is the character of this place (VINTR and so on).
    pub fn is(&self, which: u32, byte: u8) -> bool {
        byte != 0 && self.characters[which as usize] == byte
    }

    /// How many bytes a read waits for where there are no lines (VMIN).
    pub fn least(&self) -> usize {
        self.characters[linux::VMIN as usize].into()
    }

    /// How long a read waits for more, in tenths of a second (VTIME); 0: no matter how long.
    pub fn patience(&self) -> u8 {
        self.characters[linux::VTIME as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_set_but_for_the_wires() {
        let usual = Termios::default();
        assert_eq!(Termios::from_bytes(&usual.to_bytes()), usual);
        let mut bytes = usual.to_bytes();
        bytes[12] = 0;
        bytes[17 + linux::VMIN as usize] = 7;
        bytes[8] = 0;
        let changed = Termios::from_bytes(&bytes);
        assert!(!changed.has(linux::ICANON) && changed.least() == 7);
        assert_eq!(changed.control & linux::CSIZE, linux::CS8);
        assert!(usual.is(linux::VINTR, 3) && !usual.is(linux::VEOL, 0), "0 is no character");
    }
}
