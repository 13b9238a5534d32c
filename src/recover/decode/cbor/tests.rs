use serde_json::json;

use super::*;

fn read(bytes: &[u8]) -> Result<Value> {
    value(bytes, &mut Budget::default())
}

#[test]
fn reads_what_kubernetes_writes() {
    let cases: [(&[u8], Value); 20] = [
        (b"\xa2\x41a\x41b\x41c\x80", json!({"a": "b", "c": []})),
        (b"\x61a", json!("a")),
        (b"\x82\xf6\xf5", json!([null, true])),
        (b"\xf4", json!(false)),
        (b"\x17", json!(23)),
        (b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff", json!(i64::MAX)),
        (b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", json!(i64::MIN)),
        (b"\xd6\x43\x00\x01\xff", json!("AAH/")),
        (b"\xf9\x3e\x00", json!(1.5)),
        (b"\xf9\xbc\x00", json!(-1)),
        (b"\xf9\x7b\xff", json!(65504)),
        (b"\xf9\x00\x01", json!(5.960_464_477_539_063e-8)),
        (b"\xf9\x04\x00", json!(6.103_515_625e-5)),
        (b"\xf9\x80\x00", json!(-0.0)),
        (b"\xfa\x47\xc3\x50\x00", json!(100_000)),
        (b"\xfa\x3d\xcc\xcc\xcd", json!(0.100_000_001_490_116_12)),
        (b"\xfb\x3f\xb9\x99\x99\x99\x99\x99\x9a", json!(0.1)),
        (
            b"\xfb\x43\xe0\x00\x00\x00\x00\x00\x00",
            json!(9_223_372_036_854_776_000_u64),
        ),
        (b"\xfb\x44\x4b\x1a\xe4\xd6\xe2\xef\x50", json!(1e21)),
        (b"\xf9\x00\x00", json!(0)),
    ];
    for (bytes, want) in cases {
        assert_eq!(read(bytes).unwrap(), want, "{bytes:x?}");
    }
}

#[test]
fn what_kubernetes_does_not_write_is_refused() {
    let cases: [(&[u8], &str); 17] = [
        (b"", "cut short"),
        (b"\xa1\x41a", "cut short"),
        (b"\x42a", "cut short"),
        (b"\x82\x01", "cut short"),
        (b"\xf9\x00", "cut short"),
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01", "cut short"),
        (b"\x01\x01", "something follows"),
        (b"\x1b\x80\0\0\0\0\0\0\0", "more than 64 bits"),
        (b"\xa2\x41a\x01\x41a\x02", "a key twice"),
        (b"\xa1\x01\x01", "where a text should be"),
        (b"\x41\xff", "not UTF-8"),
        (b"\xc0\x41a", "a tag 0"),
        (b"\x9f\xff", "does not write"),
        (b"\xf7", "does not write"),
        (b"\xf0", "does not write"),
        (b"\xf9\x7c\x00", "not finite"),
        (b"\xfb\x7f\xf8\0\0\0\0\0\0", "not finite"),
    ];
    for (bytes, want) in cases {
        let got = format!("{:#}", read(bytes).unwrap_err());
        assert!(got.contains(want), "{bytes:x?}: {got}");
    }
    let deep = [[0x81].repeat(200), vec![1]].concat();
    assert!(read(&deep).unwrap_err().to_string().contains("128"));
    let wide = [&[0x99, 0xff, 0xff][..], &b"\xa1\x40\x01".repeat(65_535)].concat();
    assert!(read(&wide).unwrap_err().to_string().contains("40 MiB"));
}
