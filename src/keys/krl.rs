//! OpenSSH's binary key revocation list (PROTOCOL.krl). Pure: bytes in, [`Krl`] or the reason out;
//! never panics, and holds no more than the list itself says.
//!
//! Unknown sections and critical extensions make the whole list unreadable, as PROTOCOL.krl wants:
//! what they would have revoked is unknown. A signature section ends the list unverified, as sshd
//! treats it; who may write the file is decided by its place.

use std::collections::HashSet;

use ssh_key::public::KeyData;
use ssh_key::{Certificate, HashAlg, PublicKey};

pub(super) const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

/// PROTOCOL.krl, sections and their certificate subsections.
const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINT_SHA256: u8 = 5;
const EXTENSION: u8 = 255;
const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

/// A parsed list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Krl {
    /// SHA-256 of revoked keys, from explicit keys and from fingerprints.
    sha256: HashSet<Vec<u8>>,
    sha1: HashSet<Vec<u8>>,
    certificates: Vec<Certificates>,
}

/// Revoked certificates of one CA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Certificates {
    /// The CA's key as it goes over the wire; `None` is every CA.
    authority: Option<Vec<u8>>,
    /// Inclusive ranges of serial numbers.
    serials: Vec<(u64, u64)>,
    /// Serial numbers by offset and bits, most significant byte first.
    bitmaps: Vec<(u64, Vec<u8>)>,
    key_ids: HashSet<Vec<u8>>,
}

impl Krl {
    /// Parse a whole list, magic number included.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader(bytes);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err("is not a key revocation list".to_owned());
        }
        let format = reader.u32()?;
        if format != FORMAT {
            return Err(format!(
                "is a key revocation list of unknown format {format}"
            ));
        }
        let (_version, _date, _flags) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (_reserved, _comment) = (reader.string()?, reader.string()?);
        let mut krl = Self::default();
        while let Some(section) = reader.next_section()? {
            if section.kind == SIGNATURE {
                break;
            }
            krl.add(section.kind, Reader(section.body))?;
        }
        Ok(krl)
    }

    /// Whether the plain `key` is revoked by itself.
    pub(super) fn revokes_key(&self, key: &KeyData) -> bool {
        let sha256 = key.fingerprint(HashAlg::Sha256);
        self.sha256.contains(sha256.as_bytes())
            || (!self.sha1.is_empty()
                && wire(key).is_some_and(|blob| self.sha1.contains(&sha1(&blob))))
    }

    /// Whether `certificate` is revoked by its serial number or key id.
    pub(super) fn revokes_certificate(&self, certificate: &Certificate) -> bool {
        let authority = wire(certificate.signature_key());
        self.certificates
            .iter()
            .filter(|section| section.authority.is_none() || section.authority == authority)
            .any(|section| section.revokes(certificate))
    }

    fn add(&mut self, kind: u8, mut body: Reader<'_>) -> Result<(), String> {
        match kind {
            CERTIFICATES => {
                let certificates = Certificates::parse(body)?;
                self.certificates.push(certificates);
            }
            EXPLICIT_KEY => {
                while !body.is_empty() {
                    self.sha256.insert(HashAlg::Sha256.digest(body.string()?));
                }
            }
            FINGERPRINT_SHA1 => body.hashes(20, &mut self.sha1)?,
            FINGERPRINT_SHA256 => body.hashes(32, &mut self.sha256)?,
            EXTENSION => body.extension()?,
            other => return Err(format!("has an unknown section {other}")),
        }
        Ok(())
    }
}

impl Certificates {
    fn parse(mut body: Reader<'_>) -> Result<Self, String> {
        let authority = Some(body.string()?).filter(|blob| !blob.is_empty());
        let mut certificates = Self {
            authority: authority.map(<[u8]>::to_vec),
            ..Self::default()
        };
        let _reserved = body.string()?;
        while let Some(section) = body.next_section()? {
            certificates.add(section.kind, Reader(section.body))?;
        }
        Ok(certificates)
    }

    fn add(&mut self, kind: u8, mut body: Reader<'_>) -> Result<(), String> {
        match kind {
            SERIAL_LIST => {
                while !body.is_empty() {
                    let serial = body.u64()?;
                    self.serials.push((serial, serial));
                }
            }
            SERIAL_RANGE => {
                let range = (body.u64()?, body.u64()?);
                self.serials.push(range);
            }
            SERIAL_BITMAP => {
                let bitmap = (body.u64()?, body.string()?.to_vec());
                self.bitmaps.push(bitmap);
            }
            KEY_ID => {
                while !body.is_empty() {
                    self.key_ids.insert(body.string()?.to_vec());
                }
            }
            CERTIFICATE_EXTENSION => return body.extension(),
            other => return Err(format!("has an unknown certificate section {other:#x}")),
        }
        if !body.is_empty() {
            return Err(format!(
                "has bytes behind the end of certificate section {kind:#x}"
            ));
        }
        Ok(())
    }

