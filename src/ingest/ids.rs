//! The ids of ingested rows: in the hot tables ordered by the time of the sample, so that an index grows at its end
//! and not everywhere.
//!
//! An id of version 7 begins with the milliseconds since 1970 and leaves 74 bits, which are random, or derived from a
//! key, so that a retry gives a row the id that it had. It is never made of the time of writing: rows that are filled
//! in later are sorted among those of their own time. Nothing here knows a table.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Namespace of the ids that [`row_id_of`] derives: `optiinfra-dbctl.ingest` in the DNS namespace.
pub const NAMESPACE: Uuid = Uuid::from_u128(0xc4b8535e_b1e0_5f39_9e3e_606495bd2a04);

/// The greatest time that an id of version 7 holds, in milliseconds: a day in the year 10889.
const LAST_MILLISECOND: u64 = (1 << 48) - 1;

/// An id for a sample of this time, of version 7, the rest random.
///
/// A time before 1970 counts as 1970, one after 10889 as the last that fits: order stays weakly right, no time fails.
pub fn sample_id(at: DateTime<Utc>) -> Uuid {
    let mut rest = [0; 10];
    // Only bytes 6 and 8 of a version 4 id are not all random; these ten leave them out.
    let random = Uuid::new_v4().into_bytes();
    rest[..6].copy_from_slice(&random[..6]);
    rest[6..].copy_from_slice(&random[12..]);
    of_parts(at, &rest)
}

/// The id of the sample of this time that has this key, of version 7: the same time and key give the same id.
///
/// The key must name the row within its table, for instance a file and a line. Times are bounded as in
/// [`sample_id`].
pub fn sample_id_of(at: DateTime<Utc>, key: &[u8]) -> Uuid {
    let digest = Sha256::digest(key);
    let mut rest = [0; 10];
    rest.copy_from_slice(&digest[..10]);
    of_parts(at, &rest)
}

/// An id for a row that is no sample, of version 4.
pub fn row_id() -> Uuid {
    Uuid::new_v4()
}

/// The id of the row that has this key and is no sample, of version 5 in [`NAMESPACE`].
pub fn row_id_of(key: &[u8]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, key)
}

fn of_parts(at: DateTime<Utc>, rest: &[u8; 10]) -> Uuid {
    let millisecond = u64::try_from(at.timestamp_millis()).unwrap_or(0).min(LAST_MILLISECOND);
    Builder::from_unix_timestamp_millis(millisecond, rest).into_uuid()
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone};
    use uuid::{Variant, Version};

    use super::*;

    fn sample_time() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 2, 3, 4, 5, 6).unwrap()
    }

    fn assert_version_7(id: Uuid) {
        assert_eq!(id.get_version(), Some(Version::SortRand), "{id}");
        assert_eq!(id.get_variant(), Variant::RFC4122, "{id}");
    }

    #[test]
    fn the_namespace_is_derived_from_its_name() {
        assert_eq!(NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"optiinfra-dbctl.ingest"));
    }

    #[test]
    fn an_id_begins_with_the_time_of_its_sample() {
        for id in [sample_id(sample_time()), sample_id_of(sample_time(), b"key")] {
            assert_version_7(id);
            let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
            assert_eq!(i64::try_from(seconds).unwrap(), sample_time().timestamp());
            assert_eq!(nanos, 0);
        }
    }

    #[test]
    fn ids_are_ordered_by_the_time_of_the_sample_and_not_by_that_of_writing() {
        let times: Vec<_> = (0..1_000).rev().map(|back| sample_time() - TimeDelta::milliseconds(back)).collect();
        // Made last to first, as rows that are filled in later are.
        let mut ids: Vec<_> = times.iter().rev().map(|at| sample_id(*at)).collect();
        ids.reverse();
        assert!(ids.is_sorted());
        let derived: Vec<_> = times.iter().map(|at| sample_id_of(*at, b"the same key")).collect();
        assert!(derived.is_sorted());
    }

    #[test]
    fn each_of_the_74_bits_behind_the_time_takes_both_values() {
        let fixed = Builder::from_unix_timestamp_millis(0, &[0; 10]).into_uuid().as_u128();
        let free = Builder::from_unix_timestamp_millis(0, &[0xff; 10]).into_uuid().as_u128() ^ fixed;
        assert_eq!(free.count_ones(), 74);
        let at = sample_time();
        let random = (0..200).map(|_| sample_id(at).as_u128());
        let derived = (0..200_u32).map(|key| sample_id_of(at, &key.to_be_bytes()).as_u128());
        for ids in [random.collect::<Vec<_>>(), derived.collect()] {
            let ever_set = ids.iter().fold(0, |bits, id| bits | id);
            let ever_clear = ids.iter().fold(0, |bits, id| bits | !id);
            assert_eq!(ever_set & ever_clear & free, free);
        }
    }

    #[test]
    fn a_key_gives_the_same_id_again_and_another_key_another_one() {
        let id = sample_id_of(sample_time(), b"usage.csv:17");
        assert_eq!(id, sample_id_of(sample_time(), b"usage.csv:17"));
        assert_ne!(id, sample_id_of(sample_time(), b"usage.csv:18"));
        assert_ne!(id, sample_id_of(sample_time() + TimeDelta::milliseconds(1), b"usage.csv:17"));
        assert_eq!(id.to_string(), "019c21ac-e950-73d5-aa67-efc2a6445943");
        assert_eq!(row_id_of(b"usage.csv:17"), row_id_of(b"usage.csv:17"));
        assert_ne!(row_id_of(b"usage.csv:17"), row_id_of(b"usage.csv:18"));
        assert_eq!(row_id_of(b"usage.csv:17").get_version(), Some(Version::Sha1));
        assert_eq!(row_id().get_version(), Some(Version::Random));
    }

    #[test]
    fn times_that_an_id_cannot_hold_count_as_the_nearest_that_it_can() {
        let before = [DateTime::<Utc>::MIN_UTC, Utc.with_ymd_and_hms(1969, 12, 31, 23, 59, 59).unwrap()];
        for at in before {
            for id in [sample_id(at), sample_id_of(at, b"")] {
                assert_version_7(id);
                assert_eq!(id.get_timestamp().unwrap().to_unix().0, 0);
                assert!(id < sample_id(sample_time()));
            }
        }
        let latest = sample_id(DateTime::<Utc>::MAX_UTC);
        assert_version_7(latest);
        assert_eq!(latest.as_bytes()[..6], [0xff; 6]);
        assert!(latest > sample_id(sample_time()));
    }
}
