//! Gives a copy of a cluster its own system identifier, as initdb does. The product takes two clusters with the same identifier
//! for the same server.
//!
//! The identifier is stored twice: at the start of `global/pg_control`, whose content ends with its CRC-32C, and in the header
//! of the first page of each WAL segment (PostgreSQL's `catalog/pg_control.h` and `access/xlog_internal.h`).

use std::fs;
use std::path::Path;

/// The bytes of a WAL segment that hold the identifier, after the header that all pages have.
const IN_SEGMENT: std::ops::Range<usize> = 24..32;

/// Adds `offset` to the identifier of the cluster in `data`, which must be stopped.
pub(super) fn shift(data: &Path, offset: u64) {
    let path = data.join("global/pg_control");
    let mut control = fs::read(&path).expect("a cluster has a control file");
    let identifier = shift_control(&mut control, offset).expect("the control file has a checksum");
    fs::write(&path, control).expect("the control file is written");
    for entry in fs::read_dir(data.join("pg_wal")).expect("a cluster has WAL") {
        let entry = entry.expect("an entry of the WAL");
        if entry.file_type().expect("its type").is_file() {
            let mut segment = fs::read(entry.path()).expect("a segment");
            segment[IN_SEGMENT].copy_from_slice(&identifier.to_ne_bytes());
            fs::write(entry.path(), segment).expect("the segment is written");
        }
    }
}

/// PURE: adds `offset` to the identifier and corrects the checksum. Returns the new identifier; `None` if there is no checksum.
fn shift_control(control: &mut [u8], offset: u64) -> Option<u64> {
    // The length of the checked part depends on the version.
    let end = checked_length(control)?;
    let (checked, rest) = control.split_at_mut(end);
    let (identifier, _) = checked.split_first_chunk_mut::<8>()?;
    let shifted = u64::from_ne_bytes(*identifier).wrapping_add(offset);
    *identifier = shifted.to_ne_bytes();
    let checksum = !checked.iter().fold(!0, |crc, byte| step(crc, *byte));
    *rest.first_chunk_mut::<4>()? = checksum.to_ne_bytes();
    Some(shifted)
}

/// PURE: returns the number of bytes that are followed by their own checksum.
fn checked_length(control: &[u8]) -> Option<usize> {
    let mut crc = !0;
    for (at, byte) in control.iter().enumerate() {
        crc = step(crc, *byte);
        if control.get(at + 1..)?.first_chunk::<4>()? == &(!crc).to_ne_bytes() {
            return Some(at + 1);
        }
    }
    None
}

/// PURE: adds one byte to a CRC-32C (Castagnoli, reflected polynomial 0x82F63B78).
fn step(crc: u32, byte: u8) -> u32 {
    (0..8).fold(crc ^ u32::from(byte), |crc, _| {
        let carry = if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        (crc >> 1) ^ carry
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_the_standard() {
        // The check value of RFC 3720, appendix B.4, and of the usual tables.
        let crc = !b"123456789".iter().fold(!0, |crc, byte| step(crc, *byte));
        assert_eq!(crc, 0xE306_9283);
    }

    #[test]
    fn identifier_is_shifted_and_its_checksum_corrected() {
        let mut control = 7_u64.to_ne_bytes().to_vec();
        control.extend(b"the version and more");
        let checksum = !control.iter().fold(!0, |crc, byte| step(crc, *byte));
        control.extend(checksum.to_ne_bytes());
        control.extend([0; 100]);
        let length = checked_length(&control);
        assert_eq!(shift_control(&mut control, 5), Some(12));
        assert_eq!(control.first_chunk::<8>(), Some(&12_u64.to_ne_bytes()));
        assert_eq!(checked_length(&control), length);
        assert_eq!(shift_control(&mut [1; 64], 5), None);
    }
}
