#![no_main]

use libfuzzer_sys::fuzz_target;
use optiinfra_db_fuzz::properties;

fuzz_target!(|texts: (&str, &str)| properties::password(texts.0, texts.1));
