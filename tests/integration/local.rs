//! The private cluster: created, started, stopped, killed and destroyed, alone and by two at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use diesel::connection::SimpleConnection;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use optiinfra_db::local::{self, Cluster, Ephemeral, Started, Status};
use optiinfra_db::migrate::{self, StartupPolicy};
use optiinfra_db::{Error, connection};

use crate::support::{Dbctl, Scratch, number};

/// A process that nobody has collected yet is as dead as one that is gone.
fn is_alive(pid: i32) -> bool {
    let uncollected = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    kill(Pid::from_raw(pid), None).is_ok() && !uncollected
}

#[test]
fn a_cluster_lives_through_create_stop_start_and_destroy_with_its_data() {
    let scratch = Scratch::new();
    let cluster = &scratch.cluster;
    assert_eq!(cluster.status().unwrap(), Status::Absent);
    assert!(!cluster.stop().unwrap() && !cluster.destroy().unwrap(), "nothing to stop or destroy");

    assert_eq!(cluster.start().unwrap(), Started::Created);
    assert_eq!(cluster.start().unwrap(), Started::AlreadyRunning);
    let mut conn = connection::connect(&cluster.target(), "test").unwrap();
    migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
    assert_eq!(
        number(&mut conn, "SELECT count(*) FROM pg_settings WHERE name = 'listen_addresses' AND setting = ''"),
        1
    );
    assert_eq!(number(&mut conn, "SELECT count(*) FROM pg_settings WHERE name = 'fsync' AND setting = 'on'"), 1);
    drop(conn);

    assert!(cluster.stop().unwrap());
    assert!(matches!(cluster.status().unwrap(), Status::Stopped { .. }));
    assert_eq!(cluster.start().unwrap(), Started::Started);
    let mut conn = connection::connect(&cluster.target(), "test").unwrap();
    migrate::status(&mut conn).unwrap().require_current().unwrap();
    drop(conn);

    let mode = fs::metadata(cluster.dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(cluster.destroy().unwrap());
    assert!(!cluster.dir().exists());
}

#[test]
fn a_killed_server_is_started_again_with_its_data() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
    migrate::ensure_current(&mut conn, &StartupPolicy::default()).unwrap();
    kill(scratch.pid(), Signal::SIGKILL).unwrap();
    assert_eq!(scratch.cluster.start().unwrap(), Started::Started);
    let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
    migrate::status(&mut conn).unwrap().require_current().unwrap();
}

#[test]
fn what_a_killed_start_left_behind_is_cleared_away() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    scratch.cluster.stop().unwrap();
    // As a start that was killed inside initdb leaves it.
    fs::rename(scratch.cluster.dir().join("data"), scratch.cluster.dir().join("data.unfinished")).unwrap();
    assert_eq!(scratch.cluster.status().unwrap(), Status::Absent);
    assert_eq!(scratch.cluster.start().unwrap(), Started::Created);
    assert!(!scratch.cluster.dir().join("data.unfinished").exists());

    scratch.cluster.stop().unwrap();
    fs::rename(scratch.cluster.dir().join("data"), scratch.cluster.dir().join("data.unfinished")).unwrap();
    assert!(scratch.cluster.destroy().unwrap());
    assert!(!scratch.cluster.dir().exists());
}

#[test]
fn two_starts_at_once_give_one_cluster() {
    let scratch = Scratch::new();
    let barrier = std::sync::Barrier::new(4);
    let mut started: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    scratch.cluster.start().unwrap()
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    started.sort_by_key(|started| *started as u8);
    let [first, rest @ ..] = started.as_slice() else { panic!("four starts") };
    assert_eq!(*first, Started::Created);
    assert!(rest.iter().all(|other| *other == Started::AlreadyRunning), "{rest:?}");
}

#[test]
fn a_directory_that_is_not_ours_is_refused() {
    let scratch = Scratch::new();
    let dir = scratch.cluster.dir();

    fs::create_dir(dir).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.join("diary.txt"), "mine").unwrap();
    if nix::unistd::Uid::effective().is_root() {
        let error = scratch.cluster.start().unwrap_err().to_string();
        assert!(error.contains("belongs to user id 0, not to postgres"), "{error}");
        let postgres = nix::unistd::User::from_name("postgres").unwrap().unwrap();
        std::os::unix::fs::chown(dir, Some(postgres.uid.as_raw()), None).unwrap();
    }
    let error = scratch.cluster.start().unwrap_err().to_string();
    assert!(error.contains("is not the directory of a local cluster"), "{error}");
    assert!(scratch.cluster.destroy().is_err());

    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let error = scratch.cluster.start().unwrap_err();
    assert!(error.to_string().contains("is open to other users"), "{error}");
    assert!(matches!(error, Error::Local(local::Error::OpenToOthers(_))));
    assert_eq!(fs::read_to_string(dir.join("diary.txt")).unwrap(), "mine");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_path_too_long_for_a_socket_is_refused_before_anything_is_made() {
    let scratch = Scratch::new();
    let long = scratch.cluster.dir().with_file_name("x".repeat(100));
    let error = Cluster::at(&long).start().unwrap_err().to_string();
    assert!(error.contains("too long a path for a Unix socket"), "{error}");
    assert!(!long.exists());
}

