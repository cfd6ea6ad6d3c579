//! Writing files whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::machine::Host;

/// Replaces a file's content in one step: a reader sees the old content or the new, never a part, whenever this
/// program is killed. Missing folders are made.
///
/// # Errors
/// If the folder or file cannot be written; nothing is left behind then.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(format!("making the folder {}", folder.display())))?;
    let mut file = tempfile::Builder::new()
        .prefix(".wakerace-")
        .tempfile_in(folder)
        .map_err(Error::io(format!("writing {shown}")))?;
    file.write_all(content).map_err(Error::io(format!("writing {shown}")))?;
    file.as_file().sync_all().map_err(Error::io(format!("writing {shown}")))?;
    readable_by_all(file.as_file()).map_err(Error::io(format!("writing {shown}")))?;
    file.persist(path).map_err(|error| Error::io(format!("writing {shown}"))(error.error))?;
    Ok(())
}

/// Whether a file can be written later: makes its folder and a temporary file in it, which is gone at once.
///
/// # Errors
/// If not.
pub fn check_writable(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Error::Usage(format!("{shown} is a folder; expected the name of a file")));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(format!("making the folder {}", folder.display())))?;
    tempfile::tempfile_in(folder).map_err(Error::io(format!("{shown} cannot be written")))?;
    Ok(())
}

/// Temporary files are private to their owner; results are as readable as the user's umask makes other files.
fn readable_by_all(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // There is no way to read the umask without setting it; 0644 is what nearly every one gives.
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

/// A host's CPU as a name for files: its model and what identifies the design.
pub fn cpu_slug(host: &Host) -> String {
    let ids = host.cpu_ids.iter().filter(|(key, _)| *key != "vendor_id").map(|(key, value)| format!("{key} {value}"));
    slug(&std::iter::once(host.cpu_model.clone()).chain(ids).collect::<Vec<_>>().join(" "))
}

/// `results/ARCH/CPU/TIME.json`, where a run is kept unless told otherwise.
pub fn default_path(host: &Host, started: jiff::Timestamp) -> PathBuf {
    let time = started.strftime("%Y-%m-%dT%H%M%SZ").to_string();
    Path::new("results").join(&host.architecture).join(cpu_slug(host)).join(format!("{time}.json"))
}

/// A name for a folder: lower case letters, digits and single hyphens, not too long.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(80);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cpus_become_names_of_folders() {
        assert_eq!(slug("Intel(R) Xeon(R) CPU @ 2.20GHz"), "intel-r-xeon-r-cpu-2-20ghz");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug(""), "");
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        // A folder that is a file cannot be written into.
        assert!(write_atomically(&path.join("below"), b"three").is_err());
    }
}
