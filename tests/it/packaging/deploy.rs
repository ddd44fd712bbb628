//! Kubernetes manifests and the systemd unit: every variable, argument, port and path is the program's, and its stop has time.

use std::collections::BTreeMap;
use std::path::Path;

use serde_norway::Value;

use super::{pgflight, printed, read, seconds, words, yaml};

const BASE: &str = "deploy/kubernetes/base";
/// What embedding workers and last words may take after the drain (src/app/serve.rs).
const LAST_SECONDS: u64 = 8;

fn manifest(name: &str) -> Value {
    yaml(&format!("{BASE}/{name}.yaml"))
}

/// Names and values of a container's environment.
fn variables(container: &Value) -> BTreeMap<String, String> {
    let listed = container["env"].as_sequence().expect("an environment");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    listed
        .iter()
        .map(|one| (text(&one["name"]), text(&one["value"])))
        .collect()
}

#[test]
fn the_configuration_of_kubernetes_is_understood_and_its_ports_and_paths_are_served() {
    let config = printed(
        &format!("{BASE}/pgflight.yaml"),
        &[("/run/secrets/pgflight/token", "token-hunter2")],
        &BTreeMap::new(),
    );
    let config: Value = serde_norway::from_str(&config).expect("YAML");
    let deployment = manifest("deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let ports: BTreeMap<&str, u64> = container["ports"]
        .as_sequence()
        .expect("ports")
        .iter()
        .map(|port| {
            (
                port["name"].as_str().expect("a name"),
                port["containerPort"].as_u64().expect("a port"),
            )
        })
        .collect();
    for (name, key) in [("grpc", "listen"), ("admin", "admin_listen")] {
        let listens = config[key].as_str().expect("an address");
        assert_eq!(listens, format!("0.0.0.0:{}", ports[name]));
    }
    let admin = read("src/server/admin.rs");
    for probe in ["readinessProbe", "livenessProbe"] {
        let get = &container[probe]["httpGet"];
        let path = get["path"].as_str().expect("a path");
        assert!(admin.contains(&format!("\"{path}\"")), "{path} is served");
        assert_eq!(get["port"], "admin");
        assert!(
            container[probe]["timeoutSeconds"]
                .as_u64()
                .is_some_and(|limit| limit >= 3),
            "the reason arrives"
        );
    }
    let shutdown = &config["shutdown"];
    let of = |key: &str| seconds(shutdown[key].as_str().expect("a duration"));
    let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a number");
    assert!(grace > of("delay") + of("drain_timeout") + LAST_SECONDS, "{grace}");
}

#[test]
fn pods_run_unprivileged_with_limits_and_secrets_by_file() {
    let deployment = manifest("deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let context = &container["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(words(&context["capabilities"]["drop"]), ["ALL"]);
    assert!(container["resources"]["limits"]["memory"].is_string());
    let mounts: BTreeMap<&str, &str> = container["volumeMounts"]
        .as_sequence()
        .expect("mounts")
        .iter()
        .map(|mount| {
            (
                mount["name"].as_str().expect("a name"),
                mount["mountPath"].as_str().expect("a path"),
            )
        })
        .collect();
    for volume in pod["volumes"].as_sequence().expect("volumes") {
        assert!(
            mounts.contains_key(volume["name"].as_str().expect("a name")),
            "{volume:?} is mounted"
        );
    }
    assert_eq!(mounts["tmp"], "/tmp");
    let variables = variables(container);
    let below = |name: &str, mount: &str| variables[name].starts_with(&format!("{}/", mounts[mount]));
    assert!(below("PGFLIGHT_CONFIG", "config") && below("PGFLIGHT_CONNECTION_STRING_FILE", "secrets"));
    assert!(
        !variables.contains_key("PGFLIGHT_CONNECTION_STRING"),
        "secrets come by file"
    );
}

#[test]
fn the_parts_of_kubernetes_find_one_another() {
    let kustomization = manifest("kustomization");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(BASE);
    for resource in words(&kustomization["resources"]) {
        assert!(directory.join(&resource).is_file(), "{resource}");
    }
    let labels = &kustomization["labels"][0];
    assert_eq!(labels["includeTemplates"], true);
    // Selectors that it would write reach into the policy, where clients would have to bear the server's name.
    assert_eq!(labels["includeSelectors"], false);
    let pairs = &labels["pairs"];
    for (name, selector) in [
        ("deployment", &manifest("deployment")["spec"]["selector"]["matchLabels"]),
        ("service", &manifest("service")["spec"]["selector"]),
        (
            "poddisruptionbudget",
            &manifest("poddisruptionbudget")["spec"]["selector"]["matchLabels"],
        ),
        (
            "networkpolicy",
            &manifest("networkpolicy")["spec"]["podSelector"]["matchLabels"],
        ),
    ] {
        assert_eq!(
            selector, pairs,
            "{name} selects the pods of the deployment and no others"
        );
    }
    let monitor = yaml("deploy/kubernetes/servicemonitor/servicemonitor.yaml");
    assert_eq!(&monitor["spec"]["selector"]["matchLabels"], pairs);
    let service = manifest("service");
    let ports = service["spec"]["ports"].as_sequence().expect("ports");
    assert!(
        ports
            .iter()
            .any(|port| port["name"] == monitor["spec"]["endpoints"][0]["port"])
    );
    let config = words(&kustomization["configMapGenerator"][0]["files"]);
    let deployment = manifest("deployment");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert!(variables(container)["PGFLIGHT_CONFIG"].ends_with(&config[0]));
    assert_eq!(
        deployment["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"],
        kustomization["configMapGenerator"][0]["name"]
    );
}

#[test]
fn variables_of_kubernetes_and_systemd_are_read_by_the_program() {
    let deployment = manifest("deployment");
    let mut named = variables(&deployment["spec"]["template"]["spec"]["containers"][0]);
    let unit = read("deploy/systemd/pgflight.service");
    let set = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
    named.extend(set.map(|pair| {
        let (name, value) = pair.split_once('=').expect("a pair");
        (name.to_owned(), value.to_owned())
    }));
    let credential = unit
        .lines()
        .find_map(|line| line.strip_prefix("LoadCredential="))
        .expect("a credential");
    let (credential, _) = credential.split_once(':').expect("name and file");
    assert!(unit.contains(&format!("%d/{credential}")), "what is loaded is read");
    // A file that is not there is an error that names the variable that leads to it.
    for name in named.keys() {
        let output = pgflight(
            &["config", "print"],
            &BTreeMap::from([(name.clone(), "/nonexistent/file".to_owned())]),
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("/nonexistent/file"),
            "{name}: {said}"
        );
    }
}

#[test]
fn the_unit_stops_in_time_and_has_limits() {
    let unit = read("deploy/systemd/pgflight.service");
    let value = |key: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        found.unwrap_or_else(|| panic!("{key} is set")).to_owned()
    };
    let output = pgflight(&["config", "print"], &BTreeMap::new());
    let printed: Value = serde_norway::from_slice(&output.stdout).expect("YAML");
    let of = |key: &str| seconds(printed["shutdown"][key].as_str().expect("a duration"));
    let stop: u64 = value("TimeoutStopSec").parse().expect("seconds");
    assert!(stop > of("delay") + of("drain_timeout") + LAST_SECONDS);
    for key in [
        "LimitNOFILE",
        "MemoryMax",
        "TasksMax",
        "DynamicUser",
        "NoNewPrivileges",
        "ProtectSystem",
        "PrivateTmp",
    ] {
        assert!(!value(key).is_empty());
    }
}
