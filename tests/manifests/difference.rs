//! The difference between two objects, as a strategic merge patch that kustomize applies.

use serde_json::{Map, Value, json};

/// A patch that turns `from` into `to`; both are the same object, so its head is kept.
pub(crate) fn difference(from: &Value, to: &Value) -> Value {
    let mut patch = fields(from, to);
    patch["apiVersion"] = to["apiVersion"].clone();
    patch["kind"] = to["kind"].clone();
    patch["metadata"] = json!({"name": to["metadata"]["name"]});
    patch
}

fn fields(from: &Value, to: &Value) -> Value {
    let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else {
        return items(from, to);
    };
    let mut patch = Map::new();
    for (name, value) in new {
        match old.get(name) {
            Some(before) if before == value => {}
            Some(before) => drop(patch.insert(name.clone(), fields(before, value))),
            None => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// Lists whose items have a key are merged by it; others are replaced.
fn items(from: &Value, to: &Value) -> Value {
    let (Some(old), Some(new)) = (from.as_array(), to.as_array()) else {
        return to.clone();
    };
    let Some(key) = ["mountPath", "containerPort", "name"]
        .into_iter()
        .find(|key| old.iter().chain(new).all(|item| item.get(key).is_some()))
    else {
        return to.clone();
    };
    let find =
        |list: &[Value], item: &Value| list.iter().find(|other| other[key] == item[key]).cloned();
    let mut patch = Vec::new();
    for item in new {
        match find(old, item) {
            Some(before) if before == *item => {}
            Some(before) => {
                let mut change = fields(&before, item);
                change[key] = item[key].clone();
                patch.push(change);
            }
            None => patch.push(item.clone()),
        }
    }
    let gone = old.iter().filter(|item| find(new, item).is_none());
    patch.extend(gone.map(|item| json!({"$patch": "delete", key: item[key]})));
    Value::Array(patch)
}
