//! How alike vectors are, as a table for people.

/// The cosine of the angle between two vectors; 0 if one of them is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot =
        |x: &[f32], y: &[f32]| -> f64 { x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum() };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// One line a text: its number, and its similarity to every text.
pub fn table(rows: &[&[f32]]) -> Vec<String> {
    let header: String = (1..=rows.len()).map(|n| format!("{n:>8}")).collect();
    let lines = rows.iter().enumerate().map(|(i, row)| {
        let cells: String = rows.iter().map(|other| format!("{:>8.3}", cosine(row, other))).collect();
        format!("{:>3}{cells}", i + 1)
    });
    std::iter::once(format!("   {header}")).chain(lines).collect()
}

/// A text in one line of at most `width` characters.
pub fn shorten(text: &str, width: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= width {
        return line;
    }
    let head: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_directions_are_one_and_opposite_minus_one() {
        assert!((cosine(&[1.0, 2.0], &[2.0, 4.0]) - 1.0).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[-3.0, 0.0]) + 1.0).abs() < 1e-12);
        assert!(cosine(&[0.0], &[1.0]).abs() < 1e-12);
        assert_eq!(table(&[&[1.0, 0.0], &[0.0, 1.0]]).len(), 3);
    }

    #[test]
    fn texts_fit_their_width() {
        assert_eq!(shorten("a  b\nc", 10), "a b c");
        assert_eq!(shorten("äöüäöü", 4), "äöü…");
    }
}
