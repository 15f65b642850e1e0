//! "Did you mean": the nearest of the names that the caller may see.

/// Longest name worth comparing; endpoint names are at most this long.
const LONGEST: usize = 63;

/// Find the name nearest to `wanted`, if it is near enough to be a slip.
///
/// A third of the letters may differ, and at least one. Ties go to the first in order.
pub fn closest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    if wanted.is_empty() || wanted.len() > LONGEST {
        return None;
    }
    let mut best = None;
    let mut limit = (wanted.len() / 3).max(1);
    for name in names {
        if name.len().abs_diff(wanted.len()) > limit {
            continue;
        }
        let distance = distance(wanted.as_bytes(), name.as_bytes());
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
            limit = distance;
        }
    }
    best.map(|(_, name)| name)
}

/// Edits between two names, a swap of neighbours counting as one.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows = [[0_usize; LONGEST + 1]; 3];
    let width = b.len().min(LONGEST);
    for (column, cell) in rows[1].iter_mut().enumerate() {
        *cell = column;
    }
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=width {
            let substituted = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substituted.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = least;
        }
        rows.rotate_left(1);
    }
    rows[1][width]
}

#[cfg(test)]
mod tests;
