use super::*;
use crate::exit::exit_of;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn inline(name: &str, text: &str) -> Manifest {
    Manifest {
        name: name.to_owned(),
        content: Content::Inline(text.to_owned()),
    }
}

fn ours() -> Vec<Pending> {
    let object = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system"}});
    vec![Pending {
        path: "manifests/coredns-deployment.yaml".to_owned(),
        comment: String::new(),
        object,
        mode: PUBLIC,
    }]
}

#[test]
fn what_is_fine_is_written_as_it_is() {
    let secret =
        "# a comment\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n---\n# nothing\n";
    let files = render(&[inline("a.yaml", MAP), inline("b.yaml", secret)], &ours()).unwrap();
    let expected = [
        (
            "manifests/a.yaml".to_owned(),
            0o644,
            MAP.as_bytes().to_vec(),
        ),
        (
            "manifests/b.yaml".to_owned(),
            0o600,
            secret.as_bytes().to_vec(),
        ),
    ];
    assert_eq!(files, expected);
}

#[test]
fn what_is_broken_is_named() {
    let twice = format!("{MAP}data:\n  k: 1\n  k: 2\n");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {MAP:?}\n");
    let second = format!("{MAP}---\nkind: Pod\n");
    let deployment = "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: coredns, namespace: kube-system}\n";
    let table: [(&[(&str, &str)], &str); 10] = [
        (
            &[("coredns-deployment.yaml", MAP)],
            "manifests[0] (coredns-deployment.yaml): slipway renders a file of this name",
        ),
        (
            &[("a.yaml", deployment)],
            "Deployment kube-system/coredns is in manifests/coredns-deployment.yaml already",
        ),
        (
            &[("a.yaml", MAP), ("b.yaml", MAP)],
            "manifests[1] (b.yaml): ConfigMap default/a is in manifests/a.yaml already",
        ),
        (&[("a.yaml", &twice)], "\"k\" is given twice at line 5"),
        (&[("a.yaml", "a: [b\n")], "at line 2"),
        (&[("a.yaml", "# none\n")], "there is no object in it"),
        (&[("a.yaml", &list)], "object 1 in it: a list is no object"),
        (
            &[("a.yaml", &second)],
            "object 2 in it: it has no apiVersion",
        ),
        (
            &[("a.yaml", "apiVersion: v1\nkind: Pod\n")],
            "it has no metadata.name",
        ),
        (&[("a.yaml", "text")], "it has no apiVersion"),
    ];
    for (manifests, expected) in table {
        let manifests: Vec<_> = manifests
            .iter()
            .map(|(name, text)| inline(name, text))
            .collect();
        let error = render(&manifests, &ours()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn files_are_read_below_the_root() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("a.yaml"), MAP).unwrap();
    std::fs::write(root.path().join("binary"), b"\xff").unwrap();
    let long = File::create(root.path().join("long")).unwrap();
    long.set_len(MAX_BYTES + 1).unwrap();
    let text =
        b"apiVersion: slipway.dev/v1alpha1\nkind: Machine\nnode: {name: a, address: 192.0.2.1}\n\
                 cluster: {name: a}\n";
    let read_one = |path: &str| {
        let mut machine = crate::config::parse(text).unwrap();
        let content = Content::File(path.to_owned());
        machine.manifests = vec![Manifest {
            name: "x.yaml".to_owned(),
            content,
        }];
        read(&mut machine, root.path()).map(|()| machine.manifests)
    };
    assert_eq!(read_one("/a.yaml").unwrap(), [inline("x.yaml", MAP)]);
    for (path, exit, expected) in [
        (
            "/none",
            Exit::NotFound,
            "cannot read /none, the manifest x.yaml",
        ),
        ("/binary", Exit::Invalid, "not UTF-8"),
        ("/long", Exit::Invalid, "more than 4194304 bytes"),
    ] {
        let error = read_one(path).unwrap_err();
        assert_eq!(exit_of(&error), exit);
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
}
