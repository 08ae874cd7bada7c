//! What to do about partitions.

use optiinfra_db::catalog::HOT_TABLES;
use optiinfra_db::partitions::Error;

use super::server;

pub fn hint(error: &Error) -> Option<String> {
    let hint = match error {
        Error::UnknownTable(_) => {
            let names: Vec<_> = HOT_TABLES.iter().map(|table| table.name).collect();
            return Some(format!("name one of {}", names.join(", ")));
        }
        Error::NoTable(_) => "run `optiinfra-dbctl migrate`",
        Error::Partman(_) => "let pg_partman make its partitions, or take the table out of part_config first",
        Error::Distributed(_) => {
            "`optiinfra-dbctl cluster disable` brings the tables back to one server; `cluster enable` keeps their partitions"
        }
        Error::OtherShape { .. } => "this table was partitioned in another way: make it plain by hand first",
        Error::OtherPeriod { found, .. } => return Some(format!("pass --by {found}, or disable first")),
        Error::Obstacles { .. } => {
            "change or drop these, and make them again afterwards; `optiinfra-dbctl verify` shows fixes"
        }
        Error::FutureRows { .. } => "correct or delete these rows first: their clock was ahead",
        Error::Locked { .. } => return Some(format!("{}: it goes on where it stopped", server::TABLE_IS_HELD)),
        Error::Stopped { .. } => "fix the cause and run it again: it goes on where it stopped",
        _ => return None,
    };
    Some(hint.to_owned())
}
