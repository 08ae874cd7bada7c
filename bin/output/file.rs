//! Files that a command writes: whole or not at all where they are plain files, as the bytes come where they are pipes.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::os::fd::AsFd;
use std::os::unix::{
    self,
    fs::{MetadataExt, PermissionsExt},
};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use crate::hints::Hinted;
use crate::unfinished;

/// How many links of links are followed, as Linux does.
const MOST_LINKS: usize = 40;

/// Writes a text to a file: whole or not at all.
pub fn write_atomically(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = WholeFile::create(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.finish());
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A file that appears in its place once it is whole, and not at all otherwise. Links are followed. Only a plain file, or
/// nothing, is replaced: what is something else, such as a pipe or a device, is written to as the bytes come.
pub struct WholeFile {
    to: BufWriter<Destination>,
}

enum Destination {
    /// A temporary file that will be moved to the path.
    Beside {
        file: NamedTempFile,
        path: PathBuf,
    },
    Through(File),
}

/// What a path leads to once its links are followed.
enum Place {
    Nothing(PathBuf),
    PlainFile(PathBuf, Metadata),
    /// A file that is open already, by its number.
    Open(PathBuf),
    /// A pipe or a device.
    Other(PathBuf),
}

impl WholeFile {
    /// Begins a file.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let to = Place::of(path).and_then(Destination::open);
        let to = to.map_err(|error| without_folder(path, &error).map_or_else(|| error.into(), anyhow::Error::from));
        Ok(Self { to: BufWriter::new(to.with_context(|| format!("cannot write {}", path.display()))?) })
    }

    /// Puts on the disk what was flushed, so that nothing but the move is left to fail.
    pub fn sync(&self) -> io::Result<()> {
        match self.to.get_ref() {
            Destination::Beside { file, .. } => file.as_file().sync_all(),
            Destination::Through(_) => Ok(()),
        }
    }

    /// Moves it to its place.
    pub fn finish(self) -> io::Result<()> {
        let Destination::Beside { file, path } = self.to.into_inner().map_err(IntoInnerError::into_error)? else {
            return Ok(());
        };
        file.as_file().sync_all()?;
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::other("something that is no plain file came into its place"));
        }
        let beside = file.path().to_owned();
        file.persist(path)?;
        unfinished::end(&beside);
        Ok(())
    }
}

/// What to do where the folder of a file is missing.
fn without_folder(path: &Path, error: &io::Error) -> Option<Hinted> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())?;
    (error.kind() == io::ErrorKind::NotFound).then(|| {
        Hinted::new(
            format!("there is no folder {}", folder.display()),
            format!("create it: `mkdir -p {}`", folder.display()),
        )
    })
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Nothing(path)),
                Err(error) => return Err(error),
            };
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if metadata.is_file() {
                return Ok(Self::PlainFile(path, metadata));
            }
            if !metadata.is_symlink() {
                return Ok(Self::Other(path));
            }
            // Such a link is no path to the file, and its text may be one that is not there, as `pipe:[4026]`.
            if is_of_open_files(folder_of(&path)) {
                return Ok(Self::Open(path));
            }
            path = folder_of(&path).join(fs::read_link(&path)?);
        }
        Err(io::Error::other("its links lead in a circle"))
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a folder is the one in which the kernel shows the open files of a process: `/proc/PID/fd`.
fn is_of_open_files(folder: &Path) -> bool {
    fs::canonicalize(folder).is_ok_and(|folder| folder.starts_with("/proc") && folder.ends_with("fd"))
}

impl Destination {
    fn open(place: Place) -> io::Result<Self> {
        match place {
            Place::Nothing(path) => Self::beside(path, None),
            Place::PlainFile(path, metadata) => Self::beside(path, Some(&metadata)),
            Place::Other(path) => Ok(Self::Through(File::options().write(true).open(path)?)),
            Place::Open(path) => Self::open_again(&path),
        }
    }

    /// A file that is open already. Of what is in it, nothing is written over: `>> FILE` may have opened it.
    fn open_again(path: &Path) -> io::Result<Self> {
        let is_ours = fs::canonicalize(folder_of(path))? == fs::canonicalize("/proc/self/fd")?;
        let number = path.file_name().and_then(|name| name.to_str()).filter(|_| is_ours);
        let file = match number {
            Some("1") => io::stdout().as_fd().try_clone_to_owned()?.into(),
            Some("2") => io::stderr().as_fd().try_clone_to_owned()?.into(),
            _ => File::options().append(true).open(path)?,
        };
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self::Through(file))
    }

    /// A file that will replace the one of this path, and is as open to others as that is.
    fn beside(path: PathBuf, replaced: Option<&Metadata>) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        // Collectors run as another user and read every file of theirs by its ending.
        builder.prefix(".optiinfra-dbctl-").suffix(".tmp").permissions(Permissions::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(&path))?;
        if let Some(replaced) = replaced {
            // Only root can give a file away; a user who may write here may also replace another user's file.
            let _ = unix::fs::fchown(file.as_file(), Some(replaced.uid()), Some(replaced.gid()));
            file.as_file().set_permissions(replaced.permissions())?;
        }
        unfinished::begin(file.path());
        Ok(Self::Beside { file, path })
    }

    fn file(&mut self) -> &mut File {
        match self {
            Self::Beside { file, .. } => file.as_file_mut(),
            Self::Through(file) => file,
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_dangling_link_stays_and_what_it_names_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second, target) = (dir.path().join("first"), dir.path().join("second"), dir.path().join("target"));
        symlink("second", &first).unwrap();
        symlink(&target, &second).unwrap();
        write_atomically(&first, "text").unwrap();
        assert!(
            fs::symlink_metadata(&first).unwrap().is_symlink() && fs::symlink_metadata(&second).unwrap().is_symlink()
        );
        assert_eq!(fs::read_to_string(&target).unwrap(), "text");
        write_atomically(&first, "again").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "again");
    }

    #[test]
    fn a_link_to_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink("round", dir.path().join("round")).unwrap();
        assert!(write_atomically(&dir.path().join("round"), "text").is_err());
        assert!(fs::symlink_metadata(dir.path().join("round")).unwrap().is_symlink());
    }

    #[test]
    fn a_link_to_an_open_file_adds_to_that_file() {
        use std::os::fd::AsRawFd;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "before ").unwrap();
        let open = File::options().append(true).open(&path).unwrap();
        let link = dir.path().join("link");
        symlink(format!("/proc/self/fd/{}", open.as_raw_fd()), &link).unwrap();
        write_atomically(&link, "after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before after");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_came_into_its_place_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = WholeFile::create(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert!(file.finish().is_err());
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn a_missing_folder_is_named_with_the_command_that_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = WholeFile::create(&dir.path().join("no/such/file")).err().unwrap();
        let folder = dir.path().join("no/such");
        assert_eq!(crate::hints::of(&error).unwrap(), format!("create it: `mkdir -p {}`", folder.display()));
    }
}
