//! Writes files. No other module writes files.
//!
//! A regular file is always written whole: the new content goes to a temporary file in the same folder, which
//! is then renamed to the target. So a reader sees either the old or the new content, even if this program is
//! killed. Symbolic links are followed. Pipes, FIFOs and character devices are written into and never
//! replaced. A new file gets the mode that the umask gives it; a replaced file keeps its mode.
//!
//! If the file system supports it (O_TMPFILE), the temporary file has no name until it is complete.
//! Otherwise, and for the moment between naming and renaming, it is named `.wakerace-...` and locked. A
//! temporary file without a lock belongs to a killed run. The next run that writes into the folder removes
//! it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, RenameFlags};

use crate::apart::Output;
use crate::error::{Error, Result};
use crate::{shown, terminal};

/// The start of the names of temporary files.
const PREFIX: &str = ".wakerace-";

/// The destination of an output whose path the user gave.
#[derive(Debug)]
pub struct Sink {
    name: String,
    kind: Kind,
    /// Keeps the file apart from the inputs and the other outputs, if it is a regular file.
    _apart: Option<Output>,
}

#[derive(Debug)]
enum Kind {
    /// Standard output: `-`, or a path to the file that standard output is.
    Stdout,
    /// Standard error: a path to the file that standard error is.
    Stderr,
    /// A pipe or a character device.
    Stream(File),
    /// A regular file, or a path where nothing exists yet. All symbolic links are followed.
    File(PathBuf),
    /// A regular file that cannot be replaced, because only a descriptor names it or because its folder is
    /// not writable.
    Inside(PathBuf),
}

impl Sink {
    /// Finds out what a path leads to and checks that it can be written. Creates no file and changes no file.
    ///
    /// If the path is a FIFO, this waits until a reader opens it.
    ///
    /// # Errors
    /// If the path is a folder, a block device or a socket, if its folder does not exist, if it cannot be written, or if the
    /// file is an input or another output ([`crate::apart`]).
    pub fn open(path: &Path) -> Result<Sink> {
        Sink::open_as(path, Output::replaced)
    }

    fn open_as(path: &Path, note: impl FnOnce(&Path, &Path) -> Result<Output>) -> Result<Sink> {
        let name = shown::path(path);
        let kind = if path.as_os_str() == "-" { Kind::Stdout } else { kind(path, &name)? };
        let apart = match &kind {
            Kind::File(target) | Kind::Inside(target) => Some(note(path, target)?),
            Kind::Stdout | Kind::Stderr | Kind::Stream(_) => None,
        };
        Ok(Sink { name, kind, _apart: apart })
    }

    /// Whether the destination is standard output. Then messages must go to standard error.
    pub fn is_stdout(&self) -> bool {
        matches!(self.kind, Kind::Stdout)
    }

    /// Whether a later write replaces the content of an earlier one.
    pub fn is_replaced(&self) -> bool {
        matches!(self.kind, Kind::File(_) | Kind::Inside(_))
    }

    /// Writes content. A regular file gets this content instead of its old one; everything else gets it
    /// appended.
    ///
    /// # Errors
    /// If the content cannot be written. A [`Sink`] that replaces a regular file leaves the old content in
    /// this case.
    pub fn write(&self, content: &str) -> Result<()> {
        match &self.kind {
            Kind::Stdout => terminal::data(content),
            Kind::Stream(file) if file.is_terminal() => {
                (&*file).write_all(shown::text(content).as_bytes()).map_err(Error::io(format!("writing {}", self.name)))
            }
            _ => self.write_bytes(content.as_bytes()),
        }
    }

