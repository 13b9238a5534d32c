//! JSON patch, RFC 6902: the six operations on JSON pointers (RFC 6901).
//!
//! A crate would bring its own error and operation types for what is sixty lines over
//! `serde_json`'s pointers.

use serde_json::Value;

/// Applies all operations, or says which does not apply and why.
pub fn apply(object: &mut Value, operations: &Value) -> Result<(), String> {
    let operations = operations.as_array().ok_or("a JSON patch is a list")?;
    for (index, operation) in operations.iter().enumerate() {
        step(object, operation).map_err(|why| format!("operation {}: {why}", index + 1))?;
    }
    Ok(())
}

fn step(object: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |field| {
        let text = operation.get(field).and_then(Value::as_str);
        text.ok_or_else(|| format!("it needs {field}, a text"))
    };
    let value = || {
        operation
            .get("value")
            .cloned()
            .ok_or("it needs value".to_owned())
    };
    let path = text("path")?;
    match text("op")? {
        "add" => add(object, path, value()?),
        "remove" => remove(object, path).map(drop),
        "replace" => {
            *find(object, path)? = value()?;
            Ok(())
        }
        "move" => {
            let from = text("from")?;
            if path
                .strip_prefix(from)
                .is_some_and(|rest| rest.starts_with('/'))
            {
                return Err(format!("{from} cannot move into itself"));
            }
            let moved = remove(object, from)?;
            add(object, path, moved)
        }
        "copy" => {
            let copied = find(object, text("from")?)?.clone();
            add(object, path, copied)
        }
        "test" if *find(object, path)? == value()? => Ok(()),
        "test" => Err(format!("{path} is not the value tested for")),
        other => Err(format!(
            "{other:?} is none of add, remove, replace, move, copy, test"
        )),
    }
}

fn find<'a>(object: &'a mut Value, path: &str) -> Result<&'a mut Value, String> {
    object.pointer_mut(path).ok_or_else(|| nothing(path))
}

fn nothing(path: &str) -> String {
    format!("there is nothing at {path:?}")
}

/// The place of a pointer's last part: what holds it, and its key.
fn place<'a>(object: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (parent, key) = path.rsplit_once('/').ok_or_else(|| nothing(path))?;
    let key = key.replace("~1", "/").replace("~0", "~");
    let parent = object.pointer_mut(parent).ok_or_else(|| nothing(parent))?;
    Ok((parent, key))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    match place(object, path)? {
        (Value::Object(fields), key) => drop(fields.insert(key, value)),
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => match index(&key) {
            Some(at) if at <= items.len() => items.insert(at, value),
            _ => return Err(nothing(path)),
        },
        _ => return Err(nothing(path)),
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, String> {
    let removed = match place(object, path)? {
        (Value::Object(fields), key) => fields.remove(&key),
        (Value::Array(items), key) => index(&key)
            .filter(|at| *at < items.len())
            .map(|at| items.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| nothing(path))
}

/// An index as RFC 6901 writes it: digits without a leading zero.
fn index(key: &str) -> Option<usize> {
    let digits = key.bytes().all(|byte| byte.is_ascii_digit());
    let fits = digits && (key == "0" || !key.starts_with('0'));
    fits.then(|| key.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(object: Value, operation: &Value) -> Result<Value, String> {
        let mut object = object;
        apply(&mut object, &json!([operation])).map(|()| object)
    }

    #[test]
    fn every_operation() {
        let table = [
            (
                json!({"a": 1}),
                json!({"op": "add", "path": "/b", "value": 2}),
                json!({"a": 1, "b": 2}),
            ),
            (
                json!({"a": 1}),
                json!({"op": "add", "path": "/a", "value": null}),
                json!({"a": null}),
            ),
            (
                json!([1, 3]),
                json!({"op": "add", "path": "/1", "value": 2}),
                json!([1, 2, 3]),
            ),
            (
                json!([1]),
                json!({"op": "add", "path": "/1", "value": 2}),
                json!([1, 2]),
            ),
            (
                json!([1]),
                json!({"op": "add", "path": "/-", "value": 2}),
                json!([1, 2]),
            ),
            (
                json!({"a": 1}),
                json!({"op": "add", "path": "", "value": 2}),
                json!(2),
            ),
            (
                json!({"a/b": {"c~d": 1}}),
                json!({"op": "remove", "path": "/a~1b/c~0d"}),
                json!({"a/b": {}}),
            ),
            (
                json!([1, 2]),
                json!({"op": "remove", "path": "/0"}),
                json!([2]),
            ),
            (
                json!({"a": 1}),
                json!({"op": "replace", "path": "/a", "value": 2}),
                json!({"a": 2}),
            ),
            (
                json!({"a": 1}),
                json!({"op": "move", "from": "/a", "path": "/b"}),
                json!({"b": 1}),
            ),
            (
                json!({"a": 1}),
                json!({"op": "move", "from": "/a", "path": "/a"}),
                json!({"a": 1}),
            ),
            (
                json!({"a": [1]}),
                json!({"op": "copy", "from": "/a", "path": "/b"}),
                json!({"a": [1], "b": [1]}),
            ),
            (
                json!({"a": [1]}),
                json!({"op": "test", "path": "/a/0", "value": 1}),
                json!({"a": [1]}),
            ),
        ];
        for (object, operation, expected) in table {
            let row = format!("{object} with {operation}");
            assert_eq!(patched(object, &operation), Ok(expected), "{row}");
        }
    }

    #[test]
    fn what_does_not_apply_is_named() {
        let table = [
            (json!({"op": "remove", "path": "/c"}), "nothing at \"/c\""),
            (
                json!({"op": "replace", "path": "/c", "value": 1}),
                "nothing at",
            ),
            (
                json!({"op": "add", "path": "/l/3", "value": 1}),
                "nothing at",
            ),
            (
                json!({"op": "add", "path": "/l/01", "value": 1}),
                "nothing at",
            ),
            (json!({"op": "remove", "path": "/l/-"}), "nothing at"),
            (json!({"op": "add", "path": "b", "value": 1}), "nothing at"),
            (
                json!({"op": "add", "path": "/a/b", "value": 1}),
                "nothing at",
            ),
            (json!({"op": "add", "path": "/b"}), "needs value"),
            (json!({"op": "copy", "path": "/b"}), "needs from"),
            (
                json!({"op": "test", "path": "/a", "value": 2}),
                "not the value",
            ),
            (
                json!({"op": "move", "from": "/l", "path": "/l/0"}),
                "into itself",
            ),
            (json!({"op": "ad", "path": "/b"}), "none of add"),
            (json!("x"), "needs path"),
        ];
        for (operation, expected) in table {
            let row = operation.to_string();
            let error = patched(json!({"a": 1, "l": [1]}), &operation).unwrap_err();
            assert!(error.starts_with("operation 1: "), "{row}: {error}");
            assert!(error.contains(expected), "{row}: {error}");
        }
    }
}
