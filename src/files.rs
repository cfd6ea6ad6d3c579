//! The only place that writes files: whole or not at all, and never in the place of what is no regular file.
//!
//! A regular file, or none, is written beside its target and renamed onto it, so that a reader sees the old content or the new whenever this
//! program is killed. Symbolic links are followed. Pipes, FIFOs and character devices are written into, once. A new file's mode is the
//! umask's, an existing one's is kept.
//!
//! The file beside the target has no name until it is whole (O_TMPFILE) where the file system can do that. Elsewhere, and for the moment
//! between its naming and its renaming, it is called `.wakerace-...` and locked. One that is not locked belongs to a run that was killed,
//! and the next run that writes into the folder removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, RenameFlags};

use crate::error::{Error, Result};
use crate::{shown, terminal};

/// What files that are not yet whole begin with.
const PREFIX: &str = ".wakerace-";

/// Where an output that somebody named goes.
#[derive(Debug)]
pub struct Sink {
    name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// `-`, or a name of what standard output is.
    Stdout,
    /// A name of what standard error is.
    Stderr,
    /// A pipe or a character device.
    Stream(File),
    /// A regular file or nothing yet, with all links followed.
    File(PathBuf),
    /// A regular file that cannot be replaced: one that only a descriptor names, or in a folder that cannot be written.
    Inside(PathBuf),
}

impl Sink {
    /// Settles where a name leads, and that it can be written. Makes nothing and changes nothing. A FIFO is waited for until somebody
    /// reads.
    ///
    /// # Errors
    /// If it is a folder, a block device or a socket, if its folder does not exist, or if it cannot be written.
    pub fn open(path: &Path) -> Result<Sink> {
        let name = shown::path(path);
        let kind = if path.as_os_str() == "-" { Kind::Stdout } else { kind(path, &name)? };
        Ok(Sink { name, kind })
    }

    /// Whether it goes to standard output, so that words have to go elsewhere.
    pub fn is_stdout(&self) -> bool {
        matches!(self.kind, Kind::Stdout)
    }

    /// Whether it can be written again, with more in it, in place of what was written before.
    pub fn is_replaced(&self) -> bool {
        matches!(self.kind, Kind::File(_) | Kind::Inside(_))
    }

    /// Writes it: a file gets this content in place of its old one, anything else gets it appended.
    ///
    /// # Errors
    /// If it cannot be written. A regular file then has its old content.
    pub fn write(&self, content: &str) -> Result<()> {
        let bytes = content.as_bytes();
        let written = match &self.kind {
            Kind::Stdout => return terminal::data(content),
            Kind::Stderr => io::stderr().lock().write_all(bytes),
            Kind::Stream(file) if file.is_terminal() => (&*file).write_all(shown::text(content).as_bytes()),
            Kind::Stream(file) => (&*file).write_all(bytes),
            Kind::File(path) => replace(path, bytes),
            Kind::Inside(path) => write_inside(path, bytes),
        };
        written.map_err(Error::io(format!("writing {}", self.name)))
    }
}

fn kind(path: &Path, name: &str) -> Result<Kind> {
    let refuse = |what: &str| Error::Usage(format!("{name} is {what}; expected the name of a file"));
    let failed = || Error::io(format!("writing {name}"));
    let there = match fs::metadata(path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed()(error)),
    };
    let Some(there) = there else {
        let Some(target) = target(path).map_err(failed())? else {
            return Err(failed()(ErrorKind::NotFound.into()));
        };
        let folder = folder(&target);
        if !folder.exists() {
            let hint = "; make it first";
            return Err(Error::Usage(format!("{name}: the folder {} does not exist{hint}", shown::path(folder))));
        }
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(refuse("a folder"));
        }
        Beside::new(folder).map_err(failed())?;
        sweep(folder);
        return Ok(Kind::File(target));
    };
    let is_file = there.is_file();
    if there.is_dir() {
        return Err(refuse("a folder"));
    }
    // Replacing what the shell has opened would leave the shell with the old file.
    if is_file || there.file_type().is_fifo() || there.file_type().is_socket() {
        if is_same(&there, io::stdout()) {
            return Ok(Kind::Stdout);
        }
        if is_same(&there, io::stderr()) {
            return Ok(Kind::Stderr);
        }
    }
    if there.file_type().is_block_device() {
        return Err(refuse("a block device"));
    }
    if there.file_type().is_socket() {
        return Err(refuse("a socket"));
    }
    let opened = OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY).open(path).map_err(failed())?;
    if !is_file {
        return Ok(Kind::Stream(opened));
    }
    let Some(target) = target(path).map_err(failed())? else { return Ok(Kind::Inside(path.to_owned())) };
    // Somebody may write a file and yet not its folder.
    if Beside::new(folder(&target)).is_err() {
        return Ok(Kind::Inside(target));
    }
    sweep(folder(&target));
    Ok(Kind::File(target))
}