    /// Writes content that is no text, as [`Sink::write`] writes text.
    ///
    /// # Errors
    /// As [`Sink::write`], and if the destination is a terminal.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<()> {
        let no_text = || Error::Usage(format!("{}: a terminal shows no picture; name a file", self.name));
        let written = match &self.kind {
            Kind::Stdout => return terminal::bytes(bytes)?.ok_or_else(no_text),
            Kind::Stream(file) if file.is_terminal() => return Err(no_text()),
            Kind::Stderr => io::stderr().lock().write_all(bytes),
            Kind::Stream(file) => (&*file).write_all(bytes),
            Kind::File(path) => replace(path, bytes),
            Kind::Inside(path) => write_inside(path, bytes),
        };
        written.map_err(Error::io(format!("writing {}", self.name)))
    }
}

/// What a path leads to. `name` is the path as messages show it.
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
            let hint = "; create it first";
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
    // If the file is the one that standard output is, it must not be replaced: the shell would still have the
    // old file open.
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
    // A user may have write permission for a file but not for its folder.
    if Beside::new(folder(&target)).is_err() {
        return Ok(Kind::Inside(target));
    }
    sweep(folder(&target));
    Ok(Kind::File(target))
}

/// Whether a file is the one that an open descriptor refers to.
fn is_same(file: &fs::Metadata, open: impl AsFd) -> bool {
    rustix::fs::fstat(open).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (file.dev(), file.ino()))
}

