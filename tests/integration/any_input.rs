//! The properties of `properties.rs` on generated inputs; `script/fuzz` looks for others with libFuzzer.

use proptest::prelude::*;

use crate::properties;
use crate::support::rounds;

fn cases() -> ProptestConfig {
    let cases = u32::try_from(rounds(500, 50_000)).expect("a number of cases");
    // What fails is printed; files with seeds in them would have to be looked after.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Text in which what matters to these parsers is frequent.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![".*", r#"([\x00-\x7f]|["'\\\\%@/:?#&= *]|postgresql://|password=|\n|[0-9]{4}){0,24}"#]
}

/// Almost a file: lines with the columns' names, and values that nearly fit.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let csv = r#"(customer_id|timestamp|metric_value|resource_type|agent_id|metric_type|[,;"\n\r]|-?[0-9]{1,20}(\.[0-9]{1,3})?(e-?[0-9]{1,3})?|2025-10-20T12:00:00Z|gpu|a|b){0,60}"#;
    let json = r#"(\{("(customer_id|timestamp|metric_value|payload|agent_id)":("[^"]{0,6}"|-?[0-9]{1,9}|null|\{\}|\[\]),?){0,4}\}?\n){0,6}"#;
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        csv.prop_map(String::into_bytes),
        json.prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_connection_string_is_understood_or_refused_and_never_repeated(text in text()) {
        properties::connection_string(&text);
        properties::connection_string(&format!("postgresql://{text}"));
    }

    #[test]
    fn a_password_is_taken_out_of_every_text(password in text(), around in text()) {
        properties::password(&password, &around);
        // Parts of itself around it: where one ends, the next may begin.
        let half: String = password.chars().take(password.chars().count() / 2).collect();
        properties::password(&password, &half);
    }

    #[test]
    fn a_quoted_name_is_one_identifier(name in text()) {
        properties::identifier(&name);
    }

    #[test]
    fn a_file_of_any_bytes_is_rows_and_rejects(bytes in file()) {
        properties::file(&bytes);
    }
}