/// Whether a file is the one that is open.
fn is_same(file: &fs::Metadata, open: impl AsFd) -> bool {
    rustix::fs::fstat(open).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (file.dev(), file.ino()))
}

/// Where symbolic links lead in the end, whether or not anything is there; `None` where the kernel's own links below /proc lead, which no
/// rename can follow.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut at = path.to_owned();
    // As many as the kernel follows (MAXSYMLINKS).
    for _ in 0..40 {
        if !fs::symlink_metadata(&at).is_ok_and(|there| there.is_symlink()) {
            return Ok(Some(at));
        }
        if fs::canonicalize(folder(&at))?.starts_with("/proc") {
            return Ok(None);
        }
        at = folder(&at).join(fs::read_link(&at)?);
    }
    Err(rustix::io::Errno::LOOP.into())
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts content in place of a regular file's, or of nothing.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => Some(there),
        Ok(_) => return Err(io::Error::other("it is no longer a regular file")),
        Err(_) => None,
    };
    let filled = Beside::new(folder(path)).and_then(|beside| beside.fill(content, there.as_ref()));
    let renamed = filled.and_then(|beside| beside.replace(path));
    match renamed {
        // A mount point, or a folder that cannot be written.
        Err(error)
            if there.is_some()
                && matches!(
                    error.kind(),
                    ErrorKind::ResourceBusy | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) =>
        {
            write_inside(path, content)
        }
        other => other,
    }
}

/// Overwrites a regular file where it lies: a reader may see a part of it.
fn write_inside(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes a file of this program's own, such as a profile, and makes its folders.
///
/// # Errors
/// If it cannot be written; its old content is there then.
pub fn write_own(path: &Path, content: &str) -> Result<()> {
    make_folders(path)?;
    Sink::open(path)?.write(content)
}

/// Whether a file of this program's own can be written, without making anything.
///
/// # Errors
/// If not.
pub fn check_own(path: &Path) -> Result<()> {
    if path.exists() { Sink::open(path).map(drop) } else { check_folder(path) }
}

/// Whether a file can be made: in its folder, or in the nearest one above it that there is.
fn check_folder(path: &Path) -> Result<()> {
    let mut above = folder(path);
    while !above.exists() {
        above = folder(above);
    }
    Beside::new(above).map_err(Error::io(format!("writing {}", shown::path(path))))?;
    sweep(above);
    Ok(())
}

fn make_folders(path: &Path) -> Result<()> {
    let folder = folder(path);
    fs::create_dir_all(folder).map_err(Error::io(format!("making the folder {}", shown::path(folder))))
}

/// A file that is made anew: where its name is taken, as by a run that began in the same second, `NAME-2` or a later number is. Its
/// folders are made when it is first written.
#[derive(Debug)]
pub struct Fresh {
    wanted: PathBuf,
    made: Option<PathBuf>,
}

/// More files of one name than anybody has.
const MOST_NAMES: usize = 10_000;

impl Fresh {
    /// Nothing is made yet, but it can be.
    ///
    /// # Errors
    /// If the folder that is to hold it, or the nearest one above it, cannot be written.
    pub fn new(wanted: PathBuf) -> Result<Fresh> {
        check_folder(&wanted)?;
        Ok(Fresh { wanted, made: None })
    }

    /// Its name: the one it has, or until then the one it is to have.
    pub fn path(&self) -> &Path {
        self.made.as_deref().unwrap_or(&self.wanted)
    }

    /// Whether it was written.
    pub fn is_made(&self) -> bool {
        self.made.is_some()
    }

    /// Writes it: the first time under a name that neither it nor one of the `others`, the same name with another extension, has; later in
    /// place of its own content.
    ///
    /// # Errors
    /// If it cannot be written; nothing is changed then.
    pub fn write(&mut self, content: &str, others: &[&str]) -> Result<()> {
        let failed = |path: &Path| Error::io(format!("writing {}", shown::path(path)));
        if let Some(made) = &self.made {
            return replace(made, content.as_bytes()).map_err(failed(made));
        }
        make_folders(&self.wanted)?;
        for number in 1..MOST_NAMES {
            let name = numbered(&self.wanted, number);
            if others.iter().any(|extension| fs::symlink_metadata(name.with_extension(extension)).is_ok()) {
                continue;
            }
            let filled = Beside::new(folder(&name)).and_then(|beside| beside.fill(content.as_bytes(), None));
            match filled.and_then(|beside| beside.create(&name)) {
                Ok(()) => {
                    self.made = Some(name);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&name)(error)),
            }
        }
        Err(failed(&self.wanted)(ErrorKind::AlreadyExists.into()))
    }
}

