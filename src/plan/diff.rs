//! Two texts as a unified diff, line by line.
//!
//! The longest common subsequence by the table: what render changes is a few lines of a file of a
//! hundred. Where the table would be large, the middle is shown as one replacement, which a person could
//! not read as anything else either.

/// Lines of context around a change.
const CONTEXT: usize = 3;
/// The largest table.
const MAX_CELLS: usize = 1 << 20;
/// Lines that one file's diff may have; the rest is counted.
const MAX_LINES: usize = 400;

/// A line and where it is from: `' '` both, `'-'` the old text, `'+'` the new one.
type Line<'a> = (char, &'a str);

/// The hunks; empty if the texts have the same lines.
pub fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let lines = compare(&old, &new);
    let mut out = String::new();
    let mut written = 0;
    for range in hunks(&lines) {
        let (before, hunk) = (&lines[..range.start], &lines[range]);
        let count = |lines: &[Line], not: char| lines.iter().filter(|line| line.0 != not).count();
        let header = format!(
            "@@ -{},{} +{},{} @@\n",
            count(before, '+') + 1,
            count(hunk, '+'),
            count(before, '-') + 1,
            count(hunk, '-'),
        );
        out.push_str(&header);
        for (sign, line) in hunk.iter().take(MAX_LINES - written) {
            out.push(*sign);
            out.extend(line.chars().map(printable));
            out.push('\n');
        }
        written += hunk.len();
        if written >= MAX_LINES {
            out.push_str("… and more\n");
            break;
        }
    }
    out
}

/// A terminal must not take part of a file for an order.
fn printable(c: char) -> char {
    match c.is_control() && c != '\t' {
        true => '\u{fffd}',
        false => c,
    }
}

fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let common =
        |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let head = common(&mut old.iter().zip(new));
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = common(&mut old_rest.iter().rev().zip(new_rest.iter().rev()));
    let (old_middle, end) = old_rest.split_at(old_rest.len() - tail);
    let new_middle = &new_rest[..new_rest.len() - tail];
    let mut lines: Vec<Line> = old[..head].iter().map(|line| (' ', *line)).collect();
    middle(old_middle, new_middle, &mut lines);
    lines.extend(end.iter().map(|line| (' ', *line)));
    lines
}

fn middle<'a>(old: &[&'a str], new: &[&'a str], lines: &mut Vec<Line<'a>>) {
    let width = new.len() + 1;
    let (mut i, mut j) = (0, 0);
    if (old.len() + 1) * width <= MAX_CELLS {
        let table = common_lengths(old, new);
        while i < old.len() && j < new.len() {
            if old[i] == new[j] {
                lines.push((' ', old[i]));
                (i, j) = (i + 1, j + 1);
            } else if table[(i + 1) * width + j] >= table[i * width + j + 1] {
                lines.push(('-', old[i]));
                i += 1;
            } else {
                lines.push(('+', new[j]));
                j += 1;
            }
        }
    }
    lines.extend(old[i..].iter().map(|line| ('-', *line)));
    lines.extend(new[j..].iter().map(|line| ('+', *line)));
}

/// For each pair of suffixes the length of their longest common subsequence.
fn common_lengths(old: &[&str], new: &[&str]) -> Vec<u32> {
    let width = new.len() + 1;
    let mut table = vec![0; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            table[i * width + j] = match old[i] == new[j] {
                true => table[(i + 1) * width + j + 1] + 1,
                false => table[(i + 1) * width + j].max(table[i * width + j + 1]),
            };
        }
    }
    table
}

/// The changes with their context; those whose context touches are one.
fn hunks(lines: &[Line]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| line.0 != ' ') {
        let end = (at + 1 + CONTEXT).min(lines.len());
        match hunks.last_mut() {
            Some(last) if at.saturating_sub(CONTEXT) <= last.end => last.end = end,
            _ => hunks.push(at.saturating_sub(CONTEXT)..end),
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line a letter.
    fn of(old: &str, new: &str) -> String {
        let lines = |text: &str| text.chars().map(|c| format!("{c}\n")).collect::<String>();
        unified(&lines(old), &lines(new)).replace('\n', "|")
    }

    #[test]
    fn hunks_are_those_of_diff() {
        let table = [
            ("abc", "abc", ""),
            ("", "a", "@@ -1,0 +1,1 @@|+a|"),
            ("a", "", "@@ -1,1 +1,0 @@|-a|"),
            ("abc", "axc", "@@ -1,3 +1,3 @@| a|-b|+x| c|"),
            (
                "abcdefghi",
                "abcdeXfghi",
                "@@ -3,6 +3,7 @@| c| d| e|+X| f| g| h|",
            ),
            ("abcd", "bcde", "@@ -1,4 +1,4 @@|-a| b| c| d|+e|"),
            (
                "1abcdefgh2",
                "3abcdefgh4",
                "@@ -1,4 +1,4 @@|-1|+3| a| b| c|@@ -7,4 +7,4 @@| f| g| h|-2|+4|",
            ),
            (
                "1abcdef2",
                "3abcdef4",
                "@@ -1,8 +1,8 @@|-1|+3| a| b| c| d| e| f|-2|+4|",
            ),
        ];
        for (old, new, expected) in table {
            assert_eq!(of(old, new), expected, "{old} to {new}");
        }
    }

    #[test]
    fn what_is_long_is_cut_and_what_is_odd_is_harmless() {
        let old: String = (0..2000).map(|n| format!("a{n}\n")).collect();
        let new: String = (0..2000).map(|n| format!("b{n}\n")).collect();
        let text = unified(&old, &new);
        assert_eq!(text.lines().count(), MAX_LINES + 2);
        assert!(text.ends_with("… and more\n"));
        assert!(unified("", "a\u{1b}[2J\n").contains("+a\u{fffd}[2J\n"));
    }
}
