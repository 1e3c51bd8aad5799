//! Function URLs: made, called, taken away.

use serde_json::{Value, json};

use super::F;
use super::rig::{Answer, Rig};

fn path(name: &str) -> String {
    format!("/2021-10-31/functions/{name}/url")
}

async fn create_url(rig: &Rig, name: &str, request: Value) -> Answer {
    rig.send("POST", &path(name), &[], request.to_string().as_bytes()).await
}

/// Lets everybody call the URL of a function or of an alias.
async fn open(rig: &Rig, name: &str, query: &str) {
    let request = json!({ "StatementId": "url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*",
        "FunctionUrlAuthType": "NONE" });
    let path = format!("{F}/{name}/policy{query}");
    let added = rig.send("POST", &path, &[], request.to_string().as_bytes()).await;
    assert_eq!(added.status, 201, "{}", added.text());
}

/// A function with this word and a URL that everybody may call; the URL's host.
async fn host(rig: &Rig, name: &str, request: Value) -> String {
    rig.create(name, name).await;
    let created = create_url(rig, name, request).await;
    assert_eq!(created.status, 201, "{}", created.text());
    open(rig, name, "").await;
    let url = created.json()["FunctionUrl"].as_str().unwrap().to_owned();
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

#[tokio::test]
async fn a_request_is_an_event_and_a_plain_answer_a_response() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let host = host(&rig, "echo", json!({ "AuthType": "NONE" })).await;
    assert!(host.ends_with(&format!(".lambda-url.us-east-1.localhost:{}", rig.address.port())));
    let id = host.split('.').next().unwrap();
    let headers = [("host", &*host), ("Cookie", "a=1; b=2"), ("content-type", "text/plain")];
    let answer = rig.send("POST", "/some/path?x=1&x=2", &headers, b"hello").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let event = answer.json();
    assert_eq!(event["version"], "2.0");
    assert_eq!((&event["rawPath"], &event["body"]), (&json!("/some/path"), &json!("hello")));
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2" }));
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(event["headers"]["host"], host);
    let context = &event["requestContext"];
    assert_eq!((&context["apiId"], &context["accountId"]), (&json!(id), &json!("anonymous")));
    assert_eq!(context["http"]["method"], "POST");
    assert_eq!(answer.header("x-amzn-requestid"), context["requestId"].as_str());
    // The form that needs no name service; other paths of the host are the function's, too.
    let by_path = rig.get(&format!("/mayfly/urls/{id}/a%20b")).await.json();
    assert_eq!(by_path["rawPath"], "/a%20b");
    let lambdas = rig.send("GET", F, &[("host", &host)], b"").await.json();
    assert_eq!(lambdas["rawPath"], F);
    let other = host.replacen(id, &"0".repeat(32), 1);
    let missing = rig.send("GET", "/", &[("host", &other)], b"").await;
    missing.assert_error(403, "AccessDeniedException");
    let large = vec![b'x'; 6 << 20];
    assert_eq!(rig.send("POST", "/", &headers[..1], &large).await.status, 413);
    rig.stop().await;
}