/// `T.protocol.json` becomes `T-2.protocol.json`; number 1 is the name itself.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, rest) = name.split_at(name.find('.').unwrap_or(name.len()));
    if number == 1 { path.to_owned() } else { path.with_file_name(format!("{stem}-{number}{rest}")) }
}

/// A file on its way to its name. It is gone if it does not get there.
struct Beside {
    file: File,
    folder: PathBuf,
    /// Its own name, if it has one yet.
    name: Option<PathBuf>,
}

impl Beside {
    fn new(folder: &Path) -> io::Result<Beside> {
        let unnamed = OpenOptions::new().write(true).mode(0o666).custom_flags(libc::O_TMPFILE).open(folder);
        match unnamed {
            // Its name is given through /proc.
            Ok(file) if Path::new("/proc/self/fd").exists() => {
                Ok(Beside { file, folder: folder.to_owned(), name: None })
            }
            _ => Beside::named(folder),
        }
    }

    /// For file systems that have no unnamed files.
    fn named(folder: &Path) -> io::Result<Beside> {
        loop {
            let name = unused(folder);
            let file = match OpenOptions::new().write(true).mode(0o666).create_new(true).open(&name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            // File systems without locks are swept by nobody.
            let _ = file.lock();
            // A sweep may have come between.
            if file.metadata()?.nlink() > 0 {
                return Ok(Beside { file, folder: folder.to_owned(), name: Some(name) });
            }
        }
    }

    /// Writes all of it to the disk; with the mode, and where it may the owner, of the file that it is to replace.
    fn fill(mut self, content: &[u8], like: Option<&fs::Metadata>) -> io::Result<Beside> {
        self.file.write_all(content)?;
        if let Some(like) = like {
            let own = self.file.metadata()?;
            if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
                // Only root may give files away.
                let _ = std::os::unix::fs::fchown(&self.file, Some(like.uid()), Some(like.gid()));
            }
            self.file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))?;
        }
        self.file.sync_all()?;
        Ok(self)
    }

    /// Gives it a name that nobody has.
    fn create(mut self, to: &Path) -> io::Result<()> {
        let Some(name) = &self.name else { return self.link(to) };
        match fs::hard_link(name, to) {
            // The second name goes when this is dropped.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                rustix::fs::renameat_with(CWD, name, CWD, to, RenameFlags::NOREPLACE)?;
                self.name = None;
                Ok(())
            }
            other => other,
        }
    }

    /// Gives it a name, whoever has it.
    fn replace(mut self, to: &Path) -> io::Result<()> {
        if self.name.is_none() {
            match self.link(to) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => return other,
            }
            let _ = self.file.lock();
            loop {
                let name = unused(&self.folder);
                match self.link(&name) {
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                    Ok(()) => break self.name = Some(name),
                }
            }
        }
        if let Some(name) = &self.name {
            fs::rename(name, to)?;
        }
        self.name = None;
        Ok(())
    }

    fn link(&self, to: &Path) -> io::Result<()> {
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, own, CWD, to, AtFlags::SYMLINK_FOLLOW)?)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            let _ = fs::remove_file(name);
        }
    }
}

