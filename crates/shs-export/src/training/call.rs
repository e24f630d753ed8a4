//! A tool's call, in formats that follow OpenAI.

use serde::Serialize;

use crate::prepare;

/// With arguments as the format has them.
#[derive(Debug, Serialize)]
pub(super) struct Call<'a, A> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a, A>,
}

#[derive(Debug, Serialize)]
struct Function<'a, A> {
    name: &'a str,
    arguments: A,
}

impl<'a, A> Call<'a, A> {
    pub(super) fn new(call: &'a prepare::Call, arguments: A) -> Self {
        let function = Function { name: &call.name, arguments };
        Self { id: &call.id, r#type: "function", function }
    }
}