#[tokio::test]
async fn an_answer_may_describe_its_response() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let host = host(&rig, "respond", json!({ "AuthType": "NONE" })).await;
    let headers = [("host", &*host), ("content-type", "application/json")];
    let answer = json!({ "statusCode": 404, "headers": { "content-type": "text/plain", "x-a": "1" },
        "cookies": ["a=1", "b=2"], "body": "bm90IGhlcmU=", "isBase64Encoded": true });
    let got = rig.send("POST", "/", &headers, answer.to_string().as_bytes()).await;
    // A client error in plain text is left as it is.
    assert_eq!((got.status, got.text()), (404, "not here".into()));
    assert_eq!(
        (got.header("content-type"), got.header("x-a"), got.header("set-cookie")),
        (Some("text/plain"), Some("1"), Some("a=1"))
    );
    for bad in ["no JSON", r#"{"statusCode":1000}"#, r#"{"statusCode":200,"headers":{"a b":""}}"#] {
        let got = rig.send("POST", "/", &headers, bad.as_bytes()).await;
        assert_eq!((got.status, got.text()), (502, "Internal Server Error".into()), "{bad}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn failures_are_told_without_detail() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    for word in ["error", "crash"] {
        let host = host(&rig, word, json!({ "AuthType": "NONE" })).await;
        let got = rig.send("GET", "/", &[("host", &host)], b"").await;
        assert_eq!((got.status, got.text()), (502, "Internal Server Error".into()), "{word}");
    }
    let host = host(&rig, "echo", json!({ "AuthType": "AWS_IAM" })).await;
    assert_eq!(rig.send("GET", "/", &[("host", &host)], b"").await.status, 403);
    let signed = [("host", &*host), ("authorization", "AWS4-HMAC-SHA256 …")];
    let event = rig.send("GET", "/", &signed, b"").await.json();
    assert_eq!(event["requestContext"]["accountId"], "000000000000");
    let none = br#"{"ReservedConcurrentExecutions":0}"#;
    rig.send("PUT", "/2017-10-31/functions/echo/concurrency", &[], none).await;
    let got = rig.send("GET", "/", &signed, b"").await;
    got.assert_error(429, "TooManyRequestsException");
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_may_begin_with_a_head() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let mode = json!({ "AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM" });
    let host = host(&rig, "stream", mode.clone()).await;
    let headers = [("host", &*host), ("content-type", "application/json")];
    let send =
        async |event: Value| rig.send("POST", "/", &headers, event.to_string().as_bytes()).await;
    let plain = send(json!({ "steps": [{ "say": "one" }, { "say": "two" }] })).await;
    assert_eq!((plain.status, plain.text()), (200, "onetwo".into()));
    assert_eq!(plain.header("content-type"), Some("text/plain"));
    let kind = "application/vnd.awslambda.http-integration-response";
    // The eight NULs come in two pieces.
    let with_head = send(json!({ "type": kind, "steps": [
        { "say": "{\"statusCode\":201,\"headers\":{\"x-a\":\"1\"},\"cookies\":[\"c=1\"]}\0\0\0" },
        { "say": "\0\0\0\0\0one" }, { "say": "two" }] }))
    .await;
    assert_eq!((with_head.status, with_head.text()), (201, "onetwo".into()));
    assert_eq!((with_head.header("x-a"), with_head.header("set-cookie")), (Some("1"), Some("c=1")));
    for steps in [
        json!([{ "say": "no JSON\0\0\0\0\0\0\0\0" }]),
        json!([{ "say": "{}" }]),
        json!([{ "bytes": 300_000 }]),
    ] {
        assert_eq!(send(json!({ "type": kind, "steps": steps })).await.status, 502);
    }
    // A failure in the middle breaks the connection: the last chunk is missing.
    let fail = json!({ "fail": "Mine", "document": "{}" });
    let broken = send(json!({ "steps": [{ "say": "one" }, fail] })).await;
    assert_eq!((broken.status, broken.text(), broken.is_whole()), (200, "one".into(), false));
    assert!(plain.is_whole());
    rig.create("echo", "echo").await;
    open(&rig, "echo", "").await;
    let whole = create_url(&rig, "echo", mode).await.json()["FunctionUrl"].take();
    let id = whole.as_str().unwrap()["http://".len()..].split('.').next().unwrap().to_owned();
    assert_eq!(rig.get(&format!("/mayfly/urls/{id}")).await.json()["rawPath"], "/");
    rig.stop().await;
}