    fn revokes(&self, certificate: &Certificate) -> bool {
        let serial = certificate.serial();
        // Serial 0 is what a CA writes that does not count, so it stands for no certificate.
        let by_serial = serial != 0
            && (self
                .serials
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&serial))
                || self
                    .bitmaps
                    .iter()
                    .any(|(offset, bits)| bit(bits, serial, *offset)));
        by_serial || self.key_ids.contains(certificate.key_id().as_bytes())
    }
}

/// Whether the bit for `serial` is set in a big-endian number whose bit 0 stands for `offset`.
fn bit(bits: &[u8], serial: u64, offset: u64) -> bool {
    let Some(index) = serial.checked_sub(offset) else {
        return false;
    };
    let Ok(byte) = usize::try_from(index / 8) else {
        return false;
    };
    let byte = bits
        .len()
        .checked_sub(byte + 1)
        .and_then(|position| bits.get(position));
    byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

fn wire(key: &KeyData) -> Option<Vec<u8>> {
    PublicKey::from(key.clone()).to_bytes().ok()
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    use sha1::Digest;
    sha1::Sha1::digest(bytes).to_vec()
}

struct Section<'a> {
    kind: u8,
    body: &'a [u8],
}

/// What is left to read. Every length is checked against it before anything is kept.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| "is a key revocation list that was cut short".to_owned())?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_be_bytes)
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn next_section(&mut self) -> Result<Option<Section<'a>>, String> {
        if self.is_empty() {
            return Ok(None);
        }
        let [kind] = self.array()?;
        Ok(Some(Section {
            kind,
            body: self.string()?,
        }))
    }

    fn hashes(&mut self, length: usize, into: &mut HashSet<Vec<u8>>) -> Result<(), String> {
        while !self.is_empty() {
            let hash = self.string()?;
            if hash.len() != length {
                return Err(format!("has a fingerprint of {} bytes", hash.len()));
            }
            into.insert(hash.to_vec());
        }
        Ok(())
    }

    fn extension(&mut self) -> Result<(), String> {
        let name = String::from_utf8_lossy(self.string()?).into_owned();
        let [critical] = self.array()?;
        let _contents = self.string()?;
        if critical != 0 {
            return Err(format!("has an unknown critical extension \"{name}\""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_be_bytes());
        bytes.extend([0; 24 + 8]);
        bytes
    }

    fn section(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let with = |more: &[u8]| Krl::parse(&[&header(), more].concat());
        assert_eq!(with(&[]), Ok(Krl::default()));
        assert!(
            with(&section(9, b""))
                .unwrap_err()
                .contains("unknown section 9")
        );
        assert!(with(&section(FINGERPRINT_SHA256, b"\0\0\0\x03abc")).is_err());
        assert!(
            with(&[1, 0xff, 0xff, 0xff, 0xff])
                .unwrap_err()
                .contains("cut short")
        );
        assert!(
            with(&section(EXTENSION, b"\0\0\0\x01x\x01\0\0\0\0"))
                .unwrap_err()
                .contains("\"x\"")
        );
        assert!(with(&section(EXTENSION, b"\0\0\0\x01x\0\0\0\0\0")).is_ok());
        assert!(with(&section(SIGNATURE, b"anything")).is_ok());
    }

    #[test]
    fn bitmaps_count_from_the_right() {
        let bits = [0b0000_0010, 0b1000_0001];
        let set: Vec<u64> = (0..200).filter(|serial| bit(&bits, *serial, 100)).collect();
        assert_eq!(set, [100, 107, 109]);
        assert!(!bit(&bits, u64::MAX, 0) && !bit(&[], 0, 0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Krl::parse(&bytes);
            let _ = Krl::parse(&[&header()[..], &bytes].concat());
        }

        #[test]
        fn sections_of_noise_are_read_or_refused(
            kind in prop::sample::select(vec![1, 2, 3, 4, 5, 255]),
            inner in prop::sample::select(vec![0x20u8, 0x21, 0x22, 0x23, 0x39]),
            noise in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let body = [&[0; 8][..], &section(inner, &noise)].concat();
            let _ = Krl::parse(&[header(), section(kind, &body)].concat());
            let _ = Krl::parse(&[header(), section(kind, &noise)].concat());
        }
    }
}
