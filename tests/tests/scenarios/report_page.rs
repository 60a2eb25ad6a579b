//! `switchback report` in a real browser: what is drawn is seen, and nothing runs.

use std::{fmt::Write, fs};

use serde_json::{Value, json};
use switchback_tests::{
    browser::{Browser, View},
    rig::Rig,
};

/// Names of tables that a page must show and not obey.
const HOSTILE: [&str; 5] = [
    "</td><script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</style><style>*{display:none}",
    "--><svg onload=alert(1)>",
    "a_name_without_any_place_to_break_it_that_goes_on_and_on_and_on",
];

/// What is where. Half a pixel more is rounding.
const MEASURE: &str = r#"(() => {
    const box = element => element.getBoundingClientRect();
    const within = (inner, outer) => inner.left >= outer.left - 1 && inner.top >= outer.top - 1
        && inner.right <= outer.right + 1 && inner.bottom <= outer.bottom + 1;
    const all = (selector, root = document) => [...root.querySelectorAll(selector)];
    const root = document.documentElement;
    const charts = all('.chart').map(chart => {
        const frame = box(chart.querySelector('svg'));
        const labels = all('.x span', chart).map(box);
        return {
            width: frame.width, height: frame.height,
            line: box(chart.querySelector('.line')).width,
            outside: all('path, rect', chart).filter(part => !within(box(part), frame)).length
                + all('span', chart).filter(label => !within(box(label), box(chart))).length,
            overlaps: labels.filter((label, i) => i > 0 && labels[i - 1].right > label.left).length,
            letters: Math.min(...all('span', chart).map(
                label => parseFloat(getComputedStyle(label).fontSize))),
        };
    });
    const bars = all('.bar').map(bar => ({
        width: box(bar).width,
        parts: all('span', bar).reduce((sum, part) => sum + box(part).width, 0),
        cut: all('span', bar).filter(part => part.scrollWidth > part.clientWidth + 1).length,
    }));
    return {
        overflow: root.scrollWidth - root.clientWidth,
        charts, bars,
        captions: all('.chart figcaption b').map(caption => caption.textContent),
        held: all('.bar .held').map(part => box(part).width),
        cells: all('td').map(cell => cell.textContent),
        active: all('script, img, iframe, link, object, embed, a, form, base, svg svg').length,
        handlers: all('*').filter(element =>
            [...element.attributes].some(attribute => attribute.name.startsWith('on'))).length,
        back: getComputedStyle(document.body).backgroundColor,
    };
})()"#;

async fn browser() -> Option<Browser> {
    let browser = Browser::start().await;
    if browser.is_none() {
        eprintln!("note: there is no Chromium here: skipped");
    }
    browser
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn fixture() -> String {
    let mut sql = String::from("BEGIN;");
    let others = (1..=40).map(|number| format!("table {number}"));
    for name in HOSTILE.iter().map(|name| (*name).to_owned()).chain(others) {
        let name = quoted(&name);
        let _ = write!(sql, "CREATE TABLE {name} (id INTEGER PRIMARY KEY, d DATE);");
        let _ = write!(sql, "INSERT INTO {name} VALUES (1, 'x');");
    }
    sql + "CREATE TABLE large (id INTEGER PRIMARY KEY, t TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        INSERT INTO large SELECT i, hex(randomblob(40)) FROM n; COMMIT;"
}

#[tokio::test]
async fn a_report_shows_its_pictures_and_runs_nothing() {
    let Some(mut browser) = browser().await else { return };
    let rig = Rig::of_sql(&fixture()).await;
    let migrated = rig.cli(&["migrate"]).await;
    migrated.expect(0);
    let run = rig.cli(&["report", migrated.operation()]).await;
    let file = rig.directory.path().join("report.html");
    fs::write(&file, &run.expect(0).stdout).expect("the page is written");
    // For a look at it.
    if let Some(copy) = std::env::var_os("SWITCHBACK_REPORT_PAGE") {
        fs::copy(&file, copy).expect("a copy");
    }
    browser.open(&file).await;
    let mut backs = Vec::new();
    for (width, scheme, media) in [
        (375, "light", "screen"),
        (375, "dark", "screen"),
        (1280, "light", "screen"),
        (1280, "dark", "print"),
    ] {
        browser.view(View { width, scheme, media }).await;
        let seen = browser.evaluate(MEASURE).await;
        assert_drawn(&seen);
        backs.push(seen["back"].clone());
    }
    assert_ne!(backs[0], backs[1], "the dark scheme is followed");
    assert_eq!(backs[3], "rgb(255, 255, 255)", "paper is white");
    assert_eq!(browser.complaints(), [&Value::Null; 0]);
    rig.finish().await;
}

fn assert_drawn(seen: &Value) {
    assert_eq!(seen["overflow"], 0, "{seen}");
    assert_eq!((&seen["active"], &seen["handlers"]), (&json!(0), &json!(0)), "{seen}");
    let cells = seen["cells"].as_array().expect("cells");
    for name in HOSTILE {
        assert!(cells.iter().any(|cell| cell == name), "{name}: {cells:?}");
    }
    let captions = seen["captions"].as_array().expect("captions");
    assert!(captions.iter().any(|caption| caption == "Rows copied per second"), "{captions:?}");
    for chart in seen["charts"].as_array().expect("charts") {
        let [width, height, line] = ["width", "height", "line"].map(|of| number(&chart[of]));
        assert!(width > 200.0 && height > 100.0 && line > width * 0.9, "{chart}");
        assert!(number(&chart["letters"]) >= 11.0, "readable: {chart}");
        assert_eq!((&chart["outside"], &chart["overlaps"]), (&json!(0), &json!(0)), "{chart}");
    }
    let bars = seen["bars"].as_array().expect("bars");
    assert_eq!(bars.len(), 2, "{seen}");
    for bar in bars {
        let [width, parts] = ["width", "parts"].map(|of| number(&bar[of]));
        assert!(width > 300.0 && (width - parts).abs() < 4.0 && bar["cut"] == 0, "{bar}");
    }
    assert!(number(&seen["held"][0]) >= 3.0, "the pause can be seen: {seen}");
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Otherwise the scenario above could not fail.
#[tokio::test]
async fn what_a_page_must_not_do_is_seen() {
    let Some(mut browser) = browser().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("page.html");
    for (content, method) in [
        ("<script>console.log(1)</script>", "Runtime.consoleAPICalled"),
        ("<script>throw 1</script>", "Runtime.exceptionThrown"),
        ("<img src='missing.png'>", "Network.requestWillBeSent"),
        (
            "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">\
             <script>1</script>",
            "Log.entryAdded",
        ),
    ] {
        fs::write(&file, content).expect("the page is written");
        browser.open(&file).await;
        browser.evaluate("1").await;
        let seen = browser.complaints();
        assert!(seen.iter().any(|event| event["method"] == method), "{content}: {seen:?}");
    }
}
