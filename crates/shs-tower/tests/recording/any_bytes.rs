//! Decoders take any bytes, in any pieces.

use http::{Method, Response, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use shs_tower::Limits;
use shs_tower::decode::{AnthropicMessages, Decoder, OpenAiChat, OpenAiResponses, Reply};

const DECODERS: [&dyn Decoder; 3] = [&OpenAiChat, &OpenAiResponses, &AnthropicMessages];

/// Pieces of what servers send, whole and broken.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        r#"data: \{"choices":\[\{"index":[0-3],"delta":\{"content":"[a-zé部\\\\n]{0,8}"\},"finish_reason":(null|"stop")\}\]\}"#,
        r#"data: \{"choices":\[\{"index":0,"delta":\{"tool_calls":\[\{"index":[0-2],"id":"c","function":\{"name":"f","arguments":"[{}:1]{0,4}"\}\}\]\}\}\]\}"#,
        r#"data: \{"type":"response\.output_text\.delta","output_index":[0-2],"content_index":0,"delta":"[a-zé]{0,8}"\}"#,
        r#"data: \{"type":"response\.(completed|failed|incomplete)","response":\{"output":\[[0-9]{0,2}\],"status":"x"\}\}"#,
        r#"data: \{"type":"content_block_start","index":[0-3],"content_block":\{"type":"(text|tool_use|thinking|odd)","text":""\}\}"#,
        r#"data: \{"type":"content_block_delta","index":[0-3],"delta":\{"type":"text_delta","text":"[a-z]{0,8}"\}\}"#,
        r#"data: \{"type":"message_delta","delta":\{"stop_reason":"x"\},"usage":\{"output_tokens":[0-9]{1,30}\}\}"#,
        r#"data: \{"error":(null|1|"x"|\{"message":[0-9]\})\}"#,
        "data: \\[DONE\\]|: ping|event: [a-z_]{1,12}|",
        ".{0,20}",
    ];
    let end = prop_oneof!["\n\n", "\r\n\r\n", "\n", "\r\r"];
    let text = vec((line, end), 0..12).prop_map(|lines| {
        lines.into_iter().flat_map(|(line, end)| [line, end]).collect::<String>().into_bytes()
    });
    prop_oneof![4 => text, 1 => vec(any::<u8>(), 0..200)]
}

fn reply(decoder: &dyn Decoder, content_type: &str, pieces: &[&[u8]]) -> Reply {
    let head = Response::builder().header("content-type", content_type).body(()).unwrap();
    let limits = Limits::default().with_response(40).with_event(300);
    let mut reply = decoder.response(&head.into_parts().0, &limits);
    for piece in pieces {
        reply.push(piece);
        reply.has_content();
    }
    reply.is_complete(true);
    reply.finish()
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_split_makes_a_difference(
        stream in streams(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        for decoder in DECODERS {
            for content_type in ["text/event-stream", "application/json"] {
                let whole = reply(decoder, content_type, &[&stream]);
                prop_assert_eq!(&reply(decoder, content_type, &pieces), &whole);
                // Texts are parted by line breaks, which are not counted.
                let texts = whole.choices.iter().map(|choice| choice.content.replace('\n', ""));
                prop_assert!(texts.map(|text| text.len()).sum::<usize>() <= 40);
            }
        }
    }

    #[test]
    fn no_request_panics(body in prop_oneof![
        vec(any::<u8>(), 0..100),
        r#"\{"(messages|input|system|model|tools|functions|tool_choice)":(\[\{"(role|content|type|tool_calls|name|input_schema)":(1|null|"x"|\[1\]|\{"a":\[\]\})\}\]|"x"|[0-9]|null)\}"#
            .prop_map(String::into_bytes),
    ]) {
        for decoder in DECODERS {
            decoder.matches(&Method::POST, &Uri::from_static("/v1/messages"));
            // What cannot be read says why, without a word of it.
            if let Err(reason) = decoder.request(&body) {
                prop_assert!(reason.starts_with("the request has no") || reason.starts_with("invalid JSON at line"));
            }
        }
    }
}
