//! The console's face: a line per change, in columns, for a person at a serial console.

use serde_json::json;

/// ` 4.9s  seed       etcd answers`; further lines of `text` are indented below the first.
pub fn text(elapsed: f64, stage: &str, text: &str) -> String {
    let mut lines = text.lines();
    let mut out = format!(
        "{elapsed:>5.1}s  {stage:<10} {}",
        lines.next().unwrap_or_default()
    );
    for line in lines {
        out.push_str(&format!("\n{:>20}{line}", "→ "));
    }
    out
}

/// Prints one JSON object on a line.
pub fn json(elapsed: f64, stage: &str, text: &str) {
    println!(
        "{}",
        json!({ "elapsed_s": (elapsed * 1000.0).round() / 1000.0, "stage": stage, "text": text })
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn reasons_stand_below_what_is_waited_for() {
        assert_eq!(
            super::text(15.04, "wait", "kube-apiserver 0/1\nstarting"),
            " 15.0s  wait       kube-apiserver 0/1\n                  → starting"
        );
    }
}