#[tokio::test]
async fn a_url_is_open_only_where_its_policy_says_so() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("count", "count", json!({ "Publish": true })).await;
    let alias = br#"{"Name":"live","FunctionVersion":"1"}"#;
    rig.send("POST", &format!("{F}/count/aliases"), &[], alias).await;
    let created = create_url(&rig, "count:live", json!({ "AuthType": "NONE" })).await.json();
    let url = created["FunctionUrl"].as_str().unwrap();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let get = async || rig.send("GET", "/", &[("host", host)], b"").await;
    let refused = async || {
        let got = get().await;
        assert!(
            got.status == 403 && got.text().starts_with(r#"{"Message":"Forbidden."#),
            "{}",
            got.text()
        );
        assert_eq!(got.header("x-amzn-errortype"), Some("AccessDeniedException"));
    };
    refused().await;
    refused().await;
    let told = rig.messages("count").await;
    assert_eq!(told.len(), 1, "once: {told:?}");
    let told = told[0].as_str().unwrap();
    let how = "add-permission --function-name count --qualifier live ";
    assert!(told.contains(how) && told.contains("--function-url-auth-type NONE"), "{told}");
    // The function's own policy says nothing of its alias, and a service is not everybody.
    open(&rig, "count", "").await;
    let policy = format!("{F}/count/policy?Qualifier=live");
    for (id, principal, kind) in [("a", "*", "AWS_IAM"), ("b", "s3.amazonaws.com", "NONE")] {
        let other = json!({ "StatementId": id, "Action": "lambda:InvokeFunctionUrl",
            "Principal": principal, "FunctionUrlAuthType": kind });
        assert_eq!(rig.send("POST", &policy, &[], other.to_string().as_bytes()).await.status, 201);
    }
    refused().await;
    open(&rig, "count", "?Qualifier=live").await;
    assert_eq!(get().await.text(), "1", "what was refused has not run");
    rig.send("DELETE", &format!("{F}/count/policy/url?Qualifier=live"), &[], b"").await;
    refused().await;
    rig.stop().await;
}

#[tokio::test]
async fn browsers_are_told_who_may_call() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let cors = json!({ "AllowOrigins": ["https://a.example", "https://b.example"],
        "AllowMethods": ["GET", "POST"], "AllowHeaders": ["x-a", "x-b"], "ExposeHeaders": ["x-c"],
        "AllowCredentials": true, "MaxAge": 60 });
    let host = host(&rig, "count", json!({ "AuthType": "NONE", "Cors": cors })).await;
    let from = |origin: &'static str| {
        [("host", &*host), ("origin", origin), ("access-control-request-method", "POST")]
    };
    let allowed = rig.send("OPTIONS", "/", &from("https://b.example"), b"").await;
    for (name, value) in [
        ("access-control-allow-origin", "https://b.example"),
        ("access-control-allow-methods", "GET,POST"),
        ("access-control-allow-headers", "x-a,x-b"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
        ("vary", "Origin"),
    ] {
        assert_eq!(allowed.header(name), Some(value));
    }
    let refused = rig.send("OPTIONS", "/", &from("https://c.example"), b"").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (200, None));
    let called = rig.send("GET", "/", &from("https://a.example")[..2], b"").await;
    assert_eq!(called.text(), "1", "no preflight has reached the function");
    assert_eq!(called.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(called.header("access-control-expose-headers"), Some("x-c"));
    let everybody = json!({ "Cors": { "AllowOrigins": ["*"] } }).to_string();
    rig.send("PUT", &path("count"), &[], everybody.as_bytes()).await;
    let called = rig.send("GET", "/", &from("https://c.example")[..2], b"").await;
    assert_eq!(called.header("access-control-allow-origin"), Some("*"));
    rig.stop().await;
}