#[test]
fn a_directory_that_cannot_be_is_refused_before_a_cluster_is_made() {
    let scratch = Scratch::new();
    let parent = scratch.cluster.dir().parent().unwrap();
    let closed = parent.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(parent.join("file"), "").unwrap();
    for (dir, said) in [("a,b", "','"), ("a\"b", "'\"'"), ("closed/c", "closed"), ("file/c", "file")] {
        let dir = parent.join(dir);
        let run = Dbctl::new().env("OPTIINFRA_LOCAL_DIR", dir.to_str().unwrap()).run("local start");
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.contains(said), "{run:#?}");
        assert!(!dir.join("data").exists() && !run.stderr.contains("initdb"), "{run:#?}");
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn processes_of_ours_that_stay_are_named_by_their_ids() {
    let scratch = Scratch::new();
    scratch.cluster.start().unwrap();
    scratch.cluster.stop().unwrap();
    // As a process of a killed server: it works in the cluster's data and does not end.
    let mut left = Command::new("sleep").arg("1000").current_dir(scratch.cluster.dir().join("data")).spawn().unwrap();
    let run = Dbctl::new().env("OPTIINFRA_LOCAL_DIR", scratch.cluster.dir().to_str().unwrap()).run("local start");
    left.kill().unwrap();
    left.wait().unwrap();
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(run.stderr.contains(&format!("hint: end them: kill {}\n", left.id())), "{run:#?}");
    assert!(!run.stderr.contains("pkill") && !run.stderr.contains("killall"), "{run:#?}");
}

#[test]
fn a_machine_without_server_binaries_is_told_what_to_install() {
    let scratch = Scratch::new();
    let dir = scratch.cluster.dir().to_str().unwrap();
    let run = Dbctl::new().env("OPTIINFRA_LOCAL_DIR", dir).env("OPTIINFRA_PG_BIN", "/nonexistent").run("local start");
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("no PostgreSQL server binaries") && run.stderr.contains("apt-get install postgresql"),
        "{run:#?}"
    );
    assert!(!Path::new(dir).join("data").exists());
}

#[test]
fn an_ephemeral_cluster_ends_with_its_owner() {
    let ephemeral = Ephemeral::start().unwrap();
    let dir = ephemeral.dir().to_owned();
    let pid: i32 =
        fs::read_to_string(dir.join("data/postmaster.pid")).unwrap().lines().next().unwrap().parse().unwrap();
    let target = ephemeral.target();
    connection::connect(&target, "test").unwrap();
    assert!(is_alive(pid));
    drop(ephemeral);
    assert!(!dir.exists() && !is_alive(pid));
    assert!(connection::connect(&target, "test").is_err());
}

#[test]
fn the_local_commands_say_what_they_did() {
    let scratch = Scratch::new();
    let dir = scratch.cluster.dir().to_str().unwrap().to_owned();
    let dbctl = || Dbctl::new().env("OPTIINFRA_LOCAL_DIR", &dir);

    assert_eq!(dbctl().run("local status --format json").json()["state"], "absent");
    let nowhere = dbctl().run("local url");
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (Some(2), ""), "{nowhere:#?}");
    assert!(nowhere.stderr.contains("optiinfra-dbctl local start"), "{nowhere:#?}");
    let created = dbctl().run("--local migrate");
    assert_eq!(created.code, Some(0), "{created:#?}");
    assert!(created.stderr.contains("created a local cluster"), "{created:#?}");
    let status = dbctl().run("local status --format json").json();
    assert_eq!(status["state"], "running");
    assert_eq!(status["schema_version"], 1);
    let url = dbctl().run("local url");
    assert_eq!(status["url"], url.stdout.trim());
    assert_eq!(Dbctl::new().env("DATABASE_URL", url.stdout.trim()).run("migrate status --check").code, Some(0));

    let asked = dbctl().run("local destroy");
    assert_eq!(asked.code, Some(2));
    assert!(asked.stderr.contains("customers") && asked.stderr.contains("pass --yes"), "{asked:#?}");
    assert!(asked.stderr.contains(&format!("destroy the local cluster in {dir} and lose this data")), "{asked:#?}");
    assert_eq!(dbctl().run("local stop --format json").json()["state"], "stopped");
    assert_eq!(dbctl().run("local destroy --yes --format json").json()["state"], "absent");
    assert!(!Path::new(&dir).exists());
}

