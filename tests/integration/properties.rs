//! What holds for every input, each as a function that panics where it does not. `any_input.rs` calls
//! them with proptest's inputs in every run of the tests, the targets in `fuzz/` with those of libFuzzer.

use optiinfra_db::connection::Target;
use optiinfra_db::raw::Sql;
use optiinfra_db::transfer::read::{Options, Reader};
use optiinfra_db::transfer::{Format, Mapping, Names, Table};

/// A connection string is understood or refused, and a refusal repeats nothing of it. No message of ours has four
/// digits in a row, so they stand for everything that might be repeated.
pub fn connection_string(text: &str) {
    match Target::parse(text) {
        Ok(target) => {
            let shown = (target.to_string(), format!("{target:?}"));
            assert_eq!(shown.1, format!("Target({})", shown.0));
            let _ = (target.weakness(), target.require_tls());
        }
        Err(error) => {
            let says = format!("{error} {error:?}");
            let digits = text.as_bytes().windows(4).filter(|piece| piece.iter().all(u8::is_ascii_digit));
            let pieces = digits.map(|piece| std::str::from_utf8(piece).expect("digits"));
            pieces.for_each(|piece| assert!(!says.contains(piece), "{says}"));
        }
    }
}

/// A password is in no text of a target, and is taken out of every text that a server may send back.
pub fn password(password: &str, around: &str) {
    if password.is_empty() || password.contains('\0') {
        return;
    }
    let url = |password: &str| {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("postgresql://u:{encoded}@h/d")
    };
    let target = Target::parse(&url(password)).expect("a URL with everything encoded");
    let shown = |target: &Target| format!("{target} {target:?} {target:#?}");
    assert_eq!(shown(&target), shown(&Target::parse(&url("another")).expect("a URL")));
    let withheld = "the server's message is withheld, because it may contain the password";
    for text in [
        password.to_owned(),
        format!("{around}{password}{around}"),
        format!("{password}{password}{around}{password}"),
        around.to_owned(),
    ] {
        let scrubbed = target.scrub(&text).0;
        assert!(scrubbed == withheld || !scrubbed.contains(password), "{scrubbed:?}");
        if !text.contains(password) {
            assert_eq!(scrubbed, text.trim(), "nothing else is taken out");
        }
    }
}

/// A quoted name is one identifier, and the name can be read from it.
pub fn identifier(name: &str) {
    let quoted = Sql::identifier(name);
    let inner = quoted.as_str().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("quotes around it");
    let mut characters = inner.chars();
    let mut read = String::new();
    while let Some(character) = characters.next() {
        assert!(character != '"' || characters.next() == Some('"'), "a quote ends {quoted}");
        read.push(character);
    }
    assert_eq!(read, name);
}

/// A file of any bytes is rows and rejects, in the order of its lines, for every table and format.
pub fn file(bytes: &[u8]) {
    let formats = [None, Some(Format::Csv), Some(Format::Ndjson)];
    for format in formats {
        for derive_ids in [false, true] {
            for trim in [false, true] {
                let mapping = Mapping { trim, ..Mapping::default() };
                let options = Options { format, derive_ids, mapping, ..Options::default() };
                Table::ALL.into_iter().for_each(|table| read(bytes, table, &options));
            }
        }
    }
}

fn read(bytes: &[u8], table: Table, options: &Options) {
    let names = Names::new([(uuid::Uuid::nil(), "a".to_owned())], [(uuid::Uuid::max(), "b".to_owned())]);
    let Ok(mut reader) = Reader::new(bytes, table, options, names) else { return };
    let mut last = 0;
    while let Ok(Some(row)) = reader.next_row() {
        let line = match row {
            Ok(row) => {
                assert_eq!(row.values.len(), table.columns().len());
                row.line
            }
            Err(reject) => {
                assert!(!reject.reason.is_empty());
                reject.line
            }
        };
        assert!(line > last, "line {line} after {last}");
        last = line;
    }
}