/// The path where a chain of symbolic links ends, whether or not a file exists there.
///
/// `None` for the kernel's own links below /proc, because rename cannot follow them.
fn target(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut at = path.to_owned();
    // The kernel follows at most 40 links (MAXSYMLINKS).
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

/// Replaces the content of a regular file, or creates the file.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => Some(there),
        Ok(_) => return Err(io::Error::other("the path is no longer a regular file")),
        Err(_) => None,
    };
    let filled = Beside::new(folder(path)).and_then(|beside| beside.fill(content, there.as_ref()));
    let renamed = filled.and_then(|beside| beside.replace(path));
    match renamed {
        // The file is a mount point, or its folder is not writable.
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

/// Overwrites a regular file in place. A reader may see incomplete content.
fn write_inside(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes a file whose path wakerace chooses, and creates its folders.
///
/// # Errors
/// If it cannot be written, or if it was read as an input. The file then has its old content.
pub fn write_own(path: &Path, content: &str) -> Result<()> {
    make_folders(path)?;
    Sink::open(path)?.write(content)
}

/// Writes a file that is no text, as [`write_own`] writes text.
///
/// # Errors
/// As [`write_own`].
pub fn write_own_bytes(path: &Path, content: &[u8]) -> Result<()> {
    make_folders(path)?;
    Sink::open(path)?.write_bytes(content)
}

/// Writes a file that holds what was read from it and more, such as a profile, and creates its folders.
///
/// # Errors
/// If it cannot be written. The file then has its old content.
pub fn update(path: &Path, content: &str) -> Result<()> {
    make_folders(path)?;
    Sink::open_as(path, |_, target| Output::extended(target))?.write(content)
}

/// Checks that a file whose path wakerace chooses can be written. Creates nothing.
///
/// # Errors
/// If it cannot be written.
pub fn check_own(path: &Path) -> Result<()> {
    if path.exists() { Sink::open(path).map(drop) } else { check_folder(path) }
}

/// Checks that a file can be created in its folder. If the folder does not exist, checks the nearest existing
/// folder above it.
fn check_folder(path: &Path) -> Result<()> {
    let mut above = folder(path);
    while !above.exists() {
        above = folder(above);
    }
    Beside::new(above).map_err(Error::io(format!("writing {}", shown::path(path))))?;
    sweep(above);
    Ok(())
}

/// Creates the folders of a file whose path wakerace chooses.
///
/// # Errors
/// If one cannot be created.
pub fn make_folders(path: &Path) -> Result<()> {
    let folder = folder(path);
    fs::create_dir_all(folder).map_err(Error::io(format!("creating the folder {}", shown::path(folder))))
}

/// How long [`alone`] waits for another process.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads and changes a file whose path wakerace chooses, while no other process does so. The lock is a file of the same name with the ending
/// `lock`, which stays. Where it cannot be locked, because the file system has no locks or another process holds it for two seconds, the change is made all the same.
///
/// # Errors
/// Those of `change`, and if its folders cannot be created.
pub fn alone<T>(path: &Path, change: impl FnOnce() -> Result<T>) -> Result<T> {
    make_folders(path)?;
    let name = path.with_extension("lock");
    // Opening what is no regular file may block.
    let is_usable = fs::symlink_metadata(&name).map_or(true, |known| known.is_file());
    let lock = is_usable.then(|| File::options().write(true).create(true).truncate(false).open(&name));
    // The lock is released when the file is closed, also if the process ends.
    let _held = lock.and_then(io::Result::ok).inspect(|file| {
        let begun = Instant::now();
        while matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    change()
}

/// A file of lines that only grows. One process at a time writes it.
#[derive(Debug)]
pub struct Appended {
    name: String,
    file: File,
    _apart: Output,
}

impl Appended {
    /// Opens or creates a file and gives each of its lines to `read`. A last line without a line feed, which a killed process
    /// leaves, is cut off.
    ///
    /// # Errors
    /// If the file cannot be read, written or locked, if another process has it open, or what `read` returns.
    pub fn open(path: &Path, mut read: impl FnMut(&str) -> Result<()>) -> Result<Appended> {
        let name = shown::path(path);
        let failed = || Error::io(format!("opening {name}"));
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed())?;
        lock(&file, &name)?;
        if !file.metadata().map_err(failed())?.is_file() {
            return Err(Error::Usage(format!("{name} is not a regular file; expected the name of a file")));
        }
        let apart = Output::extended(path)?;
        let mut reader = io::BufReader::new(&file);
        let (mut line, mut complete) = (Vec::new(), 0u64);
        loop {
            line.clear();
            let length = io::BufRead::read_until(&mut reader, b'\n', &mut line).map_err(failed())?;
            if line.last() != Some(&b'\n') {
                if complete == 0 && length > 0 {
                    return Err(Error::Usage(format!("{name} has content and no complete line; expected a new file")));
                }
                break;
            }
            line.pop();
            let text = std::str::from_utf8(&line).map_err(|_| Error::Usage(format!("{name}: not a text file")))?;
            read(text)?;
            complete += length as u64;
        }
        file.set_len(complete).map_err(failed())?;
        Ok(Appended { name, file, _apart: apart })
    }

    /// Creates a file that does not exist yet, with its folders, and returns its path. If its name is taken, also with one of
    /// the extensions in `others`, it gets a number, as a [`Fresh`] does.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(wanted: &Path, others: &[&str]) -> Result<(Appended, PathBuf)> {
        make_folders(wanted)?;
        for path in free_names(wanted, others) {
            let name = shown::path(&path);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => {
                    lock(&file, &name)?;
                    let apart = Output::extended(&path)?;
                    return Ok((Appended { name, file, _apart: apart }, path));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(format!("creating {name}"))(error)),
            }
        }
        Err(Error::io(format!("creating {}", shown::path(wanted)))(ErrorKind::AlreadyExists.into()))
    }

    /// Appends a line, in one write.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, line: &str) -> Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io(format!("writing {}", self.name)))
    }
}

/// Locks a file until it is closed.
///
/// # Errors
/// If another process has locked it. A file system without locks gives another error, and cannot tell.
fn lock(file: &File, name: &str) -> Result<()> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(Error::Usage(format!("{name}: another process is writing this file")))
        }
        _ => Ok(()),
    }
}

/// A new file that never replaces another one.
///
/// If its name is taken, for example by a run that began in the same second, the name gets a number:
/// `NAME-2`, `NAME-3`, ... The folders are created at the first write.
#[derive(Debug)]
pub struct Fresh {
    wanted: PathBuf,
    made: Option<PathBuf>,
}

/// Writing fails after this many taken names. No real folder has that many.
const MOST_NAMES: usize = 10_000;

