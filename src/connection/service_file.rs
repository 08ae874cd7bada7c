//! Reads a section of libpq's service file, to know beforehand what libpq will take from it. libpq reads the file
//! itself when it connects; nothing here changes what it does, and what cannot be read here is left to it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where libpq's packages look for the system's file, when `PGSYSCONFDIR` does not say.
const SYSTEM_DIRS: [&str; 3] = ["/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc"];

/// The parameters of a service in the first file that has it. `file` is the connection string's own.
pub(super) fn section(service: &str, file: Option<&str>) -> Option<Vec<(String, String)>> {
    files(file).iter().find_map(|path| parse(&fs::read_to_string(path).ok()?, service))
}

/// The files in libpq's order: the user's, then the system's.
fn files(file: Option<&str>) -> Vec<PathBuf> {
    let named = file.map(PathBuf::from).or_else(|| env::var_os("PGSERVICEFILE").map(PathBuf::from));
    let own = named.or_else(|| env::home_dir().map(|home| home.join(".pg_service.conf")));
    let system = match env::var_os("PGSYSCONFDIR") {
        Some(dir) => vec![PathBuf::from(dir)],
        None => SYSTEM_DIRS.map(PathBuf::from).to_vec(),
    };
    own.into_iter().chain(system.iter().map(|dir: &PathBuf| Path::join(dir, "pg_service.conf"))).collect()
}

/// Of a key that is there twice, the first value counts.
fn parse(text: &str, service: &str) -> Option<Vec<(String, String)>> {
    let mut found: Option<Vec<(String, String)>> = None;
    for line in text.lines().map(str::trim) {
        let header = line.strip_prefix('[').and_then(|line| line.split_once(']'));
        match (&mut found, header) {
            (Some(_), Some(_)) => break,
            (None, Some((name, _))) if name == service => found = Some(Vec::new()),
            (Some(parameters), None) if !line.starts_with('#') => {
                if let Some((key, value)) = line.split_once('=').filter(|(key, _)| !is_known(parameters, key)) {
                    parameters.push((key.to_owned(), value.to_owned()));
                }
            }
            _ => {}
        }
    }
    found
}

fn is_known(parameters: &[(String, String)], key: &str) -> bool {
    parameters.iter().any(|(known, _)| known == key)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_section_of_the_service_is_read_and_no_other() {
        let text = "# ours\n[a]\nhost=x\n\n[b]\r\n  host=db.example \n#port=1\nsslmode=require\nsslmode=disable\n[b]\nport=2\n";
        let pairs = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(parse(text, "b"), pairs(&[("host", "db.example"), ("sslmode", "require")]));
        assert_eq!(parse(text, "a"), pairs(&[("host", "x")]));
        assert_eq!(parse(text, "c"), None);
        assert_eq!(parse("[c]", "c"), pairs(&[]));
    }
}
