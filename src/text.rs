//! Text from outside, made fit to be shown. Nothing here prints, and nothing here becomes SQL.

/// The text with a replacement character for each control character: it stays on its line, and does nothing to a
/// terminal.
pub(crate) fn without_controls(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_controls_is_one_line_and_moves_no_cursor() {
        assert_eq!(without_controls("a\nb\r\x1b[2Jc\u{9b}d é"), "a\u{fffd}b\u{fffd}\u{fffd}[2Jc\u{fffd}d é");
    }
}
