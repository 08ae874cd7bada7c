//! Certificates for a test, made by the openssl command: PostgreSQL's own way, and no library to build.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// A certificate authority in a directory that goes with it.
pub struct Authority {
    dir: tempfile::TempDir,
}

/// A certificate with its key.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

const CONFIG: &str = "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
    policy=p\nunique_subject=no\ndefault_days=2\n[p]\ncommonName=supplied\n";

impl Authority {
    pub fn new() -> Self {
        // The server, which may run as another user, reads its certificate here.
        let open = fs::Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new().prefix("oi-ca-").permissions(open).tempdir().expect("a directory");
        for (name, text) in [("openssl.cnf", CONFIG), ("index.txt", ""), ("serial", "01\n")] {
            fs::write(dir.path().join(name), text).expect("a file");
        }
        let authority = Self { dir };
        // No two of one name: a certificate is looked up by its signer's name before its signature is checked.
        let name = uuid::Uuid::new_v4().simple();
        authority.openssl(&format!("req -x509 -nodes -days 2 -subj /CN={name} -out ca.crt -keyout ca.key"), NEW_KEY);
        authority
    }

    /// What a client has to trust.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// Signs for a host or a role, from yesterday to tomorrow or long ago.
    pub fn sign(&self, name: &str, validity: Validity) -> Certificate {
        let file = |ending: &str| self.dir.path().join(format!("{name}-{validity:?}.{ending}"));
        let (request, key, certificate) = (file("csr"), file("key"), file("crt"));
        let [r, k, c] = [&request, &key, &certificate].map(|path| path.display().to_string());
        self.openssl(&format!("req -new -nodes -subj /CN={name} -out {r} -keyout {k}"), NEW_KEY);
        let dates = match validity {
            Validity::Now => "-days 2",
            Validity::LongAgo => "-startdate 20200101000000Z -enddate 20200102000000Z",
        };
        self.openssl(&format!("ca -batch -notext -keyfile ca.key -cert ca.crt -in {r} -out {c} {dates}"), "");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a private key");
        Certificate { certificate, key }
    }

    fn openssl(&self, arguments: &str, more: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).args(more.split_whitespace()).current_dir(self.dir.path());
        let config = self.dir.path().join("openssl.cnf");
        if arguments.starts_with("ca ") {
            command.arg("-config").arg(config);
        }
        let output = command.output().expect("the openssl command, which script/setup --tools installs");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1";

/// When a certificate holds.
#[derive(Debug, Clone, Copy)]
pub enum Validity {
    Now,
    LongAgo,
}
