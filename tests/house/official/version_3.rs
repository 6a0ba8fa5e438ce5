//! What version 1 of the command line asks: version 3 of the API, its token as a bearer.

use super::{Answer, CONFIG, Caller, INVALID, Message, ORB, values};
use serde_json::{Value, json};

pub(super) fn ask(caller: &Caller, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let token = format!("Authorization: Bearer {}", caller.token);
    let headers = [&*token, "Content-Type: application/json", "Accept: application/json"];
    // Its client escapes the names of parameters.
    let path = path.replace('[', "%5B").replace(']', "%5D").replace('@', "%40");
    caller.ask(method, &path, &headers, body)
}

/// `config validate` of version 1, which sends its token as a bearer.
pub(super) fn compile(caller: &Caller) {
    let compile = |text: &str| {
        let attributes = json!({ "config": text, "pipeline_values": values(), "pipeline_parameters": { "who": "you" } });
        let body = json!({ "data": { "attributes": attributes, "references": { "org": { "id": "018f3c9e-0000-7000-8000-000000000000" } } } });
        ask(caller, "POST", "/api/v3/configs/compile", Some(&body))
    };
    let answer = compile(CONFIG);
    assert_eq!(answer.read::<String>("/data/attributes/outcome"), "succeeded");
    let output: String = answer.read("/data/attributes/compiled_config");
    assert!(output.contains("echo hello you 1"), "{output}");
    let refused = compile(INVALID);
    assert_eq!(refused.read::<String>("/data/attributes/outcome"), "failed");
    let told: Vec<Message> = refused.read("/meta/messages");
    // Each line would be a message of its own.
    let told = told.iter().find(|told| told.message.contains("named chekout")).unwrap();
    let told = &told.message;
    assert!(told.contains("(did you mean `checkout`?)") && !told.contains('\n'), "{told}");
}

/// `orb list`, `orb get`, `orb source`, `orb validate`, `namespace get`, and what would write.
pub(super) fn orbs(caller: &Caller) {
    let get = |path: &str| ask(caller, "GET", path, None);
    let namespace: String = get("/api/v3/namespaces?filter[name]=acme").read("/data/id");
    assert_eq!(get("/api/v3/namespaces?filter[name]=none").status, 404);
    let (mut names, mut cursor) = (vec![], String::new());
    loop {
        let page =
            get(&format!("/api/v3/orb/packages?filter[certified]=true&page[cursor]={cursor}"));
        let orbs: Vec<Value> = page.read("/data");
        names.extend(orbs.iter().map(|orb| orb["attributes"]["name"].as_str().unwrap().to_owned()));
        match page.read::<Option<String>>("/page/next") {
            Some(next) => cursor = next,
            None => break,
        }
    }
    assert!(names.contains(&"acme/say".to_owned()) && names.contains(&"many/orb22".to_owned()));
    let of = get(&format!("/api/v3/orb/packages?filter[namespace_id]={namespace}"));
    assert_eq!(of.read::<Vec<Value>>("/data").len(), 2, "the draft, too");
    let orb: Value = get("/api/v3/orb/packages?filter[name]=acme/say").read("/data/0");
    assert_eq!(orb["references"]["orb_versions"][0]["attributes"]["version"], "1.0.1");
    let id = orb["id"].as_str().unwrap();
    assert_eq!(get(&format!("/api/v3/orb/packages/{id}")).read::<Value>("/data"), orb);
    let versions = |channel: &str| -> Vec<Value> {
        get(&format!("/api/v3/orb/versions?filter[orb_id]={id}&filter[channel]={channel}"))
            .read("/data")
    };
    assert_eq!((versions("stable").len(), versions("dev").len(), versions("").len()), (2, 1, 3));
    let found: Value = get("/api/v3/orb/versions?filter[ref]=acme/say@volatile").read("/data/0");
    assert_eq!(found["references"]["orb_package"]["id"], id);
    let source = get(&format!("/api/v3/orb/versions/{}/source", found["id"].as_str().unwrap()));
    assert_eq!((source.status, source.body.as_str()), (200, ORB));
    let validate = |text: &str| -> Value {
        ask(caller, "POST", "/api/v3/orb/packages/validate", Some(&json!({ "yaml": text })))
            .read("/data/attributes")
    };
    assert_eq!(validate(ORB)["is_valid"], true);
    let refused = validate("commands: {c: {steps: [nothing]}}");
    assert!(refused["errors"][0].as_str().unwrap().starts_with("orb.yml:1:24: "), "{refused}");
    let write = ask(caller, "POST", "/api/v3/orb/versions", Some(&json!({})));
    assert!(write.status == 501 && write.body.contains("appliance orb import"), "{}", write.body);
}
