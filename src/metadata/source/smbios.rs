//! SMBIOS: strings that the machine's firmware hands to its system, of which type 11 is free for
//! whoever made the machine.
//!
//! The format of the table is DMTF DSP0134 (§6.1), and the strings are systemd's
//! (systemd.system-credentials(7)), so that one QEMU option serves both. The table is read itself, not
//! systemd's copy of the credential: PID 1 of an image may be another, or leave them out in a
//! confidential machine, and then says so on no console. For that copy there is `credential`.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};

use super::{Answer, Context, MAX_BYTES, file};
use crate::exit::{Exit, WithExit};
use crate::metadata::base64;
use crate::metadata::settings::CREDENTIAL;
use crate::node::files::below;

/// Where the kernel shows the table, to root.
const TABLE: &str = "/sys/firmware/dmi/tables/DMI";
/// Where the kernel shows single fields.
const FIELDS: &str = "/sys/class/dmi/id";
/// The kernel shows a page at most.
const MAX_FIELD: u64 = 4096;
/// Type, length, handle.
const HEADER: usize = 4;
/// OEM strings.
const OEM: u8 = 11;
/// The structure after which there is none.
const END: u8 = 127;
/// What a string begins with that is a credential, as text and as base64.
const PREFIXES: [(&str, bool); 2] = [
    ("io.systemd.credential:", false),
    ("io.systemd.credential.binary:", true),
];

/// Reads the first string that is our credential, as systemd does. Nothing is waited for: the table
/// was made before the kernel was.
pub fn read(context: &Context<'_>) -> Result<Answer> {
    let table = table(context)?;
    match credential(&table).exit(Exit::Invalid)? {
        Some(bytes) => Ok(Answer::document(bytes, "SMBIOS string")),
        None => {
            let start = format!(
                "start QEMU with -smbios type=11,value={}{CREDENTIAL}=BASE64",
                PREFIXES[1].0
            );
            let why = format!("no SMBIOS string (type 11) gives {CREDENTIAL}; {start}");
            Ok(Answer::Nothing(why))
        }
    }
}

/// Whether our credential is there, valid or not.
pub fn is_present(context: &Context<'_>) -> bool {
    table(context).is_ok_and(|table| !matches!(credential(&table), Ok(None)))
}

/// A field that the kernel shows by itself, e.g. `sys_vendor`; empty if there is none, or it is not ours
/// to read.
pub fn field(root: &Path, name: &str) -> String {
    let path = below(root, FIELDS).join(name);
    let bytes = File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MAX_FIELD).read_to_end(&mut bytes).map(|_| bytes)
    });
    String::from_utf8_lossy(&bytes.unwrap_or_default())
        .trim()
        .to_owned()
}

fn table(context: &Context<'_>) -> Result<Vec<u8>> {
    let path = below(context.root, TABLE);
    let name = path.display();
    let opened = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("{name} is missing: the machine has no SMBIOS table"),
        _ => anyhow!("cannot open {name}: {error}"),
    });
    file::read_at_most(opened.exit(Exit::NotFound)?, MAX_BYTES, TABLE)
}

/// Our credential from the OEM strings of a table.
fn credential(table: &[u8]) -> Result<Option<Vec<u8>>> {
    let found = strings(table, OEM).find_map(|string| {
        PREFIXES.iter().find_map(|(prefix, binary)| {
            let named = string.strip_prefix(prefix.as_bytes())?;
            let value = named.strip_prefix(CREDENTIAL.as_bytes())?;
            Some((value.strip_prefix(b"=")?, *binary))
        })
    });
    match found {
        None => Ok(None),
        Some((text, false)) => Ok(Some(text.to_owned())),
        Some((text, true)) => base64::lenient(text).map(Some).with_context(|| {
            format!(
                "the SMBIOS string {}{CREDENTIAL} is not base64; it may have been cut",
                PREFIXES[1].0
            )
        }),
    }
}

/// The strings of all structures of a type, in their order, without their final NULs. A table that is
/// cut or damaged ends where the damage begins.
pub fn strings(table: &[u8], kind: u8) -> impl Iterator<Item = &[u8]> {
    structures(table)
        .filter(move |structure| structure.kind == kind)
        .flat_map(|structure| structure.strings.split(|byte| *byte == 0))
        .filter(|string| !string.is_empty())
}

struct Structure<'a> {
    kind: u8,
    /// Each ends with a NUL but the last.
    strings: &'a [u8],
}

fn structures(table: &[u8]) -> impl Iterator<Item = Structure<'_>> {
    let mut rest = table;
    std::iter::from_fn(move || {
        let (structure, after) = first(rest)?;
        rest = after;
        Some(structure)
    })
}

/// The first structure and what is behind it; `None` at the end.
fn first(table: &[u8]) -> Option<(Structure<'_>, &[u8])> {
    let (kind, length) = (*table.first()?, usize::from(*table.get(1)?));
    if kind == END || length < HEADER {
        return None;
    }
    let (_, rest) = table.split_at_checked(length)?;
    // Two NULs end the strings, or stand in their place. In a cut table they may be missing.
    let end = rest.windows(2).position(|pair| pair == [0, 0]);
    let (strings, rest) = match end {
        Some(end) => (rest.get(..end)?, rest.get(end + 2..)?),
        None => (complete(rest), &[][..]),
    };
    Some((Structure { kind, strings }, rest))
}