#[tokio::test]
async fn a_function_and_its_aliases_have_one_each_over_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "echo", json!({ "Publish": true })).await;
    for alias in ["a", "b"] {
        let request = format!(r#"{{"Name":"{alias}","FunctionVersion":"1"}}"#);
        rig.send("POST", &format!("{F}/f/aliases"), &[], request.as_bytes()).await;
    }
    let none = json!({ "AuthType": "NONE" });
    for form in ["f", "f:a", "f:b"] {
        assert_eq!(create_url(&rig, form, none.clone()).await.status, 201);
        create_url(&rig, form, none.clone()).await.assert_error(409, "ResourceConflictException");
    }
    rig.stop().await;
    let rig = Rig::start(data.path()).await;
    let all = "/2021-10-31/functions/f/urls";
    let first = rig.get(&format!("{all}?MaxItems=1")).await.json();
    let marker = first["NextMarker"].as_str().unwrap();
    let rest = rig.get(&format!("{all}?MaxItems=2&Marker={marker}")).await.json();
    let arns: Vec<_> = [&first, &rest]
        .iter()
        .flat_map(|page| page["FunctionUrlConfigs"].as_array().unwrap())
        .map(|one| one["FunctionArn"].as_str().unwrap().rsplit_once("function:").unwrap().1)
        .collect();
    assert_eq!(arns, ["f", "f:a", "f:b"]);
    assert!(rest.get("NextMarker").is_none());
    for bad in ["MaxItems=51", "MaxItems=0", "Marker=tampered"] {
        rig.get(&format!("{all}?{bad}")).await.assert_refused();
    }
    open(&rig, "f", "?Qualifier=a").await;
    // Each runs what it belongs to.
    let url = rig.get(&path("f:a")).await.json()["FunctionUrl"].as_str().unwrap().to_owned();
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    assert_eq!(rig.send("GET", "/", &[("host", host)], b"").await.status, 200);
    rig.send("DELETE", &format!("{F}/f/aliases/a"), &[], b"").await;
    let gone = rig.send("GET", "/", &[("host", host)], b"").await;
    gone.assert_error(403, "AccessDeniedException");
    for status in [204, 404] {
        assert_eq!(rig.send("DELETE", &path("f"), &[], b"").await.status, status);
    }
    rig.get(&path("f")).await.assert_error(404, "ResourceNotFoundException");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_url_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    rig.create_with("f", "echo", json!({ "Publish": true })).await;
    let many = |count: usize| vec!["x"; count];
    for bad in [
        json!({}),
        json!({ "AuthType": "MAYBE" }),
        json!({ "AuthType": "NONE", "InvokeMode": "x" }),
        json!({ "AuthType": "NONE", "Cors": { "AllowMethods": ["OPTIONS"] } }),
        json!({ "AuthType": "NONE", "Cors": { "AllowOrigins": many(101) } }),
        json!({ "AuthType": "NONE", "Cors": { "AllowOrigins": [""] } }),
        json!({ "AuthType": "NONE", "Cors": { "AllowOrigins": ["x".repeat(254)] } }),
        json!({ "AuthType": "NONE", "Cors": { "AllowHeaders": ["a\nb"] } }),
        json!({ "AuthType": "NONE", "Cors": { "AllowHeaders": ["x".repeat(1025)] } }),
        json!({ "AuthType": "NONE", "Cors": { "MaxAge": 86_401 } }),
        json!({ "AuthType": "NONE", "Cors": { "MaxAge": -1 } }),
    ] {
        create_url(&rig, "f", bad).await.assert_refused();
    }
    for wrong in
        [json!({ "AuthType": 1 }), json!({ "AuthType": "NONE", "Cors": { "MaxAge": "x" } })]
    {
        create_url(&rig, "f", wrong).await.assert_error(400, "InvalidRequestContentException");
    }
    let none = json!({ "AuthType": "NONE" });
    for form in ["f:1", "f:$LATEST"] {
        create_url(&rig, form, none.clone()).await.assert_refused();
    }
    for form in ["g", "f:nothing"] {
        let missing = create_url(&rig, form, none.clone()).await;
        missing.assert_error(404, "ResourceNotFoundException");
    }
    rig.send("PUT", &path("f"), &[], b"{}").await.assert_error(404, "ResourceNotFoundException");
    let edge = json!({ "AuthType": "NONE", "Cors": { "AllowOrigins": many(100), "MaxAge": 86_400,
        "AllowHeaders": ["x".repeat(1024)] }, "Unknown": 1 });
    assert_eq!(create_url(&rig, "f", edge).await.status, 201);
    let update = br#"{"InvokeMode":"RESPONSE_STREAM","Cors":{}}"#;
    let updated = rig.send("PUT", &path("f"), &[], update).await.json();
    assert_eq!(
        (&updated["AuthType"], &updated["InvokeMode"], updated.get("Cors")),
        (&json!("NONE"), &json!("RESPONSE_STREAM"), None)
    );
    rig.stop().await;
}
