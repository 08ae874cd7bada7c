//! What to do about a cluster.

use optiinfra_db::cluster::Error;

use super::server;

pub fn hint(error: &Error) -> Option<String> {
    let hint = match error {
        Error::NoExtension => {
            "install Citus on every node, name it in shared_preload_libraries, and `CREATE EXTENSION citus` in the database: \
             docs/scale.md"
        }
        Error::NotCoordinator => "connect to the coordinator",
        Error::CoordinatorUnknown => "`SELECT citus_set_coordinator_host('HOST', PORT)`, as the workers reach it",
        Error::NoWorkers => "`optiinfra-dbctl cluster add-worker HOST:PORT`",
        Error::Unhealthy(_) => {
            "start these nodes or repair the connections to them, and run it again; nothing was changed"
        }
        Error::Versions(_) => "bring every node to the same versions, Citus 12 or newer; nothing was changed",
        Error::Obstacles(_) => "change or drop these first; nothing was changed",
        Error::OtherShards { found } => {
            return Some(format!("pass --shards {found}, or none; for another number disable first"));
        }
        Error::OtherShape { table, .. } => {
            return Some(format!("`SELECT undistribute_table('{table}')`, and run it again"));
        }
        Error::NotDistributed => "run `optiinfra-dbctl cluster enable`",
        Error::NoCustomer(_) => "`optiinfra-dbctl stats` lists the customers",
        Error::NotRebalanced(_) => {
            "`SELECT * FROM pg_dist_background_task` says why; run it again when the cause is gone"
        }
        Error::Refused { source, .. } => return server::statement(source).map(ToOwned::to_owned),
        _ => return None,
    };
    Some(hint.to_owned())
}