impl Fresh {
    /// Checks that the file can be created. Creates nothing yet.
    ///
    /// # Errors
    /// If its folder, or the nearest existing folder above it, cannot be written.
    pub fn new(wanted: PathBuf) -> Result<Fresh> {
        check_folder(&wanted)?;
        Ok(Fresh { wanted, made: None })
    }

    /// The path of the file. Before the first write this is the wanted path.
    pub fn path(&self) -> &Path {
        self.made.as_deref().unwrap_or(&self.wanted)
    }

    /// Whether the file has been written.
    pub fn is_made(&self) -> bool {
        self.made.is_some()
    }

    /// Writes the file.
    ///
    /// The first write takes a name that is free, also with each extension in `others`. Later writes replace
    /// the content.
    ///
    /// # Errors
    /// If the file cannot be written. Then no file is changed; new folders may remain.
    pub fn write(&mut self, content: &str, others: &[&str]) -> Result<()> {
        let failed = |path: &Path| Error::io(format!("writing {}", shown::path(path)));
        if let Some(made) = &self.made {
            return replace(made, content.as_bytes()).map_err(failed(made));
        }
        make_folders(&self.wanted)?;
        for name in free_names(&self.wanted, others) {
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

/// The wanted path and its numbered forms, without those that a file with one of the extensions `others` has.
fn free_names<'a>(wanted: &'a Path, others: &'a [&'a str]) -> impl Iterator<Item = PathBuf> + 'a {
    let is_taken =
        |path: &PathBuf| others.iter().any(|extension| fs::symlink_metadata(path.with_extension(extension)).is_ok());
    (1..MOST_NAMES).map(|number| numbered(wanted, number)).filter(move |path| !is_taken(path))
}

/// Adds a number to a file name: `T.protocol.json` becomes `T-2.protocol.json`. Number 1 leaves the name
/// unchanged.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (stem, rest) = name.split_at(name.find('.').unwrap_or(name.len()));
    if number == 1 { path.to_owned() } else { path.with_file_name(format!("{stem}-{number}{rest}")) }
}

/// A temporary file that gets its final name when it is complete. If it is dropped before that, it is
/// removed.
struct Beside {
    file: File,
    folder: PathBuf,
    /// The temporary name, if the file has one.
    name: Option<PathBuf>,
}

impl Beside {
    fn new(folder: &Path) -> io::Result<Beside> {
        let unnamed = OpenOptions::new().write(true).mode(0o666).custom_flags(libc::O_TMPFILE).open(folder);
        match unnamed {
            // `link` names the file through /proc.
            Ok(file) if Path::new("/proc/self/fd").exists() => {
                Ok(Beside { file, folder: folder.to_owned(), name: None })
            }
            _ => Beside::named(folder),
        }
    }

    /// Creates a temporary file with a name, for file systems without O_TMPFILE.
    fn named(folder: &Path) -> io::Result<Beside> {
        loop {
            let name = unused(folder);
            let file = match OpenOptions::new().write(true).mode(0o666).create_new(true).open(&name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            // On a file system without locks, `sweep` removes nothing either.
            let _ = file.lock();
            // Another process's sweep may have removed the file before it was locked.
            if file.metadata()?.nlink() > 0 {
                return Ok(Beside { file, folder: folder.to_owned(), name: Some(name) });
            }
        }
    }

    /// Writes the content to the disk. If the file will replace `like`, it also gets the mode of `like` and,
    /// if permitted, its owner.
    fn fill(mut self, content: &[u8], like: Option<&fs::Metadata>) -> io::Result<Beside> {
        self.file.write_all(content)?;
        if let Some(like) = like {
            let own = self.file.metadata()?;
            if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
                // Only root may change the owner of a file.
                let _ = std::os::unix::fs::fchown(&self.file, Some(like.uid()), Some(like.gid()));
            }
            self.file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))?;
        }
        self.file.sync_all()?;
        Ok(self)
    }

    /// Gives the file its final name. Fails if the name exists.
    fn create(mut self, to: &Path) -> io::Result<()> {
        let Some(name) = &self.name else { return self.link(to) };
        match fs::hard_link(name, to) {
            // On success the temporary name is removed when `self` is dropped.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                rustix::fs::renameat_with(CWD, name, CWD, to, RenameFlags::NOREPLACE)?;
                self.name = None;
                Ok(())
            }
            other => other,
        }
    }

    /// Gives the file its final name. Replaces an existing file of this name.
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

    /// Gives an unnamed file a name that does not exist yet.
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

