//! Configs that refer to others, and to what the network gives.

use std::cell::RefCell;
use std::fmt::Write;

use anyhow::anyhow;

use super::*;
use crate::metadata::envelope::NeedsNetwork;

/// A network of named answers, which remembers what it was asked.
#[derive(Default)]
pub struct Network {
    answers: Vec<(&'static str, String)>,
    asked: RefCell<String>,
}

impl Remote for Network {
    fn get(
        &self,
        url: &str,
        headers: &[(String, String)],
        authorities: &[Vec<u8>],
        max: u64,
    ) -> Result<Vec<u8>> {
        let known = authorities.iter().map(|pem| String::from_utf8_lossy(pem));
        let known: Vec<_> = known.collect();
        writeln!(self.asked.borrow_mut(), "{url} {headers:?} {known:?}")?;
        assert!(max > 0);
        let answer = self.answers.iter().find(|(name, _)| *name == url);
        let (_, text) = answer.ok_or_else(|| anyhow!("{url}: no such host"))?;
        Ok(text.clone().into_bytes())
    }
}

fn child(storage: &str) -> String {
    format!(
        "{{\"source\": \"{}\"}}",
        data(&config("3.0.0", "", storage))
    )
}

#[test]
fn children_go_over_their_parents_field_by_field() {
    let sections = format!(
        ", \"config\": {{\"merge\": [{}, {}]}}",
        child(
            "\"files\": [{\"path\": \"/etc/f\", \"mode\": 256, \"append\": [{\"source\": \"data:,2\"}]},
              {\"path\": \"/etc/new\"}], \"links\": [{\"path\": \"/etc/g\", \"target\": \"x\"}]"
        ),
        child(
            "\"files\": [{\"path\": \"/etc/f\", \"contents\": {\"source\": \"data:,last\"},
              \"user\": {\"name\": \"b\"}, \"append\": [{\"source\": \"data:,3\"}]}]"
        )
    );
    let storage = "\"files\": [{\"path\": \"/etc/f\", \"overwrite\": true, \"mode\": 420, \"contents\":
         {\"source\": \"data:,first\"}, \"user\": {\"name\": \"a\"}, \"append\": [{\"source\": \"data:,1\"}]},
         {\"path\": \"/etc/g\", \"contents\": {\"source\": \"data:,gone\"}}]";
    let want = [
        "/etc/f=last123 400 b:- true",
        "/etc/new+ 0 -:- false",
        "/etc/g->x false 0 -:- false",
    ];
    assert_eq!(shown(&config("3.3.0", &sections, storage), &Offline), want);
}

#[test]
fn replace_leaves_nothing_of_the_parent() {
    let sections = format!(
        ", \"config\": {{\"replace\": {}}}, \"timeouts\": {{\"httpTotal\": 1}}",
        child("\"files\": [{\"path\": \"/etc/f\"}]")
    );
    let text = config("3.0.0", &sections, "\"files\": [{\"path\": \"/etc/gone\"}]");
    assert_eq!(shown(&text, &Offline), ["/etc/f+ 0 -:- false"]);
    assert!(take(&text, &Offline).unwrap().warnings.is_empty());
}

#[test]
fn https_with_headers_and_authorities() {
    let network = Network {
        answers: vec![
            ("https://a/child", config("3.1.0", "", "\"files\": [{\"path\": \"/etc/f\", \"contents\":
                {\"source\": \"https://a/f\", \"httpHeaders\": [{\"name\": \"A\", \"value\": \"2\"}, {\"name\": \"B\"}]}}]")),
            ("https://a/f", "hi".to_owned()),
        ],
        asked: RefCell::default(),
    };
    let sections = ", \"security\": {\"tls\": {\"certificateAuthorities\": [{\"source\": \"data:,pem\"}]}},
        \"config\": {\"merge\": [{\"source\": \"https://a/child\", \"httpHeaders\": [{\"name\": \"T\", \"value\": \"x\"}]}]}";
    let storage = "\"files\": [{\"path\": \"/etc/f\", \"contents\": {\"source\": \"https://a/old\", \"httpHeaders\":
        [{\"name\": \"A\", \"value\": \"1\"}, {\"name\": \"B\", \"value\": \"1\"}, {\"name\": \"C\", \"value\": \"1\"}]}}]";
    let text = config("3.1.0", sections, storage);
    assert_eq!(shown(&text, &network), ["/etc/f=hi 0 -:- false"]);
    let want = "https://a/child [(\"T\", \"x\")] [\"pem\"]\n\
                https://a/f [(\"A\", \"2\"), (\"C\", \"1\")] [\"pem\"]\n";
    assert_eq!(*network.asked.borrow(), want);
    let error = take(&text, &Offline).unwrap_err();
    assert!(
        error
            .chain()
            .any(<dyn std::error::Error>::is::<NeedsNetwork>)
    );
}

#[test]
fn who_is_replaced_is_trusted_no_more_and_whoever_is_above_is() {
    let trust = |pem: &str| {
        format!(
            "\"security\": {{\"tls\": {{\"certificateAuthorities\": [{{\"source\": \"data:,{pem}\"}}]}}}}"
        )
    };
    let to = |how: &str, url: &str| match how {
        "merge" => format!("\"config\": {{\"merge\": [{{\"source\": \"{url}\"}}]}}"),
        _ => format!("\"config\": {{\"replace\": {{\"source\": \"{url}\"}}}}"),
    };
    let sections = |how, url, pem| format!(", {}, {}", to(how, url), trust(pem));
    let storage =
        "\"files\": [{\"path\": \"/etc/f\", \"contents\": {\"source\": \"https://a/f\"}}]";
    let network = Network {
        answers: vec![
            (
                "https://a/child",
                config(
                    "3.0.0",
                    &sections("replace", "https://a/other", "child"),
                    "",
                ),
            ),
            (
                "https://a/other",
                config("3.0.0", &format!(", {}", trust("other")), storage),
            ),
            ("https://a/f", String::new()),
        ],
        asked: RefCell::default(),
    };
    let parent = |how| config("3.0.0", &sections(how, "https://a/child", "parent"), "");
    let asked = |how| {
        shown(&parent(how), &network);
        network.asked.take()
    };
    let merged = "https://a/child [] [\"parent\"]\n\
                  https://a/other [] [\"parent\", \"child\"]\n\
                  https://a/f [] [\"parent\", \"other\"]\n";
    assert_eq!(asked("merge"), merged);
    let replaced = "https://a/child [] [\"parent\"]\n\
                    https://a/other [] [\"child\"]\n\
                    https://a/f [] [\"other\"]\n";
    assert_eq!(asked("replace"), replaced);
}

#[test]
fn references_end() {
    let nest = |times| {
        (0..times).fold(
            config("3.0.0", "", "\"files\": [{\"path\": \"/etc/f\"}]"),
            |inner, _| {
                let inner = format!(
                    ", \"config\": {{\"merge\": [{{\"source\": \"{}\"}}]}}",
                    data(&inner)
                );
                config("3.0.0", &inner, "")
            },
        )
    };
    assert_eq!(shown(&nest(5), &Offline), ["/etc/f+ 0 -:- false"]);
    let itself = Network {
        answers: vec![(
            "https://a/loop",
            config(
                "3.0.0",
                ", \"config\": {\"replace\": {\"source\": \"https://a/loop\"}}",
                "",
            ),
        )],
        asked: RefCell::default(),
    };
    let start = config(
        "3.0.0",
        ", \"config\": {\"merge\": [{\"source\": \"https://a/loop\"}]}",
        "",
    );
    let wide = |inner: &str| {
        config(
            "3.0.0",
            &format!(", \"config\": {{\"merge\": [{}]}}", [inner; 7].join(",")),
            "",
        )
    };
    let leaf = format!("{{\"source\": \"{}\"}}", data(&config("3.0.0", "", "")));
    let wider = wide(&format!("{{\"source\": \"{}\"}}", data(&wide(&leaf))));
    for text in [nest(6), start, wider] {
        let error = take(&text, &itself).unwrap_err();
        assert!(
            format!("{error:#}").contains("too many others"),
            "{error:#}"
        );
    }
}