/// The strings that have their NUL; a cut one is worse than none.
fn complete(strings: &[u8]) -> &[u8] {
    let end = strings.iter().rposition(|byte| *byte == 0);
    end.and_then(|end| strings.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Machine;
    use super::*;
    use crate::exit::exit_of;
    use proptest::prelude::*;
    use std::time::Duration;

    /// A structure with nothing in its own part but the number of its strings.
    fn structure(kind: u8, strings: &[&[u8]]) -> Vec<u8> {
        let count = u8::try_from(strings.len()).unwrap();
        let mut bytes = vec![kind, 5, 0, 1, count];
        for string in strings {
            bytes.extend_from_slice(string);
            bytes.push(0);
        }
        bytes.extend_from_slice(if strings.is_empty() { b"\0\0" } else { b"\0" });
        bytes
    }

    fn found(table: &[u8], kind: u8) -> Vec<&[u8]> {
        strings(table, kind).collect()
    }

    #[test]
    fn strings_of_one_type_in_order() {
        let table = [
            structure(1, &[b"QEMU"]),
            structure(11, &[b"a", b"bc"]),
            structure(32, &[]),
            structure(11, &[b"d"]),
            structure(127, &[]),
            structure(11, &[b"behind the end"]),
        ]
        .concat();
        assert_eq!(found(&table, 11), [&b"a"[..], b"bc", b"d"]);
        assert_eq!(found(&table, 1), [b"QEMU"]);
        assert!(found(&table, 32).is_empty());
    }

    #[test]
    fn damaged_tables_end_where_the_damage_begins() {
        let whole = [structure(11, &[b"first"]), structure(11, &[b"a", b"cut"])].concat();
        let cases: [(&[u8], usize); 5] = [
            (&whole, 3),
            (&whole[..whole.len() - 1], 3),
            (&whole[..whole.len() - 3], 2),
            (&whole[..14], 1),
            (&[11, 3, 0, 1, b'a', 0, 0], 0),
        ];
        for (table, want) in cases {
            assert_eq!(found(table, 11).len(), want, "{table:?}");
        }
    }

    #[test]
    fn systemds_syntax() {
        let text: &[u8] = b"io.systemd.credential:slipway.machine=a: b=c";
        let binary: &[u8] = b"io.systemd.credential.binary:slipway.machine=aGVsbG8=";
        let other: &[u8] = b"io.systemd.credential:slipway.machines=x";
        let kernel: &[u8] = b"io.systemd.stub.kernel-cmdline-extra=quiet";
        type Strings<'a> = &'a [&'a [u8]];
        let cases: [(Strings<'_>, Option<&[u8]>); 6] = [
            (&[kernel, other, text], Some(b"a: b=c")),
            (&[binary], Some(b"hello")),
            (&[text, binary], Some(b"a: b=c")),
            (&[binary, text], Some(b"hello")),
            (&[b"io.systemd.credential:slipway.machine", other], None),
            (&[], None),
        ];
        for (strings, want) in cases {
            let table = structure(OEM, strings);
            assert_eq!(credential(&table).unwrap().as_deref(), want);
        }
        let bad: &[u8] = b"io.systemd.credential.binary:slipway.machine=hunter2!";
        let text = credential(&structure(OEM, &[bad])).unwrap_err().to_string();
        assert!(
            text.contains("not base64") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn no_table_is_an_error_and_no_string_an_answer() {
        let machine = Machine::new("quiet", Duration::ZERO);
        let error = read(&machine.context()).unwrap_err();
        assert_eq!(exit_of(&error), Exit::NotFound);
        assert!(error.to_string().contains("has no SMBIOS table"), "{error}");
        assert!(!is_present(&machine.context()));

        machine.put(TABLE, structure(OEM, &[b"Hello"]));
        let Answer::Nothing(why) = read(&machine.context()).unwrap() else {
            panic!()
        };
        assert!(
            why.contains("-smbios type=11,value=io.systemd.credential.binary:"),
            "{why}"
        );
        assert!(!is_present(&machine.context()));

        machine.put(
            TABLE,
            structure(OEM, &[b"io.systemd.credential:slipway.machine=x"]),
        );
        assert!(is_present(&machine.context()));
    }

    proptest! {
        #[test]
        fn never_panics(table in proptest::collection::vec(0_u8..130, 0..200), kind in 0_u8..130) {
            let total: usize = strings(&table, kind).map(<[u8]>::len).sum();
            prop_assert!(total <= table.len());
        }

        #[test]
        fn what_is_put_in_comes_out(
            before in proptest::collection::vec("[a-z ]{1,9}", 0..4),
            wanted in proptest::collection::vec("[a-z=:]{1,99}", 0..9),
        ) {
            let bytes = |list: &[String]| list.iter().map(|s| s.clone().into_bytes()).collect::<Vec<_>>();
            let (before, wanted) = (bytes(&before), bytes(&wanted));
            let slices = |list: &[Vec<u8>], kind| structure(kind, &list.iter().map(|s| &**s).collect::<Vec<_>>());
            let table = [slices(&before, 1), slices(&wanted, 11), slices(&before, 2)].concat();
            prop_assert_eq!(found(&table, 11), wanted);
        }
    }
}
