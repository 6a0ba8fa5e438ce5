//! What the orb commands of version 0.1 ask of GraphQL.

use super::{Caller, ORB};
use base::time::Timestamp;
use serde_json::{Value, json};

/// The next release under the same name, and an orb that was never released.
fn import(caller: &Caller, name: &str) {
    let orb = caller.appliance.folder.path().join("say.yml");
    let added = caller.appliance.cli(&["orb", "import", orb.to_str().unwrap(), name]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
}

/// `orb list`, `orb list NAMESPACE`, with and without details, and what other orb commands ask
/// first. The store holds one orb of `acme`, and more than one page of `many`.
pub(super) fn lists(caller: &Caller) {
    for number in 0..23 {
        let orb = caller.appliance.folder.path().join("say.yml");
        let name = format!("many/orb{number:02}@1.0.0");
        let added = caller.appliance.cli(&["orb", "import", orb.to_str().unwrap(), &name]);
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }
    // All pages, as the command line walks them: by the cursor of the last edge.
    let walk = |query: &str, at: &str, mut variables: Value| {
        let (mut found, mut pages) = (vec![], 0);
        loop {
            let answer: Value = caller.graphql(query, &variables).read(at);
            pages += 1;
            for edge in answer["edges"].as_array().unwrap() {
                variables["after"] = edge["cursor"].clone();
                found.push(edge["node"].clone());
            }
            if !answer["pageInfo"]["hasNextPage"].as_bool().unwrap() {
                return (found, pages);
            }
        }
    };
    let all = "\nquery ListOrbs ($after: String!, $certifiedOnly: Boolean!) {\n  orbs(first: 20, after: $after, certifiedOnly: $certifiedOnly) {\n\ttotalCount,\n    edges {\n\t\tcursor\n\t  node {\n\t    name\n\t    statistics {\n\t\tlast30DaysBuildCount,\n\t\tlast30DaysProjectCount,\n\t\tlast30DaysOrganizationCount\n\t    }\n\t\t  versions(count: 1) {\n\t\t\tversion,\n\t\t\tsource\n\t\t  }\n\t\t}\n\t}\n    pageInfo {\n      hasNextPage\n    }\n  }\n}\n";
    let (orbs, pages) = walk(all, "/data/orbs", json!({ "after": "", "certifiedOnly": true }));
    assert_eq!((orbs.len(), pages), (24, 2));
    assert_eq!(orbs[0]["name"], "acme/say");
    let versions = orbs[0]["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!((&versions[0]["version"], &versions[0]["source"]), (&json!("1.0.0"), &json!(ORB)));
    assert!(orbs.iter().all(|orb| orb["statistics"]["last30DaysBuildCount"].is_u64()));

    let of_namespace = |versions: &str| {
        format!(
            "\nquery namespaceOrbs ($namespace: String, $after: String!, $view: OrbListViewType) {{\n\tregistryNamespace(name: $namespace) {{\n\t\tname\n                id\n\t\torbs(first: 20, after: $after, view: $view) {{\n\t\t\tedges {{\n\t\t\t\tcursor\n\t\t\t\tnode {{\n\t\t\t\t\tversions {versions} version\n\t\t\t\t\t}}\n\t\t\t\t\tname\n\t                                statistics {{\n\t\t                           last30DaysBuildCount,\n\t\t                           last30DaysProjectCount,\n\t\t                           last30DaysOrganizationCount\n\t                               }}\n\t\t\t\t}}\n\t\t\t}}\n\t\t\ttotalCount\n\t\t\tpageInfo {{\n\t\t\t\thasNextPage\n\t\t\t}}\n\t\t}}\n\t}}\n}}\n"
        )
    };
    let asked =
        |namespace: &str, view: &str| json!({ "after": "", "namespace": namespace, "view": view });
    let at = "/data/registryNamespace/orbs";
    let (orbs, pages) = walk(&of_namespace("{"), at, asked("many", "PUBLIC_ONLY"));
    assert_eq!((orbs.len(), pages), (23, 2));
    assert_eq!(orbs[22]["versions"][0]["version"], "1.0.0");
    let (orbs, _) = walk(&of_namespace("(count: 1){ source,"), at, asked("acme", "PUBLIC_ONLY"));
    assert_eq!((orbs.len(), &orbs[0]["versions"][0]["source"]), (1, &json!(ORB)));
    assert!(walk(&of_namespace("{"), at, asked("acme", "PRIVATE_ONLY")).0.is_empty());
    let nobody = caller.graphql(&of_namespace("{"), &asked("none", "PUBLIC_ONLY"));
    assert!(nobody.read::<Value>("/data/registryNamespace").is_null());

    let id = "\n\tquery ($name: String!, $namespace: String) {\n\t\torb(name: $name) {\n\t\t  id\n\t\t  isPrivate\n\t\t}\n\t\tregistryNamespace(name: $namespace) {\n\t\t\tid\n\t\t  }\n\t  }\n\t  ";
    let ask = |name: &str| {
        let variables = json!({ "name": name, "namespace": name.split('/').next() });
        caller.graphql(id, &variables).read::<Value>("/data")
    };
    let found = ask("acme/say");
    assert_eq!(
        (&found["orb"]["isPrivate"], &found["registryNamespace"]["id"]),
        (&json!(false), &json!("acme"))
    );
    assert!(ask("acme/none")["orb"].is_null() && ask("none/say")["registryNamespace"].is_null());
    let categories = "\n\tquery ListOrbCategories($after: String!) {\n\t\torbCategories(first: 20, after: $after) {\n\t\t\ttotalCount\n\t\t\tedges {\n\t\t\t\tcursor\n\t\t\t\tnode {\n\t\t\t\t\tid\n\t\t\t\t\tname\n\t\t\t\t}\n\t\t\t}\n\t\t\tpageInfo {\n\t\t\t\thasNextPage\n\t\t\t}\n\t\t}\n\t}\n";
    assert!(walk(categories, "/data/orbCategories", json!({ "after": "" })).0.is_empty());
}

/// Newest versions alone where one is asked for, released ones alone, and when they came.
pub(super) fn dates_and_releases(caller: &Caller) {
    for name in ["acme/say@1.0.1", "acme/say@dev:next", "acme/draft@dev:first"] {
        import(caller, name);
    }
    let newest = "query($name: String!) {\n\t\t\t    orb(name: $name) {\n\t\t\t      versions(count: 1) {\n\t\t\t\t    version\n\t\t\t      }\n\t\t\t    }\n\t\t      }";
    let versions = |name: &str| -> Vec<Value> {
        caller.graphql(newest, &json!({ "name": name })).read("/data/orb/versions")
    };
    assert_eq!(versions("acme/say")[0]["version"], "1.0.1");
    assert_eq!((versions("acme/say").len(), versions("acme/draft").len()), (1, 0));
    let info = "query($orbVersionRef: String!) { orbVersion(orbVersionRef: $orbVersionRef) { id version orb { id createdAt name namespace { name } categories { id name } statistics { last30DaysBuildCount } versions(count: 200) { createdAt version } } source createdAt } }";
    let found = caller.graphql(info, &json!({ "orbVersionRef": "acme/say@volatile" }));
    let found: Value = found.read("/data/orbVersion");
    assert_eq!((&found["version"], &found["orb"]["categories"]), (&json!("1.0.1"), &json!([])));
    assert_eq!(found["orb"]["versions"].as_array().unwrap().len(), 2);
    let dates = [
        &found["createdAt"],
        &found["orb"]["createdAt"],
        &found["orb"]["versions"][1]["createdAt"],
    ];
    let dates = dates.map(|date| date.as_str().unwrap().parse::<Timestamp>().unwrap());
    assert!(dates[1] == dates[2] && dates[1] <= dates[0], "{dates:?}");
}
