//! The query protocol, as far as its clients can't show it: what is refused, and how.

use super::rig::{Answer, Rig};

const FORM: [(&str, &str); 1] =
    [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];

async fn post(rig: &Rig, path: &str, form: &str) -> Answer {
    rig.send("POST", path, &FORM, form.as_bytes()).await
}

#[tokio::test]
async fn a_call_is_a_form_to_the_service_or_to_the_queue_or_a_url() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let made = post(&rig, "/", "Action=CreateQueue&Version=2012-11-05&QueueName=q").await;
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(made.header("content-type"), Some("text/xml"));
    let url = format!("http://{}/000000000000/q", rig.address);
    let id = made.header("x-amzn-requestid").unwrap();
    assert_eq!(
        made.text(),
        format!(
            "<?xml version=\"1.0\"?><CreateQueueResponse xmlns=\"http://queue.amazonaws.com/doc/2012-11-05/\">\
             <CreateQueueResult><QueueUrl>{url}</QueueUrl></CreateQueueResult>\
             <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></CreateQueueResponse>"
        )
    );
    let sent = post(&rig, "/000000000000/q", "Action=SendMessage&MessageBody=a%0D%26").await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let got = rig.get("/000000000000/q?Action=ReceiveMessage&AttributeName=SentTimestamp").await;
    assert!(got.text().contains("<Body>a&#13;&amp;</Body>"), "{}", got.text());
    let name = "<Attribute><Name>SentTimestamp</Name><Value>";
    assert!(got.text().contains(name), "{}", got.text());
    rig.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_told_in_xml() {
    let data = tempfile::tempdir().unwrap();
    let rig = Rig::start(data.path()).await;
    let deep = format!("Action=SendMessage&{}=x", "a.".repeat(100_000));
    for (form, status, code) in [
        ("Action=NoSuchCall", 400, "InvalidAction"),
        ("Action=AssumeRole&Version=2011-06-15", 400, "InvalidAction"),
        (
            "Action=DeleteQueue&QueueUrl=http://h/1/none",
            400,
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
        ("Action=SendMessage&MessageBody=x", 400, "MissingParameter"),
        ("Action=SendMessage&Action=SendMessage", 400, "MalformedQueryString"),
        ("Action=ReceiveMessage&MaxNumberOfMessages=ten", 400, "MalformedQueryString"),
        ("Action=CreateQueue&QueueName=q&Attribute.x.Name=y", 400, "MalformedQueryString"),
        ("Action=CreateQueue&QueueName.1=q", 400, "MalformedQueryString"),
        (&deep, 400, "MalformedQueryString"),
    ] {
        let answer = post(&rig, "/", form).await;
        let told = answer.text();
        assert_eq!(answer.status, status, "{told}");
        assert!(told.contains(&format!("<Type>Sender</Type><Code>{code}</Code>")), "{told}");
    }
    let large = format!("Action=SendMessage&MessageBody={}", "x".repeat(9 << 20));
    assert!(post(&rig, "/", &large).await.text().contains("too large"));
    rig.get("/").await.assert_error(404, "UnknownOperationException");
    rig.get("/a/b?c=d").await.assert_error(404, "UnknownOperationException");
    rig.stop().await;
}
