//! Text from outside, made fit to be shown, and what may have been meant by it. Nothing here prints, and nothing here
//! becomes SQL.

/// The text with a replacement character for each control character: it stays on its line, and does nothing to a
/// terminal.
pub(crate) fn without_controls(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character }).collect()
}

/// Characters of a wrong value that a message repeats.
#[cfg(feature = "transfer")]
const SHOWN: usize = 60;

/// A wrong value in quotes, cut where it is long.
#[cfg(feature = "transfer")]
pub(crate) fn shown(text: &str) -> String {
    let mut cut = without_controls(&text.chars().take(SHOWN).collect::<String>());
    if text.chars().nth(SHOWN).is_some() {
        cut.push('…');
    }
    format!("'{cut}'")
}

/// The known word that was probably meant by a misspelt one: the closest, if no other is as close.
#[cfg(feature = "transfer")]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut near: Vec<_> = known
        .into_iter()
        .map(|known| (strsim::osa_distance(&word.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(edits, known)| *edits <= (known.chars().count() / 4).min(3))
        .collect();
    near.sort_unstable();
    match near[..] {
        [(least, known), (next, _), ..] if least < next => Some(known),
        [(_, known)] => Some(known),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_guessed_where_one_known_word_is_close() {
        let known = ["metric_name", "metric_value", "unit", "id"];
        for (word, meant) in [
            ("metric_vlaue", Some("metric_value")),
            ("Metric_Value", Some("metric_value")),
            ("metric value", Some("metric_value")),
            ("uniit", Some("unit")),
            ("unt", Some("unit")),
            ("metric", None),
            ("value", None),
            ("it", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest("cost", ["host", "most"]), None);
    }

    #[test]
    fn a_text_without_controls_is_one_line_and_moves_no_cursor() {
        assert_eq!(without_controls("a\nb\r\x1b[2Jc\u{9b}d é"), "a\u{fffd}b\u{fffd}\u{fffd}[2Jc\u{fffd}d é");
    }

    #[test]
    fn a_wrong_value_is_shown_short_and_without_control_characters() {
        assert_eq!(shown("a\x1b[2J"), "'a\u{fffd}[2J'");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), 63);
    }
}
