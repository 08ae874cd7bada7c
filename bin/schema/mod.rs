//! `schema`: what the tables and their columns are, for people and for other programs.
//!
//! Of the contract that this binary holds, so it needs no database.

mod dictionary;

use std::path::PathBuf;

use askama::Template;
use clap::ValueEnum;

use self::dictionary::Dictionary;
use crate::exit::Exit;
use crate::output::{Output, json, write_atomically};

/// Print what the tables, their columns and relations are. Needs no database.
///
/// It is the schema that this version migrates to, with the comments that `psql` shows.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format of the result.
    #[arg(long, value_enum, default_value_t = Format::Md, help_heading = "Output")]
    pub format: Format,
    /// Write to this file, whole or not at all.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Markdown, with a diagram of each layer.
    Md,
    /// One diagram of all tables, in Mermaid's language.
    Mermaid,
    /// One self-contained page.
    Html,
    /// One JSON document with a schema_version.
    Json,
}

#[derive(Template)]
#[template(path = "schema.md", escape = "none")]
struct Markdown<'a> {
    dictionary: &'a Dictionary,
}

#[derive(Template)]
#[template(path = "schema.mermaid", escape = "none")]
struct Mermaid<'a> {
    tables: &'a [&'a dictionary::Table],
    with_columns: bool,
}

#[derive(Template)]
#[template(path = "schema.html")]
struct Html<'a> {
    dictionary: &'a Dictionary,
}

/// Prints or writes the dictionary.
pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let dictionary = &Dictionary::of_contract();
    let text = match args.format {
        Format::Md => Markdown { dictionary }.render()?,
        Format::Mermaid => diagram(&dictionary.tables().collect::<Vec<_>>(), false)?,
        Format::Html => Html { dictionary }.render()?,
        Format::Json => json(dictionary)?,
    };
    match &args.output {
        Some(path) => write_atomically(path, &text)?,
        None => out.print_raw(&text)?,
    }
    Ok(Exit::Done)
}

fn diagram(tables: &[&dictionary::Table], with_columns: bool) -> askama::Result<String> {
    Mermaid { tables, with_columns }.render()
}
