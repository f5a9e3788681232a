//! Terminal modes of a `pty-req` (RFC 4254 section 8, RFC 8160 for IUTF8), applied as sshd does.

use std::os::fd::AsFd;

use nix::libc::{self, cc_t, tcflag_t};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// Opcodes and their arguments, as the client sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes(pub Vec<(u8, u32)>);

/// Where in a termios structure an opcode's flag lives.
#[derive(Clone, Copy)]
enum Flag {
    Input(tcflag_t),
    Output(tcflag_t),
    Control(tcflag_t),
    Local(tcflag_t),
}

/// An argument of 255 turns a special character off.
const DISABLED: u32 = 255;

impl Modes {
    /// Set them on a terminal. What this system does not know is left alone.
    pub(super) fn apply(&self, terminal: impl AsFd) -> nix::Result<()> {
        let mut raw: libc::termios = tcgetattr(&terminal)?.into();
        for &(opcode, argument) in &self.0 {
            set(&mut raw, opcode, argument);
        }
        tcsetattr(&terminal, SetArg::TCSANOW, &Termios::from(raw))
    }
}

fn set(raw: &mut libc::termios, opcode: u8, argument: u32) {
    if let Some(index) = character(opcode) {
        if let Some(slot) = raw.c_cc.get_mut(index) {
            *slot = if argument == DISABLED {
                libc::_POSIX_VDISABLE
            } else {
                argument as cc_t
            };
        }
    } else if let Some(flag) = flag(opcode) {
        let (word, bits) = match flag {
            Flag::Input(bits) => (&mut raw.c_iflag, bits),
            Flag::Output(bits) => (&mut raw.c_oflag, bits),
            Flag::Control(bits) => (&mut raw.c_cflag, bits),
            Flag::Local(bits) => (&mut raw.c_lflag, bits),
        };
        *word = if argument == 0 {
            *word & !bits
        } else {
            *word | bits
        };
    } else if let (128 | 129, Some(speed)) = (opcode, speed(argument)) {
        // Linux keeps one speed for both directions of a pseudo-terminal.
        raw.c_cflag = (raw.c_cflag & !(libc::CBAUD as tcflag_t)) | speed;
        raw.c_ispeed = speed;
        raw.c_ospeed = speed;
    }
}

/// Special characters, opcodes 1 to 18; those Linux has no place for are left out.
fn character(opcode: u8) -> Option<usize> {
    Some(match opcode {
        1 => libc::VINTR,
        2 => libc::VQUIT,
        3 => libc::VERASE,
        4 => libc::VKILL,
        5 => libc::VEOF,
        6 => libc::VEOL,
        7 => libc::VEOL2,
        8 => libc::VSTART,
        9 => libc::VSTOP,
        10 => libc::VSUSP,
        12 => libc::VREPRINT,
        13 => libc::VWERASE,
        14 => libc::VLNEXT,
        16 => libc::VSWTC,
        18 => libc::VDISCARD,
        _ => return None,
    })
}

fn flag(opcode: u8) -> Option<Flag> {
    use Flag::{Control, Input, Local, Output};
    Some(match opcode {
        30 => Input(libc::IGNPAR),
        31 => Input(libc::PARMRK),
        32 => Input(libc::INPCK),
        33 => Input(libc::ISTRIP),
        34 => Input(libc::INLCR),
        35 => Input(libc::IGNCR),
        36 => Input(libc::ICRNL),
        37 => Input(libc::IUCLC),
        38 => Input(libc::IXON),
        39 => Input(libc::IXANY),
        40 => Input(libc::IXOFF),
        41 => Input(libc::IMAXBEL),
        42 => Input(libc::IUTF8),
        50 => Local(libc::ISIG),
        51 => Local(libc::ICANON),
        52 => Local(libc::XCASE),
        53 => Local(libc::ECHO),
        54 => Local(libc::ECHOE),
        55 => Local(libc::ECHOK),
        56 => Local(libc::ECHONL),
        57 => Local(libc::NOFLSH),
        58 => Local(libc::TOSTOP),
        59 => Local(libc::IEXTEN),
        60 => Local(libc::ECHOCTL),
        61 => Local(libc::ECHOKE),
        62 => Local(libc::PENDIN),
        70 => Output(libc::OPOST),
        71 => Output(libc::OLCUC),
        72 => Output(libc::ONLCR),
        73 => Output(libc::OCRNL),
        74 => Output(libc::ONOCR),
        75 => Output(libc::ONLRET),
        90 => Control(libc::CS7),
        91 => Control(libc::CS8),
        92 => Control(libc::PARENB),
        93 => Control(libc::PARODD),
        _ => return None,
    })
}

/// The constant of a speed in bits per second; an unknown speed changes nothing.
fn speed(rate: u32) -> Option<tcflag_t> {
    Some(match rate {
        0 => libc::B0,
        50 => libc::B50,
        75 => libc::B75,
        110 => libc::B110,
        134 => libc::B134,
        150 => libc::B150,
        200 => libc::B200,
        300 => libc::B300,
        600 => libc::B600,
        1200 => libc::B1200,
        1800 => libc::B1800,
        2400 => libc::B2400,
        4800 => libc::B4800,
        9600 => libc::B9600,
        19200 => libc::B19200,
        38400 => libc::B38400,
        57600 => libc::B57600,
        115_200 => libc::B115200,
        230_400 => libc::B230400,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use nix::pty::openpty;

    use super::*;

    #[test]
    fn modes_are_set_both_ways_and_unknown_ones_ignored() {
        let pty = openpty(None, None).unwrap();
        let modes = Modes(vec![
            (53, 0),
            (42, 1),
            (3, 8),
            (9, 255),
            (129, 9600),
            (200, 1),
            (11, 3),
        ]);
        modes.apply(&pty.slave).unwrap();
        let raw: libc::termios = tcgetattr(&pty.slave).unwrap().into();
        assert_eq!(raw.c_lflag & libc::ECHO, 0);
        assert_ne!(raw.c_iflag & libc::IUTF8, 0);
        assert_eq!(raw.c_cc.get(libc::VERASE), Some(&8));
        assert_eq!(raw.c_cc.get(libc::VSTOP), Some(&0));
        assert_eq!(raw.c_cflag & libc::CBAUD as tcflag_t, libc::B9600);
    }
}
