//! What to do where made-up rows are not written or removed.

use optiinfra_db::{fleet, seed};

pub fn of_seed(error: &seed::Error) -> Option<String> {
    match error {
        seed::Error::MissingPrerequisite { provided_by, .. } => {
            let layers: Vec<_> = provided_by.iter().map(|layer| layer.as_str()).collect();
            Some(format!("run `optiinfra-dbctl seed {}` first, or `optiinfra-dbctl seed --all`", layers.join(" ")))
        }
        seed::Error::InUse(_) => {
            Some("name the layers that hold these rows too, use --all, or remove the rows first".into())
        }
        _ => None,
    }
}

pub fn of_fleet(error: &fleet::Error) -> Option<String> {
    let hint = match error {
        fleet::Error::OtherNumbers { rng_seed } => {
            return Some(format!(
                "give it the same numbers to complete it, remove it with `optiinfra-dbctl seed fleet --rng-seed \
                 {rng_seed} --remove`, or choose another --rng-seed"
            ));
        }
        fleet::Error::UnknownNumbers { rng_seed, .. } => {
            return Some(format!(
                "their metadata was edited: repeat the original options with `seed fleet --rng-seed {rng_seed} --remove` \
                 (--customers, --instances, --hours, --interval, --at), or choose another --rng-seed"
            ));
        }
        fleet::Error::InUse(_) => "remove these rows first, then the fleet",
        fleet::Error::Empty(_) => "give it more customers, instances or hours, or a shorter interval",
        fleet::Error::TooLarge { .. } => "give it fewer --customers or --instances",
        fleet::Error::OneConnection(_) => {
            "raise the limit (ALTER ROLE, ALTER DATABASE ... CONNECTION LIMIT), or connect as another role"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
