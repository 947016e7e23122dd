//! What kind of filesystem a folder is on.

use std::path::Path;

use crate::error::{Error, Result};

/// Types from `statfs(2)` whose locks or shared memory reach over a network.
#[cfg(target_os = "linux")]
const NETWORK: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x5346_414F, "AFS"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
];

/// The name of the network filesystem that `folder` is on; `None` for a local one.
#[cfg(target_os = "linux")]
pub(super) fn network_kind(folder: &Path) -> Result<Option<&'static str>> {
    let found = rustix::fs::statfs(folder).map_err(|error| Error::io(folder, &error.into()))?;
    // The magic number has the width of the platform's word; the table holds 32 bits.
    let kind = found.f_type.cast_unsigned() as u64 & 0xFFFF_FFFF;
    Ok(name_of(kind))
}

#[cfg(target_os = "linux")]
fn name_of(kind: u64) -> Option<&'static str> {
    NETWORK.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}

/// macOS says by a flag whether a mount is local, and its name.
#[cfg(not(target_os = "linux"))]
pub(super) fn network_kind(folder: &Path) -> Result<Option<&'static str>> {
    const MNT_LOCAL: u32 = 0x1000;
    let found = rustix::fs::statfs(folder).map_err(|error| Error::io(folder, &error.into()))?;
    Ok((found.f_flags & MNT_LOCAL == 0).then_some("not a local volume"))
}

/// Whether the mount of `folder` is read-only.
pub(super) fn is_read_only(folder: &Path) -> Result<bool> {
    let found = rustix::fs::statvfs(folder).map_err(|error| Error::io(folder, &error.into()))?;
    Ok(found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn network_filesystems_are_known_by_their_magic_numbers() {
        assert_eq!(name_of(0x6969), Some("NFS"));
        assert_eq!(name_of(0xFF53_4D42), Some("CIFS"));
        assert_eq!(name_of(0xEF53), None, "ext4 is local");
        assert_eq!(name_of(0x0102_1994), None, "tmpfs is local");
    }

    #[test]
    fn the_temporary_folder_is_local_and_writable() {
        let folder = std::env::temp_dir();
        assert_eq!(network_kind(&folder).unwrap(), None);
        assert!(!is_read_only(&folder).unwrap());
    }
}
