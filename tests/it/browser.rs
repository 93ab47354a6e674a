//! Chromium without a window, driven over the DevTools protocol: JSON between two pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::wait_for;

/// What Chromium says to a question that a navigation overtook.
const BETWEEN_PAGES: [&str; 3] = [
    "Inspected target navigated or closed",
    "Execution context was destroyed.",
    "Cannot find context with specified id",
];

/// A browser of its own, with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub fn start() -> Browser {
        let profile = tempfile::tempdir().unwrap();
        // The protocol is spoken over the descriptors 3 and 4.
        let line = format!(
            "exec chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage \
             --no-first-run --disable-background-networking --disable-component-update --user-data-dir='{}' \
             --remote-debugging-pipe 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null",
            profile.path().display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        let mut browser = Browser { child, to, from, last: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", json!({}));
        browser.size(1280, 900);
        browser
    }

    /// One command of the protocol, and what it gives.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.tried(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// One command of the protocol, and what it gives or why it gives nothing.
    fn tried(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut octets = message.to_string().into_bytes();
        octets.push(0);
        self.to.write_all(&octets).unwrap_or_else(|error| panic!("{error}: ./test installs chromium"));
        loop {
            let mut octets = Vec::new();
            let read = self.from.read_until(0, &mut octets).unwrap();
            assert!(read > 0, "the browser ended; ./test installs chromium");
            let answer: Value = serde_json::from_slice(octets.strip_suffix(&[0]).unwrap_or(&octets)).unwrap();
            if answer["id"] == self.last {
                let error = &answer["error"];
                return if error.is_null() { Ok(answer["result"].clone()) } else { Err(error.clone()) };
            }
        }
    }

    /// Loads an address to its end.
    pub fn go(&mut self, address: &str) {
        let gone = self.call("Page.navigate", json!({ "url": address }));
        assert!(gone["errorText"].is_null(), "{address}: {gone}");
        self.wait("the page is loaded", Duration::from_secs(10), "true");
    }

    /// The value of an expression in the page.
    ///
    /// While one page makes room for another there is nothing to ask: the question is put again.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = wait_for("a page that answers", Duration::from_secs(10), || {
            match self.tried("Runtime.evaluate", asked.clone()) {
                Ok(answer) => Some(answer),
                Err(error) if BETWEEN_PAGES.iter().any(|told| error["message"] == *told) => None,
                Err(error) => panic!("{expression}: {error}"),
            }
        });
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    pub fn text(&mut self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true of a page that is read to its end: a title comes before its text.
    pub fn wait(&mut self, what: &str, at_most: Duration, expression: &str) {
        // What an expression asks for may not be there yet.
        let is_so = format!("document.readyState === 'complete' && Boolean({expression})");
        let safe = format!("(() => {{ try {{ return {is_so}; }} catch {{ return false; }} }})()");
        wait_for(what, at_most, || (self.value(&safe) == true).then_some(()));
    }

    /// Presses a key as a person does.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            " " => (32, " "),
            other => panic!("no code is known of {other:?}"),
        };
        let down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code, "text": text });
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
    }

    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Goes on by Tab until an expression of the focused element, `at`, is true.
    pub fn tab_to(&mut self, what: &str, expression: &str) {
        let asked = format!("(at => Boolean({expression}))(document.activeElement)");
        for _ in 0..200 {
            self.press("Tab");
            if self.value(&asked) == true {
                return;
            }
        }
        panic!("Tab doesn't lead to {what}");
    }

    pub fn size(&mut self, width: u32, height: u32) {
        let is_phone = width < 600;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    pub fn scheme(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme },
                              { "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The page's own scripts don't run; the test may look at it all the same.
    pub fn without_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    /// A picture of the whole page, for people.
    pub fn picture(&mut self, file: &Path) {
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let asked = json!({ "captureBeyondViewport": true, "clip": clip });
        let picture = self.call("Page.captureScreenshot", asked);
        let mut decode = Command::new("base64");
        decode.arg("-d").stdin(Stdio::piped()).stdout(std::fs::File::create(file).unwrap());
        let mut decoding = decode.spawn().unwrap();
        let text = picture["data"].as_str().unwrap();
        decoding.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(decoding.wait().unwrap().success());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
