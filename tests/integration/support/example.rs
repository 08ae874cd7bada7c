//! The programs in `examples/`, run as a reader would run them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

/// An example that works on a database.
pub fn example(name: &str, url: &str) -> Command {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        // Where all targets are built with the same features, as `script/test` has them, there is nothing to do.
        let features = if cfg!(feature = "parquet") { "parquet" } else { "" };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "--examples", "--features", features])
            .status();
        assert!(built.is_ok_and(|status| status.success()), "the examples do not build");
        let tests = std::env::current_exe().expect("the path of the tests");
        tests.ancestors().nth(2).expect("the folder of the profile").join("examples")
    });
    let mut command = Command::new(FOLDER.join(name));
    command.env("DATABASE_URL", url);
    command
}
