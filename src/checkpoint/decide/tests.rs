//! Every combination of what can be observed, against the table of docs/checkpoints.md.

use super::*;

const PAGE: &str = include_str!("../../../docs/checkpoints.md");
const GRACE: Duration = Duration::from_secs(60);

/// The alternatives of one cell: a word, and how long it must have been so.
type Cell = Vec<(String, Span)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    Any,
    AtLeast(u64),
    Below(u64),
}

impl Span {
    fn holds(self, seconds: u64) -> bool {
        match self {
            Self::Any => true,
            Self::AtLeast(least) => seconds >= least,
            Self::Below(limit) => seconds < limit,
        }
    }
}

struct Row {
    cells: Vec<Cell>,
    does: String,
}

fn cell(text: &str) -> Cell {
    let alternatives = text
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty());
    alternatives
        .map(|text| {
            let text = text.trim_end_matches(" s");
            let span = |sign: char| {
                text.split_once(sign)
                    .map(|(word, seconds)| (word, seconds.trim().parse().unwrap()))
            };
            match (span('≥'), span('<')) {
                (Some((word, least)), _) => (word.trim().to_owned(), Span::AtLeast(least)),
                (_, Some((word, limit))) => (word.trim().to_owned(), Span::Below(limit)),
                _ => (text.to_owned(), Span::Any),
            }
        })
        .collect()
}

fn rows() -> Vec<Row> {
    let (_, section) = PAGE.split_once("## The state table").unwrap();
    let table = section.lines().skip_while(|line| !line.starts_with("|---"));
    let lines = table.skip(1).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let (does, cells) = cells.split_last().unwrap();
            assert_eq!(cells.len(), 11, "{line}");
            Row {
                cells: cells.iter().map(|text| cell(text)).collect(),
                does: (*does).to_owned(),
            }
        })
        .collect()
}

