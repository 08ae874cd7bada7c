//! What to do about import and export.

use optiinfra_db::transfer::{Error, Missing, OtherCompression, OtherJson, Table};

pub fn hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::UnknownColumn { table, meant, .. } => did_you_mean(*meant, &format!("it has {}", columns(*table))),
        Error::MappedTwice(_) => "name one field for it".into(),
        Error::GivenTwice(_) => "give it one value, or one field".into(),
        Error::ColumnTwice(_) => "name it once".into(),
        Error::NoSuchAgent(_) => "`optiinfra-dbctl stats` lists the agents".into(),
        Error::Constant { names: Some(rows), .. } => format!("`optiinfra-dbctl stats` lists the {rows}"),
        Error::Constant { .. } => "it would be the same in every row".into(),
        Error::FieldTwice(_) => "rename one of them".into(),
        Error::TwoFields { column, .. } => format!("choose one: --map {column}=FIELD"),
        Error::MissingFields { missing, unused, fields } => missing_fields(missing, unused, fields),
        Error::UnknownField { table, meant, .. } => did_you_mean(
            meant.as_deref(),
            &format!(
                "the columns are {}: pass --map COLUMN=FIELD, or --ignore-unknown to leave such fields out",
                columns(*table)
            ),
        ),
        Error::Header(_) => "name the fields with --no-header --columns A,B,... if the file has no header".into(),
        Error::OfTool(format) => {
            format!("pass --input-format {format} to import its samples, or csv or ndjson if its fields are columns")
        }
        Error::NoParquet => "the packages have it; from source: `cargo install --path . --features parquet`".into(),
        Error::NoSamples { .. } => "import it into resource_metrics or agent_metrics".into(),
        Error::HeaderEncoding(_) => in_utf8("ENCODING"),
        Error::Utf16 => in_utf8("UTF-16"),
        Error::Delimiter { found: b'\t', .. } => "pass --delimiter tab".into(),
        Error::Delimiter { found, .. } => format!("pass --delimiter '{}'", char::from(*found)),
        Error::NotOneObjectALine(json) => {
            let filter = if *json == OtherJson::Array { "'.[]'" } else { "." };
            format!("write one object a line, for example with `jq -c {filter}`")
        }
        Error::Empty => "an empty file of NDJSON has no rows and is fine: pass --input-format ndjson".into(),
        Error::NamedFieldsOfNdjson => "leave --no-header and --columns out, or pass --input-format csv".into(),
        Error::Compressed(compression) => {
            let unpack = match compression {
                OtherCompression::Bzip2 => "bzip2 -dc",
                OtherCompression::Xz => "xz -dc",
                _ => "unzip -p",
            };
            format!("unpack it on the way: `{unpack} FILE | optiinfra-dbctl import TABLE -`")
        }
        Error::NoCustomerColumn(_) => {
            "leave --customer out: these rows belong to agents, which work for every customer".into()
        }
        Error::NoVisibleCustomer(_) => {
            "name the customer whose rows they are, with options=-capp.customer_id%3DUUID in the URL; for the rows of \
             several, connect as the owner or as a member of optiinfra_operator"
                .into()
        }
        Error::Input { written: 0, .. } => "fix or replace the file, and import it again".into(),
        Error::Input { .. } => super::RETRY.to_owned(),
        Error::Rejects { written, .. } if *written > 0 => super::RETRY.to_owned(),
        _ => return None,
    })
}

fn in_utf8(from: &str) -> String {
    format!("write the file in UTF-8: `iconv -f {from} -t UTF-8 FILE | optiinfra-dbctl import TABLE -`")
}

fn columns(table: Table) -> String {
    let names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
    names.join(", ")
}

fn did_you_mean(meant: Option<&str>, rest: &str) -> String {
    meant.map(|meant| format!("did you mean {meant}? {rest}")).unwrap_or_else(|| rest.to_owned())
}

/// One line to paste, with the field that is likely where there is one.
fn missing_fields(missing: &[Missing], unused: &[String], fields: &[String]) -> String {
    let flags = missing.iter().map(|missing| {
        let field = missing.meant.as_deref().unwrap_or("FIELD");
        let quote = if field.contains(|character: char| !(character.is_alphanumeric() || "_-.".contains(character))) {
            "'"
        } else {
            ""
        };
        format!("--map {quote}{}={field}{quote}", missing.column)
    });
    let flags = flags.collect::<Vec<_>>().join(" ");
    let quoted = |fields: &[String]| fields.iter().map(|field| format!("'{field}'")).collect::<Vec<_>>().join(", ");
    let has = if unused.is_empty() {
        format!("the file has {}", quoted(fields))
    } else {
        format!("no column takes {}", quoted(unused))
    };
    format!("pass `{flags}`, or --set COLUMN=VALUE for the same in every row; {has}")
}
