//! Keeps the files that are read and the files that are written apart.
//!
//! A command that wrote its result over one of its inputs, or two results into one file, would lose a measurement. Every file
//! that is read through [`crate::input`] and every open output of [`crate::files`] is noted here, as the path that all symbolic
//! links lead to and as the file's number on its device. So another spelling of a path, a symbolic link and a hard link are
//! found too. Pipes and devices are not noted: several results may go there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::shown;

/// A regular file that is read or written.
#[derive(Debug)]
struct Known {
    /// The number of its [`Output`]; 0 for an input.
    number: u64,
    path: PathBuf,
    /// Device, inode and time of the last change. The time tells a file from a later one that got the same inode.
    inode: Option<(u64, u64, i64, i64)>,
}

impl Known {
    fn new(number: u64, path: &Path) -> Known {
        let about = fs::metadata(path).ok();
        let inode = about.map(|about| (about.dev(), about.ino(), about.ctime(), about.ctime_nsec()));
        // A file that only a descriptor names has no other path.
        let real = if inode.is_some() { fs::canonicalize(path) } else { new_path(path) };
        Known { number, path: real.unwrap_or_else(|_| path.to_owned()), inode }
    }

    fn is(&self, other: &Known) -> bool {
        self.path == other.path || self.inode.is_some() && self.inode == other.inode
    }
}

/// The path of a file that does not exist yet.
fn new_path(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(fs::canonicalize(folder)?.join(path.file_name().unwrap_or_default()))
}

/// The files that were read. Where their links end is asked only when there is an output to compare them with, because
/// that takes a dozen system calls, and a folder has thousands of files.
struct Inputs {
    known: Vec<Known>,
    /// The paths that were not looked up yet.
    named: Vec<PathBuf>,
}

impl Inputs {
    /// Looks up the paths that are left.
    fn look_up(&mut self) {
        let files = self.named.drain(..).filter(|path| is_file(path));
        self.known.extend(files.map(|path| Known::new(0, &path)));
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file())
}

/// The files that were read, and the outputs that are open.
static INPUTS: Mutex<Inputs> = Mutex::new(Inputs { known: Vec::new(), named: Vec::new() });
static OUTPUTS: Mutex<Vec<Known>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Who locks both lists locks this one first.
fn lock_outputs() -> MutexGuard<'static, Vec<Known>> {
    OUTPUTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open output. While it exists, its file cannot be read as an input or opened as another output.
#[derive(Debug)]
pub struct Output(u64);

impl Output {
    /// Notes an output whose content is replaced. `target` is where the symbolic links of `path` end.
    ///
    /// # Errors
    /// If the file was read as an input, or if another output goes to it.
    pub fn replaced(path: &Path, target: &Path) -> Result<Output> {
        let known = Output::known(target);
        let outputs = lock_outputs();
        let mut inputs = INPUTS.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.look_up();
        if inputs.known.iter().any(|input| input.is(&known)) {
            return Err(Error::Usage(format!(
                "{}: this file is also an input, and the output would replace it; name another file for the output",
                shown::path(path)
            )));
        }
        Output::only(outputs, path, known)
    }

    /// Notes an output that replaces nothing: it updates or extends what was read from the same file.
    ///
    /// # Errors
    /// If another output goes to it.
    pub fn extended(path: &Path) -> Result<Output> {
        let known = Output::known(path);
        Output::only(lock_outputs(), path, known)
    }

    fn known(target: &Path) -> Known {
        Known::new(NEXT.fetch_add(1, Ordering::Relaxed), target)
    }

    fn only(mut outputs: MutexGuard<'_, Vec<Known>>, path: &Path, known: Known) -> Result<Output> {
        if outputs.iter().any(|other| other.is(&known)) {
            return Err(Error::Usage(format!(
                "{}: two outputs go to this file, and one would replace the other; name another file for one of them",
                shown::path(path)
            )));
        }
        let number = known.number;
        outputs.push(known);
        Ok(Output(number))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        lock_outputs().retain(|known| known.number != self.0);
    }
}

/// Notes that a file is read.
///
/// # Errors
/// If an open output goes to this file.
pub fn read(path: &Path) -> Result<()> {
    let outputs = lock_outputs();
    if outputs.is_empty() {
        INPUTS.lock().unwrap_or_else(PoisonError::into_inner).named.push(path.to_owned());
        return Ok(());
    }
    // What cannot be found is reported by who opens it.
    if !is_file(path) {
        return Ok(());
    }
    let known = Known::new(0, path);
    if outputs.iter().any(|output| output.is(&known)) {
        return Err(Error::Usage(format!(
            "{}: this input is also an output, which would replace it; name another file for the output",
            shown::path(path)
        )));
    }
    INPUTS.lock().unwrap_or_else(PoisonError::into_inner).known.push(known);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_way_to_a_file_is_found_and_only_to_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "").unwrap();
        symlink("file", at("link")).unwrap();
        fs::hard_link(at("file"), at("hard")).unwrap();
        fs::write(at("other"), "").unwrap();
        let ways =
            [at("file"), at("link"), at("hard"), at("../").join(folder.path().file_name().unwrap()).join("file")];
        for way in &ways {
            let output = Output::replaced(way, way).unwrap();
            for same in &ways {
                assert!(read(same).unwrap_err().to_string().contains("also an output"), "{same:?}");
                assert!(Output::extended(same).unwrap_err().to_string().contains("two outputs"), "{same:?}");
            }
            let _other = Output::replaced(&at("other"), &at("other")).unwrap();
            drop(output);
        }
        read(&at("other")).unwrap();
        read(&ways[0]).unwrap();
        for same in &ways {
            assert!(Output::replaced(same, same).unwrap_err().to_string().contains("also an input"), "{same:?}");
            Output::extended(same).unwrap();
        }
        // Files that do not exist yet are told apart by their paths.
        let new = Output::replaced(&at("new"), &at("new")).unwrap();
        assert!(Output::replaced(&at("new"), &at("./new")).is_err());
        Output::replaced(&at("newer"), &at("newer")).unwrap();
        drop(new);
        read(&at("none")).unwrap();
        read(Path::new("/dev/null")).unwrap();
    }
}
