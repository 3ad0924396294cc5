//! `kql.md`, section 3.
use super::check;
use crate::query::parse;

/// The page's event E; its `ips` are in `sourceIPs`, because that is an address field here.
const E: &str = r#"{"verb":"create","stage":"ResponseComplete",
"objectRef":{"resource":"pods","subresource":"exec","namespace":"kube-system","name":"p1"},"ns":"kube-system",
"code":403,"codes":[200,403],"hostNetwork":true,"groups":["system:masters","system:authenticated"],
"images":["nginx:1.25","busybox"],"sourceIPs":["10.0.0.5","127.0.0.1","0:0:0:0:0:0:0:1"],"uri":"/api/v1/secrets?limit=500",
"ua":"kubectl/v1.30 (linux/amd64) kubernetes/$Format",
"rules":[{"verbs":["get"],"res":["pods"]},{"verbs":["*"],"res":["secrets"]}],
"s":"foo bar","empty":"","nul":null,"arr":[],"zero":0,"off":false,
"extra":{"authentication.kubernetes.io/pod-name":["p-1"]},"x":"C:\\Win","lines":"a\nb"}"#;

#[test]
fn words_and_wildcards() {
    check(
        E,
        &[
            ("verb:create", true),
            (r#"verb:"create""#, true),
            ("verb:Create", false),
            ("verb:creat", false),
            ("verb:creat*", true),
            ("verb:*", true),
            ("verb:c*t*", true),
            (r"verb:\*", false),
            (r"verb:c\*", false),
            (r#"verb:"c*""#, false),
            ("lines:a*b", true),
            ("uri:/api/v1/secrets?limit*", true),
            ("ua:(* and not (*kubernetes/$Format))", false),
            ("images:(busybox* or alpine*)", true),
            ("not images:nginx*", false),
            ("verb:'create'", false),
            (r#""verb":create"#, true),
            ("ver*:create", true),
            (r"groups:system\:*", true),
            (r"ext*.authentication.kubernetes.io/pod-name:p-*", true),
        ],
    );
}

#[test]
fn missing_and_existing() {
    check(
        E,
        &[
            ("missing:x", false),
            ("missing:*", false),
            ("not missing:x", true),
            ("not missing:*", true),
            ("empty:*", true),
            (r#"empty:"""#, true),
            ("nul:*", false),
            ("arr:*", false),
            ("zero:*", true),
            ("off:*", true),
            ("objectRef:*", true),
            ("objectRef:pods", false),
            ("objectRef.subresource:*", true),
            (r#"missing:("system:anonymous" or not *)"#, true),
        ],
    );
}

#[test]
fn arrays_and_not() {
    check(
        E,
        &[
            (r#"not groups:"system:masters""#, false),
            (r#"groups:(not "system:masters")"#, false),
            (r#"groups:("system:masters" and "system:authenticated")"#, true),
            (r#"groups:(* and not "system:nodes")"#, true),
            (r#"sourceIPs:(* and not "127.0.0.1")"#, false),
        ],
    );
}

#[test]
fn numbers_booleans_and_addresses() {
    check(
        E,
        &[
            ("sourceIPs:10.0.0.0/8", true),
            ("sourceIPs:11.0.0.0/8", false),
            (r#"sourceIPs:"::1""#, true),
            ("sourceIPs:127.0.0.*", true),
            ("sourceIPs >= 10.0.0.1 and sourceIPs <= 10.0.0.9", true),
            ("sourceIPs > 200.0.0.0", false),
            ("code:403", true),
            (r#"code:"403""#, true),
            ("code:0403", true),
            ("code:403.0", true),
            ("code:4.03e2", true),
            ("code:4*", false),
            ("code:forbidden", false),
            ("code > 400", true),
            ("code >= 403", true),
            ("code < 403", false),
            ("code <= 403", true),
            ("code > abc", false),
            ("codes > 200 and codes < 300", true),
            ("not codes >= 400", false),
            ("hostNetwork:true", true),
            (r#"hostNetwork:"true""#, true),
            ("hostNetwork:TRUE", false),
            ("hostNetwork:false", false),
            ("off:false", true),
            ("hostNetwork:t*", false),
            ("hostNetwork > a", false),
            ("verb > createa", false),
            ("verb >= create and verb < creatf", true),
        ],
    );
    check(r#"{"x":7}"#, &[("x:007", true)]);
    check(r#"{"x":"007"}"#, &[("x:007", true)]);
    check(r#"{"x":"7"}"#, &[("x:007", false)]);
    check(r#"{"x":9007199254740993}"#, &[("x:9007199254740993", true), ("x:9007199254740992", false)]);
}

#[test]
fn nested_groups() {
    check(
        E,
        &[
            (r#"rules.verbs:"*""#, true),
            ("rules.verbs:*", true),
            (r#"rules.verbs:"*" and rules.res:pods"#, true),
            (r#"rules:{ verbs:"*" and res:pods }"#, false),
            (r#"rules:{ verbs:"*" and res:secrets }"#, true),
            (r#"rules:{ not verbs:"*" }"#, true),
            (r#"not rules:{ verbs:"*" }"#, false),
            ("rules:{ get }", true),
            ("rules:{ nothing }", false),
            ("rules:{ verb*:get and res:secrets }", false),
            ("objectRef:{ resource:pods and name:p1 }", true),
            ("missing:{ not x:y }", false),
        ],
    );
    // In the whole event a name is what it is outside of braces.
    check(
        r#"{"sourceIPs":["::1"],"stageTimestamp":"2026-01-01T00:00:00.5Z","user":{"sourceIPs":"::1"}}"#,
        &[
            (r#"kubernetes.audit:{ "0:0:0:0:0:0:0:1" }"#, true),
            (r#"kubernetes.audit:{ source*:"0:0:0:0:0:0:0:1" }"#, true),
            ("kubernetes.audit:{ stageT*:\"2026-01-01\" }", true),
            (r#"user:{ "0:0:0:0:0:0:0:1" }"#, false),
            (r#"user:{ source*:"0:0:0:0:0:0:0:1" }"#, false),
        ],
    );
    let deep = r#"{"a":[{"b":[{"c":1,"d":2},{"c":3,"d":4}]},{"b":{"c":5,"d":6}}]}"#;
    check(
        deep,
        &[
            ("a:{ b:{ c:1 and d:4 } }", false),
            ("a:{ b:{ c:3 and d:4 } }", true),
            ("a.b:{ c:5 and d:6 }", true),
        ],
    );
}

#[test]
fn precedence_and_texts() {
    check(
        E,
        &[
            ("verb:create or missing:x and verb:nope", true),
            ("(verb:create or missing:x) and verb:nope", false),
            ("not verb:nope and ns:kube-system", true),
            ("s:foo bar", true),
            (r#"s:"foo bar""#, true),
            ("s:foo*", true),
            ("s:foo", false),
            ("verb:create and", false),
            ("verb:create or delete", true),
            ("-verb:create", false),
            ("!verb:create", false),
            ("verb:create # note", false),
            ("verb:create // note", false),
            ("verb:(create)", true),
            ("((verb:create))", true),
            ("extra.authentication.kubernetes.io/pod-name:p-*", true),
            (r#"x:"C:\\Win""#, true),
            (r"x:C\:\\Win", true),
            (r#"x:"C:\Win""#, true),
            ("busybox", true),
            ("busy*", true),
            ("403", true),
            ("10.0.0.0/8", true),
            ("nowhere", false),
            ("verb:create or nowhere", true),
            (" \u{a0}\n verb\t:\r\n create ", true),
            ("verb:create AND NOT verb:nope OR verb:nope", true),
        ],
    );
    check(r#"{"x":"*ab"}"#, &[(r"x:\*a*", true)]);
    check(r#"{"x":"zab"}"#, &[(r"x:\*a*", false)]);
}

#[test]
fn syntax_errors() {
    for query in [
        "groups:system:*",
        "code:>400",
        "verb:cannot be",
        "verb:create && ns:kube-system",
        "verb:()",
        r"x:C:\\Win",
        r"x:a\-b",
        "not not x",
        "not(a:x)",
        "a:(x)or b:y",
        "f:null",
        "null",
        "f:(a or null)",
        "f:not a",
        "f:(not not a)",
        "a:b and ",
        "a:b or ",
        "a:",
        ":b",
        "a:(b",
        "(a:b",
        "a:b)",
        "a:{b:c",
        "a:{}",
        "a{b:c}",
        "a:\"b",
        "a: > b",
        "a <",
        "a < (b or c)",
        "a <> b",
        "\"a\" \"b\"",
        "a:\"b\" c",
        "a:b \"c\"",
        "a:(b c:d)",
        "a:x\\",
    ] {
        assert!(parse(query).is_err(), "{query}");
    }
    for query in [
        "not (not x:y)",
        "f:(a or (b and not c*))",
        "f:(not (a or b))",
        "a:or",
        "a:and",
        "orb:andy",
        "a:notb",
        "\\and:x",
        "a:\\not",
        "x:a\\u0041",
        "f:(not a or not (b and c))",
        "a.b < \"5\"",
        "a :b",
        "a : ( b ) ",
        "*:*",
        "",
        "  ",
    ] {
        assert!(parse(query).is_ok(), "{query}: {:?}", parse(query));
    }
}