/// One value of a column, as the table calls it, with its age.
type Word = (&'static str, u64);

fn door(door: Door) -> Word {
    match door {
        Door::Unknown => ("unknown", 0),
        Door::Answers(since) => ("answers", since.as_secs()),
        Door::Silent(since) => ("silent", since.as_secs()),
    }
}

fn yes_or_no(value: Option<bool>) -> Word {
    match value {
        None => ("unknown", 0),
        Some(true) => ("yes", 0),
        Some(false) => ("no", 0),
    }
}

fn words(node: &Node, seen: &Seen) -> [Word; 11] {
    [
        match seen.role {
            Role::Apiserver => ("apiserver", 0),
            Role::Leader => ("leader", 0),
            Role::Agent => ("agent", 0),
            Role::Other => ("other", 0),
        },
        match seen.active {
            Active::No => ("none", 0),
            Active::Either => ("either", 0),
            Active::Open => ("open", 0),
            Active::Closed => ("closed", 0),
            Active::Earlier => ("earlier", 0),
        },
        seen.forgotten
            .map_or(("no", 0), |since| ("", since.as_secs())),
        door(node.api),
        door(node.address),
        match seen.runs {
            Runs::Unknown => ("unknown", 0),
            Runs::Never(since) => ("never", since.as_secs()),
            Runs::Running(since) => ("running", since.as_secs()),
            Runs::Stopped(since) => ("stopped", since.as_secs()),
        },
        yes_or_no(seen.ready),
        match seen.lease {
            Lease::Unknown => ("unknown", 0),
            Lease::Live => ("live", 0),
            Lease::Dead(since) => ("dead", since.as_secs()),
        },
        match seen.wanted {
            Wanted::Unknown => ("unknown", 0),
            Wanted::Yes => ("yes", 0),
            Wanted::No(since) if since >= GRACE => ("not for the grace period", 0),
            Wanted::No(_) => ("not", 0),
        },
        yes_or_no(node.informed),
        yes_or_no(Some(seen.kept)),
    ]
}

fn fits(row: &Row, words: &[Word; 11]) -> bool {
    row.cells.iter().zip(words).all(|(cell, (word, seconds))| {
        cell.is_empty()
            || cell
                .iter()
                .any(|(name, span)| name == word && span.holds(*seconds))
    })
}

/// Each time just below and at every limit of the table.
fn ages(limits: &[u64]) -> Vec<Duration> {
    let around = limits.iter().flat_map(|limit| [limit - 1, *limit]);
    around.map(Duration::from_secs).collect()
}

fn doors(answers: &[u64], silent: &[u64]) -> Vec<Door> {
    let answers = ages(answers).into_iter().map(Door::Answers);
    let silent = ages(silent).into_iter().map(Door::Silent);
    answers.chain(silent).chain([Door::Unknown]).collect()
}

fn all_runs() -> Vec<Runs> {
    let mut all = vec![Runs::Unknown];
    all.extend(ages(&[30]).into_iter().map(Runs::Never));
    all.extend(ages(&[10]).into_iter().map(Runs::Running));
    all.extend(ages(&[5, 30]).into_iter().map(Runs::Stopped));
    all
}

fn leases() -> Vec<Lease> {
    let dead = ages(&[20, 60]).into_iter().map(Lease::Dead);
    dead.chain([Lease::Unknown, Lease::Live]).collect()
}

fn wants() -> Vec<Wanted> {
    let no = ages(&[GRACE.as_secs()]).into_iter().map(Wanted::No);
    no.chain([Wanted::Unknown, Wanted::Yes]).collect()
}

const ROLES: [Role; 4] = [Role::Apiserver, Role::Leader, Role::Agent, Role::Other];

/// A role's combinations. Only a leader's Lease means anything.
fn workloads(role: Role) -> Vec<Seen> {
    let leases = match role {
        Role::Leader => leases(),
        _ => vec![Lease::Unknown],
    };
    let mut all = Vec::new();
    for kept in [false, true] {
        for active in [
            Active::No,
            Active::Either,
            Active::Open,
            Active::Closed,
            Active::Earlier,
        ] {
            for forgotten in ages(&[90]).into_iter().map(Some).chain([None]) {
                for runs in all_runs() {
                    for ready in [None, Some(false), Some(true)] {
                        for &lease in &leases {
                            all.extend(wants().into_iter().map(|wanted| Seen {
                                role,
                                kept,
                                active,
                                forgotten,
                                runs,
                                ready,
                                lease,
                                wanted,
                            }));
                        }
                    }
                }
            }
        }
    }
    all
}

fn nodes() -> Vec<Node> {
    let mut all = Vec::new();
    for api in doors(&[20], &[5, 60]) {
        for address in doors(&[3, 30], &[10, 30]) {
            all.extend([None, Some(false), Some(true)].map(|informed| Node {
                launched: true,
                api,
                address,
                informed,
                grace: GRACE,
            }));
        }
    }
    all
}

#[test]
fn every_combination_is_as_the_table_says() {
    let rows = rows();
    let mut used = vec![false; rows.len()];
    let nodes = nodes();
    for seen in ROLES.into_iter().flat_map(workloads) {
        // Rows that cannot fit whatever the node is need not be asked for each node.
        for node in &nodes {
            let words = words(node, &seen);
            let at = rows.iter().position(|row| fits(row, &words));
            let at = at.unwrap_or_else(|| panic!("no row for {words:?}"));
            used[at] = true;
            let does =
                decide(node, &seen).map_or("nothing".to_owned(), |(action, _)| action.to_string());
            assert_eq!(does, rows[at].does, "row {at}: {words:?}");
        }
    }
    let unused: Vec<_> = (0..rows.len()).filter(|at| !used[*at]).collect();
    assert!(unused.is_empty(), "rows that never count: {unused:?}");
}

#[test]
fn nothing_is_done_before_the_handover() {
    for node in nodes() {
        let node = Node {
            launched: false,
            ..node
        };
        for seen in ROLES
            .into_iter()
            .flat_map(|role| workloads(role).into_iter().step_by(7))
        {
            assert_eq!(decide(&node, &seen), None);
        }
    }
}

mod unknown;
