//! Just enough of PostgreSQL's lexical rules to split a script into statements, to see past comments and white space,
//! and to read a header. It knows no grammar.

use std::ops::Range;

/// A piece of SQL that white space and comments separate from others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    range: Range<usize>,
}

/// Splits a script at the semicolons that end statements; each statement comes with the semicolon left out.
pub(super) fn statements(sql: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut begin: Option<usize> = None;
    let mut end = 0;
    // The body of an SQL-standard function, BEGIN ATOMIC ... END, holds semicolons of its own.
    let mut depth = 0_u32;
    let mut previous = "";
    for token in tokens(sql) {
        if token.text == ";" && depth == 0 {
            statements.extend(begin.take().map(|begin| &sql[begin..end]));
        } else {
            begin.get_or_insert(token.range.start);
            end = token.range.end;
        }
        let opens_body = token.text.eq_ignore_ascii_case("atomic") && previous.eq_ignore_ascii_case("begin");
        if opens_body || (depth > 0 && token.text.eq_ignore_ascii_case("case")) {
            depth += 1;
        } else if depth > 0 && token.text.eq_ignore_ascii_case("end") {
            depth -= 1;
        }
        previous = token.text;
    }
    statements.extend(begin.map(|begin| &sql[begin..end]));
    statements
}

/// What has to follow a script to end its last statement: a comment at the end would hide a semicolon on its line.
pub(super) fn terminator(sql: &str) -> &'static str {
    match tokens(sql).last() {
        Some(last) if last.text == ";" => "",
        Some(last) if last.range.end == sql.len() => ";",
        _ => "\n;",
    }
}

/// The script with its tokens a space apart: what is left when comments, white space and line ends do not matter.
pub(super) fn normalised(sql: &str) -> String {
    let tokens: Vec<_> = tokens(sql).map(|token| token.text.replace("\r\n", "\n")).collect();
    tokens.join(" ")
}

/// The words of a statement in capitals, as far as they are bare words; what `CREATE INDEX CONCURRENTLY` begins with.
pub(super) fn words(sql: &str) -> Vec<String> {
    tokens(sql).map(|token| token.text.to_ascii_uppercase()).collect()
}

/// The tokens of a statement, unchanged.
pub(super) fn texts(sql: &str) -> Vec<&str> {
    tokens(sql).map(|token| token.text).collect()
}

fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        at = skip_space(sql, at);
        let length = token_length(&sql[at..]);
        if length == 0 {
            return None;
        }
        let range = at..at + length;
        at = range.end;
        Some(Token { text: &sql[range.clone()], range })
    })
}

/// The place after white space and comments.
fn skip_space(sql: &str, mut at: usize) -> usize {
    loop {
        let rest = &sql[at..];
        let space = rest.len() - rest.trim_start().len();
        let comment = comment_length(&rest[space..]);
        if space + comment == 0 {
            return at;
        }
        at += space + comment;
    }
}

/// Length of the comment that the text begins with. A block comment may hold others.
fn comment_length(text: &str) -> usize {
    if text.starts_with("--") {
        return text.find('\n').unwrap_or(text.len());
    }
    if !text.starts_with("/*") {
        return 0;
    }
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of the token that the text begins with; 0 at the end.
fn token_length(text: &str) -> usize {
    let Some(first) = text.chars().next() else { return 0 };
    match first {
        '\'' => quoted_length(text, '\'', false),
        '"' => quoted_length(text, '"', false),
        'e' | 'E' if text[1..].starts_with('\'') => 1 + quoted_length(&text[1..], '\'', true),
        '$' => dollar_quoted_length(text).unwrap_or(1),
        c if is_word(c) => text.find(|c: char| !is_word(c) && c != '$').unwrap_or(text.len()),
        c => c.len_utf8(),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of a quoted text; a doubled quote stands for itself, and in an escape string a backslash protects a quote.
fn quoted_length(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// Length of `$tag$ ... $tag$`; `None` when the dollar begins no such text.
fn dollar_quoted_length(text: &str) -> Option<usize> {
    let tag_end = 1 + text[1..].find('$')?;
    let tag = &text[1..tag_end];
    if tag.starts_with(|c: char| c.is_ascii_digit()) || !tag.chars().all(is_word) {
        return None;
    }
    let delimiter = &text[..=tag_end];
    let body = &text[delimiter.len()..];
    Some(body.find(delimiter).map_or(text.len(), |at| at + 2 * delimiter.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_not_inside_anything() {
        let sql = "CREATE TABLE a (b text DEFAULT 'x;y'); -- not; here\n/* nor /* ; */ here; */ SELECT $$;$$, $t$ $$;$t$, \"c;d\";\n;";
        assert_eq!(statements(sql), ["CREATE TABLE a (b text DEFAULT 'x;y')", "SELECT $$;$$, $t$ $$;$t$, \"c;d\"",]);
    }

    #[test]
    fn a_statement_without_a_semicolon_at_the_end_counts() {
        assert_eq!(statements("SELECT 1;\nSELECT 2 -- the end"), ["SELECT 1", "SELECT 2"]);
        assert!(statements(" -- nothing\n;;").is_empty());
    }

    #[test]
    fn doubled_quotes_and_escapes_do_not_end_a_text() {
        assert_eq!(
            statements(r"SELECT 'it''s;', E'\';', 'back\'; SELECT 2"),
            [r"SELECT 'it''s;', E'\';', 'back\'", "SELECT 2"]
        );
    }

    #[test]
    fn the_body_of_a_standard_function_is_one_statement() {
        let function = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END";
        assert_eq!(statements(&format!("{function}; SELECT 3")), [function, "SELECT 3"]);
    }

    #[test]
    fn a_script_is_ended_by_what_it_lacks() {
        for (sql, end) in [("a;", ""), ("a; -- b", ""), ("a", ";"), ("a -- b;", "\n;")] {
            assert_eq!(terminator(sql), end, "{sql}");
        }
    }

    #[test]
    fn comments_white_space_and_line_ends_do_not_matter_and_all_else_does() {
        let plain = "SELECT a, 'x  y' FROM b;";
        for same in ["SELECT a,'x  y'\r\n  FROM b ;", "-- why\nSELECT a /* b */, 'x  y' FROM b;"] {
            assert_eq!(normalised(plain), normalised(same), "{same}");
        }
        for other in ["SELECT a, 'x y' FROM b;", "SELECT ab FROM b;", "select a, 'x  y' from b;"] {
            assert_ne!(normalised(plain), normalised(other), "{other}");
        }
    }

    #[test]
    fn parameters_and_lone_dollars_are_no_quotes() {
        assert_eq!(statements("SELECT $1; SELECT a$b; SELECT $"), ["SELECT $1", "SELECT a$b", "SELECT $"]);
    }

    #[test]
    fn what_is_not_closed_runs_to_the_end() {
        for open in ["'a;b", "\"a;b", "$$a;b", "/* a;b", "E'a\\"] {
            assert!(statements(open).len() <= 1, "{open}");
        }
    }

    #[test]
    fn every_embedded_migration_splits_into_what_it_is_made_of() {
        for migration in super::super::set::EMBEDDED {
            for sql in [migration.up, migration.down] {
                let statements = statements(sql);
                assert!(!statements.is_empty());
                assert_eq!(
                    normalised(sql),
                    statements.iter().map(|s| normalised(s) + " ;").collect::<Vec<_>>().join(" ")
                );
            }
        }
    }
}
