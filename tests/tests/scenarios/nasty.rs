//! Every nasty database, with each choice there is.

use switchback_tests::{
    content::content,
    fixtures::{self, Nasty, Outcome},
    rig::Rig,
};

use crate::round;

#[tokio::test]
async fn names() {
    all(fixtures::NAMES).await;
}

#[tokio::test]
async fn values() {
    all(fixtures::VALUES).await;
}

#[tokio::test]
async fn schemas() {
    all(fixtures::SCHEMAS).await;
}

async fn all(databases: &'static [Nasty]) {
    let items = databases.iter().map(|nasty| (nasty.name.to_owned(), nasty));
    round::each(items, one).await;
}

async fn one(nasty: &'static Nasty) {
    let rig = Rig::of(|connection| nasty.make(connection)).await;
    match nasty.outcome {
        Outcome::Arrives => {
            let plan = round::arrives(&rig, &[]).await;
            for code in nasty.findings {
                let found = plan.findings.iter().any(|finding| finding.code == *code);
                assert!(found, "{code} is not among {:#?}", plan.findings);
            }
        }
        Outcome::Refused(codes) => round::blocked(&rig, codes).await,
        Outcome::Choice(codes, unfit) => {
            round::blocked(&rig, codes).await;
            reject(&rig, codes, unfit).await;
            let encoded = Rig::of(|connection| nasty.make(connection)).await;
            let choices = choices(codes, "encode");
            round::arrives(&encoded, &strs(&choices)).await;
            encoded.finish().await;
        }
    }
    rig.finish().await;
}

/// Too many rejects leave nothing behind; as many as allowed are kept, and all else arrives.
async fn reject(rig: &Rig, codes: &[&str], unfit: u64) {
    let before = content(&rig.source);
    let choices = choices(codes, "reject");
    let choices = strs(&choices);
    let (one_less, enough) = ((unfit - 1).to_string(), unfit.to_string());
    let run = rig.cli(&[&["migrate", "--allow-rejects", &one_less], &choices[..]].concat()).await;
    run.refused(5, "TOO_MANY_REJECTS");
    round::assert_undone(rig, &before).await;

    let plan = round::planned(rig, &choices).await;
    let run = rig.cli(&[&["migrate", "--allow-rejects", &enough], &choices[..]].concat()).await;
    run.expect(0);
    assert_eq!(run.report()["rejected"].as_u64(), Some(unfit));
    let mut refused = 0;
    for outcome in rig.compare(&plan).await {
        assert!(outcome.arrived(), "{outcome:#?}");
        refused += outcome.unfit;
    }
    assert_eq!(refused, unfit);
    let sql = "SELECT count(*) FROM switchback.rejects";
    let kept: i64 = rig.target().await.query_one(sql, &[]).await.expect("rejects").get(0);
    assert_eq!(u64::try_from(kept), Ok(unfit));
    rig.cli(&["validate"]).await.expect(0);
}

fn choices(codes: &[&str], disposition: &str) -> Vec<String> {
    codes.iter().flat_map(|code| ["--on".into(), format!("{code}={disposition}")]).collect()
}

fn strs(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).collect()
}
