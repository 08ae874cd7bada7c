#![no_main]

use libfuzzer_sys::fuzz_target;
use optiinfra_db_fuzz::properties;

fuzz_target!(|bytes: &[u8]| properties::file(bytes));
