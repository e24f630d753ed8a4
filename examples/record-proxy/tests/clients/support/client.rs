//! The clients: real ones, each behind the same door.

use std::path::Path;
use std::process::Stdio;

use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::CreateChatCompletionRequest;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::tools::node_or_skip;
use super::{Api, PATIENCE, Tools};

/// What a client is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) api: Api,
    pub(crate) session: Option<String>,
    pub(crate) user: String,
    pub(crate) body: Value,
    /// After how many events of a stream it goes away.
    pub(crate) leave_after: Option<usize>,
    pub(crate) retries: u32,
}

impl Call {
    pub(crate) fn new(api: Api, session: &str, body: Value) -> Self {
        let (session, user) = (Some(session.to_owned()), "ada".to_owned());
        Self { api, session, user, body, leave_after: None, retries: 0 }
    }

    fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let session = self.session.as_deref().map(|session| ("x-session-id", session));
        session.into_iter().chain([("x-user-id", self.user.as_str())])
    }
}

/// A client library.
#[derive(Debug)]
pub(crate) enum Client {
    /// One of another language.
    Script(Box<Script>),
    /// The crate async-openai, which takes no event that differs from the specification.
    AsyncOpenai,
}

/// A client in a process of its own, which is killed when this value goes.
#[derive(Debug)]
pub(crate) struct Script {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Client {
    pub(crate) fn openai_python(tools: &Tools) -> Self {
        Self::script(&tools.python, "openai_python.py", Path::new("."))
    }

    pub(crate) fn anthropic_python(tools: &Tools) -> Self {
        Self::script(&tools.python, "anthropic_python.py", Path::new("."))
    }

    pub(crate) fn openai_node(test: &str) -> Option<Self> {
        Some(Self::script(Path::new("node"), "openai_node.mjs", &node_or_skip(test)?))
    }

    fn script(program: &Path, name: &str, folder: &Path) -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts");
        let mut child = Command::new(program)
            .arg(scripts.join(name))
            .current_dir(folder)
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the client starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self::Script(Box::new(Script { _child: child, input, output }))
    }

    /// Makes a call to a server. Returns what the program behind the client sees: the `answer`, the `events` of a stream,
    /// and the `error`, as far as there were any.
    pub(crate) async fn call(&mut self, base: &str, call: &Call) -> Value {
        let calling = async {
            match self {
                Self::Script(script) => script.call(base, call).await,
                Self::AsyncOpenai => {
                    let mut seen = json!({});
                    if let Err(error) = async_openai(base, call, &mut seen).await {
                        seen["error"] = json!({ "text": error.to_string() });
                    }
                    seen
                }
            }
        };
        timeout(PATIENCE, calling).await.expect("the call comes to an end")
    }
}

impl Script {
    async fn call(&mut self, base: &str, call: &Call) -> Value {
        let order = json!({
            "base": base, "api": call.api.name(), "headers": Value::from_iter(call.headers()),
            "body": call.body, "leave_after": call.leave_after, "retries": call.retries,
        });
        self.input.write_all(format!("{order}\n").as_bytes()).await.expect("the client reads");
        let line = self.output.next_line().await.expect("the client prints text");
        let line = line.expect("the client goes on to the end");
        serde_json::from_str(&line).expect("the client prints JSON")
    }
}

async fn async_openai(base: &str, call: &Call, seen: &mut Value) -> Result<(), OpenAIError> {
    let mut config = OpenAIConfig::new().with_api_base(format!("{base}/v1"));
    for (name, value) in call.headers() {
        config = config.with_header(name, value)?;
    }
    let client = async_openai::Client::with_config(config.with_api_key("sk-of-a-test"));
    let request: CreateChatCompletionRequest =
        serde_json::from_value(call.body.clone()).expect("the body is what the API takes");
    if request.stream != Some(true) {
        seen["answer"] = json!(client.chat().create(request).await?);
        return Ok(());
    }
    seen["events"] = json!([]);
    let most = call.leave_after.unwrap_or(usize::MAX);
    let mut stream = client.chat().create_stream(request).await?.take(most);
    while let Some(event) = stream.next().await {
        seen["events"].as_array_mut().expect("it is one").push(json!(event?));
    }
    Ok(())
}