fn unused(folder: &Path) -> PathBuf {
    let letters: String = (0..12).map(|_| fastrand::alphanumeric()).collect();
    folder.join(format!("{PREFIX}{letters}"))
}

/// Removes what killed runs left in a folder: what nobody holds a lock on. Failing to is no harm.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let ours = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else { continue };
        if file.try_lock().is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What a file system without unnamed files does, every one can do.
    #[test]
    fn a_named_file_and_an_unnamed_one_become_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let ways: [fn(&Path) -> io::Result<Beside>; 2] = [Beside::new, Beside::named];
        for (number, way) in ways.into_iter().enumerate() {
            let path = folder.path().join(format!("{number}"));
            let beside = |content: &[u8]| way(folder.path()).unwrap().fill(content, None).unwrap();
            beside(b"one").create(&path).unwrap();
            assert_eq!(beside(b"two").create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"one");
            beside(b"three").replace(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"three");
            beside(b"four").replace(&folder.path().join(format!("{number}-new"))).unwrap();
            drop(way(folder.path()).unwrap());
        }
        assert_eq!(names(folder.path()), ["0", "0-new", "1", "1-new"]);
    }

    #[test]
    fn two_runs_that_begin_in_the_same_second_have_a_record_each() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("deep/er/T.protocol.json");
        let mut both = [Fresh::new(wanted.clone()).unwrap(), Fresh::new(wanted.clone()).unwrap()];
        assert!(names(folder.path()).is_empty(), "nothing is made before there is something to keep");
        for (number, fresh) in both.iter_mut().enumerate() {
            assert!(!fresh.is_made());
            fresh.write(&format!("first of {number}"), &["html"]).unwrap();
        }
        for (number, fresh) in both.iter_mut().enumerate() {
            fresh.write(&format!("second of {number}"), &["html"]).unwrap();
            assert_eq!(fs::read_to_string(fresh.path()).unwrap(), format!("second of {number}"));
        }
        assert_eq!(names(wanted.parent().unwrap()), ["T-2.protocol.json", "T.protocol.json"]);
        // Nor under a name whose page is another run's.
        fs::write(wanted.with_file_name("T-3.protocol.html"), "").unwrap();
        let mut third = Fresh::new(wanted.clone()).unwrap();
        third.write("", &["html"]).unwrap();
        assert_eq!(third.path(), wanted.with_file_name("T-4.protocol.json"));
    }

    #[test]
    fn what_killed_runs_left_is_removed_and_what_is_being_written_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".wakerace-killed", ".wakerace-busy", ".other", "wakerace-x"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join(".wakerace-folder")).unwrap();
        let busy = File::open(folder.path().join(".wakerace-busy")).unwrap();
        busy.lock().unwrap();
        let own = Beside::named(folder.path()).unwrap();
        let _ = Sink::open(&folder.path().join("x")).unwrap();
        let mut expected = vec![
            ".other".to_owned(),
            ".wakerace-busy".to_owned(),
            ".wakerace-folder".to_owned(),
            own.name.as_ref().unwrap().file_name().unwrap().to_str().unwrap().to_owned(),
            "wakerace-x".to_owned(),
        ];
        expected.sort();
        assert_eq!(names(folder.path()), expected);
        drop((busy, own));
        let _ = Fresh::new(folder.path().join("y")).unwrap();
        assert_eq!(names(folder.path()), [".other", ".wakerace-folder", "wakerace-x"]);
    }
}