/// Issue 11, 13: a yes that was meant for another question destroys nothing.
#[test]
fn destroy_shows_the_directory_and_asks_for_its_name() {
    let scratch = Scratch::new();
    let dir = scratch.cluster.dir().to_str().unwrap().to_owned();
    let dbctl = || Dbctl::new().env("OPTIINFRA_LOCAL_DIR", &dir);
    scratch.cluster.start().unwrap();
    let question = format!("Type c to destroy the local cluster in {dir} and lose this data: ");
    for wrong in ["yes", "y", ""] {
        let run = dbctl().run_on_terminal("local destroy", wrong);
        assert!(run.stdout.contains(&question) && run.stdout.contains("the answer was not c"), "{run:#?}");
        assert_eq!(run.code, Some(2));
    }
    assert!(matches!(scratch.cluster.status().unwrap(), Status::Running { .. }));
    let run = dbctl().run_on_terminal("local destroy", "c");
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(!scratch.cluster.dir().exists());
}

#[test]
fn a_database_is_reset_copied_and_put_back() {
    let scratch = Scratch::new();
    let dir = scratch.cluster.dir().to_str().unwrap().to_owned();
    let run = |arguments: &str| Dbctl::new().env("OPTIINFRA_LOCAL_DIR", &dir).run(arguments);
    let done = |arguments: &str| {
        let run = run(arguments);
        assert_eq!(run.code, Some(0), "{arguments}: {run:#?}");
        run
    };
    done("local reset --yes");
    assert_eq!(done("local snapshots --format json").json()["snapshots"], serde_json::json!([]));
    done("local snapshot empty");
    done("--local seed --all");
    let listed = done("local snapshot seeded --format json").json();
    let names: Vec<_> =
        listed["snapshots"].as_array().unwrap().iter().map(|snapshot| snapshot["name"].clone()).collect();
    assert_eq!(names, ["seeded", "empty"]);
    let again = run("local snapshot seeded");
    assert!(again.code == Some(2) && again.stderr.contains("exists already"), "{again:#?}");

    let rows = || {
        let mut conn = connection::connect(&scratch.cluster.target(), "test").unwrap();
        number(&mut conn, "SELECT count(*) FROM customers")
    };
    assert!(rows() > 0);
    let mut held = connection::connect(&scratch.cluster.target(), "test").unwrap();
    let in_use = run("local snapshot other");
    assert!(in_use.code == Some(2) && in_use.stderr.contains("open sessions: 1"), "{in_use:#?}");
    for question in ["local restore empty", "local reset"] {
        let asked = run(question);
        assert!(asked.code == Some(2) && asked.stderr.contains("pass --yes"), "{asked:#?}");
        assert!(asked.stderr.contains("customers") && asked.stderr.contains(&dir), "{asked:#?}");
    }
    done("local restore empty --yes");
    assert_eq!(rows(), 0);
    assert!(held.batch_execute("SELECT 1").is_err(), "its sessions are ended");
    done("local restore seeded --yes");
    assert!(rows() > 0);
    done("local reset --yes");
    assert_eq!(rows(), 0);
    done("--local migrate status --check");

    done("local snapshot empty --remove");
    for arguments in ["local restore empty --yes", "local snapshot empty --remove"] {
        let gone = run(arguments);
        assert!(gone.code == Some(2) && gone.stderr.contains("there is no snapshot empty"), "{gone:#?}");
        assert!(gone.stderr.contains("hint: there are: seeded"), "{gone:#?}");
    }
    assert_eq!(run("local snapshot a/b").code, Some(2));
}

#[test]
fn psql_is_opened_on_the_cluster_with_the_arguments_behind_two_dashes() {
    let scratch = Scratch::new();
    let dir = scratch.cluster.dir().to_str().unwrap().to_owned();
    let dbctl = || Dbctl::new().env("OPTIINFRA_LOCAL_DIR", &dir);
    let run = dbctl().run_with(&["local", "psql", "--", "-AtXc", "SELECT current_database(), 1 + 1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "optiinfra|2\n"), "{run:#?}");
    assert_eq!(dbctl().run_with(&["local", "psql", "--", "-Xc", "SELECT nothing"]).code, Some(1), "its own exit code");

    // Server programs alone.
    let bin = scratch.cluster.dir().with_file_name("bin");
    fs::create_dir(&bin).unwrap();
    let started_as = fs::read_to_string(scratch.cluster.dir().join("data/postmaster.opts")).unwrap();
    let server = Path::new(started_as.split(' ').next().unwrap());
    for program in ["initdb", "pg_ctl", "postgres"] {
        std::os::unix::fs::symlink(server.with_file_name(program), bin.join(program)).unwrap();
    }
    let run = dbctl().env("OPTIINFRA_PG_BIN", bin.to_str().unwrap()).run("local psql");
    assert!(run.code == Some(2) && run.stderr.contains("no psql of PostgreSQL "), "{run:#?}");
    assert!(run.stderr.contains("postgresql-client"), "{run:#?}");
}
