//! The file of rejected rows.

use super::*;

#[test]
fn a_rejects_file_is_whole_or_none() {
    let (db, _conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let rejects = folder.write("rejects.csv", "an old one");
    let arguments = format!("resource_metrics --rejects {}", rejects.display());
    let bad = folder.write("bad.csv", "agent\nx\n");
    assert_eq!(import(&db, &arguments, &bad).code, Some(2));
    assert_eq!(fs::read_to_string(&rejects).unwrap(), "an old one");
    let good = folder.write("good.csv", format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "1")));
    assert_eq!(import(&db, &arguments, &good).code, Some(0));
    assert_eq!(fs::read_to_string(&rejects).unwrap(), "line,column,reason,row\n");
    assert_eq!(folder.names(), ["bad.csv", "good.csv", "rejects.csv"]);
    let mode = fs::metadata(&rejects).unwrap().permissions().mode();
    assert_eq!(mode & 0o400, 0o400);
    let nowhere = import(&db, "resource_metrics --rejects /nowhere/r.csv", &good);
    assert_eq!(nowhere.code, Some(2), "{nowhere:#?}");
}

#[test]
fn a_rejects_file_that_cannot_be_written_leaves_nothing_written() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let lines = ["50", "120"].map(|value| metric(&agent, &customer, "i", value));
    let file = folder.write("f.csv", format!("{METRIC_HEADER}\n{}\n", lines.join("\n")));
    let directory = folder.0.path().to_str().unwrap();
    for (place, words) in [(directory, "s a directory"), ("/dev/full", "the rejected rows cannot be written")] {
        let run = import(&db, &format!("resource_metrics --max-rejects 1 --rejects {place}"), &file);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
        assert_eq!(rows(&mut conn, "resource_metrics"), 0);
    }
}

#[test]
fn a_rejects_file_never_takes_the_place_of_the_input() {
    let (db, mut conn, agent, customer) = ground(AgentType::Resource);
    let folder = Folder::new();
    let text = format!("{METRIC_HEADER}\n{}\n", metric(&agent, &customer, "i", "120"));
    let file = folder.write("f.csv", &text);
    let (linked, also) = (folder.path("symbolic.csv"), folder.path("hard.csv"));
    std::os::unix::fs::symlink(&file, &linked).unwrap();
    fs::hard_link(&file, &also).unwrap();
    for (input, rejects) in [(&file, &file), (&file, &linked), (&linked, &file), (&file, &also)] {
        for dry in ["", " --dry-run"] {
            let run = import(&db, &format!("resource_metrics --rejects {}{dry}", rejects.display()), input);
            assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{run:#?}");
            assert!(run.stderr.contains("--rejects would overwrite the input"), "{run:#?}");
        }
    }
    let through_stdin = format!("import resource_metrics - --rejects {}", file.display());
    let run = Dbctl::on(&db).stdin(File::open(&file).unwrap()).run(&through_stdin);
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert_eq!((fs::read_to_string(&file).unwrap(), folder.names().len()), (text, 3));
    assert_eq!(rows(&mut conn, "resource_metrics"), 0);
}
