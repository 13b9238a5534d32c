use super::*;
use serde_json::json;

fn config(cluster: &Value, user: &Value) -> Vec<u8> {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "other"}, {"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    })
    .to_string()
    .into_bytes()
}

fn cluster() -> Value {
    json!({"server": "https://[fd00::1]:6443/", "certificate-authority-data": "Q0E="})
}

#[test]
fn embedded_material_is_decoded() {
    let user = json!({"client-certificate-data": "Q0\nVSVA==", "client-key-data": "S0VZ"});
    let config = parse_embedded(&config(&cluster(), &user)).unwrap();
    let Server {
        tls,
        host,
        port,
        prefix,
    } = config.server;
    assert_eq!(
        (tls, host.as_str(), port, prefix.as_str()),
        (true, "fd00::1", 6443, "")
    );
    assert_eq!(config.ca_pem, b"CA");
    assert_eq!(
        config.certificate,
        Some((b"CERT".to_vec(), Secret::new("KEY")))
    );
    assert_eq!(config.token, None);
}

#[test]
fn files_are_read_relative_to_the_kubeconfig() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = config(
        &json!({"server": "https://api.test/base/", "certificate-authority": "pki/ca.crt"}),
        &json!({"token": "old", "tokenFile": dir.path().join("token")}),
    );
    fs::create_dir(dir.path().join("pki")).unwrap();
    let path = dir.path().join("config");
    fs::write(&path, bytes).unwrap();
    let error = format!("{:#}", load(&path).unwrap_err());
    assert!(
        error.contains("config") && error.contains("pki/ca.crt"),
        "{error}"
    );

    fs::write(dir.path().join("pki/ca.crt"), "CA").unwrap();
    fs::write(dir.path().join("token"), "new\n").unwrap();
    let config = load(&path).unwrap();
    assert_eq!(config.server.prefix, "/base");
    assert_eq!(config.server.port, 443);
    assert_eq!(config.token, Some(Secret::new("new")));
}

#[test]
fn what_cannot_be_used_is_named() {
    let ok = json!({"token": "t"});
    let cases = [
        (config(&json!({}), &ok), "its cluster names no server"),
        (
            config(&json!({"server": "https://a"}), &ok),
            "no certificate-authority",
        ),
        (
            config(&json!({"server": "a:6443"}), &ok),
            "does not start with https://",
        ),
        (config(&cluster(), &json!({"exec": {}})), "it uses exec"),
        (
            config(&cluster(), &json!({"password": "hunter2"})),
            "it uses password",
        ),
        (
            config(&cluster(), &json!({"client-key-data": "S0VZ"})),
            "no client-certificate",
        ),
        (
            config(&cluster(), &json!({"client-key-data": "hunter2!"})),
            "client-key-data is no base64",
        ),
        (
            config(&cluster(), &json!({"tokenFile": "t"})),
            "refers to the file t",
        ),
        (
            config(
                &json!({"server": "https://a", "insecure-skip-tls-verify": true}),
                &ok,
            ),
            "insecure",
        ),
        (
            br#"{"current-context": "x"}"#.to_vec(),
            "no context named \"x\"",
        ),
        (br#"{"kind": "Config"}"#.to_vec(), "no current-context"),
        (b"\xff".to_vec(), "UTF-8"),
        (b"a: 1\nb: [hunter2".to_vec(), "not YAML; see line"),
        (b"a: 1\n---\nb: 1\n".to_vec(), "not one YAML document"),
    ];
    for (bytes, named) in cases {
        let error = format!("{:#}", parse_embedded(&bytes).unwrap_err());
        assert!(error.contains(named), "{error} does not name {named}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_context_may_name_no_user() {
    let bytes = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:8001"}}],
    });
    let config = parse_embedded(bytes.to_string().as_bytes()).unwrap();
    assert!(!config.server.tls && config.certificate.is_none() && config.token.is_none());
}

#[test]
fn yaml_as_people_write_it_is_read() {
    let text = "
apiVersion: v1
kind: Config
current-context: admin@harbour
contexts:
- {name: admin@harbour, context: {cluster: harbour, user: admin}}
clusters:
- name: harbour
  cluster:
    server: https://10.0.2.15:6443
    certificate-authority-data: Q0E=
users:
- name: admin
  user:
    token: abc
";
    let config = parse_embedded(text.as_bytes()).unwrap();
    assert_eq!(config.server.host, "10.0.2.15");
    assert_eq!(config.token, Some(Secret::new("abc")));
}
