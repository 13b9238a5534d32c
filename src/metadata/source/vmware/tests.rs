mod environment;

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::testing::Machine;
use super::*;
use crate::exit::exit_of;

/// The variables of a machine that is none.
impl GuestInfo for BTreeMap<String, Vec<u8>> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.insert(key.to_owned(), value.into());
        Ok(())
    }
}

type List<'a> = &'a [(&'a str, &'a str)];

fn variables(list: List<'_>) -> BTreeMap<String, Vec<u8>> {
    let owned = list
        .iter()
        .map(|(key, value)| (format!("guestinfo.{key}"), value.as_bytes().to_vec()));
    owned.collect()
}

const OVF: &str = r#"<Environment><PropertySection>
<Property oe:key="user-data" oe:value="aGVsbG8="/></PropertySection></Environment>"#;

#[test]
fn the_first_that_is_set_wins() {
    let cases: [(List<'_>, &str, &str); 11] = [
        (
            &[("userdata", "a: b")],
            "a: b",
            "VMware's guestinfo.userdata",
        ),
        (
            &[
                ("userdata", "aGVs\nbG8="),
                ("userdata.encoding", "b64"),
                ("ignition.config.data", "x"),
            ],
            "hello",
            "VMware's guestinfo.userdata",
        ),
        (
            &[("userdata", "---"), ("ignition.config.data", "{a}")],
            "{a}",
            "VMware's guestinfo.ignition.config.data",
        ),
        (
            &[
                ("ignition.config.data", "aGVsbG8="),
                ("ignition.config.data.encoding", "gzip+base64"),
            ],
            "hello",
            "VMware's guestinfo.ignition.config.data",
        ),
        (
            &[("userdata", "aGVsbG8="), ("userdata.encoding", "gz+base64")],
            "hello",
            "VMware's guestinfo.userdata",
        ),
        (
            &[("userdata", "aGVsbG8="), ("userdata.encoding", "gzip+b64")],
            "hello",
            "VMware's guestinfo.userdata",
        ),
        (
            &[("userdata", " "), ("ovfEnv", OVF)],
            "hello",
            "OVF property user-data",
        ),
        (
            &[(
                "ovfEnv",
                "<E><PropertySection><Property key='guestinfo.userdata' value='a: b'/></PropertySection></E>",
            )],
            "a: b",
            "OVF property guestinfo.userdata",
        ),
        (
            &[("userdata", "x"), ("ovfEnv", OVF)],
            "x",
            "VMware's guestinfo.userdata",
        ),
        (
            &[("userdata", "aGVsbG8="), ("userdata.encoding", "")],
            "aGVsbG8=",
            "VMware's guestinfo.userdata",
        ),
        (
            // An encoding that was taken away, by us or cloud-init.
            &[("userdata", "a: b"), ("userdata.encoding", " ")],
            "a: b",
            "VMware's guestinfo.userdata",
        ),
    ];
    for (list, bytes, from) in cases {
        let got = find(&mut variables(list)).unwrap();
        assert_eq!(
            got,
            Answer::document(bytes.as_bytes().to_vec(), from),
            "{list:?}"
        );
    }
}

type Properties<'a> = &'a [(&'a str, &'a str)];

fn environment(properties: Properties<'_>) -> String {
    let property = |(key, value)| format!("<Property key='{key}' value='{value}'/>");
    let inner: String = properties.iter().copied().map(property).collect();
    format!("<E><PropertySection>{inner}</PropertySection></E>")
}

const DATA: &str = "guestinfo.ignition.config.data";
const ENCODING: &str = "guestinfo.ignition.config.data.encoding";

#[test]
fn none_is_explained() {
    for list in [
        &[][..],
        &[("userdata", "")],
        &[("ovfEnv", "<Environment/>")],
    ] {
        let Answer::Nothing(why) = find(&mut variables(list)).unwrap() else {
            panic!("{list:?}")
        };
        assert!(why.contains("no guestinfo.userdata; set it"), "{why}");
    }
}

#[test]
fn what_says_that_there_is_none_hides_nothing() {
    let cases = [
        ("e30K", "base64"),
        ("e30=", "gzip+base64"),
        ("{}", ""),
        // A person's, who left the encoding as it was.
        ("{}\n", "base64"),
        ("LS0t", "b64"),
        ("---", "base64"),
        (" ", "gzip"),
        ("", "base64"),
    ];
    for (value, with) in cases {
        for key in KEYS {
            let mut info = variables(&[]);
            info.insert(key.to_owned(), value.into());
            info.insert(encoding(key), with.into());
            let got = find(&mut info).unwrap();
            assert!(matches!(got, Answer::Nothing(_)), "{key}: {value:?}");
            info.insert(ENVIRONMENT.to_owned(), OVF.into());
            let want = Answer::document("hello", "OVF property user-data");
            assert_eq!(find(&mut info).unwrap(), want, "{key}: {value:?}");
        }
        let properties = [("user-data", value), (DATA, value), (ENCODING, with)];
        let got = find(&mut variables(&[("ovfEnv", &environment(&properties))])).unwrap();
        assert!(matches!(got, Answer::Nothing(_)), "{value:?}");
        let properties = [("user-data", value), (DATA, "a: b")];
        let got = find(&mut variables(&[("ovfEnv", &environment(&properties))])).unwrap();
        let want = Answer::document("a: b", format!("OVF property {DATA}"));
        assert_eq!(got, want, "{value:?}");
    }
}

#[test]
fn encodings_that_cannot_be_are_refused() {
    let cases = [
        ("gz", "use gzip+base64"),
        ("gzip", "use gzip+base64"),
        ("base64", "says base64, but it is not"),
        ("rot13", "neither base64"),
    ];
    for (encoding, want) in cases {
        let list = [("userdata", "hunter2!"), ("userdata.encoding", encoding)];
        let error = find(&mut variables(&list)).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(exit_of(&error), Exit::Invalid);
        assert!(
            text.contains(want) && text.contains("guestinfo.userdata"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
    let error = find(&mut variables(&[("ovfEnv", "<!DOCTYPE x><x/>")])).unwrap_err();
    assert_eq!(exit_of(&error), Exit::Invalid);
}

#[test]
fn what_was_taken_away_leaves_what_its_reader_knows() {
    let cases: [(List<'_>, List<'_>); 6] = [
        (
            &[
                ("userdata", "aGVsbG8="),
                ("userdata.encoding", "base64"),
                ("ovfEnv", "<E/>"),
            ],
            &[
                ("userdata", "---"),
                ("userdata.encoding", " "),
                ("ovfEnv", "<E/>"),
            ],
        ),
        (
            &[("ignition.config.data", "{a}"), ("hostname", "a")],
            &[
                ("ignition.config.data", "e30K"),
                ("ignition.config.data.encoding", "base64"),
                ("hostname", "a"),
            ],
        ),
        // What cannot be read is taken away all the same.
        (
            &[
                ("ignition.config.data", "x"),
                ("ignition.config.data.encoding", "gzip"),
            ],
            &[
                ("ignition.config.data", "e30K"),
                ("ignition.config.data.encoding", "base64"),
            ],
        ),
        // Half of it was written before.
        (
            &[
                ("ignition.config.data", "e30K"),
                ("ignition.config.data.encoding", "gz+b64"),
            ],
            &[
                ("ignition.config.data", "e30K"),
                ("ignition.config.data.encoding", "base64"),
            ],
        ),
        (
            &[("userdata", " "), ("userdata.encoding", "b64")],
            &[("userdata", " "), ("userdata.encoding", "b64")],
        ),
        (&[], &[]),
    ];
    for (before, after) in cases {
        let mut info = variables(before);
        // The second time, nothing is left to do.
        for _ in 0..2 {
            scrub(&mut info).unwrap();
            assert_eq!(info, variables(after), "{before:?}");
            assert!(matches!(find(&mut info).unwrap(), Answer::Nothing(_)));
        }
    }
    assert_eq!(decoded(b"e30K".to_vec(), b"base64").unwrap(), b"{}\n");
}

#[test]
fn other_machines_are_not_asked() {
    for vendor in ["QEMU", ""] {
        let machine = Machine::new("quiet", Duration::ZERO);
        machine.put("/sys/class/dmi/id/sys_vendor", vendor);
        let error = read(&machine.context()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        let want = format!("not a VMware machine (its vendor is {vendor:?})");
        assert!(error.to_string().contains(&want), "{error}");
    }
}