/// A random name for a temporary file.
fn unused(folder: &Path) -> PathBuf {
    let letters: String = (0..12).map(|_| fastrand::alphanumeric()).collect();
    folder.join(format!("{PREFIX}{letters}"))
}

/// Removes the temporary files that killed runs left in a folder: those that no process has locked. Failures
/// are ignored.
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
        names.sort_unstable();
        names
    }

    #[test]
    fn of_changes_at_the_same_moment_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/list");
        let can_lock = File::create(folder.path().join("probe")).unwrap().try_lock().is_ok();
        let add = |letter: char| {
            let known = fs::read_to_string(&path).unwrap_or_default();
            // Another one has time to read what is there.
            std::thread::sleep(Duration::from_millis(5));
            update(&path, &format!("{known}{letter}"))
        };
        std::thread::scope(|scope| {
            for letter in 'a'..'g' {
                let (path, add) = (&path, &add);
                scope.spawn(move || alone(path, || add(letter)).unwrap());
            }
        });
        let mut letters: Vec<char> = fs::read_to_string(&path).unwrap().chars().collect();
        letters.sort_unstable();
        assert!(!can_lock || letters == ['a', 'b', 'c', 'd', 'e', 'f'], "{letters:?}");
        // What is no regular file is left alone, and stops nothing.
        let path = folder.path().join("b");
        fs::create_dir(folder.path().join("b.lock")).unwrap();
        alone(&path, || update(&path, "x")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
    }

    /// Every file system supports named temporary files, so this test covers the path for file systems
    /// without O_TMPFILE.
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
        assert!(names(folder.path()).is_empty(), "nothing is created before the first write");
        for (number, fresh) in both.iter_mut().enumerate() {
            assert!(!fresh.is_made());
            fresh.write(&format!("first of {number}"), &["html"]).unwrap();
        }
        for (number, fresh) in both.iter_mut().enumerate() {
            fresh.write(&format!("second of {number}"), &["html"]).unwrap();
            assert_eq!(fs::read_to_string(fresh.path()).unwrap(), format!("second of {number}"));
        }
        assert_eq!(names(wanted.parent().unwrap()), ["T-2.protocol.json", "T.protocol.json"]);
        // A name is also taken if a page of another run has it.
        fs::write(wanted.with_file_name("T-3.protocol.html"), "").unwrap();
        let mut third = Fresh::new(wanted.clone()).unwrap();
        third.write("", &["html"]).unwrap();
        assert_eq!(third.path(), wanted.with_file_name("T-4.protocol.json"));
    }

    #[test]
    fn lines_that_begin_in_the_same_second_have_a_file_each() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("deep/T.campaign.journal");
        let mut files = Vec::new();
        for number in 0..3 {
            let (mut file, path) = Appended::create(&wanted, &["json"]).unwrap();
            file.append(&format!("{number}")).unwrap();
            // The name of a record is taken with that of its journal.
            fs::write(path.with_file_name("T-2.campaign.json"), "").unwrap();
            files.push(file);
        }
        let folder = wanted.parent().unwrap();
        assert_eq!(
            names(folder),
            ["T-2.campaign.json", "T-3.campaign.journal", "T-4.campaign.journal", "T.campaign.journal"]
        );
        assert_eq!(fs::read_to_string(folder.join("T-3.campaign.journal")).unwrap(), "1\n");
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
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
        drop((busy, own));
        let _ = Fresh::new(folder.path().join("y")).unwrap();
        assert_eq!(names(folder.path()), [".other", ".wakerace-folder", "wakerace-x"]);
    }
}
